//! Builds the report that Glint gets of an outcome.

use super::{GivenUp, Outcome, messages};
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus};
use crate::glint::run::{RunPatch, RunReport, TerminalStatus};

impl Outcome {
    /// What Glint is told, as a log line and a patch: nothing where the run has not changed.
    pub fn report(&self) -> Option<RunReport> {
        let label = |text: &str| Some(RunReport { log: None, update: RunPatch::label(text) });
        match self {
            Self::Started(pipeline) | Self::Unreported { pipeline, .. } => Some(started(pipeline)),
            Self::Invalid(error) => Some(failure(messages::NOT_STARTED, messages::refused(error))),
            Self::Rejected(text) => Some(failure(messages::NOT_STARTED, messages::rejected(text))),
            Self::GivenUp(GivenUp::NotStarted(why)) => {
                Some(failure(messages::NOT_STARTED, messages::never_started(why)))
            }
            Self::GivenUp(GivenUp::NotConfirmed(unconfirmed)) => {
                Some(failure(messages::NOT_CONFIRMED, messages::not_confirmed(&unconfirmed.project_url)))
            }
            Self::Deferred(_) => label(messages::WAITING_TO_RETRY),
            Self::Unconfirmed(_) => label(messages::WAITING_TO_CONFIRM),
            Self::Finished(event) => Some(finished(event)),
            Self::Progressed(event) => label(messages::label(event.status)),
            Self::Duplicate
            | Self::Ignored(_)
            | Self::Reported
            | Self::Enqueued
            | Self::Unreadable { .. }
            | Self::Unauthenticated(_) => None,
        }
    }
}

/// A report that ends the run with the reason.
fn failure(label: &str, text: String) -> RunReport {
    let update = RunPatch {
        status: Some(TerminalStatus::Failure),
        status_label: Some(label.to_owned()),
        summary: Some(text.clone()),
        ..RunPatch::default()
    };
    RunReport { log: Some(text), update }
}

fn started(pipeline: &Pipeline) -> RunReport {
    RunReport {
        log: Some(messages::created(pipeline)),
        update: RunPatch {
            status_label: Some(messages::CREATED.to_owned()),
            links: vec![pipeline.url.clone()],
            external_run_id: pipeline.external_id(),
            ..RunPatch::default()
        },
    }
}

fn finished(event: &PipelineEvent) -> RunReport {
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
