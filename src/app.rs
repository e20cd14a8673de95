//! The journey of a delivery, in order. Everything else is a room it passes through.

mod batch;
mod check;
mod confirm;
mod dead_letter;
mod follow;
mod handover;
mod journey;
mod note;
mod prove;
mod report;
mod session;
mod settle;
mod start;
mod sweep;
mod trigger;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::config::{Config, UserInputsAs};
use crate::event::{self, Doors, Event};
use crate::gitlab::GitLab;
use crate::glint::Glint;
use crate::http::{Base, Http};
use crate::plan::Policy;
use crate::queue::Queue;
use crate::secrets::Secrets;
use crate::telemetry::Metric;
use crate::{aws, json, plan};
use journey::Journey;

/// Tells the time of day. Real in Lambda; a simulation brings its own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The function, built once at cold start and shared by all invocations.
pub struct App {
    config: Config,
    policy: Policy,
    doors: Doors,
    http: Http,
    secrets: Secrets,
    glint: Glint,
    gitlab: GitLab,
    queue: Option<Queue>,
    clock: Clock,
    /// Whether it was said that Glint does not keep labels: once is enough.
    labels_lost: AtomicBool,
}

/// What Lambda says of an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    /// When Lambda ends it.
    pub deadline: SystemTime,
}

impl Invocation {
    /// How long it lasts from `now`.
    ///
    /// A deadline within a day of the epoch is a duration: the emulator of `cargo lambda watch` sends ten minutes.
    fn left(self, now: SystemTime) -> Duration {
        const DAY: Duration = Duration::from_secs(86_400);
        let since_epoch = self.deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if since_epoch < DAY { since_epoch } else { self.deadline.duration_since(now).unwrap_or_default() }
    }
}

/// What the SQS envelope of a handed-over message may take of SQS's limit of 1 MiB.
const ENVELOPE: usize = 16 * 1024;

impl App {
    /// Builds the clients. Reaches no network; fails where `SSL_CERT_FILE` cannot be used.
    pub fn new(config: Config, clock: Clock) -> Result<Arc<Self>, String> {
        let http = Http::new(config.extra_roots.as_deref())?;
        let policy = Policy {
            inputs_as_inputs: config.user_inputs_as == UserInputsAs::Inputs,
            escape_dollar: config.escape_dollar,
            allow_variables: config.allow_variables.clone(),
        };
        let most_message = plan::MOST_PAYLOAD - if config.runs_queue_url.is_some() { ENVELOPE } else { 0 };
        Ok(Arc::new(Self {
            policy,
            doors: Doors { dead_letter_queue_arn: config.dead_letter_queue_arn.clone(), most_message },
            secrets: Secrets::new(&aws::secrets_manager(&config.aws, &http), &config),
            glint: Glint::new(http.clone(), Base::parse(&config.glint_url)?),
            gitlab: GitLab::new(http.clone(), Base::parse(&config.gitlab_url)?),
            queue: config.runs_queue_url.as_deref().map(|url| Queue::new(aws::sqs(&config.aws, &http), url)),
            http,
            config,
            clock,
            labels_lost: AtomicBool::new(false),
        }))
    }

    /// Reads the secrets and logs in ahead of the first invocation, as far as that works: what fails here is met again, and told, there.
    pub async fn warm_up(self: &Arc<Self>) {
        const AT_MOST: Duration = Duration::from_secs(8);
        let now = (self.clock)();
        // The first invocation may come long after: it must not trust the connections that are made here.
        self.http.thaw(now);
        let journey = Journey::new(self, now, Instant::now() + AT_MOST);
        let (login, tokens) = tokio::join!(journey.log_in(), self.secrets.projects(journey.when()));
        drop((login, tokens));
    }

    /// Handles one event. An error makes its source bring it again.
    pub async fn handle(
        self: &Arc<Self>,
        payload: &RawValue,
        invocation: Invocation,
    ) -> Result<Box<RawValue>, Failure> {
        let now = (self.clock)();
        self.http.thaw(now);
        let left = invocation.left(now);
        let journey = Journey::new(self, now, Instant::now() + left);
        let answer = match event::recognise(payload, &self.doors) {
            Err(error) => {
                tracing::error!("{error}");
                Err(Failure { kind: "NotRecognised", words: error.to_string() })
            }
            Ok(Event::Answered(response)) => Ok(response),
            Ok(Event::Check(request)) => Ok(json::raw(&journey.check(&request).await)),
            Ok(Event::Sweep) => Ok(json::raw(&journey.sweep().await)),
            Ok(Event::Deliveries(source, deliveries)) => {
                let verdicts = journey.deliver(deliveries).await;
                source.answer(&verdicts).map_err(|error| Failure { kind: "MustComeAgain", words: error.to_string() })
            }
        };
        journey.metrics.add(Metric::SecretReads, self.secrets.take_reads());
        journey.metrics.print(&self.config.function_name, now);
        answer
    }
}

/// Why an invocation fails: Lambda shows the kind and the words.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Failure {
    pub kind: &'static str,
    pub words: String,
}
