//! The table of outcomes of `docs/outcomes.md`, made from the code.

use super::{GivenUp, Handled, Outcome, RetryLater, Unconfirmed};
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus};
use crate::glint::message::Unreadable;
use crate::glint::run::{RunReport, TerminalStatus};
use crate::trigger::ValidationError;
use crate::verify::VerifyError;

/// A row of the table: samples of an outcome, and when it happens.
type Row = (Vec<Outcome>, &'static str);

fn rows() -> Vec<Row> {
    let pipeline = Pipeline { id: 2, project_id: Some(1), url: "…".to_owned() };
    let event = |status| Box::new(PipelineEvent::new(pipeline.clone(), String::new(), status));
    let unconfirmed = || Unconfirmed { why: String::new(), project_url: String::new() };
    let given_up = vec![
        Outcome::GivenUp(GivenUp::NotStarted(String::new())),
        Outcome::GivenUp(GivenUp::NotConfirmed(unconfirmed())),
    ];
    vec![
        (vec![Outcome::Started(pipeline.clone())], "GitLab created the pipeline"),
        (vec![Outcome::Duplicate], "the run is linked or ended already"),
        (
            vec![Outcome::Ignored("")],
            "not a run for GitLab, a change-log message, or a run that Glint does not know and whose message is older than a minute",
        ),
        (
            vec![Outcome::Invalid(ValidationError::new("", ""))],
            "the action, its inputs or the function's secrets need a change first",
        ),
        (vec![Outcome::Rejected(String::new())], "GitLab said no: any 4xx but 408, 409, 425 and 429, or a redirect"),
        (
            vec![Outcome::Deferred(RetryLater::new(""))],
            "nothing was created and trying again may help: Glint or AWS is down, GitLab throttles or cannot be reached, or the run waits for approval",
        ),
        (given_up, "a deferred or unconfirmed run has no further attempt"),
        (
            vec![Outcome::Unreported { pipeline: pipeline.clone(), queued: false }],
            "GitLab created the pipeline and Glint cannot be told in time",
        ),
        (vec![Outcome::Reported], "a queued report reached Glint"),
        (vec![Outcome::Unconfirmed(unconfirmed())], "the trigger was sent, and its answer is lost or proves nothing"),
        (vec![Outcome::Finished(event(PipelineStatus::Success))], "the pipeline ended"),
        (vec![Outcome::Progressed(event(PipelineStatus::Running))], "the pipeline moved on"),
        (vec![Outcome::Enqueued], "the verified delivery waits on `RUNS_QUEUE_URL`"),
        (vec![Outcome::Unreadable { why: Unreadable::message(""), too_large: false }], "no run id can be read"),
        (vec![Outcome::Unauthenticated(VerifyError::Missing)], "the signature is missing, wrong, or too old"),
    ]
}

/// The table in Markdown.
fn table() -> String {
    let mut out = String::from("| outcome | when | Glint shows | queue | webhook reply |\n|---|---|---|---|---|\n");
    for (samples, when) in rows() {
        let name = samples[0].name();
        let mut shown: Vec<String> = samples.iter().map(shows).collect();
        shown.dedup();
        let handled: Vec<Handled> = samples.into_iter().map(|outcome| Handled::new(None, outcome)).collect();
        let mut replies: Vec<String> = handled.iter().map(reply).collect();
        replies.dedup();
        let queue = if handled[0].should_redeliver() { "again" } else { "done" };
        out.push_str(&format!("| {name} | {when} | {} | {queue} | {} |\n", shown.join(" or "), replies.join(" or ")));
    }
    out
}

fn reply(handled: &Handled) -> String {
    // Only the queue brings a report.
    if matches!(handled.outcome, Outcome::Reported) {
        return "–".to_owned();
    }
    let reply = handled.reply();
    format!("{}{}", reply.status, if reply.retry_after.is_some() { " + `Retry-After`" } else { "" })
}

fn shows(outcome: &Outcome) -> String {
    match (outcome, outcome.report()) {
        (Outcome::Unreported { .. }, _) => {
            "nothing yet; with `RUNS_QUEUE_URL` the report is queued, and the delivery is done".to_owned()
        }
        (Outcome::Reported, _) => "what the report says".to_owned(),
        (_, Some(report)) => describe(&report),
        (_, None) => "nothing changes".to_owned(),
    }
}

fn describe(report: &RunReport) -> String {
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

#[test]
fn the_readme_carries_the_table_of_outcomes() {
    let table = table();
    let document = include_str!("../../docs/outcomes.md");
    assert!(document.contains(&table), "the table of `docs/outcomes.md` is not the code's, which is:\n\n{table}");
}
