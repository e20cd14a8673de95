//! Kafka, self-managed or MSK: Glint's own topic of runs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::unsupported::{UnsupportedEvent, unsupported};
use super::{Delivery, DeliveryMetadata, Event, Payload, RetryRequested, Source, scalar};
use crate::json::{self, Object};
use crate::outcome::{Handled, Outcome};
use crate::verify::UnverifiedBody;

const SOURCES: [&str; 2] = ["aws:kafka", "SelfManagedKafka"];

/// Whether an event is Kafka's, with its records or without them.
pub fn is_event(root: &Object) -> bool {
    let is_named = |source: &str| {
        SOURCES.contains(&source) || root.get("records").is_some() && source.to_ascii_lowercase().contains("kafka")
    };
    root.string("eventSource").is_some_and(|source| is_named(&source))
}

/// Parses an event whose `records` lists them by topic and partition, each record on its own. A tombstone, a record without a value, is nothing.
pub fn parse(root: &Object) -> Result<Event, UnsupportedEvent> {
    let unreadable = |error| unsupported("the event's `records` cannot be read", &error);
    let partitions = root.object("records").map_err(unreadable)?;
    let partitions = partitions.ok_or_else(|| UnsupportedEvent("the Kafka event has no `records`".to_owned()))?;
    let mut deliveries = Vec::new();
    for (_, records) in partitions.iter() {
        match serde_json::from_str::<Vec<&RawValue>>(records.get()) {
            Ok(records) => deliveries.extend(records.into_iter().filter_map(delivery)),
            Err(_) => deliveries.push(unreadable_record("the partition is no list of records")),
        }
    }
    Ok(Event::Deliveries(deliveries, respond))
}

fn unreadable_record(what: &str) -> Delivery {
    const HINT: &str = "map the function to Glint's topic of runs";
    // A record without a timestamp could be redelivered for ever: it counts as old.
    let source = Source::Kafka { timestamp: DateTime::default() };
    Delivery { payload: Payload::unreadable(what, HINT), metadata: DeliveryMetadata::new(source) }
}

/// The delivery of a record; `None` for a tombstone.
fn delivery(record: &RawValue) -> Option<Delivery> {
    let Ok(record) = Object::parse(record.get()) else { return Some(unreadable_record("the record is no object")) };
    let value = record.get("value")?;
    let text = json::string(value).ok_or("the record's value is no string").and_then(|value| {
        let bytes = BASE64_STANDARD.decode(value.as_bytes()).map_err(|_| "the record's value is not base64")?;
        String::from_utf8(bytes).map_err(|_| "the record's value is not UTF-8")
    });
    let text = match text {
        Ok(text) => text,
        Err(what) => return Some(unreadable_record(what)),
    };
    let written_at = record.get("timestamp").and_then(scalar).and_then(|millis| time(&millis));
    let metadata = DeliveryMetadata {
        sent_at: written_at,
        bytes: text.len(),
        ..DeliveryMetadata::new(Source::Kafka { timestamp: written_at.unwrap_or_default() })
    };
    Some(Delivery { payload: Payload::Message(UnverifiedBody::signed_inside(text)), metadata })
}

fn time(millis: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis.parse().ok()?)
}

/// Whether nobody can read or verify the record: it would block its partition.
pub fn is_skipped(handled: &Handled) -> bool {
    matches!(handled.outcome, Outcome::Unreadable { .. } | Outcome::Unauthenticated(_))
}

/// Kafka redelivers the whole batch: AWS reads a partial response only where the mapping was told so, which the event does not say. A record
/// that nobody can read or verify is passed over.
fn respond(handled: &[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested> {
    let count = handled.iter().filter(|(_, handled)| handled.should_redeliver() && !is_skipped(handled)).count();
    if count > 0 {
        return Err(RetryRequested(format!("{count} of {} records have to be redelivered", handled.len())));
    }
    Ok(json::raw(&serde_json::json!({})))
}
