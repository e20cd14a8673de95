//! The context of an invocation: clients, settings, time and metrics.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, TryFutureExt as _};
use secrecy::SecretString;
use tokio::time::Instant;

use crate::aws::queue_message::{KIND, MAC};
use crate::aws::secrets::{Cached, SecretError, Secrets};
use crate::aws::sqs::{Message, Queue};
use crate::config::Config;
use crate::deadlines::{CALL_MARGIN, CallLimits, RESPONSE_MARGIN};
use crate::gitlab::{GitLab, LookupError};
use crate::glint::credentials::Credentials;
use crate::glint::run::{RunId, RunPatch, RunRequest, RunState};
use crate::glint::{Glint, GlintError, PatchResult};
use crate::outcome::{Outcome, RetryLater};
use crate::source::DeliveryMetadata;
use crate::telemetry::{Metric, Metrics};
use crate::trigger::TriggerOptions;
use crate::verify::sign_queued;

/// Tells the time of day. Real in Lambda; a simulation brings its own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The settings and clients, built once and shared by all invocations.
pub struct Services {
    pub config: Config,
    pub trigger_options: TriggerOptions,
    pub secrets: Arc<Secrets>,
    pub glint: Glint,
    pub gitlab: GitLab,
    pub queue: Option<Queue>,
    pub clock: Clock,
    pub glint_visibility: GlintVisibility,
}

/// What this process has learned about the answers of this Glint.
#[derive(Default)]
pub struct GlintVisibility {
    /// An answer showed an `externalRunId`.
    pub external_id: AtomicBool,
    /// An answer to a claim showed no part of it, and the search did not find it.
    pub no_claim: AtomicBool,
    /// It was logged what cannot be promised with this Glint.
    pub is_logged: AtomicBool,
}

/// The context of one invocation. Cloning is cheap.
#[derive(Clone)]
pub struct Context {
    pub app: Arc<Services>,
    pub metrics: Arc<Metrics>,
    /// The invocation's end, by the clock that does not jump.
    pub deadline: Instant,
    /// The invocation's beginning: what is read after it is fresh for all of it.
    began: SystemTime,
}

impl Context {
    pub fn new(app: &Arc<Services>, began: SystemTime, deadline: Instant) -> Self {
        Self { app: Arc::clone(app), metrics: Arc::default(), deadline, began }
    }

    pub fn now(&self) -> SystemTime {
        (self.app.clock)()
    }

    pub fn utc(&self) -> DateTime<Utc> {
        self.now().into()
    }

    /// How long the invocation still lasts.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// When calls have to be over.
    pub fn call_deadline(&self) -> Instant {
        self.deadline.checked_sub(CALL_MARGIN).unwrap_or(self.deadline)
    }

    /// When unfinished deliveries are given back to their source.
    pub fn response_deadline(&self) -> Instant {
        self.deadline.checked_sub(RESPONSE_MARGIN).unwrap_or(self.deadline)
    }

    pub fn call_limits(&self) -> CallLimits {
        CallLimits { now: self.began, deadline: self.call_deadline() }
    }

    /// Fails unless the invocation lasts for `enough`.
    pub fn ensure_time_left(&self, enough: Duration) -> Result<(), Outcome> {
        let too_late = || Outcome::Deferred(RetryLater::new("too little time is left in the invocation"));
        if self.time_left() < enough { Err(too_late()) } else { Ok(()) }
    }

    /// Awaits `call`, and adds how long it took to `metric`.
    ///
    /// Like the two below it maps the future: an `async fn` would hold it twice, and futures of this size are costly to move.
    pub fn timed<T>(&self, metric: Metric, call: impl Future<Output = T>) -> impl Future<Output = T> {
        let start = Instant::now();
        call.inspect(move |_| self.metrics.time(metric, start.elapsed()))
    }

    /// Awaits a call to Glint, and counts its duration and its faults.
    pub fn glint<T>(
        &self,
        call: impl Future<Output = Result<T, GlintError>>,
    ) -> impl Future<Output = Result<T, GlintError>> {
        self.timed(Metric::GlintLatency, call).inspect_err(|error| self.count_glint_fault(error))
    }

