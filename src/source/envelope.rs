//! Opens what others wrap a message in: SNS, EventBridge, and a Kafka record as EventBridge Pipes hands it on.
//!
//! `aws_lambda_events` is not used for these: it copies what must stay byte for byte, and refuses Kafka headers with bytes over 127.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};

use crate::json::Object;
use crate::verify::{SignatureHeaders, UnverifiedBody};

/// The message in the body of a queue's message, and its signature: that in the wrapping first, then `signature`, then the message's own.
pub fn open(body: String, signature: Option<SignatureHeaders>) -> Result<UnverifiedBody, String> {
    let Ok(root) = Object::parse(&body) else { return Ok(unverified(body, signature)) };
    if let Some((message, inner)) = notification(&root) {
        return Ok(unverified(message, inner.or(signature)));
    }
    if let Some((detail, _)) = event_bridge(&root) {
        return Ok(unverified(detail, signature));
    }
    if root.get("topic").is_some() && root.get("partition").is_some() && root.get("offset").is_some() {
        return record(&root).map(|(message, _)| unverified(message, signature));
    }
    if signature.is_some() {
        return Ok(unverified(body, signature));
    }
    let inner = SignatureHeaders::inside(&root);
    Ok(UnverifiedBody::with_signature(body, inner))
}

fn unverified(text: String, signature: Option<SignatureHeaders>) -> UnverifiedBody {
    match signature {
        Some(signature) => UnverifiedBody::new(text, Some(signature)),
        None => UnverifiedBody::signed_inside(text),
    }
}

/// An SNS notification's message, with the signature that its message attributes carry.
pub fn notification(root: &Object) -> Option<(String, Option<SignatureHeaders>)> {
    root.get("TopicArn")?;
    let message = root.string("Message")?.into_owned();
    let attributes = root.object("MessageAttributes").ok().flatten().unwrap_or_default();
    let values: Vec<(String, String)> = attributes
        .iter()
        .filter_map(|(name, value)| {
            Some((name.to_ascii_lowercase(), Object::parse(value.get()).ok()?.string("Value")?.into_owned()))
        })
        .collect();
    let signature =
        SignatureHeaders::find(|name| values.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()));
    Some((message, signature))
}

/// An EventBridge event's detail as it was sent, and when.
pub fn event_bridge(root: &Object) -> Option<(String, Option<DateTime<Utc>>)> {
    root.get("detail-type")?;
    let at = root.string("time").and_then(|time| DateTime::parse_from_rfc3339(&time).ok()).map(|time| time.to_utc());
    Some((root.get("detail")?.get().to_owned(), at))
}

/// A Kafka record's value as text, and when it was written.
pub fn record(record: &Object) -> Result<(String, Option<DateTime<Utc>>), String> {
    let value = record.string("value").ok_or("the record has no value")?;
    let bytes = BASE64_STANDARD.decode(value.as_bytes()).map_err(|_| "the record's value is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "the record's value is not UTF-8")?;
    let written_at =
        record.get("timestamp").and_then(|millis| DateTime::from_timestamp_millis(millis.get().parse().ok()?));
    Ok((text, written_at))
}
