//! What happened to a delivery, and from that alone: what Glint is told, what the source is told, what is counted.

mod table;

pub use table::table;

use std::time::Duration;

use serde_json::{Value, json};

use crate::message::Unreadable;
use crate::pipeline::{Pipeline, Progress};
use crate::plan::Refusal;
use crate::run::{Ending, RunId, Telling, Update};
use crate::signature::Forged;
use crate::words;

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
    Refused(Refusal),
    /// GitLab said no, in these words.
    Rejected(String),
    /// Nothing was created, and trying again may help.
    Deferred(Deferral),
    /// GitLab created the pipeline, and Glint could not be told: whether the report is queued.
    Unreported { pipeline: Pipeline, queued: bool },
    /// The trigger was sent, and nobody knows whether it created a pipeline.
    Unconfirmed(Doubt),
    /// The pipeline ended, and so did the run.
    Finished(Box<Progress>),
    /// The pipeline moved on, and the run's label with it.
    Followed(Box<Progress>),
    /// The delivery waits on the runs queue.
    HandedOver,
    /// No run can be told of it.
    Unreadable { why: Unreadable, too_large: bool },
    /// Nothing proves that it is genuine.
    Unproven(Forged),
}

/// Why a run has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    pub why: String,
    /// How long, where an upstream said so.
    pub wait: Option<Duration>,
}

impl Deferral {
    pub fn new(why: impl ToString) -> Self {
        Self { why: why.to_string(), wait: None }
    }
}

/// Why a pipeline is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
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
pub struct Verdict {
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

impl Outcome {
    /// What Glint is told, as a log line and an update: nothing where the run has not changed. With `give_up`, what ends it.
    pub fn telling(&self, give_up: bool) -> Option<Telling> {
        let failure = |label: &str, text: String| {
            let update = Update {
                status: Some(Ending::Failure),
                status_label: Some(label.to_owned()),
                summary: Some(text.clone()),
                ..Update::default()
            };
            Some(Telling { log: Some(text), update })
        };
        let label = |text: &str| Some(Telling { log: None, update: Update::label(text) });
        match self {
            Self::Started(pipeline) | Self::Unreported { pipeline, .. } => Some(started(pipeline)),
            Self::Refused(refusal) => failure(words::NOT_STARTED, words::refused(refusal)),
            Self::Rejected(text) => failure(words::NOT_STARTED, words::rejected(text)),
            Self::Deferred(deferral) if give_up => failure(words::NOT_STARTED, words::never_started(&deferral.why)),
            Self::Deferred(_) => label(words::WAITING_TO_RETRY),
            Self::Unconfirmed(doubt) if doubt.foreign_label => None,
            Self::Unconfirmed(doubt) if give_up => {
                failure(words::NOT_CONFIRMED, words::not_confirmed(&doubt.project_url))
            }
            Self::Unconfirmed(_) => label(words::WAITING_TO_CONFIRM),
            Self::Finished(progress) => Some(finished(progress)),
            Self::Followed(progress) => label(words::label(progress.phase)),
            Self::Duplicate | Self::Ignored(_) | Self::HandedOver | Self::Unreadable { .. } | Self::Unproven(_) => None,
        }
    }

