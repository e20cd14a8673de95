//! Verifies each delivery, and parses a verified one into a task.

use super::client_secret::{is_version_valid, match_client_secret};
use super::context::Context;
use crate::aws::queue_message::{self, HOOK, QueuedReport, REPORT};
use crate::aws::secrets::{OtherVersion, SecretError};
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
    pub fn group_key(&self) -> String {
        match self {
            Self::Start { run, .. } => run.id.to_string(),
            Self::Follow(event) => event.pipeline.external_id().unwrap_or_else(|| event.pipeline.url.clone()),
            Self::Report(report) => report.run_id.to_string(),
        }
    }

    /// The project it is about, as far as it says.
    pub fn project(&self) -> Option<String> {
        match self {
            Self::Start { run, .. } => run.requested_project_path(),
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

/// Verifies `delivery` and parses it. An outcome where that alone decides.
pub async fn verify_delivery(context: &Context, delivery: Delivery) -> (Result<Task, Outcome>, DeliveryMetadata) {
    let Delivery { payload, metadata } = delivery;
    let task = match payload {
        Payload::Message(unverified) => verify_message(context, unverified, &metadata).await,
        Payload::Hook { body, signature } => verify_hook(context, &body, &signature).await,
        Payload::QueuedHook { body, mac } => verify_queued_hook(context, &body, &mac).await,
        Payload::QueuedReport { body, mac } => verify_queued_report(context, &body, &mac).await,
        Payload::Unreadable { why, too_large } => Err(Outcome::Unreadable { why, too_large }),
    };
    (task, metadata)
}

async fn verify_message(
    context: &Context,
    unverified: UnverifiedBody,
    metadata: &DeliveryMetadata,
) -> Result<Task, Outcome> {
    let source = &metadata.source;
    let signature = unverified.headers_beside().cloned();
    // On Glint's topic all else has to be signed; what a queue or a notice brings of them is found as it is parsed.
    let body = if matches!(source, Source::Kafka { .. }) && !unverified.is_signed() && unverified.is_change_log() {
        return Err(Outcome::Ignored("a change-log message starts nothing"));
    } else if source.requires_signature() || unverified.is_signed() {
        // A message may wait on a queue or topic for days: only a webhook's signature has to be young.
        verify_signature(context, unverified, matches!(source, Source::Http)).await?
    } else {
        unverified.into_unverified()
    };
    let text = String::from_utf8(body).map_err(|_| unreadable(Unreadable::message("the body is not UTF-8")))?;
    match message::parse(text, metadata.run_id_header.as_deref()) {
        Ok(Message::Run(run)) if run.id.as_str().starts_with("wfnr_") => Err(Outcome::Invalid(workflow_node(&run.id))),
        Ok(Message::Run(run)) => Ok(Task::Start { run, signature }),
        Ok(Message::ChangeLog) => Err(Outcome::Ignored("a change-log message starts nothing")),
        Err(why) => Err(unreadable(why)),
    }
}

/// The body, if the client secret signed it: the current one, a newer one, or the one before the last rotation while that still holds.
async fn verify_signature(
    context: &Context,
    unverified: UnverifiedBody,
    must_be_young: bool,
) -> Result<Vec<u8>, Outcome> {
    let now = must_be_young.then(|| context.utc());
    let signed_at = unverified.signed_at(now).map_err(Outcome::Unauthenticated)?;
    let mut unverified = Some(unverified);
    let verified = match_client_secret(context, Some(signed_at), |secret| match unverified.take()?.verify(secret) {
        Ok(bytes) => Some(bytes),
        Err(body) => {
            unverified = Some(body);
            None
        }
    });
    if let Some(bytes) = verified.await.map_err(|error| context.cannot_verify(&error))? {
        return Ok(bytes);
    }
    // In form and age it is one of Glint's: the secret here is not the one that Glint signs with.
    context.metrics.count(Metric::OperatorFaults);
    Err(Outcome::Unauthenticated(VerifyError::Mismatch))
}

async fn verify_hook(context: &Context, body: &str, signature: &HookSignature) -> Result<Task, Outcome> {
    let cannot_verify = |error: SecretError| {
        context.count_secret_fault(error.is_transient());
        context.cannot_verify(&error)
    };
    let current = match context.app.secrets.hook(context.call_limits()).await {
        // Until somebody changes the secret, nothing can prove a hook.
        Err(error @ SecretError::Unusable { .. }) => {
            drop(cannot_verify(error));
            return Err(Outcome::Unauthenticated(VerifyError::Missing));
        }
        other => other.map_err(cannot_verify)?,
    };
    let current = current.ok_or(Outcome::Unauthenticated(VerifyError::HooksDisabled))?;
    let now = context.utc();
    let proof = signature.proof(&current.value, now).map_err(Outcome::Unauthenticated)?;
    if !signature.verify(proof, body, &current.value) {
        let since = if let HookProof::Signature { signed_at } = proof { signed_at } else { now };
        let others =
            context.app.secrets.other_hook_versions(&current, context.call_limits()).await.map_err(cannot_verify)?;
        let proves = |other: &OtherVersion<HookSecrets>| {
            is_version_valid(other, since) && signature.verify(proof, body, &other.value)
        };
        if !others.iter().any(proves) {
            return Err(Outcome::Unauthenticated(VerifyError::Mismatch));
        }
    }
    match webhook::parse(body, &context.app.config.gitlab_url) {
        Ok(Hook::PipelineEvent(event)) => Ok(Task::Follow(event)),
        Ok(Hook::Nothing(why)) => Err(Outcome::Ignored(why)),
        Err(why) => Err(unreadable(Unreadable::new(why, "have GitLab's webhook send its pipeline events here"))),
    }
}

async fn verify_queued_hook(context: &Context, body: &str, mac: &str) -> Result<Task, Outcome> {
    ensure_enqueued_here(context, HOOK, body, mac).await?;
    let event = queue_message::read_hook(body).map_err(|error| unreadable(unreadable_queued(&error)))?;
    Ok(Task::Follow(Box::new(event)))
}

async fn verify_queued_report(context: &Context, body: &str, mac: &str) -> Result<Task, Outcome> {
    ensure_enqueued_here(context, REPORT, body, mac).await?;
    let queued = queue_message::read_report(body).map_err(|error| unreadable(unreadable_queued(&error)))?;
    Ok(Task::Report(queued))
}

/// Whether this function put the message on the queue itself. It may have done so days ago, so either client secret holds.
async fn ensure_enqueued_here(context: &Context, kind: &str, body: &str, mac: &str) -> Result<(), Outcome> {
    let not_enqueued_here = || Outcome::Unauthenticated(VerifyError::NotEnqueuedHere);
    if mac.is_empty() {
        return Err(not_enqueued_here());
    }
    let is_genuine = match_client_secret(context, None, |secret| verify_queued(secret, kind, body, mac).then_some(()));
    let is_genuine = is_genuine.await.map_err(|error| context.cannot_verify(&error))?;
    is_genuine.ok_or_else(not_enqueued_here)
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
