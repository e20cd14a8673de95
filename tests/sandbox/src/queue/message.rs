//! A message, before and while it is on the queue.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What a sender says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub body: String,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    /// Message attributes of type `String`.
    pub attributes: BTreeMap<String, String>,
}

impl Outgoing {
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    pub fn group(mut self, id: &str) -> Self {
        self.group = Some(id.to_owned());
        self
    }

    pub fn deduplication(mut self, id: &str) -> Self {
        self.deduplication = Some(id.to_owned());
        self
    }

    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub body: String,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    pub attributes: BTreeMap<String, String>,
    pub sequence: String,
    pub sent_at: DateTime<Utc>,
    pub first_received_at: Option<DateTime<Utc>>,
    /// In the future while the message is in flight or held back.
    pub visible_at: DateTime<Utc>,
    /// `ApproximateReceiveCount`.
    pub receives: u32,
    /// Of the latest receive.
    pub receipt: Option<String>,
}

impl Message {
    pub(super) fn new(outgoing: Outgoing, sequence: u64, fifo: bool, now: DateTime<Utc>) -> Self {
        Self {
            id: format!("7d1b4a52-0000-4000-8000-{sequence:012}"),
            body: outgoing.body,
            group: outgoing.group,
            deduplication: outgoing.deduplication.filter(|_| fifo),
            attributes: outgoing.attributes,
            sequence: format!("{:020}", 18_849_496_460_467_696_128_u128 + u128::from(sequence)),
            sent_at: now,
            first_received_at: None,
            visible_at: now,
            receives: 0,
            receipt: None,
        }
    }

    pub(super) fn receive(&mut self, receipt: &str, now: DateTime<Utc>, visible_at: DateTime<Utc>) {
        self.receives += 1;
        self.first_received_at.get_or_insert(now);
        self.receipt = Some(receipt.to_owned());
        self.visible_at = visible_at;
    }
}
