//! SQS, standard and FIFO: messages, and the partial batch response.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::DateTime;
use serde_json::value::RawValue;

use super::{
    Delivery, DeliveryMetadata, Event, Payload, Receipt, RetryRequested, Source, SourceSettings, envelope, url_target,
};
use crate::json;
use crate::outcome::Handled;
use crate::verify::SignatureHeaders;

/// Marks what this function put on the queue itself: in a message attribute, which no body can forge.
pub const KIND: &str = "x-glint-kind";
pub const KIND_HOOK: &str = "hook";
pub const KIND_REPORT: &str = "report";

pub const EVENT_SOURCE: &str = "aws:sqs";

/// Parses an event of SQS as Lambda writes it, in one pass: nearly all events are these. `None` for anything else.
pub fn parse_usual(event: &RawValue, settings: &SourceSettings) -> Option<Event> {
    if !event.get().starts_with(r#"{"Records":["#) {
        return None;
    }
    let SqsEvent { records, .. } = serde_json::from_str(event.get()).ok()?;
    let all_sqs = records.iter().all(|message| message.event_source.as_deref() == Some(EVENT_SOURCE));
    all_sqs.then(|| deliveries(records, settings))
}

/// Parses the `Records` of an event of SQS.
pub fn parse(records: &RawValue, settings: &SourceSettings) -> Result<Event, serde_json::Error> {
    serde_json::from_str(records.get()).map(|records| deliveries(records, settings))
}

fn deliveries(messages: Vec<SqsMessage>, settings: &SourceSettings) -> Event {
    Event::Deliveries(messages.into_iter().map(|message| delivery(message, settings)).collect(), respond)
}

fn delivery(message: SqsMessage, settings: &SourceSettings) -> Delivery {
    let attribute = |name: &str| {
        let found = message.message_attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.string_value.as_deref())
    };
    let system = |name: &str| message.attributes.get(name).map(String::as_str);
    let queue_arn = message.event_source_arn.clone().unwrap_or_default();
    let metadata = DeliveryMetadata {
        id: message.message_id.clone(),
        source: Source::Sqs {
            receive_count: system("ApproximateReceiveCount").and_then(|count| count.parse().ok()),
            is_dead_letter_queue: settings.dead_letter_queue_arn.as_ref() == Some(&queue_arn),
            receipt: message.receipt_handle.clone().map(|handle| Receipt { queue_arn, handle }),
        },
        target: url_target(attribute("project"), |name| attribute(name).map(str::to_owned)),
        sent_at: system("SentTimestamp").and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?)),
    };
    let signature = SignatureHeaders::find(attribute);
    let kind = attribute(KIND).map(str::to_owned);
    let payload = match (message.body, kind.as_deref()) {
        (Some(body), Some(KIND_HOOK)) => Payload::QueuedHook(body),
        (Some(body), Some(KIND_REPORT)) => Payload::QueuedReport(body),
        (Some(body), _) => envelope::open(body, signature).map_or_else(Payload::unreadable, Payload::Message),
        (None, _) => Payload::unreadable("the message has no body"),
    };
    Delivery { payload, metadata }
}

/// Lists exactly the ids to redeliver. A message without an id cannot be named, so it fails the batch: AWS takes an empty id so too.
fn respond(handled: &[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested> {
    let mut response = SqsBatchResponse::default();
    for (id, _) in handled.iter().filter(|(_, handled)| handled.should_redeliver()) {
        let id = id
            .as_ref()
            .filter(|id| !id.is_empty())
            .ok_or_else(|| RetryRequested("a message without an id has to be redelivered".to_owned()))?;
        let mut failure = BatchItemFailure::default();
        failure.item_identifier.clone_from(id);
        response.batch_item_failures.push(failure);
    }
    Ok(json::raw(&response))
}
