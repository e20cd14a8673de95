//! A function whose clock stands still until it is told to move, for what happens at the very second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use glint_gitlab_trigger::app::{App, Clock, Invocation};
use glint_gitlab_trigger::config::Config;
use serde_json::Value;

use crate::support::furnish;
use sandbox::Sandbox;

pub struct Still {
    pub sandbox: Sandbox,
    app: Arc<App>,
    seconds: Arc<AtomicI64>,
}

impl Still {
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        let mut variables = sandbox.env();
        variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let read = |name: &str| variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let seconds = Arc::new(AtomicI64::new(sandbox.now().timestamp()));
        let hand = Arc::clone(&seconds);
        let clock: Clock =
            Arc::new(move || UNIX_EPOCH + Duration::from_secs(hand.load(Ordering::Relaxed).unsigned_abs()));
        let app = App::new(Config::read(read).unwrap(), clock).unwrap();
        Self { sandbox, app, seconds }
    }

    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Seconds since the epoch, as the function sees them.
    pub fn now(&self) -> i64 {
        self.seconds.load(Ordering::Relaxed)
    }

    pub fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub async fn handle(&self, event: &Value) -> Value {
        let payload = serde_json::value::to_raw_value(event).unwrap();
        let deadline = UNIX_EPOCH + Duration::from_secs(self.now().unsigned_abs() + 45);
        let answer = self.app.handle(&payload, Invocation { deadline }).await.unwrap();
        serde_json::from_str(answer.get()).unwrap()
    }
}
