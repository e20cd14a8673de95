//! Handles one Lambda invocation, from event to response.

mod apply_pipeline_event;
mod attempt;
mod authorize_url;
mod batch;
mod check;
mod client_secret;
mod context;
mod dead_letter;
mod enqueue;
mod find_pipeline;
mod log_outcome;
mod old_claim;
mod outputs;
mod prove_event;
mod report_outcome;
mod report_run;
mod send_trigger;
mod start_run;
mod sweep;
mod sweep_report;
mod verify_delivery;
mod warm_up;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::aws::secrets::{Cached, Refresh, SecretError, Secrets};
use crate::aws::sqs::Queue;
use crate::config::{Config, UserInputsAs};
use crate::deadlines::WARM_UP_TIMEOUT;
use crate::gitlab::GitLab;
use crate::glint::Glint;
use crate::glint::credentials::{Credentials, LoadCredentials, Loaded, NoCredentials, Wanted};
use crate::glint::run::{InvocationType, RunRequest};
use crate::http::{BaseUrl, Http};
use crate::outcome::{Handled, Outcome};
use crate::source::{self, DeliveryMetadata, Event, Source, SourceSettings};
use crate::telemetry::Metric;
use crate::trigger::TriggerOptions;
use crate::verify::VerifyError;
use crate::{aws, json, trigger};
use attempt::AttemptResult;
use context::{Context, GlintVisibility, Services};
use enqueue::Enqueued;
use verify_delivery::Task;
use warm_up::{Needs, warm_up};

pub use context::Clock;

/// The function, built once at cold start and shared by all invocations.
pub struct App {
    services: Arc<Services>,
    settings: SourceSettings,
    http: Http,
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
    /// Builds the clients. Reaches no network.
    pub fn new(config: Config, clock: Clock) -> Result<Arc<Self>, String> {
        let http = Http::new(&config.trusted_certificates, config.proxy.as_ref())?;
        if let Some(warning) = &config.trusted_certificates.warning {
            tracing::warn!("{warning}");
        }
        let options = TriggerOptions {
            inputs_as_inputs: config.user_inputs_as == UserInputsAs::Inputs,
            escape_dollar: config.escape_dollar,
            allow_variables: config.allow_variables.clone(),
        };
        let max_message_bytes = trigger::MAX_PAYLOAD_BYTES - if config.runs_queue_url.is_some() { ENVELOPE } else { 0 };
        let secrets = Arc::new(Secrets::new(&aws::secrets_manager_client(&config.aws, &http), &config));
        let settings =
            SourceSettings { dead_letter_queue_arn: config.dead_letter_queue_arn.clone(), max_message_bytes };
        let services = Arc::new(Services {
            trigger_options: options,
            glint: Glint::new(http.for_upstream()?, BaseUrl::parse(&config.glint_url)?, load_credentials(&secrets)),
            secrets,
            gitlab: GitLab::new(http.for_upstream()?, BaseUrl::parse(&config.gitlab_url)?),
            queue: config.runs_queue_url.as_deref().map(|url| Queue::new(aws::sqs_client(&config.aws, &http), url)),
            config,
            clock,
            glint_visibility: GlintVisibility::default(),
        });
        Ok(Arc::new(Self { services, settings, http }))
    }

    /// Opens connections and reads secrets before the first invocation. Best effort: a failure here happens, and is reported, there too.
    ///
    /// A function that only enqueues (it has a runs queue, and dead letters go to another) needs no more than the client secret.
    pub async fn warm_up(self: &Arc<Self>) {
        let now = (self.services.clock)();
        // The first invocation may come long after: it must not trust the connections that are made here.
        self.http.discard_idle_connections(now);
        let context = Context::new(&self.services, now, Instant::now() + WARM_UP_TIMEOUT);
        let only_enqueues = self.services.queue.is_some() && self.services.config.dead_letter_queue_arn.is_none();
        warm_up(&context, if only_enqueues { Needs::Verification } else { Needs::Everything }).await;
    }

    /// Handles one event. On an error Lambda fails the invocation, and its source redelivers the event.
    pub async fn handle(
        self: &Arc<Self>,
        payload: &RawValue,
        invocation: Invocation,
    ) -> Result<Box<RawValue>, Failure> {
        let now = (self.services.clock)();
        let is_cold = self.http.discard_idle_connections(now);
        let left = invocation.left(now);
        let context = Context::new(&self.services, now, Instant::now() + left);
        let answer = match source::parse(payload, &self.settings) {
            Err(error) => {
                tracing::error!("{error}");
                Err(Failure { kind: "UnsupportedEvent", message: error.to_string() })
            }
            Ok(Event::Answered(response, reason)) => {
                tracing::warn!(outcome = "Unreadable", "a request is unreadable: {reason}");
                Ok(response)
            }
            Ok(Event::Check(request)) => Ok(check::check(&context, &request).await.to_json()),
            Ok(Event::Sweep) => Ok(json::raw(&sweep::sweep(&context).await)),
            Ok(Event::Deliveries(deliveries, respond)) => {
                let handle = |task, metadata| handle_task(&context, task, metadata);
                let needs = Needs::new(&deliveries, self.services.queue.is_some());
                let warm_up = warm_up(&context, if is_cold { needs } else { Needs::Nothing });
                let work = pin!(batch::handle_all(&context, deliveries, handle));
                let handled = alongside(pin!(warm_up), work).await;
                respond(&handled).map_err(|error| Failure { kind: "RetryRequested", message: error.to_string() })
            }
        };
        context.metrics.add(Metric::SecretReads, self.services.secrets.take_reads());
        context.metrics.print(&self.services.config.function_name, self.services.config.log_level, now);
        answer
    }
}

