//! SQS: one queue that feeds the function, FIFO unless told otherwise, with its dead-letter queue, and the event source
//! mapping between it and the function.

mod event;
mod message;
mod routes;
mod state;

pub use message::{Message, Outgoing};

use super::ACCOUNT;
use crate::clock::Clock;
use crate::journal::{Call, Upstream};
use crate::service::Service;
use chrono::Duration;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
    clock: Clock,
    endpoint: String,
}

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Queue {
    pub fn new(clock: Clock, endpoint: String) -> Self {
        let inner = Inner { state: Mutex::default(), changed: watch::Sender::new(0) };
        Self { inner: Arc::new(inner), clock, endpoint }
    }

    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub fn url(&self) -> String {
        format!("{}/{ACCOUNT}/{}", self.endpoint, self.lock().name())
    }

    pub fn arn(&self) -> String {
        self.lock().arn()
    }

    pub fn dead_letter_arn(&self) -> String {
        self.lock().dead_letter_arn()
    }

    pub fn dead_letter_url(&self) -> String {
        let arn = self.dead_letter_arn();
        format!("{}/{ACCOUNT}/{}", self.endpoint, arn.rsplit(':').next().unwrap_or_default())
    }

    /// No groups, no deduplication; its URL changes with that.
    pub fn standard(&self) -> Self {
        self.lock().fifo = false;
        self.clone()
    }

    pub fn visibility(&self, seconds: u32) -> Self {
        self.lock().visibility = Duration::seconds(seconds.into());
        self.clone()
    }

    /// `maxReceiveCount`: a message received so often goes to the dead-letter queue instead of being received again.
    pub fn max_receives(&self, count: u32) -> Self {
        self.lock().max_receives = count;
        self.clone()
    }

    /// Takes the redrive policy away: a message is received again for as long as it is kept.
    pub fn without_redrive_policy(&self) -> Self {
        self.lock().has_no_redrive_policy = true;
        self.clone()
    }

    /// `StartMessageMoveTask` of the dead-letter queue: its messages come back as new ones, whose ids are returned.
    pub fn redrive(&self) -> Vec<String> {
        let now = self.clock.now();
        let ids = self.lock().redrive(now);
        self.change();
        ids
    }

    /// The function may not make this call until it is allowed again.
    pub fn deny(&self, call: Call) {
        self.lock().denied.insert(call);
    }

    pub fn allow(&self, call: Call) {
        self.lock().denied.remove(&call);
    }

    /// The function's own credentials are refused with this error, as `Secrets::refuse_credentials`.
    pub fn refuse_credentials(&self, error: Option<&'static str>) {
        self.lock().credentials = error;
    }

    /// Everything that is not deleted, in flight or not.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    pub fn dead_letters(&self) -> Vec<Message> {
        self.lock().dead.clone()
    }

    /// Puts a message on the queue as a relay would, and returns its id: an earlier one where the queue has seen it.
    pub fn send(&self, outgoing: Outgoing) -> String {
        self.accept(outgoing).0
    }

    /// What the event source mapping would hand to the function now: an event of at most `max` records, none where
    /// nothing can be received. What it holds is in flight until it is acknowledged or its visibility ends.
    pub fn receive(&self, max: usize) -> serde_json::Value {
        let now = self.clock.now();
        let mut state = self.lock();
        let received = state.take(max, now);
        let records = received.iter().map(|message| event::record(message, &state.arn(), None));
        let event = event::event(records.collect());
        drop(state);
        self.change();
        event
    }

    /// As `receive`, once there is something to receive.
    pub async fn receive_next(&self, max: usize) -> serde_json::Value {
        let mut changes = self.inner.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let event = self.receive(max);
            if event["Records"].as_array().is_some_and(|records| !records.is_empty()) {
                return event;
            }
            changes.mark_unchanged();
            match self.next_visible() {
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = changes.changed() => {}
                },
                None => drop(changes.changed().await),
            }
        }
    }

    /// The same for the dead-letter queue: every letter in it, not taken off it.
    pub fn receive_dead_letters(&self) -> serde_json::Value {
        let now = self.clock.now();
        let mut state = self.lock();
        state.receipts += 1;
        let receipt = format!("dead-{}", state.receipts);
        let (source, own) = (state.arn(), state.dead_letter_arn());
        let letters = state.dead.iter_mut().map(|letter| {
            letter.receive(&receipt, now, now);
            event::record(letter, &own, Some(&source))
        });
        event::event(letters.collect())
    }

    /// Applies the function's response to the event as Lambda does, `None` standing for a failed invocation, and returns
    /// the ids that are redelivered. Those stay in flight until their visibility ends; the others are deleted.
    pub fn acknowledge(&self, event: &serde_json::Value, response: Option<serde_json::Value>) -> Vec<String> {
        let sent = event::receipts(event);
        let failed = event::failed(&sent, response);
        let mut state = self.lock();
        for (id, receipt) in sent.iter().filter(|(id, _)| !failed.contains(id)) {
            let held = |message: &Message| message.id == *id && message.receipt.as_deref() == Some(receipt);
            state.messages.retain(|message| !held(message));
            state.dead.retain(|message| !held(message));
        }
        drop(state);
        self.change();
        failed
    }

    pub(crate) fn service(&self) -> Service {
        let queue = self.clone();
        Service {
            upstream: Upstream::Queue,
            classify: routes::classify,
            answer: Arc::new(move |call, request| queue.answer(call, request)),
        }
    }

    /// The message's id and sequence number.
    fn accept(&self, outgoing: Outgoing) -> (String, String) {
        let now = self.clock.now();
        let mut state = self.lock();
        let accepted = state.accept(outgoing, now);
        drop(state);
        self.change();
        accepted
    }

    /// How long until a message that is in flight now can be received again.
    fn next_visible(&self) -> Option<std::time::Duration> {
        let now = self.clock.now();
        let times = self.messages().into_iter().map(|message| message.visible_at);
        let next = times.filter(|time| *time > now).min()?;
        // Timers count whole milliseconds; one more makes sure that the moment has passed.
        (next - now + Duration::milliseconds(1)).to_std().ok()
    }

    fn change(&self) {
        self.inner.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("no holder of the queue panics")
    }
}
