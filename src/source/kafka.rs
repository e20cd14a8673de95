//! Kafka, self-managed or MSK: Glint's own topic of runs.

use serde_json::value::RawValue;

use super::{Delivery, DeliveryMetadata, Event, Payload, RetryRequested, Source, UnsupportedEvent, envelope};
use crate::json::{self, Object};
use crate::outcome::{Handled, Outcome};
use crate::verify::UnverifiedBody;

/// Parses an event whose `records` lists them by topic and partition.
pub fn parse(root: &Object) -> Result<Event, UnsupportedEvent> {
    let unreadable =
        |error: serde_json::Error| UnsupportedEvent(format!("the event's `records` cannot be read: {error}"));
    let partitions = root.object("records").map_err(unreadable)?.unwrap_or_default();
    let mut deliveries = Vec::new();
    for (_, records) in partitions.iter() {
        let records: Vec<Object> = serde_json::from_str(records.get()).map_err(unreadable)?;
        deliveries.extend(records.iter().map(delivery));
    }
    Ok(Event::Deliveries(deliveries, respond))
}

fn delivery(record: &Object) -> Delivery {
    let read = envelope::record(record);
    let written_at = read.as_ref().ok().and_then(|(_, written_at)| *written_at);
    // A record without a timestamp could be redelivered for ever: it counts as old.
    let source = Source::Kafka { timestamp: written_at.unwrap_or_default() };
    let payload =
        read.map_or_else(Payload::unreadable, |(text, _)| Payload::Message(UnverifiedBody::signed_inside(text)));
    Delivery { payload, metadata: DeliveryMetadata { sent_at: written_at, ..DeliveryMetadata::new(source) } }
}

/// Kafka redelivers the whole batch. A record that nobody can read or verify is passed over, so that it does not block its partition.
fn respond(handled: &[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested> {
    let passed_over =
        |handled: &Handled| matches!(handled.outcome, Outcome::Unreadable { .. } | Outcome::Unauthenticated(_));
    let count = handled.iter().filter(|(_, handled)| handled.should_redeliver() && !passed_over(handled)).count();
    if count > 0 {
        return Err(RetryRequested(format!("{count} of {} records have to be redelivered", handled.len())));
    }
    Ok(json::raw(&serde_json::json!({})))
}
