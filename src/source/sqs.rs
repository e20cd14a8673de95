//! SQS, standard and FIFO: messages, and the partial batch response.

use std::borrow::Cow;
use std::collections::HashSet;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::DateTime;
use serde_json::value::RawValue;

use super::{
    Delivery, DeliveryMetadata, Event, Payload, Receipt, RetryRequested, Source, SourceSettings, envelope, scalar,
    target_of_url, url_target,
};
use crate::aws::queue_message::{HOOK, KIND, MAC, REPORT, RunAttributes};
use crate::json::{self, Object};
use crate::outcome::{Handled, Outcome};
use crate::verify::SignatureHeaders;

const EVENT_SOURCE: &str = "aws:sqs";

/// Whether a record is one of SQS.
pub fn is_record(record: &Object) -> bool {
    record.string("eventSource").is_some_and(|source| source == EVENT_SOURCE)
}

/// Parses an event of SQS as Lambda writes it, in one pass: nearly all events are these. `None` for anything else.
pub fn parse_usual(event: &RawValue, settings: &SourceSettings) -> Option<Event> {
    if !event.get().starts_with(r#"{"Records":["#) {
        return None;
    }
    let SqsEvent { records, .. } = serde_json::from_str(event.get()).ok()?;
    let all_sqs = records.iter().all(|message| message.event_source.as_deref() == Some(EVENT_SOURCE));
    all_sqs.then(|| {
        Event::Deliveries(records.into_iter().map(|message| delivery(message.into(), settings)).collect(), respond)
    })
}

/// Parses the records of an event of SQS, each on its own: as AWS documents it where it is well-formed, else by the few members that are used.
pub fn parse(records: &[&RawValue], settings: &SourceSettings) -> Event {
    let read = |record: &&RawValue| match serde_json::from_str::<SqsMessage>(record.get()) {
        Ok(message) => delivery(message.into(), settings),
        Err(_) => delivery(Record::lenient(record), settings),
    };
    Event::Deliveries(records.iter().map(read).collect(), respond)
}

/// What is used of a message.
#[derive(Default)]
struct Record {
    id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    queue_arn: Option<String>,
    receive_count: Option<String>,
    sent_timestamp: Option<String>,
    /// By name, those that are text.
    attributes: Vec<(String, String)>,
}

impl From<SqsMessage> for Record {
    fn from(mut message: SqsMessage) -> Self {
        let attributes = message.message_attributes.into_iter();
        Self {
            id: message.message_id,
            receipt_handle: message.receipt_handle,
            body: message.body,
            queue_arn: message.event_source_arn,
            receive_count: message.attributes.remove("ApproximateReceiveCount"),
            sent_timestamp: message.attributes.remove("SentTimestamp"),
            attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
        }
    }
}

impl Record {
    /// Reads what is there: a number where AWS writes a string counts as its text, and a body that is an object as its JSON.
    fn lenient(record: &RawValue) -> Self {
        let Ok(record) = Object::parse(record.get()) else { return Self::default() };
        let text = |object: &Object, name: &str| object.get(name).and_then(scalar).map(Cow::into_owned);
        let object = |name: &str| record.object(name).ok().flatten().unwrap_or_default();
        let system = object("attributes");
        let value = |(name, value): (&str, &RawValue)| {
            let attribute = Object::parse(value.get()).ok()?;
            Some((name.to_owned(), text(&attribute, "stringValue")?))
        };
        let as_json = |body: &RawValue| body.get().starts_with('{').then(|| body.get().to_owned());
        Self {
            id: text(&record, "messageId"),
            receipt_handle: text(&record, "receiptHandle"),
            body: record.string("body").map(Cow::into_owned).or_else(|| as_json(record.get("body")?)),
            queue_arn: text(&record, "eventSourceARN"),
            receive_count: text(&system, "ApproximateReceiveCount"),
            sent_timestamp: text(&system, "SentTimestamp"),
            attributes: object("messageAttributes").iter().filter_map(value).collect(),
        }
    }
}

fn delivery(record: Record, settings: &SourceSettings) -> Delivery {
    let attribute = |name: &str| {
        let found = record.attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let queue_arn = record.queue_arn.unwrap_or_default();
    let source = Source::Sqs {
        receive_count: record.receive_count.as_ref().and_then(|count| count.parse().ok()),
        is_dead_letter_queue: settings.dead_letter_queue_arn.as_ref() == Some(&queue_arn),
        receipt: record.receipt_handle.map(|handle| Receipt { queue_arn, handle }),
    };
    let sent_at = record.sent_timestamp.and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?));
    let mut metadata = DeliveryMetadata {
        id: record.id.filter(|id| !id.is_empty()),
        sent_at,
        bytes: record.body.as_ref().map_or(0, String::len),
        ..DeliveryMetadata::new(source)
    };
    match RunAttributes::read(attribute) {
        Some(RunAttributes { url, run_id_header }) => {
            metadata.target = url.as_deref().map(target_of_url).unwrap_or_default();
            (metadata.url, metadata.run_id_header) = (url, run_id_header);
        }
        // A relay's own word, which IAM lets it say.
        None => metadata.target = url_target(attribute("project"), |name| attribute(name).map(str::to_owned)),
    }
    let signature = SignatureHeaders::find(attribute);
    let mac = || attribute(MAC).unwrap_or_default().to_owned();
    let payload = match (record.body, attribute(KIND)) {
        (Some(body), Some(HOOK)) => Payload::QueuedHook { body, mac: mac() },
        (Some(body), Some(REPORT)) => Payload::QueuedReport { body, mac: mac() },
        (Some(body), _) => envelope::unwrap(body, signature),
        (None, _) => {
            Payload::unreadable("the message of the queue has no body", "send the message of Glint as its body")
        }
    };
    Delivery { payload, metadata }
}

/// Lists exactly the ids to redeliver, each once. A message without an id cannot be named: one that might become a run fails the batch.
fn respond(handled: &[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested> {
    let mut response = SqsBatchResponse::default();
    let mut listed = HashSet::new();
    for (id, handled) in handled.iter().filter(|(_, handled)| handled.should_redeliver()) {
        let Some(id) = id else {
            if matches!(handled.outcome, Outcome::Unreadable { .. }) {
                continue;
            }
            return Err(RetryRequested("a message without an id has to be redelivered".to_owned()));
        };
        if listed.insert(id) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier.clone_from(id);
            response.batch_item_failures.push(failure);
        }
    }
    Ok(json::raw(&response))
}
