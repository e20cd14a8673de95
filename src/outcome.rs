//! What happened to a delivery. From that alone follow the report to Glint, the response to the source, and the metric.

pub mod claim;
pub mod deployment;
pub mod messages;
mod report;
#[cfg(test)]
mod table;

use std::time::Duration;

use serde_json::{Value, json};

use crate::gitlab::types::{Pipeline, PipelineEvent};
use crate::glint::GlintError;
use crate::glint::message::Unreadable;
use crate::glint::run::RunId;
use crate::telemetry::Metric;
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
    /// There is no further attempt, so the run was ended with the reason.
    GivenUp(GivenUp),
    /// GitLab created the pipeline, and Glint could not be told: whether the report is queued.
    Unreported { pipeline: Pipeline, queued: bool },
    /// A queued report reached Glint.
    Reported,
    /// The trigger was sent, and nobody knows whether it created a pipeline.
    Unconfirmed(Unconfirmed),
    /// The pipeline ended, and so did the run.
    Finished(Box<PipelineEvent>),
    /// The pipeline moved on, and the run's label with it.
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
}

/// Why a run was ended although trying again might have helped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Nothing was created.
    NotStarted(String),
    /// A pipeline may exist.
    NotConfirmed(Unconfirmed),
}

/// An outcome, and the run that it is about.
#[derive(Clone, Debug)]
pub struct Handled {
    pub run_id: Option<RunId>,
    pub outcome: Outcome,
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
    /// The outcome's name in logs, replies and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "Started",
            Self::Duplicate => "Duplicate",
            Self::Ignored(_) => "Ignored",
            Self::Invalid(_) => "Invalid",
            Self::Rejected(_) => "Rejected",
            Self::Deferred(_) => "Deferred",
            Self::GivenUp(_) => "GivenUp",
            Self::Unreported { .. } => "Unreported",
            Self::Reported => "Reported",
            Self::Unconfirmed(_) => "Unconfirmed",
            Self::Finished(_) => "Finished",
            Self::Progressed(_) => "Progressed",
            Self::Enqueued => "Enqueued",
            Self::Unreadable { .. } => "Unreadable",
            Self::Unauthenticated(_) => "Unauthenticated",
        }
    }

    /// Whether the request does not prove which run it means: nothing is written to that run then.
    pub fn is_unproven(&self) -> bool {
        matches!(self, Self::Unauthenticated(_) | Self::Unreadable { .. })
    }

    /// The metric that counts it.
    pub fn metric(&self) -> Metric {
        match self {
            Self::Started(_) => Metric::RunsStarted,
            Self::Duplicate => Metric::RunsDuplicate,
            Self::Ignored(_) => Metric::RunsIgnored,
            Self::Invalid(_) => Metric::RunsInvalid,
            Self::Rejected(_) => Metric::RunsRejected,
            Self::Deferred(_) => Metric::RunsDeferred,
            Self::GivenUp(_) => Metric::RunsGivenUp,
            Self::Unreported { .. } => Metric::RunsUnreported,
            Self::Reported => Metric::RunsReported,
            Self::Unconfirmed(_) => Metric::RunsUnconfirmed,
            Self::Finished(_) => Metric::RunsFinished,
            Self::Progressed(_) => Metric::RunsProgressed,
            Self::Enqueued => Metric::RunsEnqueued,
            Self::Unreadable { .. } => Metric::RunsUnreadable,
            Self::Unauthenticated(_) => Metric::RunsUnauthenticated,
        }
    }

    /// How loudly it is logged.
    pub fn level(&self) -> Level {
        match self {
            Self::GivenUp(_) | Self::Unreported { .. } | Self::Unconfirmed(_) => Level::Error,
            Self::Invalid(_)
            | Self::Rejected(_)
            | Self::Deferred(_)
            | Self::Unreadable { .. }
            | Self::Unauthenticated(_) => Level::Warn,
            _ => Level::Info,
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
        const LOOK: &str = "look at the project's pipelines before running it again";
        match self {
            Self::Ignored(why) => Some(((*why).to_owned(), None)),
            Self::Invalid(error) => Some((error.what.clone(), Some(&error.hint))),
            Self::Rejected(text) => Some((messages::rejected(text), None)),
            Self::Deferred(retry_later) => Some((retry_later.why.clone(), None)),
            Self::GivenUp(GivenUp::NotStarted(why)) => Some((why.clone(), None)),
            Self::GivenUp(GivenUp::NotConfirmed(unconfirmed)) | Self::Unconfirmed(unconfirmed) => {
                Some((unconfirmed.why.clone(), Some(LOOK)))
            }
            Self::Unreadable { why, .. } => Some((why.what.clone(), Some(why.hint))),
            Self::Unauthenticated(error @ VerifyError::HooksDisabled) => {
                Some((error.to_string(), Some("set `GITLAB_HOOK_SECRET_ID` to the secret that hooks must prove")))
            }
            Self::Unauthenticated(error) => Some((
                format!("signature verification failed: {error}"),
                Some(
                    "Glint's messages need the client secret in the secret of `GLINT_SECRET_ID`, and GitLab's hooks what the secret of `GITLAB_HOOK_SECRET_ID` holds",
                ),
            )),
            Self::Duplicate
            | Self::Started(_)
            | Self::Unreported { .. }
            | Self::Reported
            | Self::Finished(_)
            | Self::Progressed(_)
            | Self::Enqueued => None,
        }
    }
}

