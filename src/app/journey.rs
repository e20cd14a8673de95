//! What every step of a journey has at hand: the clients, the time, and what is counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::App;
use crate::secrets::When;
use crate::telemetry::{Metric, Metrics};

/// The answer has to be on its way this long before the deadline.
const ANSWER: Duration = Duration::from_millis(650);
/// The last call has to be over this long before the deadline.
const LAST_CALL: Duration = Duration::from_millis(900);

/// One invocation's means. Cloning is cheap: each delivery's task has its own.
#[derive(Clone)]
pub struct Journey {
    pub app: Arc<App>,
    pub metrics: Arc<Metrics>,
    /// The invocation's end, by the clock that does not jump.
    pub deadline: Instant,
    /// The invocation's beginning: what is read after it is fresh for all of it.
    began: SystemTime,
}

impl Journey {
    pub fn new(app: &Arc<App>, began: SystemTime, deadline: Instant) -> Self {
        Self { app: Arc::clone(app), metrics: Arc::default(), deadline, began }
    }

    pub fn now(&self) -> SystemTime {
        (self.app.clock)()
    }

    pub fn utc(&self) -> DateTime<Utc> {
        self.now().into()
    }

    /// How long the invocation still lasts.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// When calls have to be over.
    pub fn last_call(&self) -> Instant {
        self.deadline.checked_sub(LAST_CALL).unwrap_or(self.deadline)
    }

    /// When unfinished deliveries are given back to their source.
    pub fn cut_off(&self) -> Instant {
        self.deadline.checked_sub(ANSWER).unwrap_or(self.deadline)
    }

    pub fn when(&self) -> When {
        When { now: self.began, by: self.last_call() }
    }

    /// Awaits `call`, and adds how long it took to `metric`.
    pub async fn timed<T>(&self, metric: Metric, call: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = call.await;
        self.metrics.time(metric, start.elapsed());
        result
    }
}
