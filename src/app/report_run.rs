//! Reports to Glint: at once, or through the runs queue where Glint cannot be reached in time.

use chrono::{DateTime, Utc};
use tokio::time::{Instant, timeout, timeout_at};

use super::attempt::LastKnown;
use super::context::Context;
use crate::aws::queue_message::{self, QueuedReport, REPORT};
use crate::aws::sqs::Message;
use crate::deadlines::{ENQUEUE_RESERVE, MAX_SIGHT_AGE, READ_AGAIN_TIMEOUT, REPORT_RESERVE};
use crate::gitlab::types::Pipeline;
use crate::glint::run::{RunId, RunPatch, RunReport, RunState, RunStatus};
use crate::glint::{GlintError, PatchResult};
use crate::outcome::claim::{has_claim_id, links_with};
use crate::outcome::{Outcome, messages};
use crate::retry::Retry as _;
use crate::source::DeliveryMetadata;
use crate::verify::sha256_hex;

/// Links the run with its pipeline, then adds the log line. Queues both where Glint cannot be told in time.
pub async fn link_pipeline(context: &Context, run: &RunId, pipeline: Pipeline, known: &LastKnown) -> Outcome {
    let started = Outcome::Started(pipeline.clone());
    let Some(mut report) = started.report() else { return started };
    let seen = read_again(context, run, known).await;
    if seen.as_ref().is_some_and(|state| state.status == RunStatus::Ended) {
        return started;
    }
    let (label, links) = seen.as_ref().map_or((&known.label, &known.links), |state| (&state.label, &state.links));
    report.update.links = links_with(&pipeline.url, links);
    report.update.status_label =
        report.update.status_label.filter(|label_now| messages::may_replace(label.as_deref(), label_now));
    let deadline = report_deadline(context);
    let linked = timeout_at(deadline, context.patch(run, &report.update)).await;
    match linked.unwrap_or_else(|_| Err(GlintError::out_of_time())) {
        Ok(PatchResult::Applied(_)) => {
            let line = report.log.unwrap_or_default();
            drop(timeout_at(deadline, context.log(run, &line)).await);
            started
        }
        // Its pipeline, or a person, was faster.
        Ok(PatchResult::AlreadyEnded) | Err(GlintError::UnknownRun) => started,
        Err(_) => {
            let queued = queue_report(context, run, report).await;
            Outcome::Unreported { pipeline, queued }
        }
    }
}

/// The run, where GitLab took so long to answer that a hook of its pipeline, or somebody else, may have written to it. Best effort, and not where
/// the time is wanted for the report itself.
async fn read_again(context: &Context, run: &RunId, known: &LastKnown) -> Option<RunState> {
    let is_old = known.seen_at.is_some_and(|seen_at| seen_at.elapsed() >= MAX_SIGHT_AGE);
    if !is_old || context.time_left() < REPORT_RESERVE + READ_AGAIN_TIMEOUT {
        return None;
    }
    timeout(READ_AGAIN_TIMEOUT, context.run_state(run)).await.ok()?.ok()
}

/// Tells Glint what ends the run, or has the queue do so later. Fails where neither works.
pub async fn end_run(
    context: &Context,
    run: &RunId,
    report: RunReport,
    is_synchronized: bool,
) -> Result<PatchResult, GlintError> {
    let mut unsent = report.clone();
    let now = timeout_at(report_deadline(context), send_ending(context, run, &mut unsent, is_synchronized)).await;
    match now.unwrap_or_else(|_| Err(GlintError::out_of_time())) {
        Err(error @ GlintError::Unavailable { .. }) if !is_synchronized => {
            if queue_report(context, run, unsent).await {
                Ok(PatchResult::AlreadyEnded)
            } else {
                Err(error)
            }
        }
        Err(GlintError::UnknownRun) => Ok(PatchResult::AlreadyEnded),
        other => other,
    }
}

