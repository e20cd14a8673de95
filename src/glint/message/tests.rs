use super::*;

fn run(text: &str) -> Box<RunRequest> {
    match parse(text.to_owned(), None).unwrap() {
        Message::Run(run) => run,
        Message::ChangeLog => panic!("a change log: {text}"),
    }
}

fn inputs(text: &str) -> Vec<String> {
    let inputs = run(text).spec.unwrap().inputs;
    inputs.into_iter().map(|(name, value)| format!("{name}={}", value.get())).collect()
}

fn fault(text: &str) -> Unreadable {
    parse(text.to_owned(), None).unwrap_err()
}

#[test]
fn the_run_id_is_found_wherever_guides_put_it_and_is_no_input_there() {
    for text in [
        r#"{"context":{"runId":"r_1"}}"#,
        r#"{"context":{"run_id":"r_1"}}"#,
        r#"{"port_payload":{"context":{"runId":"r_1"}}}"#,
        r#"{"port_payload":"{\"context\":{\"runId\":\"r_1\"}}"}"#,
        r#"{"port_payload":{"port_run_id":"r_1"}}"#,
        r#"{"port_payload":{"RUN_ID":"r_1"}}"#,
        r#"{"port_context":{"runId":"r_1"}}"#,
        r#"{"port_context":{"run_id":"r_1"}}"#,
        r#"{"port_payload":{"runId":"r_1"}}"#,
        r#"{"port_payload":{"run_id":"r_1"}}"#,
        r#"{"port_payload":{"run":{"id":"r_1"}}}"#,
        r#"{"run":{"id":"r_1"}}"#,
        r#"{"runId":"r_1"}"#,
        r#"{"run_id":"r_1"}"#,
        r#"{"RUN_ID":"r_1"}"#,
        r#"{"port_run_id":"r_1"}"#,
    ] {
        assert_eq!(run(text).id.as_str(), "r_1", "{text}");
        assert_eq!(inputs(text), [""; 0], "{text}");
    }
}

#[test]
fn inputs_that_are_called_like_the_run_id_do_not_take_its_place() {
    for text in [
        r#"{"run":"nightly","port_context":{"runId":"r_1"}}"#,
        r#"{"run":{"id":"42"},"port_context":{"runId":"r_1"}}"#,
        r#"{"runId":"not an id","port_context":{"runId":"r_1"}}"#,
        r#"{"run_id":"42","RUN_ID":"r_1"}"#,
        r#"{"runId":42,"run":{"id":"r_1"}}"#,
    ] {
        assert_eq!(run(text).id.as_str(), "r_1", "{text}");
        assert_eq!(inputs(text).len(), 1, "{text}");
    }
}

