//! The labels and sentences that people read in Glint.

use crate::gitlab::types::{Job, Pipeline, PipelineEvent, PipelineStatus};
use crate::trigger::ValidationError;

/// The label while the trigger is being sent: part of the claim.
pub const TRIGGERING: &str = "Triggering GitLab pipeline";
/// The label when the answer to the trigger was lost: the claim stays.
pub const WAITING_TO_CONFIRM: &str = "Waiting for GitLab to confirm";
/// The label when nothing was created and the run is delivered again.
pub const WAITING_TO_RETRY: &str = "Waiting to retry";
/// The label from the pipeline's creation until its first hook.
pub const CREATED: &str = "GitLab pipeline created";
/// The label of a run that never became a pipeline.
pub const NOT_STARTED: &str = "Not started";
/// The label of a run whose pipeline may or may not exist.
pub const NOT_CONFIRMED: &str = "Not confirmed by GitLab";

/// The failed jobs that are named; what broke a pipeline is among the first.
const MAX_JOBS: usize = 20;

/// The label of a pipeline that waits for a person to start a job.
pub const WAITING_FOR_MANUAL_JOB: &str = "Waiting for a manual job in GitLab";

/// Why a run whose trigger was sent and not answered has not started.
pub const NO_PIPELINE: &str = "GitLab has no pipeline of this run";

/// Whether `label` says that a trigger may have been sent.
pub fn is_claim(label: &str) -> bool {
    matches!(label, TRIGGERING | WAITING_TO_CONFIRM | NOT_CONFIRMED)
}

/// Whether `label` is one that a run has while nothing was created for it.
pub fn is_open(label: &str) -> bool {
    matches!(label, "" | WAITING_TO_RETRY | NOT_STARTED)
}

/// Whether `label` is one that only a run with a pipeline has.
pub fn is_progress(label: &str) -> bool {
    label == WAITING_FOR_MANUAL_JOB || label.starts_with("GitLab pipeline ")
}

/// Whether a run that is in progress and has the label `current` may get the label `new`: not where somebody else set it, and never back.
pub fn may_replace(current: Option<&str>, new: &str) -> bool {
    fn rank(label: &str) -> Option<u8> {
        match label {
            _ if is_open(label) || is_claim(label) => Some(0),
            CREATED => Some(1),
            "GitLab pipeline pending" => Some(2),
            "GitLab pipeline running" | WAITING_FOR_MANUAL_JOB => Some(3),
            _ if is_progress(label) => Some(4),
            _ => None,
        }
    }
    rank(current.unwrap_or_default()).is_some_and(|rank_now| rank(new).is_some_and(|rank| rank >= rank_now))
}

pub fn created(pipeline: &Pipeline) -> String {
    format!("GitLab pipeline created: {}", pipeline.url)
}

pub fn refused(error: &ValidationError) -> String {
    format!("No pipeline was started: {}\nhint: {}", error.what, error.hint)
}

pub fn rejected(words: &str) -> String {
    format!("GitLab did not start the pipeline: {words}")
}

/// At the final attempt of a run for which nothing was created.
pub fn never_started(reason: &str) -> String {
    format!(
        "No pipeline was started, and retries are exhausted: {reason}\nhint: run the action again once this is over"
    )
}

/// At the final attempt of a run whose trigger was sent and never answered.
pub fn not_confirmed(project_url: &str) -> String {
    format!("GitLab did not confirm the pipeline; look at {project_url}/-/pipelines before running it again")
}

/// For a run whose trigger was sent and not answered, and that no delivery works on any more.
pub fn claim_expired() -> String {
    "GitLab did not confirm the pipeline within a day\nhint: look at the project's pipelines before running the action again".to_owned()
}

/// The label of a run whose pipeline is in `status`.
pub fn label(status: PipelineStatus) -> &'static str {
    match status {
        PipelineStatus::Pending => "GitLab pipeline pending",
        PipelineStatus::Running => "GitLab pipeline running",
        PipelineStatus::Manual => WAITING_FOR_MANUAL_JOB,
        PipelineStatus::Success => "GitLab pipeline succeeded",
        PipelineStatus::Failed => "GitLab pipeline failed",
        PipelineStatus::Canceled => "GitLab pipeline canceled",
        PipelineStatus::Skipped => "GitLab pipeline skipped",
        PipelineStatus::Deleted => "GitLab pipeline deleted",
    }
}

/// The log line at the pipeline's end, with each failed job on a line of its own.
pub fn finished(event: &PipelineEvent) -> String {
    format!("{}: {}{}", label(event.status), event.pipeline.url, failed_jobs(event))
}

/// The log line of a pipeline that waits for somebody to start a job.
pub fn waiting_for_manual_job(event: &PipelineEvent) -> String {
    let job = event.manual_jobs.first().map(|job| {
        format!("\njob `{}` of stage `{}` can be started: {}", job.name, job.stage, event.pipeline.job_url(job.id))
    });
    format!("{WAITING_FOR_MANUAL_JOB}: {}{}{}", event.pipeline.url, job.unwrap_or_default(), failed_jobs(event))
}

fn failed_jobs(event: &PipelineEvent) -> String {
    let mut text = String::new();
    for job in event.failed_jobs.iter().take(MAX_JOBS) {
        text.push_str(&format!("\n{}", failed_job(event, job)));
    }
    if event.failed_jobs.len() > MAX_JOBS {
        text.push_str("\nand more jobs failed");
    }
    text
}

fn failed_job(event: &PipelineEvent, job: &Job) -> String {
    let reason = job.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("job `{}` of stage `{}` failed{reason}: {}", job.name, job.stage, event.pipeline.job_url(job.id))
}
