//! Plays a history against the function and the sandbox, and then everything that still has to come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox::queue::Outgoing;
use sandbox::{Call, Fault as Met, Sandbox};
use serde_json::{Value, json};

use super::history::{Event, History, Others, SetUp, Source, Trouble};
use super::invocation::{handle, last_request};
use super::shape;
use crate::protocol::history::{next_event, resend, webhook};
use crate::support::{Builder, Handling, PROJECT, TOKEN, World, app, borrowed, plain_client};

pub const RUN: &str = "r_1";
const STRANGER: &str = "r_2";
pub const FOREIGN_LABEL: &str = "Applying Terraform";
pub const FOREIGN_LINK: &str = "https://preview.example.com/42";
const MAX_RECEIVES: u32 = 3;
/// What every request takes while two environments are at work.
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// What happened that decides which promises hold.
#[derive(Debug, Default)]
pub struct Notes {
    pub kills: usize,
    pub faults: usize,
    pub second_messages: usize,
    pub redrives: usize,
    pub overlapped: bool,
    /// A webhook whose sender was not told that it was taken.
    pub webhook_lost: bool,
    pub hook_lost: bool,
    pub late_writes: usize,
    /// How long the slowest invocation took.
    pub slowest: Duration,
    /// What others wrote, and how many requests there had been by then.
    pub others: Arc<Mutex<Vec<(u64, Others)>>>,
}

pub struct Player {
    pub set_up: SetUp,
    pub world: World,
    pub notes: Notes,
    pub settings: Vec<(String, String)>,
    client: reqwest::Client,
    /// Webhooks that Glint has not sent yet.
    webhooks: usize,
    messages: usize,
}

impl Player {
    /// Plays the history to its end; what is left is in the sandbox.
    pub async fn play(history: &History) -> Self {
        let mut player = Self::start(history.set_up).await;
        for event in &history.events {
            player.event(event).await;
        }
        player.play_to_end(history).await;
        player
    }

    async fn start(set_up: SetUp) -> Self {
        let sandbox = Sandbox::start_at("2026-01-05T09:12:04.120Z".parse().unwrap()).await;
        if set_up.source == Source::Standard {
            sandbox.queue.standard();
        }
        sandbox.glint.run(RUN).properties(json!({ "service": "billing", "environment": "staging" }));
        shape::apply(&sandbox, set_up.glint);
        sandbox.glint.deny_entities(set_up.entity_refused);
        sandbox.gitlab.clock_ahead(set_up.gitlab_ahead);
        let settings = builder(set_up).prepare(&sandbox);
        let world = builder(set_up).around(sandbox);
        let notes = Notes::default();
        let mut player = Self { set_up, world, notes, settings, client: plain_client(), webhooks: 0, messages: 0 };
        player.send_run();
        player
    }

    fn send_run(&mut self) {
        self.messages += 1;
        match self.set_up.source {
            Source::Fifo | Source::Standard => {
                resend(&self.world.sandbox, RUN, &format!("{RUN}.{}", self.messages));
            }
            Source::Url | Source::UrlToQueue => self.webhooks += 1,
        }
    }

    async fn event(&mut self, event: &Event) {
        match event {
            Event::Deliver { trouble, meanwhile } => drop(self.deliver(trouble.as_ref(), *meanwhile).await),
            Event::DeliverTwice { gap } => self.deliver_twice(*gap).await,
            Event::DeadLetters { trouble } => drop(self.dead_letters(trouble.as_ref()).await),
            Event::SecondMessage => {
                self.notes.second_messages += 1;
                self.send_run();
            }
            Event::Redrive => self.redrive(),
            Event::Pipeline { running, hook_lost } => {
                let status = if *running { "running" } else { "pending" };
                self.pipeline_reaches(status, *hook_lost).await;
            }
            Event::Others(others) => self.others_write(*others),
            Event::Stranger => self.stranger().await,
            Event::Pass { seconds } => tokio::time::sleep(Duration::from_secs(u64::from(*seconds))).await,
            Event::Sweep => drop(self.invoke(&json!({ "sweep": true }), None, None).await),
        }
    }

    /// Delivers what the source has next; `false` where it has nothing.
    async fn deliver(&mut self, trouble: Option<&Trouble>, meanwhile: Option<Others>) -> bool {
        if self.webhooks > 0 {
            self.webhooks -= 1;
            let event = webhook(&self.world.sandbox, RUN);
            let reply = self.invoke(&event, trouble, meanwhile).await;
            let status = reply.and_then(|reply| reply["statusCode"].as_u64());
            self.notes.webhook_lost |= status.is_none_or(|status| status >= 500);
            return true;
        }
        let Some(event) = next_event(&self.world.sandbox, 10).await else { return false };
        let reply = self.invoke(&event, trouble, meanwhile).await;
        self.world.sandbox.queue.acknowledge(&event, reply);
        true
    }

