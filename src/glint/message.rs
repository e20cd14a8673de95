//! Reads a message of Glint into a [`RunRequest`]: the older, documented form first, then the forms that newer Glints and templates send.

mod templates;

use std::borrow::Cow;

use crate::glint::run::{Backend, RunRequest};
use crate::json::{self, Document, Object};
use templates::{Templates, backend};

/// Deeper messages are not read: nothing that GitLab takes comes near (its limit is 32).
const MAX_JSON_DEPTH: usize = 64;

/// What a message turned out to be.
#[derive(Debug)]
pub enum Message {
    Run(Box<RunRequest>),
    /// News of an entity: Glint sends them in the same shape, and they start nothing.
    ChangeLog,
}

/// No run can be named: the sentence says why.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Reads `text`. An error only where not even the run id can be read; what else is wrong is the run's own [`RunRequest::request`].
pub fn read(text: String) -> Result<Message, Unreadable> {
    let document = Document::parse(&text);
    if document.as_ref().is_ok_and(|document| is_change_log(document.root())) {
        return Ok(Message::ChangeLog);
    }
    if json::is_deeper(&text, MAX_JSON_DEPTH) {
        return Err(Unreadable(format!("the message is nested deeper than {MAX_JSON_DEPTH} levels")));
    }
    let document = document.map_err(|error| Unreadable(format!("the message is not a JSON object: {error}")))?;
    let wrapped = document.root().get("port_payload").and_then(unwrapped);
    let wrapped = wrapped.as_deref().and_then(|inner| Object::parse(inner).ok());
    let templates = Templates { root: document.root(), wrapped: wrapped.as_ref() };
    let (id, templated) = templates.run_id()?;
    let parts = templates.parts();
    Ok(Message::Run(Box::new(RunRequest {
        id,
        clicked_at: templates.clicked_at(),
        report_pipeline_status: parts.as_ref().is_ok_and(|parts| !parts.method.is_false("reportPipelineStatus")),
        action_url: parts.as_ref().ok().and_then(|parts| Some(parts.method.string("url")?.into_owned())),
        synchronized: parts.as_ref().is_ok_and(|parts| parts.method.is_true("synchronized")),
        backend: parts.as_ref().map_or(Backend::Unnamed, |parts| backend(&parts.method)),
        spec: parts.and_then(|parts| templates.spec(&parts, templated)).map_err(|error| error.to_string()),
        headers: document.place("headers"),
        text,
    })))
}

/// Whether `text` is news of an entity. Asked of messages whose origin is not proven, since Glint does not sign these.
pub fn announces_change(text: &str) -> bool {
    Object::parse(text).is_ok_and(|root| is_change_log(&root))
}

fn is_change_log(root: &Object) -> bool {
    let other_resource = root.string("resourceType").is_some_and(|kind| kind != "run");
    other_resource || root.get("changelogDestination").is_some() || root.get("diff").is_some()
}

/// `port_payload` as the JSON text of an object: GitHub-style templates send it as a string.
fn unwrapped(value: &serde_json::value::RawValue) -> Option<Cow<'_, str>> {
    let text = json::string(value).unwrap_or(Cow::Borrowed(value.get()));
    text.trim_start().starts_with('{').then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Box<RunRequest> {
        match read(text.to_owned()).unwrap() {
            Message::Run(run) => run,
            Message::ChangeLog => panic!("a change log"),
        }
    }

    #[test]
    fn the_run_id_is_found_wherever_templates_put_it() {
        for text in [
            r#"{"context":{"runId":"r_1"}}"#,
            r#"{"port_payload":{"context":{"runId":"r_1"}}}"#,
            r#"{"port_payload":"{\"context\":{\"runId\":\"r_1\"}}"}"#,
            r#"{"port_context":{"runId":"r_1"}}"#,
            r#"{"port_context":{"run_id":"r_1"}}"#,
            r#"{"port_payload":{"runId":"r_1"}}"#,
            r#"{"port_payload":{"run_id":"r_1"}}"#,
            r#"{"port_payload":{"run":{"id":"r_1"}}}"#,
            r#"{"run":{"id":"r_1"}}"#,
            r#"{"runId":"r_1"}"#,
        ] {
            assert_eq!(run(text).id.as_str(), "r_1", "{text}");
        }
    }

    #[test]
    fn a_message_that_names_no_run_says_why() {
        for (text, words) in [
            ("not json", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "`context.runId` is missing"),
            (r#"{"context":{"runId":"../x"}}"#, "`context.runId` is no run id"),
            (r#"{"context":{"runId":""}}"#, "no run id"),
            (r#"{"context":{"runId":7}}"#, "`context.runId` is missing"),
            (r#"{"context":{"runId":"r_1","runId":"r_2"}}"#, "`runId` is there twice"),
            (r#"{"context":{"runId":"r_1"},"context":{"runId":"r_2"}}"#, "`context` is there twice"),
        ] {
            let error = read(text.to_owned()).unwrap_err();
            assert!(error.0.contains(words), "{text}: {error}");
        }
        assert!(read("[".repeat(100_000)).unwrap_err().0.contains("nested deeper"));
    }

    #[test]
    fn a_duplicate_input_is_a_fault_of_the_request_not_of_the_message() {
        let run = run(r#"{"context":{"runId":"r_1"},"payload":{"properties":{"a":1,"a":2}}}"#);
        assert!(run.spec.unwrap_err().contains("`a` is there twice"));
    }

    #[test]
    fn inputs_are_found_wherever_templates_put_them() {
        let names = |text: &str| run(text).spec.unwrap().inputs.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(r#"{"context":{"runId":"r_1"},"payload":{"properties":{"b":1,"a":2}}}"#), ["b", "a"]);
        assert_eq!(names(r#"{"inputs":{"a":1},"run":{"id":"r_1"}}"#), ["a"]);
        assert_eq!(names(r#"{"service":"billing","port_context":{"runId":"r_1"}}"#), ["service"]);
        assert!(names(r#"{"context":{"runId":"r_1"},"action":"deploy"}"#).is_empty());
    }

    #[test]
    fn news_of_an_entity_starts_nothing() {
        assert!(matches!(read(r#"{"resourceType":"entity","diff":{}}"#.to_owned()), Ok(Message::ChangeLog)));
        assert!(announces_change(r#"{"resourceType":"run","changelogDestination":{"type":"WEBHOOK"}}"#));
        assert!(!announces_change(r#"{"resourceType":"run","context":{"runId":"r_1"}}"#));
        let deep = format!(r#"{{"diff":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        assert!(matches!(read(deep), Ok(Message::ChangeLog)));
    }

    #[test]
    fn secret_inputs_are_named_by_the_message_or_by_the_form() {
        let text = r#"{"context":{"runId":"r_1"},"payload":{"censoredProperties":["a"],"action":{"userInputs":{"properties":{"b":{"encryption":"aes256-gcm"},"c":{}}}},"properties":{}}}"#;
        assert_eq!(run(text).spec.unwrap().secret_inputs, ["a", "b"]);
    }
}
