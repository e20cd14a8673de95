//! What SQS keeps, and its rules of who may receive what, and when.

use super::{Message, Outgoing};
use crate::Call;
use crate::{ACCOUNT, REGION};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeSet;

/// How long SQS remembers a deduplication id, also of a message that was deleted.
const DEDUPLICATION_INTERVAL: Duration = Duration::minutes(5);

pub struct State {
    pub fifo: bool,
    pub visibility: Duration,
    pub max_receives: u32,
    pub has_no_redrive_policy: bool,
    pub messages: Vec<Message>,
    pub dead: Vec<Message>,
    /// Deduplication id, when it was sent, and the message that stands for it.
    sent: Vec<(String, DateTime<Utc>, String, String)>,
    sequence: u64,
    pub receipts: u64,
    /// What the function may not do.
    pub denied: BTreeSet<Call>,
    /// The error with which its credentials are refused.
    pub credentials: Option<&'static str>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            fifo: true,
            visibility: Duration::seconds(270),
            max_receives: 20,
            has_no_redrive_policy: false,
            messages: Vec::new(),
            dead: Vec::new(),
            sent: Vec::new(),
            sequence: 0,
            receipts: 0,
            denied: BTreeSet::new(),
            credentials: None,
        }
    }
}

impl State {
    pub fn name(&self) -> &'static str {
        if self.fifo { "runs.fifo" } else { "runs" }
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", self.name())
    }

    pub fn dead_letter_arn(&self) -> String {
        let name = if self.fifo { "runs-dead.fifo" } else { "runs-dead" };
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
    }

    pub fn accept(&mut self, outgoing: Outgoing, now: DateTime<Utc>) -> (String, String) {
        self.sent.retain(|(_, at, ..)| *at + DEDUPLICATION_INTERVAL > now);
        let key = outgoing.deduplication.clone().filter(|_| self.fifo);
        let seen = self.sent.iter().find(|(id, ..)| Some(id) == key.as_ref());
        if let Some((.., message, sequence)) = seen {
            return (message.clone(), sequence.clone());
        }
        self.sequence += 1;
        let message = Message::new(outgoing, self.sequence, self.fifo, now);
        let accepted = (message.id.clone(), message.sequence.clone());
        if let Some(key) = key {
            self.sent.push((key, now, accepted.0.clone(), accepted.1.clone()));
        }
        self.messages.push(message);
        accepted
    }

    pub fn take(&mut self, max: usize, now: DateTime<Utc>) -> Vec<Message> {
        self.move_to_dead_letters(now);
        let in_flight = self.messages.iter().filter(|message| message.visible_at > now);
        let locked: BTreeSet<_> = in_flight.filter_map(|message| message.group.clone()).collect();
        let visible_at = now + self.visibility;
        let fifo = self.fifo;
        let free = self.messages.iter_mut().filter(|message| {
            let waits = message.visible_at > now;
            let behind = fifo && message.group.as_ref().is_some_and(|group| locked.contains(group));
            !waits && !behind
        });
        let mut taken = Vec::new();
        for message in free.take(max.min(10)) {
            self.receipts += 1;
            message.receive(&format!("receipt-{}", self.receipts), now, visible_at);
            taken.push(message.clone());
        }
        taken
    }

    /// What was received as often as is allowed goes to the dead-letter queue. A FIFO queue counts its age anew then.
    fn move_to_dead_letters(&mut self, now: DateTime<Utc>) {
        let spent = |message: &Message| {
            !self.has_no_redrive_policy && message.visible_at <= now && message.receives >= self.max_receives
        };
        let (dead, alive) = std::mem::take(&mut self.messages).into_iter().partition(spent);
        self.messages = alive;
        let mut dead: Vec<Message> = dead;
        if self.fifo {
            dead.iter_mut().for_each(|message| message.sent_at = now);
        }
        self.dead.extend(dead);
    }

    /// Every dead letter comes back as a new message: another id, sent now, never received.
    pub fn redrive(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let letters = std::mem::take(&mut self.dead);
        let redriven = letters.into_iter().map(|letter| {
            self.sequence += 1;
            let outgoing = Outgoing {
                body: letter.body,
                group: letter.group,
                deduplication: letter.deduplication,
                attributes: letter.attributes,
            };
            let message = Message::new(outgoing, self.sequence, self.fifo, now);
            let id = message.id.clone();
            self.messages.push(message);
            id
        });
        redriven.collect()
    }
}
