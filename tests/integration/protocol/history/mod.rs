//! One run's way through the queue to its end, as SQS brings it: received, settled, hidden, received again, set aside.

mod faults;
mod invariants;

pub use faults::{Fate, Named, Step, answers, fate, light_answers};
pub use invariants::{End, hold, hold_all, no_doubt_without_a_trigger, nothing_secret};

use std::time::Duration;

use serde_json::Value;

use crate::support::{Builder, CLIENT_SECRET, World, message};
use sandbox::queue::Outgoing;
use sandbox::signing;
use sandbox::{Call, Sandbox};

/// What a queue in these histories allows; more receives would only take longer.
pub const RECEIVES: u32 = 5;

/// With which optional settings a history runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// `GITLAB_READ_SECRET_ID`
    pub reads: bool,
    /// `RUNS_QUEUE_URL`
    pub queues: bool,
}

pub const PLAIN: Setup = Setup { reads: false, queues: false };
pub const QUEUES: Setup = Setup { reads: false, queues: true };
pub const READS: Setup = Setup { reads: true, queues: false };
pub const BOTH: Setup = Setup { reads: true, queues: true };

impl Setup {
    /// Starts at a fixed moment, one second after the click.
    pub async fn start(self) -> World {
        self.builder(RECEIVES).at("2026-01-05T09:12:04.120Z").start().await
    }

    /// With a dead-letter queue behind one that allows so many receives.
    pub fn builder(self, receives: u32) -> Builder {
        let builder = World::builder().max_receives(receives).dead_letter_queue();
        let builder = if self.reads { builder.read_token() } else { builder };
        if self.queues { builder.runs_queue() } else { builder }
    }
}

/// A new run, and its message on the queue.
pub fn enqueue(sandbox: &Sandbox, run: &str) {
    sandbox.glint.run(run);
    resend(sandbox, run, run);
}

/// A message of a run that is there already.
pub fn resend(sandbox: &Sandbox, run: &str, deduplication: &str) {
    sandbox.queue.send(Outgoing::new(message(run).to_string()).group(run).deduplication(deduplication));
}

/// The webhook that brings the run to a function URL, signed now.
pub fn webhook(sandbox: &Sandbox, run: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../../events/webhook.json")).unwrap();
    event["body"] = message(run).to_string().into();
    event["isBase64Encoded"] = false.into();
    signing::signed(event, CLIENT_SECRET, sandbox.now().timestamp())
}

/// The next event, once it can be received; none when the queue has nothing more to give.
pub async fn next_event(sandbox: &Sandbox, most: usize) -> Option<Value> {
    loop {
        let event = sandbox.queue.receive(most);
        if event["Records"].as_array().is_some_and(|records| !records.is_empty()) {
            return Some(event);
        }
        let visible_at = sandbox.queue.messages().iter().map(|message| message.visible_at).min()?;
        let wait = (visible_at - sandbox.now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait + Duration::from_millis(1)).await;
    }
}

/// Receives until the queue is empty, and ends what was set aside. Every reply is checked; all of them are returned.
pub async fn receive_until_empty(world: &World) -> Vec<String> {
    let mut replies = Vec::new();
    while let Some(event) = next_event(&world.sandbox, 10).await {
        replies.push(one_receive(world, &event).await);
    }
    world.sandbox.heal();
    for _ in 0..RECEIVES {
        if world.sandbox.queue.dead_letters().is_empty() {
            break;
        }
        let letters = world.sandbox.queue.receive_dead_letters();
        replies.push(one_receive(world, &letters).await);
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    replies
}

/// One invocation: at most one trigger is carried out for each run in it, and the answer is in time.
pub async fn one_receive(world: &World, event: &Value) -> String {
    let before = world.sandbox.journal.of(Call::Trigger).len();
    let start = tokio::time::Instant::now();
    let reply = world.handle(event).await;
    let took = start.elapsed();
    assert!(took + Duration::from_millis(500) <= world.time, "the answer took {took:?}");
    let triggers = world.sandbox.journal.of(Call::Trigger);
    let applied = triggers[before..].iter().filter(|one| one.applied).count();
    let records = event["Records"].as_array().unwrap().len();
    assert!(applied <= records, "{applied} triggers for {records} deliveries");
    let text = format!("{reply:?}");
    world.sandbox.queue.acknowledge(event, reply.ok());
    text
}

/// What a step meets, and how often from now on.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub step: Step,
    pub fault: Named,
    pub often: Often,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// The nth such request.
    Nth(usize),
    /// So many from the first: three are what one receive tries.
    First(usize),
    Always,
}

/// One run through all of `troubles`, to its end.
pub async fn history(setup: Setup, troubles: &[Trouble]) -> End {
    let world = setup.start().await;
    for Trouble { step, fault, often } in troubles {
        let rule = step.rule(&world.sandbox);
        let rule = match often {
            Often::Nth(number) => rule.nth(*number),
            Often::First(count) => rule.first(*count),
            Often::Always => rule.every(),
        };
        rule.with(fault.fault.clone());
    }
    enqueue(&world.sandbox, "r_1");
    let replies = receive_until_empty(&world).await;
    let end = hold(&world.sandbox, "r_1", &replies);
    no_doubt_without_a_trigger(&world.sandbox, end);
    end
}
