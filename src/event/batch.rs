//! Batches: records of SQS, SNS and Kafka.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::{Content, Delivery, Door, Doors, Event, NotRecognised, Receipt, Redelivery, Source, Terms, envelope};
use crate::json::Object;
use crate::run::Aim;
use crate::signature::{Claim, Unproven};

/// Marks what this function put on the queue itself: in a message attribute, which no body can forge.
pub const KIND: &str = "x-glint-kind";
pub const KIND_HOOK: &str = "hook";
pub const KIND_REPORT: &str = "report";

const SQS: &str = "aws:sqs";

/// The deliveries of an event of SQS as Lambda writes them, read in one go: nearly all events are these. `None` for what is another's, or not
/// as it should be: its members will tell.
pub fn queue(payload: &RawValue, doors: &Doors) -> Option<Event> {
    if !payload.get().starts_with(r#"{"Records":["#) {
        return None;
    }
    let SqsEvent { records, .. } = serde_json::from_str(payload.get()).ok()?;
    let all_queued = records.iter().all(|message| message.event_source.as_deref() == Some(SQS));
    all_queued.then(|| messages(records, doors))
}

fn messages(messages: Vec<SqsMessage>, doors: &Doors) -> Event {
    Event::Deliveries(Source::Queue, messages.into_iter().map(|message| queued(message, doors)).collect())
}

/// The deliveries of `Records`, which SQS and SNS share.
pub fn records(records: &RawValue, doors: &Doors) -> Result<Event, NotRecognised> {
    let unreadable = |error: serde_json::Error| NotRecognised(format!("the event's `Records` cannot be read: {error}"));
    let list: Vec<Object> = serde_json::from_str(records.get()).map_err(unreadable)?;
    if list.first().is_some_and(|record| record.get("Sns").is_some()) {
        let deliveries = list.iter().map(|record| notification(record)).collect();
        return Ok(Event::Deliveries(Source::Notice, deliveries));
    }
    if !list.iter().all(|record| record.string("eventSource").is_some_and(|source| source == SQS)) {
        return Err(NotRecognised("the event's `Records` are neither SQS's nor SNS's".to_owned()));
    }
    serde_json::from_str(records.get()).map(|records| messages(records, doors)).map_err(unreadable)
}

fn queued(message: SqsMessage, doors: &Doors) -> Delivery {
    let attribute = |name: &str| {
        let found = message.message_attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.string_value.as_deref())
    };
    let system = |name: &str| message.attributes.get(name).map(String::as_str);
    let receives = system("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    let arn = message.event_source_arn.clone().unwrap_or_default();
    let is_dead = doors.dead_letter_queue_arn.as_ref() == Some(&arn);
    let terms = Terms {
        id: message.message_id.clone(),
        door: if is_dead { Door::DeadLetters } else { Door::Queue },
        aim: super::aim(attribute("project"), |name| attribute(name).map(str::to_owned)),
        redelivery: receives.map_or(Redelivery::Perhaps, |receives| Redelivery::Counted { receives }),
        sent_at: system("SentTimestamp").and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?)),
        receipt: message.receipt_handle.clone().map(|handle| Receipt { queue_arn: arn, handle }),
    };
    let claim = Claim::find(attribute);
    let kind = attribute(KIND).map(str::to_owned);
    let content = match (message.body, kind.as_deref()) {
        (Some(body), Some(KIND_HOOK)) => Content::QueuedHook(body),
        (Some(body), Some(KIND_REPORT)) => Content::QueuedReport(body),
        (Some(body), _) => envelope::opened(body, claim).map_or_else(Content::unreadable, Content::Message),
        (None, _) => Content::unreadable("the message has no body"),
    };
    Delivery { content, terms }
}

fn notification(record: &Object) -> Delivery {
    let sns = record.object("Sns").ok().flatten().unwrap_or_default();
    let sent_at = sns.string("Timestamp").and_then(|at| DateTime::parse_from_rfc3339(&at).ok()).map(|at| at.to_utc());
    let Some((message, claim)) = envelope::notification(&sns) else {
        return Delivery {
            content: Content::unreadable("the SNS record has no message"),
            terms: notice_terms(sent_at),
        };
    };
    let unproven = if claim.is_some() { Unproven::new(message, claim) } else { Unproven::signed_inside(message) };
    notice(unproven, sent_at)
}

/// A message that was simply handed to the function.
pub fn notice(message: Unproven, sent_at: Option<DateTime<Utc>>) -> Delivery {
    Delivery { content: Content::Message(message), terms: notice_terms(sent_at) }
}

fn notice_terms(sent_at: Option<DateTime<Utc>>) -> Terms {
    Terms { id: None, door: Door::Notice, aim: Aim::default(), redelivery: Redelivery::Perhaps, sent_at, receipt: None }
}

/// The records of a Kafka event, whose `records` lists them by topic and partition.
pub fn topic(root: &Object) -> Result<Event, NotRecognised> {
    let unreadable = |error: serde_json::Error| NotRecognised(format!("the event's `records` cannot be read: {error}"));
    let partitions = root.object("records").map_err(unreadable)?.unwrap_or_default();
    let mut deliveries = Vec::new();
    for (_, records) in partitions.iter() {
        let records: Vec<Object> = serde_json::from_str(records.get()).map_err(unreadable)?;
        deliveries.extend(records.iter().map(record));
    }
    Ok(Event::Deliveries(Source::Topic, deliveries))
}

fn record(record: &Object) -> Delivery {
    let read = envelope::record(record);
    let written_at = read.as_ref().ok().and_then(|(_, written_at)| *written_at);
    let terms = Terms {
        id: None,
        door: Door::Topic,
        aim: Aim::default(),
        // One without a time could come for ever.
        redelivery: Redelivery::WhileYoung { written_at: written_at.unwrap_or_default() },
        sent_at: written_at,
        receipt: None,
    };
    let content = read.map_or_else(Content::unreadable, |(text, _)| Content::Message(Unproven::signed_inside(text)));
    Delivery { content, terms }
}
