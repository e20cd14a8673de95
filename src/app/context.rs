//! What every step of a context has at hand: the clients, the time, and what is counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::App;
use crate::aws::secrets::{Cached, SecretError};
use crate::deadlines::{CALL_MARGIN, Freshness, RESPONSE_MARGIN};
use crate::glint::GlintError;
use crate::glint::credentials::Credentials;
use crate::telemetry::{Metric, Metrics};

/// One invocation's means. Cloning is cheap: each delivery's task has its own.
#[derive(Clone)]
pub struct Context {
    pub app: Arc<App>,
    pub metrics: Arc<Metrics>,
    /// The invocation's end, by the clock that does not jump.
    pub deadline: Instant,
    /// The invocation's beginning: what is read after it is fresh for all of it.
    began: SystemTime,
}

impl Context {
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

    /// Freshness calls have to be over.
    pub fn call_deadline(&self) -> Instant {
        self.deadline.checked_sub(CALL_MARGIN).unwrap_or(self.deadline)
    }

    /// Freshness unfinished deliveries are given back to their source.
    pub fn response_deadline(&self) -> Instant {
        self.deadline.checked_sub(RESPONSE_MARGIN).unwrap_or(self.deadline)
    }

    pub fn freshness(&self) -> Freshness {
        Freshness { now: self.began, deadline: self.call_deadline() }
    }

    /// Awaits `call`, and adds how long it took to `metric`.
    pub async fn timed<T>(&self, metric: Metric, call: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = call.await;
        self.metrics.time(metric, start.elapsed());
        result
    }

    /// Awaits a call to Glint, and counts its duration and its faults.
    pub async fn glint<T>(&self, call: impl Future<Output = Result<T, GlintError>>) -> Result<T, GlintError> {
        let result = self.timed(Metric::GlintLatency, call).await;
        match &result {
            Err(GlintError::Unavailable { .. } | GlintError::LoginExpired | GlintError::CredentialsRefused) => {
                self.metrics.count(Metric::GlintFaults);
            }
            Err(GlintError::NoCredentials(_)) => self.metrics.count(Metric::SecretsManagerFaults),
            _ => {}
        }
        result
    }

    /// Glint's client id and secret.
    pub async fn credentials(&self) -> Result<Cached<Credentials>, SecretError> {
        let cached = self.app.secrets.glint(self.freshness()).await;
        if cached.is_err() {
            self.metrics.count(Metric::SecretsManagerFaults);
        }
        cached
    }
}
