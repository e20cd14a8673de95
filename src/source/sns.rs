//! SNS, which invokes the function with notifications.

use chrono::DateTime;

use super::{Delivery, DeliveryMetadata, Event, Payload, Source};
use super::{envelope, invoke};
use crate::json::Object;
use crate::verify::UnverifiedBody;

/// Parses the records of an event of SNS.
pub fn parse(records: &[Object]) -> Event {
    Event::Deliveries(records.iter().map(delivery).collect(), invoke::respond)
}

fn delivery(record: &Object) -> Delivery {
    let sns = record.object("Sns").ok().flatten().unwrap_or_default();
    let sent_at = sns.string("Timestamp").and_then(|at| DateTime::parse_from_rfc3339(&at).ok()).map(|at| at.to_utc());
    let payload = match envelope::notification(&sns) {
        None => Payload::unreadable("the SNS record has no message"),
        Some((message, None)) => Payload::Message(UnverifiedBody::signed_inside(message)),
        Some((message, signature)) => Payload::Message(UnverifiedBody::new(message, signature)),
    };
    Delivery { payload, metadata: DeliveryMetadata { sent_at, ..DeliveryMetadata::new(Source::Invoke) } }
}
