//! A sandbox, the function in this very process, and what a user does with both.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use glint_gitlab_trigger::{App, Clock, Config, Failure, Invocation};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Builder, message, redelivered, sqs_event};
use sandbox::{Run, Sandbox};

/// A sandbox with one project, and the function that is configured for it.
pub struct World {
    pub sandbox: Sandbox,
    pub app: Arc<App>,
    /// What an invocation is given.
    pub time: Duration,
    /// The function's clock in seconds, where it stands still until [`World::pass`] moves it.
    pub(super) frozen: Option<Arc<AtomicI64>>,
}

impl World {
    /// With the settings that the sandbox needs, and no others.
    pub async fn new() -> Self {
        Self::builder().start().await
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same sandbox, and a function that has just been started.
    pub fn restart(&mut self, settings: &[(&str, &str)]) {
        self.app = app_with_clock(&self.sandbox, settings, self.frozen.as_ref());
    }

    pub async fn handle(&self, event: &Value) -> Result<Value, Failure> {
        let payload: Box<RawValue> = serde_json::value::to_raw_value(event).unwrap();
        self.handle_text(payload.get()).await
    }

    /// Hands over an event byte for byte.
    pub async fn handle_text(&self, event: &str) -> Result<Value, Failure> {
        let payload: &RawValue = serde_json::from_str(event).unwrap();
        let deadline = self.clock() + self.time;
        let answer = self.app.handle(payload, Invocation { deadline }).await?;
        Ok(serde_json::from_str(answer.get()).unwrap())
    }

    /// Hands over SQS messages with these bodies, at their first receive; returns which of them must be redelivered.
    pub async fn queue(&self, bodies: &[&str]) -> Vec<usize> {
        let reply = self.handle(&sqs_event(bodies, 1)).await.unwrap();
        redelivered(&reply)
    }

    /// Delivers the run's message over the queue for the first time; returns the places of the messages that must be redelivered.
    pub async fn deliver(&self, run: &str) -> Vec<usize> {
        self.queue(&[&message(run).to_string()]).await
    }

    /// Creates a run, starts it over the queue, and returns its pipeline.
    pub async fn start_run(&self, run: &str) -> u64 {
        self.sandbox.glint.run(run).properties(json!({ "service": "billing", "environment": "staging" }));
        assert_eq!(self.deliver(run).await, [0; 0]);
        self.sandbox.gitlab.pipelines().last().unwrap().id
    }

    /// Handles what is on the queue, until nothing can be received now; returns how many messages must be redelivered.
    pub async fn receive_all(&self) -> usize {
        let mut failed = 0;
        loop {
            let event = self.sandbox.queue.receive(10);
            if event["Records"].as_array().unwrap().is_empty() {
                return failed;
            }
            let reply = self.handle(&event).await.ok();
            failed += self.sandbox.queue.acknowledge(&event, reply).len();
        }
    }

    pub fn run(&self, id: &str) -> Run {
        self.sandbox.glint.run_state(id)
    }

    /// Seconds since the epoch, as the function sees them.
    pub fn now(&self) -> i64 {
        self.clock().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
    }

    /// Moves a clock that stands still.
    pub fn pass(&self, seconds: i64) {
        self.frozen.as_ref().expect("the clock stands still").fetch_add(seconds, Ordering::Relaxed);
    }

    fn clock(&self) -> SystemTime {
        match &self.frozen {
            Some(seconds) => at(seconds),
            None => self.sandbox.clock.now().into(),
        }
    }
}

fn at(seconds: &AtomicI64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed).unsigned_abs())
}

/// The function, configured for the sandbox and with these further settings.
pub fn app(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Arc<App> {
    app_with_clock(sandbox, settings, None)
}

pub(super) fn app_with_clock(
    sandbox: &Sandbox,
    settings: &[(&str, &str)],
    frozen: Option<&Arc<AtomicI64>>,
) -> Arc<App> {
    let mut variables = sandbox.env();
    variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config =
        Config::read(|name| variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone()));
    let (wall, frozen) = (sandbox.clock.clone(), frozen.cloned());
    let clock: Clock = Arc::new(move || frozen.as_deref().map_or_else(|| wall.now().into(), at));
    App::new(config.unwrap(), clock).unwrap()
}
