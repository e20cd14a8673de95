//! Says of an event that no source sends what it seems to be.

use serde_json::value::RawValue;

use crate::glint::message::Unreadable;
use crate::json::{self, Object};

const HINT: &str = "send an SQS, Kafka, SNS, EventBridge or HTTP event, a message of Glint, or `{\"check\": true}`";

/// An event that no source sends.
#[derive(Debug, thiserror::Error)]
#[error("{0}\n  hint: {HINT}")]
pub struct UnsupportedEvent(pub String);

/// `what` with the beginning of the parser's words: they quote what they are about, however long it is.
pub fn unsupported(what: &str, error: &serde_json::Error) -> UnsupportedEvent {
    UnsupportedEvent(format!("{what}: {}", json::excerpt(&error.to_string())))
}

/// Why an event that names no run is not a message of Glint either: AWS's other services name themselves in most of their events.
pub fn no_message(root: &Object) -> Unreadable {
    let service = root.string("eventSource").or_else(|| root.string("source").filter(|name| name.starts_with("aws.")));
    let what = match service {
        Some(name) => {
            format!("the event comes from `{}`, which is no event source of this function", json::excerpt(&name))
        }
        None => {
            "the event comes from no event source of this function, and names no run: `context.runId` is missing".into()
        }
    };
    Unreadable::new(what, HINT)
}

/// The error for records that are neither SQS's nor SNS's.
pub fn foreign_records(records: &[&RawValue]) -> UnsupportedEvent {
    let service = |record: &&RawValue| Some(Object::parse(record.get()).ok()?.string("eventSource")?.into_owned());
    let of = records.iter().find_map(service).map(|name| format!("of `{}`, ", json::excerpt(&name)));
    UnsupportedEvent(format!("the event's `Records` are {}neither SQS's nor SNS's", of.unwrap_or_default()))
}

/// Whether the event asks a Lambda authorizer of API Gateway, be it about a request that looks like one to this function.
pub fn is_for_authorizer(root: &Object) -> bool {
    root.string("type").is_some_and(|kind| matches!(kind.as_ref(), "REQUEST" | "TOKEN"))
        && (root.get("methodArn").is_some() || root.get("routeArn").is_some())
}