    async fn deliver_twice(&mut self, gap: u16) {
        let sandbox = &self.world.sandbox;
        let events = match self.set_up.source {
            Source::Fifo | Source::UrlToQueue => {
                self.deliver(None, None).await;
                return;
            }
            Source::Url => [webhook(sandbox, RUN), webhook(sandbox, RUN)],
            Source::Standard => {
                resend(sandbox, RUN, "a copy");
                let Some(first) = next_event(sandbox, 1).await else { return };
                [first, sandbox.queue.receive(1)]
            }
        };
        for call in [Call::GetRun, Call::PatchRun, Call::PostLog, Call::Trigger] {
            sandbox.fail(call).every().with(Met::Delay(ROUND_TRIP));
        }
        self.webhooks = self.webhooks.saturating_sub(1);
        self.notes.overlapped = true;
        let second = app(sandbox, &borrowed(&self.settings));
        let (one, two) = tokio::join!(self.world.handle(&events[0]), async {
            tokio::time::sleep(Duration::from_millis(u64::from(gap))).await;
            handle(&second, &self.world, &events[1]).await
        });
        sandbox.heal();
        if self.set_up.source == Source::Standard {
            sandbox.queue.acknowledge(&events[0], one.ok());
            sandbox.queue.acknowledge(&events[1], two);
        }
    }

    async fn dead_letters(&mut self, trouble: Option<&Trouble>) -> bool {
        if self.set_up.source == Source::Url || self.world.sandbox.queue.dead_letters().is_empty() {
            return false;
        }
        let event = self.world.sandbox.queue.receive_dead_letters();
        let reply = self.invoke(&event, trouble, None).await;
        self.world.sandbox.queue.acknowledge(&event, reply);
        true
    }

    fn redrive(&mut self) {
        let queue = &self.world.sandbox.queue;
        let dead = queue.dead_letters();
        if dead.is_empty() {
            return;
        }
        self.notes.redrives += 1;
        let event = queue.receive_dead_letters();
        queue.acknowledge(&event, Some(json!({ "batchItemFailures": [] })));
        for letter in dead {
            let mut outgoing = Outgoing::new(letter.body);
            outgoing.attributes = letter.attributes;
            outgoing.group = letter.group;
            outgoing.deduplication = letter.deduplication.map(|id| format!("{id}.{}", self.notes.redrives));
            queue.send(outgoing);
        }
    }

    fn others_write(&mut self, others: Others) {
        let sandbox = &self.world.sandbox;
        if sandbox.glint.others_write(RUN, others.patch()) {
            self.notes.others.lock().unwrap().push((last_request(sandbox), others));
        }
    }

    /// Somebody starts a pipeline of another run, whose user input is this run's id.
    async fn stranger(&self) {
        let project = PROJECT.replace('/', "%2F");
        let url = format!("{}/api/v4/projects/{project}/trigger/pipeline", self.world.sandbox.gitlab.url());
        let body = json!({
            "token": TOKEN, "ref": "main", "variables": { "run": RUN },
            "glint": { "runId": STRANGER, "proof": "v1,none" }
        });
        self.client.post(url).header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    }

    async fn pipeline_reaches(&mut self, status: &str, hook_lost: bool) {
        let ours = self.pipelines();
        let Some(pipeline) = ours.first() else { return };
        let moves_on = match status {
            "pending" => pipeline.status == "created",
            "running" => matches!(pipeline.status.as_str(), "created" | "pending"),
            _ => pipeline.finished_at.is_none(),
        };
        if !moves_on {
            return;
        }
        let id = pipeline.id;
        self.world.sandbox.gitlab.finish(id, status);
        if hook_lost || !self.set_up.hooks {
            self.notes.hook_lost = true;
            return;
        }
        let event = self.world.hook(id);
        let reply = self.invoke(&event, None, None).await;
        let status = reply.and_then(|reply| reply["statusCode"].as_u64());
        self.notes.hook_lost |= status.is_none_or(|status| status >= 300);
    }

    /// The pipelines that this run was given.
    pub fn pipelines(&self) -> Vec<sandbox::Pipeline> {
        let mut all = self.world.sandbox.gitlab.pipelines();
        all.retain(|pipeline| {
            let payload: Value = serde_json::from_str(&pipeline.trigger_payload).unwrap_or_default();
            payload["glint"]["runId"] == RUN
        });
        all
    }

    /// Nothing fails any more: everything is delivered, the pipeline ends, and days pass with their sweeps.
    async fn play_to_end(&mut self, history: &History) {
        for _ in 0..3 {
            self.deliver_everything().await;
            let status = if history.pipeline_succeeds { "success" } else { "failed" };
            self.pipeline_reaches(status, history.last_hook_lost).await;
            self.deliver_everything().await;
            tokio::time::sleep(Duration::from_hours(25)).await;
            drop(self.invoke(&json!({ "sweep": true }), None, None).await);
        }
    }

    async fn deliver_everything(&mut self) {
        for _ in 0..12 {
            while self.deliver(None, None).await {}
            if !self.dead_letters(None).await {
                return;
            }
            tokio::time::sleep(Duration::from_mins(5)).await;
        }
    }
}

/// What is configured in this set-up, and there for it.
fn builder(set_up: SetUp) -> Builder {
    let mut builder = World::builder();
    if set_up.source != Source::Url {
        builder = builder.max_receives(MAX_RECEIVES).dead_letter_queue();
    }
    if matches!(set_up.source, Source::Fifo | Source::UrlToQueue) {
        builder = builder.runs_queue();
    }
    if set_up.read_token {
        builder = builder.read_token();
    }
    if set_up.entity_refused {
        builder = builder.settings(&[("DEPLOYMENT_BLUEPRINT", "deployment")]);
    }
    if set_up.hooks { builder.hooks(Handling::InPlace) } else { builder }
}
