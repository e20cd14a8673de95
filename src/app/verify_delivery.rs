//! Who may speak: each delivery is proven before a byte of it is read.

use super::context::Context;
use crate::aws::secrets::SecretError;
use crate::gitlab::types::HookSecrets;
use crate::gitlab::types::PipelineEvent;
use crate::gitlab::webhook::{self, Hook};
use crate::glint::message::{self, Message, Unreadable};
use crate::glint::run::{RunId, RunReport, RunRequest};
use crate::outcome::{Outcome, RetryLater};
use crate::source::{Delivery, DeliveryMetadata, Payload, Source};
use crate::telemetry::Metric;
use crate::verify::{HookSignature, SignatureHeaders, UnverifiedBody, VerifyError};

/// What a proven delivery asks for.
pub enum Task {
    /// The run of a message, with the signature that came beside it.
    Start {
        run: Box<RunRequest>,
        signature: Option<SignatureHeaders>,
    },
    Follow(Box<PipelineEvent>),
    Report(QueuedReport),
}

/// What Glint could not be told, as it waits on the queue.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedReport {
    pub run_id: RunId,
    pub report: RunReport,
}

impl Task {
    /// Deliveries of one key wait for each other.
    pub fn key(&self) -> String {
        match self {
            Self::Start { run, .. } => run.id.to_string(),
            Self::Follow(event) => event.pipeline.external_id(),
            Self::Report(report) => report.run_id.to_string(),
        }
    }

    /// The project it is about, as far as it says.
    pub fn project(&self) -> Option<String> {
        match self {
            Self::Start { run, .. } => run.project_path(),
            Self::Follow(event) => Some(event.project.clone()),
            Self::Report(_) => None,
        }
    }

    /// The run it names, where it names one.
    pub fn run_id(&self) -> Option<&RunId> {
        match self {
            Self::Start { run, .. } => Some(&run.id),
            Self::Follow(_) => None,
            Self::Report(report) => Some(&report.run_id),
        }
    }
}

impl Context {
    /// Proves `delivery` and reads it. An outcome where that alone decides.
    pub async fn proven(&self, delivery: Delivery) -> (Result<Task, Outcome>, DeliveryMetadata) {
        let Delivery { payload, metadata } = delivery;
        let task = match payload {
            Payload::Message(unverified) => self.message(unverified, &metadata.source).await,
            Payload::Hook { body, signature } => self.hook(&body, &signature).await,
            Payload::QueuedHook(text) => serde_json::from_str(&text)
                .map(|event| Task::Follow(Box::new(event)))
                .map_err(|_| unreadable("the queued hook cannot be read")),
            Payload::QueuedReport(text) => serde_json::from_str(&text)
                .map(Task::Report)
                .map_err(|_| unreadable("the queued report cannot be read")),
            Payload::Unreadable { why, too_large } => Err(Outcome::Unreadable { why: Unreadable(why), too_large }),
        };
        (task, metadata)
    }

    async fn message(&self, unverified: UnverifiedBody, source: &Source) -> Result<Task, Outcome> {
        let signature = unverified.headers_beside().cloned();
        // On Glint's topic all else has to be signed; what a queue or a notice brings of them is found as it is read.
        let body = if matches!(source, Source::Kafka { .. }) && !unverified.is_signed() && unverified.announces_change()
        {
            return Err(Outcome::Ignored("a change-log message starts nothing"));
        } else if source.requires_signature() || unverified.is_signed() {
            // A message may wait on a queue or topic for days: only a webhook's signature has to be young.
            self.signed(&unverified, matches!(source, Source::Http)).await?
        } else {
            unverified.into_unverified()
        };
        let text = String::from_utf8(body).map_err(|_| unreadable("the body is not UTF-8"))?;
        match message::read(text) {
            Ok(Message::Run(run)) => Ok(Task::Start { run, signature }),
            Ok(Message::ChangeLog) => Err(Outcome::Ignored("a change-log message starts nothing")),
            Err(why) => Err(Outcome::Unreadable { why, too_large: false }),
        }
    }

    /// The body, if the client secret signed it: the current one, or the one before or after a rotation.
    async fn signed(&self, unverified: &UnverifiedBody, must_be_young: bool) -> Result<Vec<u8>, Outcome> {
        if !unverified.is_signed() {
            return Err(Outcome::Unauthenticated(VerifyError::Missing));
        }
        let now = must_be_young.then(|| self.utc());
        let kept = self.credentials().await.map_err(deferred)?;
        let forged = match unverified.verify(std::slice::from_ref(&kept.value.client_secret), now) {
            Ok(body) => return Ok(body),
            Err(forged @ VerifyError::Mismatch) => forged,
            Err(forged) => return Err(Outcome::Unauthenticated(forged)),
        };
        let others = self.app.secrets.other_glint_versions(&kept, self.freshness()).await.map_err(deferred)?;
        let others: Vec<_> = others.into_iter().map(|other| other.value.client_secret.clone()).collect();
        unverified.verify(&others, now).map_err(|_| Outcome::Unauthenticated(forged))
    }

    async fn hook(&self, body: &str, signature: &HookSignature) -> Result<Task, Outcome> {
        let unread = |error| {
            self.metrics.count(Metric::SecretsManagerFaults);
            deferred(error)
        };
        let kept = self.app.secrets.hook(self.freshness()).await.map_err(unread)?;
        let kept = kept.ok_or(Outcome::Unauthenticated(VerifyError::HooksDisabled))?;
        let holds = |keys: &HookSecrets| signature.verify(body, keys, self.utc());
        match holds(&kept.value) {
            Err(VerifyError::Mismatch) => {
                let others = self.app.secrets.other_hook_versions(&kept, self.freshness()).await.map_err(unread)?;
                let verify_run_token = others.iter().any(|other| holds(&other.value).is_ok());
                verify_run_token.then_some(()).ok_or(Outcome::Unauthenticated(VerifyError::Mismatch))?;
            }
            other => other.map_err(Outcome::Unauthenticated)?,
        }
        match webhook::parse(body) {
            Ok(Hook::PipelineEvent(event)) => Ok(Task::Follow(event)),
            Ok(Hook::Nothing(why)) => Err(Outcome::Ignored(why)),
            Err(why) => Err(unreadable(&why)),
        }
    }
}

fn unreadable(why: &str) -> Outcome {
    Outcome::Unreadable { why: Unreadable(why.to_owned()), too_large: false }
}

fn deferred(error: SecretError) -> Outcome {
    Outcome::Deferred(RetryLater::new(error))
}
