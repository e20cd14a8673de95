//! Verifies each delivery, and parses what is proven into a task.

use chrono::{DateTime, Utc};

use super::context::Context;
use crate::aws::queue_message::{self, HOOK, QueuedReport, REPORT};
use crate::aws::secrets::{OtherVersion, SecretError};
use crate::deadlines::ROTATION_OVERLAP;
use crate::gitlab::types::{HookSecrets, PipelineEvent};
use crate::gitlab::webhook::{self, Hook};
use crate::glint::message::{self, Message, Unreadable};
use crate::glint::run::{RunId, RunRequest};
use crate::outcome::Outcome;
use crate::source::{Delivery, DeliveryMetadata, Payload, Source};
use crate::telemetry::Metric;
use crate::trigger::ValidationError;
use crate::verify::{HookProof, HookSignature, SignatureHeaders, UnverifiedBody, VerifyError, verify_queued};

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

impl Task {
    /// Deliveries of one key wait for each other.
    pub fn key(&self) -> String {
        match self {
            Self::Start { run, .. } => run.id.to_string(),
            Self::Follow(event) => event.pipeline.external_id().unwrap_or_else(|| event.pipeline.url.clone()),
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
    /// Verifies `delivery` and parses it. An outcome where that alone decides.
    pub async fn verify_delivery(&self, delivery: Delivery) -> (Result<Task, Outcome>, DeliveryMetadata) {
        let Delivery { payload, metadata } = delivery;
        let task = match payload {
            Payload::Message(unverified) => self.message(unverified, &metadata).await,
            Payload::Hook { body, signature } => self.hook(&body, &signature).await,
            Payload::QueuedHook { body, mac } => self.queued_hook(&body, &mac).await,
            Payload::QueuedReport { body, mac } => self.queued_report(&body, &mac).await,
            Payload::Unreadable { why, too_large } => Err(Outcome::Unreadable { why, too_large }),
        };
        (task, metadata)
    }

    async fn message(&self, unverified: UnverifiedBody, metadata: &DeliveryMetadata) -> Result<Task, Outcome> {
        let source = &metadata.source;
        let signature = unverified.headers_beside().cloned();
        // On Glint's topic all else has to be signed; what a queue or a notice brings of them is found as it is parsed.
        let body = if matches!(source, Source::Kafka { .. }) && !unverified.is_signed() && unverified.is_change_log() {
            return Err(Outcome::Ignored("a change-log message starts nothing"));
        } else if source.requires_signature() || unverified.is_signed() {
            // A message may wait on a queue or topic for days: only a webhook's signature has to be young.
            self.signed_message(unverified, matches!(source, Source::Http)).await?
        } else {
            unverified.into_unverified()
        };
        let text = String::from_utf8(body).map_err(|_| unreadable(Unreadable::message("the body is not UTF-8")))?;
        match message::parse(text, metadata.run_id_header.as_deref()) {
            Ok(Message::Run(run)) if run.id.as_str().starts_with("wfnr_") => {
                Err(Outcome::Invalid(workflow_node(&run.id)))
            }
            Ok(Message::Run(run)) => Ok(Task::Start { run, signature }),
            Ok(Message::ChangeLog) => Err(Outcome::Ignored("a change-log message starts nothing")),
            Err(why) => Err(unreadable(why)),
        }
    }

    /// The body, if the client secret signed it: the current one, a newer one, or the one before the last rotation while that still holds.
    async fn signed_message(&self, unverified: UnverifiedBody, must_be_young: bool) -> Result<Vec<u8>, Outcome> {
        let now = must_be_young.then(|| self.utc());
        let signed_at = unverified.signed_at(now).map_err(Outcome::Unauthenticated)?;
        let current = self.credentials().await.map_err(|error| self.cannot_verify(&error))?;
        let mut body = match unverified.verify(&current.value.client_secret) {
            Ok(bytes) => return Ok(bytes),
            Err(body) => body,
        };
        let others = self.app.secrets.other_glint_versions(&current, self.freshness()).await;
        for other in others.map_err(|error| self.cannot_verify(&error))?.iter().filter(|other| holds(other, signed_at))
        {
            body = match body.verify(&other.value.client_secret) {
                Ok(bytes) => return Ok(bytes),
                Err(body) => body,
            };
        }
        // In form and age it is one of Glint's: the secret here is not the one that Glint signs with.
        self.metrics.count(Metric::OperatorFaults);
        Err(Outcome::Unauthenticated(VerifyError::Mismatch))
    }

    async fn hook(&self, body: &str, signature: &HookSignature) -> Result<Task, Outcome> {
        let cannot_verify = |error: SecretError| {
            self.count_secret_fault(error.is_transient());
            self.cannot_verify(&error)
        };
        let current = match self.app.secrets.hook(self.freshness()).await {
            // Until somebody changes the secret, nothing can prove a hook.
            Err(error @ SecretError::Unusable { .. }) => {
                drop(cannot_verify(error));
                return Err(Outcome::Unauthenticated(VerifyError::Missing));
            }
            other => other.map_err(cannot_verify)?,
        };
        let current = current.ok_or(Outcome::Unauthenticated(VerifyError::HooksDisabled))?;
        let now = self.utc();
        let proof = signature.proof(&current.value, now).map_err(Outcome::Unauthenticated)?;
        if !signature.verify(proof, body, &current.value) {
            let since = if let HookProof::Signature { signed_at } = proof { signed_at } else { now };
            let others =
                self.app.secrets.other_hook_versions(&current, self.freshness()).await.map_err(cannot_verify)?;
            let proves =
                |other: &OtherVersion<HookSecrets>| holds(other, since) && signature.verify(proof, body, &other.value);
            if !others.iter().any(proves) {
                return Err(Outcome::Unauthenticated(VerifyError::Mismatch));
            }
        }
        match webhook::parse(body, &self.app.config.gitlab_url) {
            Ok(Hook::PipelineEvent(event)) => Ok(Task::Follow(event)),
            Ok(Hook::Nothing(why)) => Err(Outcome::Ignored(why)),
            Err(why) => Err(unreadable(Unreadable::new(why, "have GitLab's webhook send its pipeline events here"))),
        }
    }

    async fn queued_hook(&self, body: &str, mac: &str) -> Result<Task, Outcome> {
        self.verify_queued(HOOK, body, mac).await?;
        let event = queue_message::read_hook(body).map_err(|error| unreadable(unreadable_queued(&error)))?;
        Ok(Task::Follow(Box::new(event)))
    }

    async fn queued_report(&self, body: &str, mac: &str) -> Result<Task, Outcome> {
        self.verify_queued(REPORT, body, mac).await?;
        let queued = queue_message::read_report(body).map_err(|error| unreadable(unreadable_queued(&error)))?;
        Ok(Task::Report(queued))
    }

    /// Whether this function put the message on the queue itself. It may have done so days ago, so either client secret holds.
    async fn verify_queued(&self, kind: &str, body: &str, mac: &str) -> Result<(), Outcome> {
        let not_enqueued_here = || Outcome::Unauthenticated(VerifyError::NotEnqueuedHere);
        if mac.is_empty() {
            return Err(not_enqueued_here());
        }
        let current = self.credentials().await.map_err(|error| self.cannot_verify(&error))?;
        if verify_queued(&current.value.client_secret, kind, body, mac) {
            return Ok(());
        }
        let others = self.app.secrets.other_glint_versions(&current, self.freshness()).await;
        let others = others.map_err(|error| self.cannot_verify(&error))?;
        let is_genuine = others.iter().any(|other| verify_queued(&other.value.client_secret, kind, body, mac));
        if is_genuine { Ok(()) } else { Err(not_enqueued_here()) }
    }
}

/// Whether what another version of a key signed at this time holds: an hour after the next one was stored every sender has that, and more
/// would leave a leaked key in use.
fn holds<T>(other: &OtherVersion<T>, signed_at: DateTime<Utc>) -> bool {
    other.superseded_at.is_none_or(|at| signed_at < DateTime::<Utc>::from(at) + ROTATION_OVERLAP)
}

fn workflow_node(id: &RunId) -> ValidationError {
    ValidationError::new(
        format!("`{id}` is a node of a workflow, which is reported through another API than a run of an action"),
        "start the pipeline from an action, and have the workflow run that action",
    )
}

fn unreadable(why: Unreadable) -> Outcome {
    Outcome::Unreadable { why, too_large: false }
}

fn unreadable_queued(error: &queue_message::UnreadableMessage) -> Unreadable {
    Unreadable::new(error.to_string(), "deploy the version that put it on the queue, or a later one")
}
