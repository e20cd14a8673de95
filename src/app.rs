//! Handles one Lambda invocation, from event to response.

mod batch;
mod check;
mod context;
mod dead_letter;
mod enqueue;
mod find_pipeline;
mod log_outcome;
mod pipeline_event;
mod queued_report;
mod report_outcome;
mod send_trigger;
mod start_run;
mod sweep;
mod verify_delivery;
mod warm_up;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::aws::secrets::{Cached, Secrets};
use crate::aws::sqs::Queue;
use crate::config::{Config, UserInputsAs};
use crate::deadlines::WARM_UP_TIMEOUT;
use crate::gitlab::GitLab;
use crate::glint::Glint;
use crate::glint::credentials::{Credentials, LoadCredentials, Loaded, Wanted};
use crate::http::{BaseUrl, Http};
use crate::source::{self, Event, SourceSettings};
use crate::telemetry::Metric;
use crate::trigger::Policy;
use crate::{aws, json, trigger};
use context::Context;
use warm_up::Needs;

/// Tells the time of day. Real in Lambda; a simulation brings its own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The function, built once at cold start and shared by all invocations.
pub struct App {
    config: Config,
    policy: Policy,
    settings: SourceSettings,
    http: Http,
    secrets: Arc<Secrets>,
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
    /// Freshness Lambda ends it.
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
        let max_message_bytes = trigger::MAX_PAYLOAD_BYTES - if config.runs_queue_url.is_some() { ENVELOPE } else { 0 };
        let secrets = Arc::new(Secrets::new(&aws::secrets_manager_client(&config.aws, &http), &config));
        Ok(Arc::new(Self {
            policy,
            settings: SourceSettings { dead_letter_queue_arn: config.dead_letter_queue_arn.clone(), max_message_bytes },
            glint: Glint::new(http.for_upstream()?, BaseUrl::parse(&config.glint_url)?, load_credentials(&secrets)),
            secrets,
            gitlab: GitLab::new(http.for_upstream()?, BaseUrl::parse(&config.gitlab_url)?),
            queue: config.runs_queue_url.as_deref().map(|url| Queue::new(aws::sqs_client(&config.aws, &http), url)),
            http,
            config,
            clock,
            labels_lost: AtomicBool::new(false),
        }))
    }

    /// Reads the secrets and logs in ahead of the first invocation, as far as that works: what fails here is met again, and told, there.
    pub async fn warm_up(self: &Arc<Self>) {
        let now = (self.clock)();
        // The first invocation may come long after: it must not trust the connections that are made here.
        self.http.discard_idle_connections(now);
        let context = Context::new(self, now, Instant::now() + WARM_UP_TIMEOUT);
        // A function that feeds a queue and ends no dead letters is probably the one behind the URL, which only enqueues.
        let only_enqueues = self.queue.is_some() && self.config.dead_letter_queue_arn.is_none();
        context.warm_up(if only_enqueues { Needs::Verification } else { Needs::Everything }).await;
    }

    /// Handles one event. An error makes its source bring it again.
    pub async fn handle(
        self: &Arc<Self>,
        payload: &RawValue,
        invocation: Invocation,
    ) -> Result<Box<RawValue>, Failure> {
        let now = (self.clock)();
        let is_cold = self.http.discard_idle_connections(now);
        let left = invocation.left(now);
        let context = Context::new(self, now, Instant::now() + left);
        let answer = match source::parse(payload, &self.settings) {
            Err(error) => {
                tracing::error!("{error}");
                Err(Failure { kind: "UnsupportedEvent", message: error.to_string() })
            }
            Ok(Event::Answered(response)) => Ok(response),
            Ok(Event::Check(request)) => Ok(json::raw(&context.check(&request).await)),
            Ok(Event::Sweep) => Ok(json::raw(&context.sweep().await)),
            Ok(Event::Deliveries(deliveries, respond)) => {
                let needs = Needs::of(&deliveries, self.queue.is_some());
                let warm_up = context.warm_up(if is_cold { needs } else { Needs::Nothing });
                let handled = alongside(warm_up, context.deliver(deliveries)).await;
                respond(&handled).map_err(|error| Failure { kind: "RetryRequested", message: error.to_string() })
            }
        };
        context.metrics.add(Metric::SecretReads, self.secrets.take_reads());
        context.metrics.print(&self.config.function_name, now);
        answer
    }
}

/// Awaits `work`, with `other` beside it for as long as that lasts.
async fn alongside<T>(other: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    match select(pin!(other), pin!(work)).await {
        Either::Left(((), work)) => work.await,
        Either::Right((done, _)) => done,
    }
}

/// Lets the Glint client read its credentials, without knowing from where.
fn load_credentials(secrets: &Arc<Secrets>) -> LoadCredentials {
    let secrets = Arc::clone(secrets);
    Box::new(move |wanted, freshness| {
        let secrets = Arc::clone(&secrets);
        Box::pin(async move {
            let cached = match wanted {
                Wanted::Current => secrets.glint(freshness).await.map(Some),
                Wanted::NewerThan(version) => secrets.glint_after(&version, freshness).await,
            };
            let loaded = |cached: Cached<Credentials>| Loaded { credentials: cached.value, version: cached.version };
            cached.map(|cached| cached.map(loaded)).map_err(|error| error.to_string())
        })
    })
}

/// Why an invocation fails: Lambda shows the kind and the words.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: &'static str,
    pub message: String,
}