/// Adds the log line, then sends the patch that ends the run: an ended run accepts no more. The line is taken out of the report once it was sent.
async fn send_ending(
    context: &Context,
    run: &RunId,
    report: &mut RunReport,
    is_synchronized: bool,
) -> Result<PatchResult, GlintError> {
    if let Some(line) = &report.log
        && context.log(run, line).await.is_ok()
    {
        report.log = None;
    }
    let status = report.update.status.filter(|_| !is_synchronized);
    context.patch(run, &RunPatch { status, ..report.update.clone() }).await
}

/// Applies a queued report. A run that has ended, or has its pipeline, meanwhile is left as it is, but for the log line, which an earlier receive
/// may have added already.
///
/// An end gives way to a claim that is newer than it: another message of the run is being handled, or its own dead letter, hook or sweep ends the run.
pub async fn apply_report(context: &Context, queued: QueuedReport, metadata: &DeliveryMetadata) -> Outcome {
    let QueuedReport { run_id, mut report, queued_at } = queued;
    let applied = async {
        let state = context.run_state(&run_id).await?;
        if state.status == RunStatus::Ended {
            return Ok(());
        }
        if report.update.status.is_some() {
            if has_pipeline(context, &state) || is_claimed_since(&state, queued_at) {
                return Ok(());
            }
            return send_ending(context, &run_id, &mut report, state.synchronized).await.map(drop);
        }
        if is_linked_to(&state, report.update.links.first()) {
            report.log = report.log.filter(|_| metadata.source.attempt() <= 1);
        } else {
            let RunPatch { links, status_label, .. } = &mut report.update;
            if let Some(ours) = links.first().cloned() {
                *links = links_with(&ours, &state.links);
            }
            *status_label = status_label.take().filter(|label| messages::may_replace(state.label.as_deref(), label));
            context.patch(&run_id, &report.update).await?;
        }
        if let Some(line) = &report.log {
            drop(context.log(&run_id, line).await);
        }
        Ok::<(), GlintError>(())
    };
    match applied.await {
        Ok(()) | Err(GlintError::UnknownRun) => Outcome::Reported,
        Err(error) => error.into(),
    }
}

/// Whether the run is linked, or carries the page of a pipeline, whichever that is.
fn has_pipeline(context: &Context, state: &RunState) -> bool {
    is_linked_to(state, None) || state.links.iter().any(|link| context.app.gitlab.is_pipeline_page(link, None))
}

/// Whether the run is linked: to any pipeline by its `externalRunId`, or by the link to `page` where Glint shows no id. Other links are those
/// of others.
fn is_linked_to(state: &RunState, page: Option<&String>) -> bool {
    match &state.external_id {
        Some(id) => Pipeline::parse_external_id(id).is_some(),
        None => page.is_some_and(|page| state.links.contains(page)),
    }
}

fn is_claimed_since(state: &RunState, time: Option<DateTime<Utc>>) -> bool {
    has_claim_id(state) && state.updated_at.zip(time).is_some_and(|(updated_at, time)| updated_at > time)
}

/// When a report that Glint has not taken goes to the queue, where there is one.
fn report_deadline(context: &Context) -> Instant {
    let last = context.call_deadline();
    if context.app.queue.is_some() { last.checked_sub(ENQUEUE_RESERVE).unwrap_or(last) } else { last }
}

/// Queues what Glint should be told of the run. Whether that worked.
async fn queue_report(context: &Context, run: &RunId, report: RunReport) -> bool {
    let Some(queue) = context.app.queue.as_ref() else { return false };
    let message = Message {
        body: queue_message::write_report(run, &report, context.utc()),
        group: run.to_string(),
        deduplication: deduplication(run),
        attributes: Vec::new(),
    };
    let Ok(message) = context.sign_message(REPORT, message).await else { return false };
    queue.send(&message, context.call_deadline()).await.is_ok()
}

/// `<run id>.report`, or its digest where that is longer than SQS takes.
fn deduplication(run: &RunId) -> String {
    const MAX_LENGTH: usize = 128;
    let id = format!("{run}.report");
    if id.len() <= MAX_LENGTH { id } else { sha256_hex(id) }
}
