//! SNS, which invokes the function with notifications.

use chrono::DateTime;
use serde_json::value::RawValue;

use super::{Delivery, DeliveryMetadata, Event, Payload, Source};
use super::{envelope, invoke};
use crate::json::Object;

/// Whether a record is one of SNS.
pub fn is_record(record: &Object) -> bool {
    record.get("Sns").is_some()
}

/// Parses the records of an event of SNS, each on its own.
pub fn parse(records: &[&RawValue]) -> Event {
    Event::Deliveries(records.iter().map(|record| delivery(record)).collect(), invoke::respond)
}

fn delivery(record: &RawValue) -> Delivery {
    let sns =
        Object::parse(record.get()).ok().and_then(|record| record.object("Sns").ok().flatten()).unwrap_or_default();
    let sent_at = sns.string("Timestamp").and_then(|at| DateTime::parse_from_rfc3339(&at).ok()).map(|at| at.to_utc());
    let mut metadata = DeliveryMetadata { sent_at, ..DeliveryMetadata::new(Source::Invoke) };
    let payload = match envelope::notification(&sns) {
        None => Payload::unreadable("the SNS record has no message", "publish the message itself to the topic"),
        Some((message, signature)) => {
            metadata.bytes = message.len();
            envelope::unwrap(message, signature)
        }
    };
    Delivery { payload, metadata }
}
