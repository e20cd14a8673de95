//! What happened to a delivery, and from that alone: what Glint is told, what the source is told, what is counted.

pub mod deployment;
pub mod messages;
mod table;

pub use table::table;

use std::time::Duration;

use serde_json::{Value, json};

use crate::gitlab::types::{Pipeline, PipelineEvent};
use crate::glint::message::Unreadable;
use crate::glint::run::{RunId, RunPatch, RunReport, TerminalStatus};
use crate::trigger::ValidationError;
use crate::verify::VerifyError;

/// Everything that can have happened to one delivery.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// GitLab created the pipeline, and Glint knows it.
    Started(Pipeline),
    /// The run is linked or ended already.
    Duplicate,
    /// Nothing for this function to do.
    Ignored(&'static str),
    /// Not sent to GitLab: the action, its user or the operator has to change something first.
    Invalid(ValidationError),
    /// GitLab said no, in these words.
    Rejected(String),
    /// Nothing was created, and trying again may help.
    Deferred(RetryLater),
    /// GitLab created the pipeline, and Glint could not be told: whether the report is queued.
    Unreported { pipeline: Pipeline, queued: bool },
    /// The trigger was sent, and nobody knows whether it created a pipeline.
    Unconfirmed(Unconfirmed),
    /// The pipeline ended, and so did the run.
    Finished(Box<PipelineEvent>),
    /// The pipeline apply on, and the run's label with it.
    Progressed(Box<PipelineEvent>),
    /// The delivery waits on the runs queue.
    Enqueued,
    /// No run can be told of it.
    Unreadable { why: Unreadable, too_large: bool },
    /// Nothing proves that it is genuine.
    Unauthenticated(VerifyError),
}

/// Why a run has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryLater {
    pub why: String,
    /// How long, where an upstream said so.
    pub wait: Option<Duration>,
}

impl RetryLater {
    pub fn new(why: impl ToString) -> Self {
        Self { why: why.to_string(), wait: None }
    }
}

/// Why a pipeline is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    pub why: String,
    /// The project's page, for the person who has to look.
    pub project_url: String,
    /// Somebody else set the run's label: a pipeline that already runs may have, and it speaks for itself.
    pub foreign_label: bool,
    /// The trigger was sent so long ago, or by this very delivery, that nobody is at work on it any more.
    pub settled: bool,
}

/// An outcome, and whether the source has to bring the delivery again.
#[derive(Clone, Debug)]
pub struct Handled {
    pub run_id: Option<RunId>,
    pub outcome: Outcome,
    /// There is no further try: the run was ended in Glint with the reason, or left as it stands.
    pub gave_up: bool,
}

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Value,
}

/// When a sender may try again where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// What every sender is told who is not proven, and its hint.
const UNAUTHENTICATED: (&str, &str) = (
    "signature verification failed",
    "Glint's messages need its client secret, as the function has it, and GitLab's hooks what the secret of `GITLAB_HOOK_SECRET_ID` holds",
);

impl Outcome {
    /// What Glint is told, as a log line and an update: nothing where the run has not changed. With `give_up`, what ends it.
    pub fn report(&self, give_up: bool) -> Option<RunReport> {
        let failure = |label: &str, text: String| {
            let update = RunPatch {
                status: Some(TerminalStatus::Failure),
                status_label: Some(label.to_owned()),
                summary: Some(text.clone()),
                ..RunPatch::default()
            };
            Some(RunReport { log: Some(text), update })
        };
        let label = |text: &str| Some(RunReport { log: None, update: RunPatch::label(text) });
        match self {
            Self::Started(pipeline) | Self::Unreported { pipeline, .. } => Some(started(pipeline)),
            Self::Invalid(refusal) => failure(messages::NOT_STARTED, messages::refused(refusal)),
            Self::Rejected(text) => failure(messages::NOT_STARTED, messages::rejected(text)),
            Self::Deferred(retry_later) if give_up => {
                failure(messages::NOT_STARTED, messages::never_started(&retry_later.why))
            }
            Self::Deferred(_) => label(messages::WAITING_TO_RETRY),
            Self::Unconfirmed(unconfirmed) if unconfirmed.foreign_label => None,
            Self::Unconfirmed(unconfirmed) if give_up => {
                failure(messages::NOT_CONFIRMED, messages::not_confirmed(&unconfirmed.project_url))
            }
            Self::Unconfirmed(_) => label(messages::WAITING_TO_CONFIRM),
            Self::Finished(event) => Some(finished(event)),
            Self::Progressed(event) => label(messages::label(event.status)),
            Self::Duplicate
            | Self::Ignored(_)
            | Self::Enqueued
            | Self::Unreadable { .. }
            | Self::Unauthenticated(_) => None,
        }
    }