/// Awaits `work`, with `other` beside it for as long as that lasts.
async fn alongside<T>(other: impl Future<Output = ()> + Unpin, work: impl Future<Output = T> + Unpin) -> T {
    match select(other, work).await {
        Either::Left(((), work)) => work.await,
        Either::Right((done, _)) => done,
    }
}

/// Handles one verified delivery: each step returns a value, which is passed to the next.
async fn handle_task(context: &Context, task: Task, metadata: DeliveryMetadata) -> Handled {
    let run_id = task.run_id().cloned();
    if let Task::Start { run, .. } = &task
        && authorize_url::is_for_another_url(run, &metadata)
    {
        return Handled::new(run_id, Outcome::Unauthenticated(VerifyError::OtherUrl));
    }
    match (enqueue::enqueue(context, &task, &metadata).await, &task) {
        (Enqueued::Done(outcome), _) => return Handled::new(run_id, outcome),
        (Enqueued::Refused(why), Task::Start { run, .. }) => {
            return Handled::new(run_id, report_outcome::end_unless_started(context, run, &metadata, why).await);
        }
        _ => {}
    }
    let lost_answers_before = context.app.glint.lost_answers();
    let handled = match task {
        Task::Start { run, .. } => {
            // For a request to the URL nothing was opened before it was verified.
            let is_http = matches!(metadata.source, Source::Http);
            let warm_up = warm_up(context, if is_http { Needs::Everything } else { Needs::Nothing });
            return alongside(pin!(warm_up), pin!(handle_run(context, &run, &metadata))).await;
        }
        Task::Follow(event) => {
            let is_final = metadata.source.is_final_attempt(context.app.config.max_receives, context.utc());
            apply_pipeline_event::handle_pipeline_event(
                context,
                &event,
                is_final || metadata.source.is_dead_letter_queue(),
            )
            .await
        }
        Task::Report(report) => Handled::new(run_id, report_run::apply_report(context, report, &metadata).await),
    };
    report_outcome::delay_redelivery(context, &metadata, &handled, lost_answers_before).await;
    handled
}

async fn handle_run(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> Handled {
    if let Err(outcome) = ensure_ours(run, metadata) {
        return Handled::new(Some(run.id.clone()), outcome);
    }
    if metadata.source.is_dead_letter_queue() {
        return dead_letter::end_dead_lettered_run(context, run, metadata).await;
    }
    let attempt: AttemptResult = start_run::start_run(context, run, metadata).await;
    report_outcome::report_outcome(context, run, metadata, attempt).await
}

/// Whether the run is for this function at all.
fn ensure_ours(run: &RunRequest, metadata: &DeliveryMetadata) -> Result<(), Outcome> {
    let is_webhook_url = matches!(metadata.source, Source::Http);
    match &run.backend {
        InvocationType::Other(_) => Err(Outcome::Ignored("the action's backend is not GitLab")),
        // At the URL itself the sender waits for an answer, and its operator can change the URL: the trigger request is invalid.
        InvocationType::Webhook if metadata.target.project.is_none() && !is_webhook_url => {
            Err(Outcome::Ignored("the webhook's message names no project"))
        }
        // Glint's topic carries the runs of every backend, and a templated message need not say whose it is.
        InvocationType::Unnamed if matches!(metadata.source, Source::Kafka { .. }) => {
            Err(Outcome::Ignored("the message names no GitLab project"))
        }
        InvocationType::Webhook | InvocationType::GitLab | InvocationType::Unnamed => Ok(()),
    }
}

/// Lets the Glint client read its credentials, without knowing from where.
fn load_credentials(secrets: &Arc<Secrets>) -> LoadCredentials {
    let secrets = Arc::clone(secrets);
    Box::new(move |wanted, limits| {
        let secrets = Arc::clone(&secrets);
        Box::pin(async move {
            let cached = match wanted {
                Wanted::Current => secrets.glint(limits).await.map(Some),
                Wanted::NewerThan(version) => {
                    secrets.refresh_glint(&version, limits).await.map(|refresh| match refresh {
                        Refresh::Changed(newer) => Some(newer),
                        Refresh::Unchanged | Refresh::NotDue { .. } => None,
                    })
                }
            };
            let loaded = |cached: Cached<Credentials>| Loaded { credentials: cached.value, version: cached.version };
            let none =
                |error: SecretError| NoCredentials { is_transient: error.is_transient(), words: error.to_string() };
            cached.map(|cached| cached.map(loaded)).map_err(none)
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
