//! Unwraps SNS notifications and EventBridge events, two deep in either order.
//!
//! `aws_lambda_events` is not used for these: it copies what must stay byte for byte.

use chrono::{DateTime, Utc};

use super::{Payload, scalar};
use crate::glint::message::Unreadable;
use crate::json::{self, Object};
use crate::verify::{SignatureHeaders, UnverifiedBody};

/// So many envelopes are opened, one within the other.
const MAX_ENVELOPES: usize = 2;
/// What stands in every envelope, so that a message without them is not searched for one.
const MARKS: [&str; 2] = ["\"TopicArn\"", "\"detail-type\""];

/// The message in `text`, and its signature: that of the innermost envelope, then `signature`, then the message's own.
pub fn unwrap(text: String, signature: Option<SignatureHeaders>) -> Payload {
    let (mut text, mut signature) = (text, signature);
    for _ in 0..MAX_ENVELOPES {
        match unwrap_one(&text) {
            None => break,
            Some(Err(why)) => return Payload::Unreadable { why, too_large: false },
            Some(Ok((message, inner))) => {
                signature = inner.or(signature);
                text = message;
            }
        }
    }
    Payload::Message(match signature {
        Some(signature) => UnverifiedBody::new(text, Some(signature)),
        None => UnverifiedBody::signed_inside(text),
    })
}

fn unwrap_one(text: &str) -> Option<Result<(String, Option<SignatureHeaders>), Unreadable>> {
    if !MARKS.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let root = Object::parse(text).ok()?;
    let opened = notification(&root).or_else(|| Some((event_bridge(&root)?.0, None)))?;
    Some(words_of_aws(&root).map_or(Ok(opened), Err))
}

/// Why an envelope carries no message of anybody: AWS fills it itself.
fn words_of_aws(root: &Object) -> Option<Unreadable> {
    if let Some(kind) = root.string("Type").filter(|kind| kind.ends_with("Confirmation")) {
        return Some(Unreadable::new(
            format!("the message is SNS's `{}`, not a notification", json::excerpt(&kind)),
            "open its `SubscribeURL` if the topic is meant to send here",
        ));
    }
    // Nobody else may call a source so, but for AWS's partners.
    let source = root.string("source").filter(|name| name.starts_with("aws.") && !name.starts_with("aws.partner/"))?;
    let kind = root.string("detail-type")?;
    Some(Unreadable::new(
        format!("the message is the event `{}` of `{}`, not Glint's", json::excerpt(&kind), json::excerpt(&source)),
        "let the rule match the events that carry Glint's messages; a schedule's input is `{\"sweep\": true}`",
    ))
}

/// An SNS notification's message, with the signature that its message attributes carry.
pub fn notification(root: &Object) -> Option<(String, Option<SignatureHeaders>)> {
    root.string("TopicArn")?;
    let message = root.string("Message")?.into_owned();
    let attributes = root.object("MessageAttributes").ok().flatten().unwrap_or_default();
    let values: Vec<(String, String)> = attributes
        .iter()
        .filter_map(|(name, value)| {
            let value = scalar(Object::parse(value.get()).ok()?.get("Value")?)?.into_owned();
            Some((name.to_ascii_lowercase(), value))
        })
        .collect();
    let signature =
        SignatureHeaders::find(|name| values.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()));
    Some((message, signature))
}

/// An EventBridge event's detail as it was sent, and when.
pub fn event_bridge(root: &Object) -> Option<(String, Option<DateTime<Utc>>)> {
    root.string("detail-type")?;
    root.string("source")?;
    let detail = root.get("detail").filter(|detail| detail.get().starts_with('{'))?;
    let at = root.string("time").and_then(|time| DateTime::parse_from_rfc3339(&time).ok()).map(|time| time.to_utc());
    Some((detail.get().to_owned(), at))
}