/// How loudly an outcome is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
}

/// The outcome of a call to Glint that failed before a trigger was sent.
impl From<GlintError> for Outcome {
    fn from(error: GlintError) -> Self {
        match error {
            GlintError::UnknownRun => Self::Ignored("Glint knows no such run"),
            GlintError::Unavailable { after, .. } => Self::Deferred(RetryLater { why: error.to_string(), wait: after }),
            error => Self::Deferred(RetryLater::new(error)),
        }
    }
}

impl Handled {
    pub fn new(run_id: Option<RunId>, outcome: Outcome) -> Self {
        Self { run_id, outcome }
    }

    /// Whether the source has to deliver it again.
    pub fn should_redeliver(&self) -> bool {
        match &self.outcome {
            Outcome::Deferred(_)
            | Outcome::Unconfirmed(_)
            | Outcome::Unreadable { .. }
            | Outcome::Unauthenticated(_) => true,
            Outcome::Unreported { queued, .. } => !queued,
            _ => false,
        }
    }

    /// The answer to a webhook.
    pub fn reply(&self) -> Reply {
        let (status, retry_after) = match &self.outcome {
            Outcome::Started(_)
            | Outcome::Duplicate
            | Outcome::Ignored(_)
            | Outcome::Reported
            | Outcome::Finished(_)
            | Outcome::Progressed(_) => (200, None),
            Outcome::Enqueued => (202, None),
            Outcome::Invalid(_) => (422, None),
            // Another try would find an ended run.
            Outcome::Rejected(_) | Outcome::GivenUp(GivenUp::NotStarted(_)) => (502, None),
            Outcome::Deferred(retry_later) => (503, Some(retry_later.wait.unwrap_or(RETRY_AFTER))),
            Outcome::Unreported { queued, .. } => (if *queued { 200 } else { 503 }, None),
            Outcome::Unconfirmed(_) | Outcome::GivenUp(GivenUp::NotConfirmed(_)) => (504, None),
            Outcome::Unreadable { too_large, .. } => (if *too_large { 413 } else { 400 }, None),
            Outcome::Unauthenticated(VerifyError::HooksDisabled) => (403, None),
            Outcome::Unauthenticated(_) => (401, None),
        };
        Reply { status, retry_after, body: self.body() }
    }

    /// The outcome as JSON, for a webhook or a direct invoke.
    pub fn body(&self) -> Value {
        let is_authentic = !matches!(self.outcome, Outcome::Unauthenticated(_));
        let run_id = self.run_id.as_ref().filter(|_| is_authentic);
        let mut body = json!({ "runId": run_id, "outcome": self.outcome.name() });
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