    /// The outcome's name in logs, replies and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "Started",
            Self::Duplicate => "Duplicate",
            Self::Ignored(_) => "Ignored",
            Self::Refused(_) => "Refused",
            Self::Rejected(_) => "Rejected",
            Self::Deferred(_) => "Deferred",
            Self::Unreported { .. } => "Unreported",
            Self::Unconfirmed(_) => "Unconfirmed",
            Self::Finished(_) => "Finished",
            Self::Followed(_) => "Followed",
            Self::HandedOver => "HandedOver",
            Self::Unreadable { .. } => "Unreadable",
            Self::Unproven(_) => "Unproven",
        }
    }

    /// The pipeline it tells of.
    pub fn pipeline(&self) -> Option<&Pipeline> {
        match self {
            Self::Started(pipeline) | Self::Unreported { pipeline, .. } => Some(pipeline),
            Self::Finished(progress) | Self::Followed(progress) => Some(&progress.pipeline),
            _ => None,
        }
    }

    /// What to say of it beyond its name: the reason, and a hint where there is one.
    pub fn reason(&self) -> Option<(String, Option<&str>)> {
        match self {
            Self::Ignored(why) => Some(((*why).to_owned(), None)),
            Self::Refused(refusal) => Some((refusal.what.clone(), Some(&refusal.hint))),
            Self::Rejected(text) => Some((words::rejected(text), None)),
            Self::Deferred(deferral) => Some((deferral.why.clone(), None)),
            Self::Unconfirmed(doubt) => {
                Some((doubt.why.clone(), Some("look at the project's pipelines before running it again")))
            }
            Self::Unreadable { why, too_large: true } => Some((why.to_string(), Some("let the action send less"))),
            Self::Unreadable { why, .. } => {
                Some((why.to_string(), Some("send the message as Glint does, with `context.runId`")))
            }
            Self::Unproven(forged @ Forged::NotWanted) => {
                Some((forged.to_string(), Some("set `GITLAB_HOOK_SECRET_ID` to the secret that hooks must prove")))
            }
            Self::Unproven(forged) => Some((
                format!("the delivery is not believed: {forged}"),
                Some(
                    "Glint's messages need its client secret, as the function's Glint secret holds it, and GitLab's hooks what the secret of `GITLAB_HOOK_SECRET_ID` holds",
                ),
            )),
            Self::Duplicate
            | Self::Started(_)
            | Self::Unreported { .. }
            | Self::Finished(_)
            | Self::Followed(_)
            | Self::HandedOver => None,
        }
    }
}

fn started(pipeline: &Pipeline) -> Telling {
    Telling {
        log: Some(words::created(pipeline)),
        update: Update {
            status_label: Some(words::CREATED.to_owned()),
            link: Some(pipeline.url.clone()),
            external_run_id: Some(pipeline.external_id()),
            ..Update::default()
        },
    }
}

fn finished(progress: &Progress) -> Telling {
    use crate::pipeline::Phase;
    let text = words::finished(progress);
    let status = if progress.phase == Phase::Success { Ending::Success } else { Ending::Failure };
    Telling {
        update: Update {
            status: Some(status),
            status_label: Some(words::label(progress.phase).to_owned()),
            summary: Some(text.clone()),
            ..Update::default()
        },
        log: Some(text),
    }
}

impl Verdict {
    pub fn new(run_id: Option<RunId>, outcome: Outcome) -> Self {
        Self { run_id, outcome, gave_up: false }
    }

    /// Whether the source has to bring the delivery again.
    pub fn again(&self) -> bool {
        match &self.outcome {
            Outcome::Deferred(_) | Outcome::Unconfirmed(_) => !self.gave_up,
            Outcome::Unreported { queued, .. } => !queued,
            Outcome::Unreadable { .. } | Outcome::Unproven(_) => true,
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
            | Outcome::Followed(_) => (200, None),
            Outcome::HandedOver => (202, None),
            Outcome::Refused(_) => (422, None),
            Outcome::Rejected(_) => (502, None),
            // Another try would find an ended run.
            Outcome::Deferred(_) if self.gave_up => (502, None),
            Outcome::Deferred(deferral) => (503, Some(deferral.wait.unwrap_or(RETRY_AFTER))),
            Outcome::Unreported { queued, .. } => (if *queued { 200 } else { 503 }, None),
            Outcome::Unconfirmed(_) => (504, None),
            Outcome::Unreadable { too_large, .. } => (if *too_large { 413 } else { 400 }, None),
            Outcome::Unproven(Forged::NotWanted) => (403, None),
            Outcome::Unproven(_) => (401, None),
        };
        Reply { status, retry_after, body: self.body() }
    }

    /// The outcome as JSON, for whoever asked directly.
    pub fn body(&self) -> Value {
        let mut body = json!({ "runId": self.run_id, "outcome": self.outcome.name() });
        if let Some(pipeline) = self.outcome.pipeline() {
            body["link"] = json!(pipeline.url);
        }
        if let Some((reason, hint)) = self.outcome.reason() {
            body["reason"] = json!(reason);
            if let Some(hint) = hint {
                body["hint"] = json!(hint);
            }
        }
        body
    }
}
