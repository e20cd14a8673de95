//! What SQS keeps, and its rules of who may receive what, and when.

use super::{Message, Outgoing};
use crate::{ACCOUNT, REGION};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeSet;

/// How long SQS remembers a deduplication id, also of a message that was deleted.
const REMEMBERED: Duration = Duration::minutes(5);

pub struct State {
    pub fifo: bool,
    pub visibility: Duration,
    pub max_receives: u32,
    pub messages: Vec<Message>,
    pub dead: Vec<Message>,
    /// Deduplication id, when it was sent, and the message that stands for it.
    sent: Vec<(String, DateTime<Utc>, String, String)>,
    sequence: u64,
    pub receipts: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            fifo: true,
            visibility: Duration::seconds(270),
            max_receives: 20,
            messages: Vec::new(),
            dead: Vec::new(),
            sent: Vec::new(),
            sequence: 0,
            receipts: 0,
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
        self.sent.retain(|(_, at, ..)| *at + REMEMBERED > now);
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
        self.bury(now);
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

    /// What was received as often as is allowed goes to the dead-letter queue.
    fn bury(&mut self, now: DateTime<Utc>) {
        let spent = |message: &Message| message.visible_at <= now && message.receives >= self.max_receives;
        let (dead, alive) = std::mem::take(&mut self.messages).into_iter().partition(spent);
        self.messages = alive;
        let dead: Vec<Message> = dead;
        self.dead.extend(dead);
    }
}