#[test]
fn a_message_that_names_no_run_says_why() {
    for (text, words) in [
        ("not json", "not a JSON object"),
        ("[]", "not a JSON object but a list"),
        ("", "empty"),
        ("{}", "`context.runId` is missing"),
        (r#"{"context":{"runId":"../x"}}"#, "`context.runId` is no run id"),
        (r#"{"context":{"runId":""}}"#, "no run id"),
        (r#"{"context":{"runId":7}}"#, "`context.runId` is missing"),
        (r#"{"context":{"runId":"r_1","runId":"r_2"}}"#, "`runId` is there twice"),
        (r#"{"context":{"runId":"r_1"},"context":{"runId":"r_2"}}"#, "`context` is there twice"),
        (r#""{\"context\":{\"runId\":\"r_1\"}}""#, "encoded twice"),
        (r#""text""#, "a JSON string"),
        ("\u{feff}{\"context\":{\"runId\":\"r_1\"}}", "byte order mark"),
        (r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]"#, "S3"),
        ("<html></html>", "XML or HTML"),
    ] {
        let fault = fault(text);
        assert!(fault.what.contains(words), "{text}: {fault}");
    }
    assert!(fault(&"[".repeat(100_000)).what.contains("nested deeper"));
}

#[test]
fn a_duplicate_input_is_a_fault_of_the_request_not_of_the_message() {
    let run = run(r#"{"context":{"runId":"r_1"},"payload":{"properties":{"a":1,"a":2}}}"#);
    assert!(run.spec.unwrap_err().contains("`a` is there twice"));
}

#[test]
fn inputs_are_found_wherever_templates_put_them() {
    for (text, expected) in [
        (r#"{"context":{"runId":"r_1"},"payload":{"properties":{"b":1,"a":2}}}"#, &["b=1", "a=2"][..]),
        (r#"{"run":{"id":"r_1"},"payload":{"properties":{"a":1}}}"#, &["a=1"]),
        (r#"{"inputs":{"a":1},"run":{"id":"r_1"}}"#, &["a=1"]),
        (
            r#"{"inputs":{"a":1},"trigger":{"by":{}},"event":null,"entity":{},"action":{"identifier":"d"},"run":{"id":"r_1"}}"#,
            &["a=1"],
        ),
        (r#"{"port_payload":{"inputs":{"a":1},"run":{"id":"r_1"}}}"#, &["a=1"]),
        (r#"{"service":"billing","port_context":{"runId":"r_1"}}"#, &["service=\"billing\""]),
        (r#"{"service":"billing","port_payload":{"runId":"r_1"}}"#, &["service=\"billing\""]),
        (r#"{"context":{"runId":"r_1"},"service":"billing"}"#, &["service=\"billing\""]),
        (r#"{"resourceType":"run","status":"TRIGGERED","trigger":{},"action":"d","context":{"runId":"r_1"}}"#, &[]),
    ] {
        assert_eq!(inputs(text), expected, "{text}");
    }
}

#[test]
fn names_at_the_root_of_a_templated_body_are_the_users() {
    for member in [
        r#""action":"destroy""#,
        r#""action":{"a":1}"#,
        r#""diff":true"#,
        r#""diff":{"before":1}"#,
        r#""resourceType":"s3""#,
        r#""changelogDestination":"x""#,
        r#""run":"nightly""#,
        r#""headers":{"a":"b"}"#,
        r#""glint":"x""#,
        r#""payload":"x""#,
        r#""payload":{"a":1}"#,
        r#""payload":{"action":{"invocationMethod":{"type":"GITLAB","groupName":"a","projectName":"b"}},"properties":{}}"#,
        r#""inputs":"x""#,
        r#""inputs":[1]"#,
        r#""status":"open""#,
        r#""trigger":"x""#,
        r#""context":"x""#,
        r#""entity":null"#,
    ] {
        let text = format!(r#"{{{member},"environment":"staging","port_context":{{"runId":"r_1"}}}}"#);
        let (name, value) = member[1..].split_once("\":").unwrap();
        assert_eq!(inputs(&text), [format!("{name}={value}"), "environment=\"staging\"".to_owned()], "{text}");
    }
    assert_eq!(
        inputs(r#"{"inputs":{"a":1},"environment":"staging","port_context":{"runId":"r_1"}}"#),
        [r#"inputs={"a":1}"#, r#"environment="staging""#]
    );
}

#[test]
fn the_header_names_a_run_only_where_the_message_names_none() {
    let parsed = |text: &str, header| match parse(text.to_owned(), header) {
        Ok(Message::Run(run)) => Some((run.id.to_string(), run.is_id_unsigned)),
        _ => None,
    };
    assert_eq!(parsed(r#"{"service":"billing"}"#, Some("r_1")), Some(("r_1".to_owned(), true)));
    assert_eq!(parsed(r#"{"runId":"r_2"}"#, Some("r_1")), Some(("r_2".to_owned(), false)));
    assert_eq!(parsed(r#"{"service":"billing"}"#, Some("../x")), None);
    assert_eq!(parsed(r#"{"service":"billing"}"#, None), None);
}

#[test]
fn news_of_an_entity_starts_nothing() {
    let is_change_log = |text: &str| matches!(parse(text.to_owned(), None), Ok(Message::ChangeLog));
    assert!(is_change_log(r#"{"resourceType":"entity","diff":{}}"#));
    assert!(is_change_log(r#"{"resourceType":"run","changelogDestination":{"type":"WEBHOOK"}}"#));
    assert!(is_change_log(r#"{"resourceType":"entity","context":{"runId":"r_1"},"diff":{"before":null,"after":{}}}"#));
    assert!(is_change_log_text(r#"{"diff":{}}"#));
    assert!(!is_change_log_text(r#"{"resourceType":"run","context":{"runId":"r_1"}}"#));
    assert!(!is_change_log_text(r#"{"diff":true,"port_context":{"runId":"r_1"}}"#));
    assert!(is_change_log(&format!(r#"{{"diff":{}{}}}"#, "[".repeat(100), "]".repeat(100))));
}

#[test]
fn secret_inputs_are_named_by_the_message_or_by_the_form() {
    let text = r#"{"context":{"runId":"r_1"},"payload":{"censoredProperties":["a"],"action":{"userInputs":{"properties":{"b":{"encryption":"aes256-gcm"},"c":{}}}},"properties":{}}}"#;
    assert_eq!(run(text).spec.unwrap().secret_inputs, ["a", "b"]);
}