    fn count_glint_fault(&self, error: &GlintError) {
        match error {
            GlintError::CredentialsRefused => {
                self.metrics.count(Metric::GlintFaults);
                self.metrics.count(Metric::OperatorFaults);
            }
            GlintError::Unavailable { .. }
            | GlintError::ResponseLost(_)
            | GlintError::Denied
            | GlintError::LoginExpired => self.metrics.count(Metric::GlintFaults),
            GlintError::NoCredentials(error) => self.count_secret_fault(error.is_transient),
            GlintError::UnknownRun | GlintError::Refused { .. } => {}
        }
    }

    /// Counts a secret that could not be had. Unless it is transient, the operator has to fix it.
    pub fn count_secret_fault(&self, is_transient: bool) {
        self.metrics.count(Metric::SecretsManagerFaults);
        if !is_transient {
            self.metrics.count(Metric::OperatorFaults);
        }
    }

    /// Reads the state of the run from Glint.
    pub fn run_state(&self, id: &RunId) -> impl Future<Output = Result<RunState, GlintError>> {
        self.glint(self.app.glint.run(id, self.call_limits()))
    }

    /// Patches the run in Glint.
    pub fn patch(&self, id: &RunId, patch: &RunPatch) -> impl Future<Output = Result<PatchResult, GlintError>> {
        self.glint(self.app.glint.patch(id, patch, self.call_limits()))
    }

    /// Adds a line to the run's log in Glint. Best effort: nothing waits for it.
    pub fn log(&self, id: &RunId, message: &str) -> impl Future<Output = Result<(), GlintError>> {
        self.glint(self.app.glint.log(id, message, self.call_limits()))
    }

    /// Glint's client id and secret.
    pub async fn credentials(&self) -> Result<Cached<Credentials>, SecretError> {
        let cached = self.app.secrets.glint(self.call_limits()).await;
        if let Err(error) = &cached {
            self.count_secret_fault(error.is_transient());
        }
        cached
    }

    /// The read token; `None` where none is set, or its operator has to fix it first.
    pub async fn read_token(&self) -> Result<Option<Arc<SecretString>>, Outcome> {
        match self.app.secrets.read_token(self.call_limits()).await {
            Ok(token) => Ok(token),
            Err(error) if error.is_transient() => {
                self.metrics.count(Metric::SecretsManagerFaults);
                Err(Outcome::Deferred(RetryLater::new(error)))
            }
            Err(error) => {
                self.metrics.count(Metric::OperatorFaults);
                tracing::warn!("no pipeline can be looked up: {error}");
                Ok(None)
            }
        }
    }

    /// Awaits a look-up, and counts a refused read token, which only the operator can fix.
    pub fn lookup<T>(
        &self,
        call: impl Future<Output = Result<T, LookupError>>,
    ) -> impl Future<Output = Result<T, LookupError>> {
        self.timed(Metric::GitLabLatency, call).inspect_err(|error| match error {
            error if error.is_token_refused() => self.metrics.count(Metric::OperatorFaults),
            LookupError::Unavailable(_) => self.metrics.count(Metric::GitLabFaults),
            LookupError::Refused(_) => {}
        })
    }

    /// The page of the run's project, for a person who has to look.
    pub fn project_page(&self, run: &RunRequest, metadata: &DeliveryMetadata) -> String {
        let project = run.requested_project_path().or_else(|| metadata.target.project.clone());
        project.map_or_else(|| "the project".to_owned(), |path| self.app.gitlab.project_url(&path))
    }

    /// The message with the proof that this function wrote it.
    pub async fn sign_message(&self, kind: &'static str, mut message: Message) -> Result<Message, SecretError> {
        let credentials = self.credentials().await?;
        let code = sign_queued(&credentials.value.client_secret, kind, &message.body);
        message.attributes.extend([(KIND, kind.to_owned()), (MAC, code)]);
        Ok(message)
    }

    /// Whoever is not proven is told that it is so, and the log which secret is at fault.
    pub fn cannot_verify(&self, error: &SecretError) -> Outcome {
        tracing::error!("no delivery can be verified: {error}");
        Outcome::Deferred(RetryLater::new("the sender cannot be verified at the moment"))
    }
}
