//! The table of outcomes, as the README carries it: made from the code, so that it cannot say anything else.

use super::{Deferral, Doubt, Outcome, Verdict};
use crate::message::Unreadable;
use crate::pipeline::{Phase, Pipeline, Progress};
use crate::plan::Refusal;
use crate::run::{Ending, Telling};
use crate::signature::Forged;

/// One sample of each outcome, with when it happens.
fn samples() -> Vec<(Outcome, &'static str)> {
    let pipeline = Pipeline { id: 2, project_id: 1, url: "…".to_owned() };
    let progress = |phase| {
        Box::new(Progress {
            pipeline: pipeline.clone(),
            project: String::new(),
            phase,
            sha: None,
            failed_jobs: Vec::new(),
            claim: None,
        })
    };
    let doubt = Doubt { why: String::new(), project_url: String::new(), foreign_label: false, settled: true };
    vec![
        (Outcome::Started(pipeline.clone()), "GitLab created the pipeline"),
        (Outcome::Duplicate, "the run is linked or ended already"),
        (Outcome::Ignored(""), "not a run for GitLab, a change-log message, or a run that Glint does not know"),
        (
            Outcome::Refused(Refusal::new("", "")),
            "the action, its inputs or the function's secrets need a change first",
        ),
        (Outcome::Rejected(String::new()), "GitLab said no: 400, 401, 403, 404, 405, 413, 422 or a redirect"),
        (
            Outcome::Deferred(Deferral::new("")),
            "nothing was created and trying again may help: Glint or Secrets Manager is down, GitLab throttles or cannot be reached, or the run waits for approval",
        ),
        (
            Outcome::Unreported { pipeline: pipeline.clone(), queued: false },
            "GitLab created the pipeline and Glint cannot be told in time",
        ),
        (Outcome::Unconfirmed(doubt), "the trigger was sent, and its answer is lost or a 5xx"),
        (Outcome::Finished(progress(Phase::Success)), "the pipeline ended"),
        (Outcome::Followed(progress(Phase::Running)), "the pipeline is pending or running"),
        (Outcome::HandedOver, "the verified delivery waits on `RUNS_QUEUE_URL`"),
        (Outcome::Unreadable { why: Unreadable(String::new()), too_large: false }, "no run id can be read"),
        (Outcome::Unproven(Forged::Missing), "the signature is missing, wrong, or too old"),
    ]
}

/// The table in Markdown.
pub fn table() -> String {
    let mut out = String::from("| outcome | when | Glint shows | queue | webhook reply |\n|---|---|---|---|---|\n");
    for (outcome, when) in samples() {
        let shows = shows(&outcome);
        let verdict = Verdict::new(None, outcome);
        let queue = if verdict.again() { "again" } else { "done" };
        let reply = verdict.reply();
        let retry_after = if reply.retry_after.is_some() { " + `Retry-After`" } else { "" };
        out.push_str(&format!(
            "| {} | {when} | {shows} | {queue} | {}{retry_after} |\n",
            verdict.outcome.name(),
            reply.status
        ));
    }
    out
}

fn shows(outcome: &Outcome) -> String {
    // The link of a pipeline that Glint could not be told of is in the function's log alone.
    let told = if matches!(outcome, Outcome::Unreported { .. }) { None } else { outcome.telling(false) };
    let Some(now) = told else { return "nothing changes".to_owned() };
    let at_the_end = outcome.telling(true).filter(|last| *last != now);
    let last = at_the_end.map(|last| format!("; at the last receive {}", described(&last))).unwrap_or_default();
    described(&now) + &last
}

fn described(telling: &Telling) -> String {
    let update = &telling.update;
    let mut parts = Vec::new();
    parts.extend(telling.log.as_ref().map(|_| "a log line".to_owned()));
    parts.extend(update.link.as_ref().map(|_| "`link`".to_owned()));
    parts.extend(update.external_run_id.as_ref().map(|_| "`externalRunId`".to_owned()));
    parts.extend(
        update
            .status
            .map(|status| if status == Ending::Success { "`SUCCESS` or `FAILURE`" } else { "`FAILURE`" }.to_owned()),
    );
    parts.extend(update.status_label.as_ref().map(|label| format!("label `{label}`")));
    parts.extend(update.summary.as_ref().map(|_| "the summary".to_owned()));
    parts.join(", ")
}
