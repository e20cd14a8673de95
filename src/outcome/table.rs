//! The table of outcomes, as the README carries it: made from the code, so that it cannot say anything else.

use super::{Handled, Outcome, RetryLater, Unconfirmed};
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus};
use crate::glint::message::Unreadable;
use crate::glint::run::{RunReport, TerminalStatus};
use crate::trigger::ValidationError;
use crate::verify::VerifyError;

/// One sample of each outcome, with when it happens.
fn samples() -> Vec<(Outcome, &'static str)> {
    let pipeline = Pipeline { id: 2, project_id: 1, url: "…".to_owned() };
    let event = |status| {
        Box::new(PipelineEvent {
            pipeline: pipeline.clone(),
            project: String::new(),
            status,
            sha: None,
            failed_jobs: Vec::new(),
            run_token: None,
        })
    };
    let unconfirmed =
        Unconfirmed { why: String::new(), project_url: String::new(), foreign_label: false, settled: true };
    vec![
        (Outcome::Started(pipeline.clone()), "GitLab created the pipeline"),
        (Outcome::Duplicate, "the run is linked or ended already"),
        (Outcome::Ignored(""), "not a run for GitLab, a change-log message, or a run that Glint does not know"),
        (
            Outcome::Invalid(ValidationError::new("", "")),
            "the action, its inputs or the function's secrets need a change first",
        ),
        (Outcome::Rejected(String::new()), "GitLab said no: 400, 401, 403, 404, 405, 413, 422 or a redirect"),
        (
            Outcome::Deferred(RetryLater::new("")),
            "nothing was created and trying again may help: Glint or Secrets Manager is down, GitLab throttles or cannot be reached, or the run waits for approval",
        ),
        (
            Outcome::Unreported { pipeline: pipeline.clone(), queued: false },
            "GitLab created the pipeline and Glint cannot be told in time",
        ),
        (Outcome::Unconfirmed(unconfirmed), "the trigger was sent, and its answer is lost or a 5xx"),
        (Outcome::Finished(event(PipelineStatus::Success)), "the pipeline ended"),
        (Outcome::Progressed(event(PipelineStatus::Running)), "the pipeline is pending or running"),
        (Outcome::Enqueued, "the verified delivery waits on `RUNS_QUEUE_URL`"),
        (Outcome::Unreadable { why: Unreadable::message(""), too_large: false }, "no run id can be read"),
        (Outcome::Unauthenticated(VerifyError::Missing), "the signature is missing, wrong, or too old"),
    ]
}

/// The table in Markdown.
pub fn table() -> String {
    let mut out = String::from("| outcome | when | Glint shows | queue | webhook reply |\n|---|---|---|---|---|\n");
    for (outcome, when) in samples() {
        let shows = shows(&outcome);
        let handled = Handled::new(None, outcome);
        let queue = if handled.should_redeliver() { "again" } else { "done" };
        let reply = handled.reply();
        let retry_after = if reply.retry_after.is_some() { " + `Retry-After`" } else { "" };
        out.push_str(&format!(
            "| {} | {when} | {shows} | {queue} | {}{retry_after} |\n",
            handled.outcome.name(),
            reply.status
        ));
    }
    out
}

fn shows(outcome: &Outcome) -> String {
    // The link of a pipeline that Glint could not be told of is in the function's log alone.
    let told = if matches!(outcome, Outcome::Unreported { .. }) { None } else { outcome.report(false) };
    let Some(now) = told else { return "nothing changes".to_owned() };
    let at_the_end = outcome.report(true).filter(|last| *last != now);
    let last = at_the_end.map(|last| format!("; at the last receive {}", described(&last))).unwrap_or_default();
    described(&now) + &last
}

fn described(report: &RunReport) -> String {
    let update = &report.update;
    let mut parts = Vec::new();
    parts.extend(report.log.as_ref().map(|_| "a log line".to_owned()));
    parts.extend(update.links.first().map(|_| "`link`".to_owned()));
    parts.extend(update.external_run_id.as_ref().map(|_| "`externalRunId`".to_owned()));
    parts.extend(update.status.map(|status| {
        if status == TerminalStatus::Success { "`SUCCESS` or `FAILURE`" } else { "`FAILURE`" }.to_owned()
    }));
    parts.extend(update.status_label.as_ref().map(|label| format!("label `{label}`")));
    parts.extend(update.summary.as_ref().map(|_| "the summary".to_owned()));
    parts.join(", ")
}
