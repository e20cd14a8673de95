//! Describes a message that cannot be read, so that its sender knows what to change.

use std::fmt;

use crate::json;

const SEND_AS_GLINT: &str = "send the message as Glint does, with `context.runId`";

/// No run can be named: what is wrong, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub what: String,
    pub hint: &'static str,
}

impl Unreadable {
    pub fn new(what: impl Into<String>, hint: &'static str) -> Self {
        Self { what: what.into(), hint }
    }

    /// A message of Glint that lacks what every one of them has.
    pub fn message(what: impl Into<String>) -> Self {
        Self::new(what, SEND_AS_GLINT)
    }

    /// Nothing stands where a run id may.
    pub fn no_run() -> Self {
        Self::message("the message names no run: `context.runId` is missing")
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

/// Why `text` is no JSON object. `error` is the parser's own reason, for a text that resembles nothing known.
pub fn not_an_object(text: &str, error: &serde_json::Error) -> Unreadable {
    let trimmed = text.trim_ascii();
    let Some(rest) = trimmed.strip_prefix('\u{feff}') else {
        return seeming(trimmed)
            .unwrap_or_else(|| Unreadable::message(format!("the message is not a JSON object: {error}")));
    };
    let what = if rest.starts_with('{') { "the JSON object" } else { "the message" };
    Unreadable::new(format!("{what} begins with a byte order mark (BOM)"), "send it as UTF-8 without a BOM")
}

fn seeming(text: &str) -> Option<Unreadable> {
    let is_object = |text: &str| text.trim_start().starts_with('{');
    if text.is_empty() {
        return Some(Unreadable::message("the message is empty"));
    }
    if text.starts_with("[\"software.amazon.payloadoffloading.PayloadS3Pointer\"")
        || text.starts_with("[\"com.amazon.sqs.javamessaging.MessageS3Pointer\"")
    {
        return Some(Unreadable::new(
            "the message is a pointer to an object in S3, as SQS's extended client sends it, and S3 is not read here",
            "send the message itself: Glint's fit into SQS's 1 MiB",
        ));
    }
    if let Ok(inner) = serde_json::from_str::<String>(text) {
        let what = if is_object(&inner) { "a JSON object encoded twice, as a JSON string" } else { "a JSON string" };
        return Some(Unreadable::new(format!("the message is {what}"), "send the object itself, encoded once"));
    }
    if text.starts_with('[') && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        return Some(Unreadable::message("the message is not a JSON object but a list"));
    }
    if text.starts_with("payload=") || text.starts_with("%7B") || text.starts_with("%7b") {
        return Some(Unreadable::new("the message is form-encoded, not JSON", "send it with the content type JSON"));
    }
    if text.starts_with('<') {
        return Some(Unreadable::message("the message is XML or HTML, not a JSON object"));
    }
    None
}

/// The sentence for a member that should be the run id and is none.
pub fn no_run_id(path: &str) -> Unreadable {
    Unreadable::message(format!("`{}` is no run id: 1 to 128 of `[A-Za-z0-9_-]`", json::excerpt(path)))
}