    /// The outcome's name in logs, replies and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "Started",
            Self::Duplicate => "Duplicate",
            Self::Ignored(_) => "Ignored",
            Self::Invalid(_) => "Invalid",
            Self::Rejected(_) => "Rejected",
            Self::Deferred(_) => "Deferred",
            Self::Unreported { .. } => "Unreported",
            Self::Unconfirmed(_) => "Unconfirmed",
            Self::Finished(_) => "Finished",
            Self::Progressed(_) => "Progressed",
            Self::Enqueued => "Enqueued",
            Self::Unreadable { .. } => "Unreadable",
            Self::Unauthenticated(_) => "Unauthenticated",
        }
    }

    /// The pipeline it tells of.
    pub fn pipeline(&self) -> Option<&Pipeline> {
        match self {
            Self::Started(pipeline) | Self::Unreported { pipeline, .. } => Some(pipeline),
            Self::Finished(event) | Self::Progressed(event) => Some(&event.pipeline),
            _ => None,
        }
    }

    /// What to say of it beyond its name: the reason, and a hint where there is one.
    pub fn reason(&self) -> Option<(String, Option<&str>)> {
        match self {
            Self::Ignored(why) => Some(((*why).to_owned(), None)),
            Self::Invalid(refusal) => Some((refusal.what.clone(), Some(&refusal.hint))),
            Self::Rejected(text) => Some((messages::rejected(text), None)),
            Self::Deferred(retry_later) => Some((retry_later.why.clone(), None)),
            Self::Unconfirmed(unconfirmed) => {
                Some((unconfirmed.why.clone(), Some("look at the project's pipelines before running it again")))
            }
            Self::Unreadable { why, .. } => Some((why.what.clone(), Some(why.hint))),
            Self::Unauthenticated(VerifyError::HooksDisabled) => Some((
                VerifyError::HooksDisabled.to_string(),
                Some("set `GITLAB_HOOK_SECRET_ID` to the secret that hooks must prove"),
            )),
            Self::Unauthenticated(fault) => Some((
                format!("signature verification failed: {fault}"),
                Some(
                    "Glint's messages need its client secret, as the function's Glint secret holds it, and GitLab's hooks what the secret of `GITLAB_HOOK_SECRET_ID` holds",
                ),
            )),
            Self::Duplicate
            | Self::Started(_)
            | Self::Unreported { .. }
            | Self::Finished(_)
            | Self::Progressed(_)
            | Self::Enqueued => None,
        }
    }
}

fn started(pipeline: &Pipeline) -> RunReport {
    RunReport {
        log: Some(messages::created(pipeline)),
        update: RunPatch {
            status_label: Some(messages::CREATED.to_owned()),
            links: vec![pipeline.url.clone()],
            external_run_id: Some(pipeline.external_id()),
            ..RunPatch::default()
        },
    }
}

fn finished(event: &PipelineEvent) -> RunReport {
    use crate::gitlab::types::PipelineStatus;
    let text = messages::finished(event);
    let status =
        if event.status == PipelineStatus::Success { TerminalStatus::Success } else { TerminalStatus::Failure };
    RunReport {
        update: RunPatch {
            status: Some(status),
            status_label: Some(messages::label(event.status).to_owned()),
            summary: Some(text.clone()),
            ..RunPatch::default()
        },
        log: Some(text),
    }
}

impl Handled {
    pub fn new(run_id: Option<RunId>, outcome: Outcome) -> Self {
        Self { run_id, outcome, gave_up: false }
    }

    /// Whether the source has to bring the delivery again.
    pub fn should_redeliver(&self) -> bool {
        match &self.outcome {
            Outcome::Deferred(_) | Outcome::Unconfirmed(_) => !self.gave_up,
            Outcome::Unreported { queued, .. } => !queued,
            Outcome::Unreadable { .. } | Outcome::Unauthenticated(_) => true,
            _ => false,
        }
    }

    /// The answer to a webhook.
    pub fn reply(&self) -> Reply {
        let (status, retry_after) = match &self.outcome {
            Outcome::Started(_)
            | Outcome::Duplicate
            | Outcome::Ignored(_)
            | Outcome::Finished(_)
            | Outcome::Progressed(_) => (200, None),
            Outcome::Enqueued => (202, None),
            Outcome::Invalid(_) => (422, None),
            Outcome::Rejected(_) => (502, None),
            // Another try would find an ended run.
            Outcome::Deferred(_) if self.gave_up => (502, None),
            Outcome::Deferred(retry_later) => (503, Some(retry_later.wait.unwrap_or(RETRY_AFTER))),
            Outcome::Unreported { queued, .. } => (if *queued { 200 } else { 503 }, None),
            Outcome::Unconfirmed(_) => (504, None),
            Outcome::Unreadable { too_large, .. } => (if *too_large { 413 } else { 400 }, None),
            Outcome::Unauthenticated(VerifyError::HooksDisabled) => (403, None),
            Outcome::Unauthenticated(_) => (401, None),
        };
        Reply { status, retry_after, body: self.body() }
    }

    /// The outcome as JSON, for whoever asked directly.
    pub fn body(&self) -> Value {
        let is_authentic = !matches!(self.outcome, Outcome::Unauthenticated(_));
        let mut body =
            json!({ "runId": self.run_id.as_ref().filter(|_| is_authentic), "outcome": self.outcome.name() });
        if let Some(pipeline) = self.outcome.pipeline() {
            body["link"] = json!(pipeline.url);
        }
        if !is_authentic && !matches!(self.outcome, Outcome::Unauthenticated(VerifyError::HooksDisabled)) {
            // Nobody learns more by trying.
            let (reason, hint) = UNAUTHENTICATED;
            body["reason"] = json!(reason);
            body["hint"] = json!(hint);
        } else if let Some((reason, hint)) = self.outcome.reason() {
            body["reason"] = json!(reason);
            if let Some(hint) = hint {
                body["hint"] = json!(hint);
            }
        }
        body
    }
}
