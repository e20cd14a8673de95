//! From a message to a trigger, seen from GitLab: ref, variables, inputs, payload, and what is refused.

use serde_json::{Map, Value, json};

use crate::support::{PROJECT, World, message};
use sandbox::Call;

const BRANCHES: [&str; 5] = ["2024", "of-the-input", "of-the-action", "v1.0", "feature/é"];

/// The body that GitLab is sent for a queued message.
async fn body(settings: &[(&str, &str)], message: &Value) -> Value {
    let world = World::builder().settings(settings).run("r_1").branches(&BRANCHES).start().await;
    let names = message["payload"]["properties"].as_object().map(Map::keys).into_iter().flatten();
    let names: Vec<&str> = names.map(String::as_str).filter(|name| *name != "ref").collect();
    world.sandbox.gitlab.project(PROJECT).inputs(names);
    assert!(world.queue(&[&message.to_string()]).await.is_empty());
    let triggers = world.sandbox.journal.of(Call::Trigger);
    assert_eq!(triggers.len(), 1, "{message}: {:?}", world.run("r_1"));
    assert_eq!(triggers[0].status, Some(201), "{message}: {:?}", world.run("r_1"));
    triggers[0].json()
}

fn with(properties: &Value, method: &Value) -> Value {
    let mut message = message("r_1");
    message["payload"]["properties"] = properties.clone();
    for (name, value) in method.as_object().unwrap() {
        message["payload"]["action"]["invocationMethod"][name] = value.clone();
    }
    message
}

#[tokio::test]
async fn the_ref_is_the_inputs_then_the_actions_then_main() {
    let default = json!("of-the-action");
    for (input, default, expected) in [
        (json!("of-the-input"), default.clone(), "of-the-input"),
        (json!("feature/é"), default.clone(), "feature/é"),
        (json!(""), default.clone(), "of-the-action"),
        (json!(null), default.clone(), "of-the-action"),
        (json!(2024), default, "2024"),
        (json!("v1.0"), json!(null), "v1.0"),
        (json!(""), json!(""), "main"),
        (json!(null), json!(null), "main"),
        (json!(null), json!(2024), "2024"),
    ] {
        let body = body(&[], &with(&json!({ "ref": input }), &json!({ "defaultRef": default }))).await;
        assert_eq!(body["ref"], expected, "{input} and {default}");
        let shown = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
        assert_eq!(body["variables"]["ref"], shown, "it stays among the variables");
    }
}

#[tokio::test]
async fn variables_are_spelled_as_the_agent_spells_them() {
    for (value, expected) in [
        (r#""text""#, "text"),
        (r#""""#, ""),
        (r#""  spaced \n\t ""#, "  spaced \n\t "),
        (r#""\u00e9\ud83d\ude80""#, "é🚀"),
        (r#""$HOME ${X}""#, "$HOME ${X}"),
        ("3", "3"),
        ("-0", "-0"),
        ("1.0", "1.0"),
        ("1.10", "1.10"),
        ("1e-7", "1e-7"),
        ("1E+21", "1E+21"),
        ("12345678901234567890", "12345678901234567890"),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ("[]", "[]"),
        ("{}", "{}"),
        (r#"[ 1 , "a" , null ]"#, r#"[1,"a",null]"#),
        (r#"{ "b" : 1.0 , "a" : { "é" : [ ] } }"#, r#"{"b":1.0,"a":{"é":[]}}"#),
    ] {
        let text = message("r_1").to_string().replace(r#""service":"billing""#, &format!(r#""value":{value}"#));
        let world = World::builder().run("r_1").branches(&BRANCHES).start().await;
        assert!(world.queue(&[&text]).await.is_empty());
        let pipelines = world.sandbox.gitlab.pipelines();
        assert_eq!(pipelines[0].variables["value"], expected, "{value}");
    }
}

#[tokio::test]
async fn pipeline_variables_take_the_inputs_place_where_there_are_any() {
    let inputs = json!({ "service": "billing", "ref": "of-the-input" });
    let own = json!({ "A": 1, "B": "two", "C": null });
    for (variables, expected) in [
        (own, json!({ "A": "1", "B": "two", "C": "null" })),
        (json!({}), inputs.clone()),
        (json!(null), inputs.clone()),
        (json!([]), inputs.clone()),
        (
            json!([{ "key": "A", "value": 1 }, { "key": "B", "value": [2], "variable_type": "env_var" }]),
            json!({ "A": "1", "B": "[2]" }),
        ),
    ] {
        let body = body(&[], &with(&inputs, &json!({ "pipelineVariables": variables }))).await;
        assert_eq!(body["variables"], expected, "{variables}");
        assert_eq!(body["ref"], "of-the-input", "the ref is the input's all the same");
    }
}

#[tokio::test]
async fn flags_omit_payload_and_inputs_however_they_are_spelled() {
    let inputs = json!({ "service": "billing" });
    for (flag, holds) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(null), false),
    ] {
        let omitted = body(&[], &with(&inputs, &json!({ "omitUserInputs": flag }))).await;
        let expected = if holds { json!({}) } else { inputs.clone() };
        assert_eq!(omitted["variables"], expected, "never null: {flag}");
        assert_eq!(omitted["port_payload"]["context"]["runId"], "r_1");
        let omitted = body(&[], &with(&inputs, &json!({ "omitPayload": flag }))).await;
        assert_eq!(omitted["port_payload"] == json!({}), holds, "{flag}");
        assert_eq!(omitted["variables"], inputs);
        assert_eq!(omitted["glint"]["runId"], "r_1", "the pipeline knows its run even then");
        assert!(omitted["glint"]["proof"].as_str().unwrap().starts_with("v1,"));
    }
}

#[tokio::test]
async fn no_inputs_at_all_are_no_null() {
    let mut message = message("r_1");
    for properties in [json!({}), json!(null)] {
        message["payload"]["properties"] = properties;
        assert_eq!(body(&[], &message).await["variables"], json!({}));
    }
}

#[tokio::test]
async fn inputs_keep_their_types_and_leave_the_ref_out() {
    let inputs = json!({ "ref": "of-the-input", "replicas": 3, "dry": true, "tags": ["a"], "share": 0.5, "name": "x" });
    let as_inputs = [("USER_INPUTS_AS", "inputs")];
    let body_of = async |method: Value| body(&as_inputs, &with(&inputs, &method)).await;
    let typed = body_of(json!({})).await;
    assert_eq!(typed["inputs"], json!({ "replicas": 3, "dry": true, "tags": ["a"], "share": 0.5, "name": "x" }));
    assert_eq!(typed["ref"], "of-the-input");
    assert!(typed.get("variables").is_none(), "{typed}");
    assert!(body_of(json!({ "omitUserInputs": true })).await.get("inputs").is_none());
}

#[tokio::test]
async fn nothing_in_a_message_replaces_what_the_function_sets() {
    let inputs = json!({ "token": "stolen", "id": "other/project", "variables": "x", "inputs": "y", "glint": "z" });
    let mut message = with(&inputs, &json!({ "token": "stolen", "ref": "other" }));
    for name in ["token", "ref", "id", "variables", "inputs", "glint", "port_payload"] {
        message[name] = json!("replaced");
    }
    let body = body(&[], &message).await;
    assert_eq!((&body["token"], &body["ref"]), (&json!(crate::support::TOKEN), &json!("main")));
    assert_eq!(body["variables"], inputs);
    assert_eq!(body["port_payload"], message);
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["glint", "port_payload", "ref", "token", "variables"]);
}

/// What a run's summary says when the message is refused.
async fn refusal(message: &Value) -> String {
    let world = World::builder().run("r_1").branches(&BRANCHES).start().await;
    assert!(world.queue(&[&message.to_string()]).await.is_empty(), "a refusal is done with");
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0);
    let run = world.run("r_1");
    assert_eq!(run.status, "FAILURE", "{run:?}");
    let summary = run.summary.unwrap();
    assert!(summary.contains("hint: "), "{summary}");
    assert_eq!(run.logs[0].message, summary);
    summary
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_the_field_and_a_hint() {
    let input = |name: &str, value: Value| with(&json!({ name: value }), &json!({}));
    let many: Map<String, Value> = (0..1201).map(|number| (format!("v{number}"), json!(1))).collect();
    let mut large = message("r_1");
    large["padding"] = json!("x".repeat(1024 * 1024));
    let path = |name: &str, value: &str| with(&json!({}), &json!({ name: value }));
    for (message, words) in [
        (path("projectName", ""), "`projectName` is missing"),
        (path("groupName", ""), "`groupName` is missing"),
        (path("projectName", ".."), "`projectName`"),
        (path("groupName", "acme/../other"), "`groupName`"),
        (path("projectName", "a%2Fb"), "`projectName`"),
        (path("projectName", "a b"), "`projectName`"),
        (path("defaultRef", "a b"), "`defaultRef`"),
        (input("ref", json!("--upload-pack=x")), "`ref`"),
        (input("ref", json!("a..b")), "`ref`"),
        (input("CI_JOB_TOKEN", json!("x")), "`CI_JOB_TOKEN`"),
        (input("https_proxy", json!("x")), "`https_proxy`"),
        (input("PATH", json!("x")), "`PATH`"),
        (input("TRIGGER_PAYLOAD", json!("x")), "`TRIGGER_PAYLOAD`"),
        (input("a b", json!("x")), "a b"),
        (input("note", json!("x".repeat(120 * 1024 + 1))), "`note`"),
        (with(&Value::Object(many), &json!({})), "1201"),
        (large, "1048576"),
        (path("projectName", "nobodys"), "no trigger token"),
    ] {
        let summary = refusal(&message).await;
        assert!(summary.contains(words), "{words}: {summary}");
    }
}

#[tokio::test]
async fn what_is_just_small_enough_is_sent() {
    let many: Map<String, Value> = (0..1200).map(|number| (format!("v{number}"), json!(1))).collect();
    let mut longest = Map::new();
    longest.insert("note".to_owned(), json!("x".repeat(120 * 1024)));
    for properties in [many, longest] {
        let count = properties.len();
        let body = body(&[], &with(&Value::Object(properties), &json!({}))).await;
        assert_eq!(body["variables"].as_object().unwrap().len(), count);
    }
}
