//! Tells Glint what became of a run: now, or by way of the runs queue where Glint cannot be told in time.

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::attempt::LastKnown;
use super::context::Context;
use super::verify_delivery::QueuedReport;
use crate::aws::queue_message::{self, REPORT};
use crate::aws::sqs::Message;
use crate::deadlines::ENQUEUE_RESERVE;
use crate::gitlab::types::Pipeline;
use crate::glint::run::{RunId, RunPatch, RunReport, RunState, RunStatus};
use crate::glint::{GlintError, PatchResult};
use crate::outcome::memory::links_with;
use crate::outcome::{Outcome, messages};
use crate::retry::Retry as _;

/// Links the run with its pipeline, then adds the log line. Queues both where Glint cannot be told in time.
pub async fn link_pipeline(context: &Context, run: &RunId, pipeline: Pipeline, known: &LastKnown) -> Outcome {
    let started = Outcome::Started(pipeline.clone());
    let Some(mut report) = started.report() else { return started };
    report.update.links = links_with(&pipeline.url, &known.links);
    report.update.status_label =
        report.update.status_label.filter(|label| messages::may_replace(known.label.as_deref(), label));
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

/// Applies a queued report. A run that has ended, or has its pipeline, meanwhile is left as it is, but for the log line.
pub async fn apply_report(context: &Context, queued: QueuedReport) -> Outcome {
    let applied = async {
        let state = context.run_state(&queued.run_id).await?;
        let is_linked = is_linked(context, &state);
        let is_ending = queued.report.update.status.is_some();
        if state.status == RunStatus::Ended || (is_linked && is_ending) {
            return Ok(());
        }
        let mut report = queued.report;
        if is_ending {
            return send_ending(context, &queued.run_id, &mut report, state.synchronized).await.map(drop);
        }
        if !is_linked {
            let RunPatch { links, status_label, .. } = &mut report.update;
            if let Some(ours) = links.first().cloned() {
                *links = links_with(&ours, &state.links);
            }
            *status_label = status_label.take().filter(|label| messages::may_replace(state.label.as_deref(), label));
            context.patch(&queued.run_id, &report.update).await?;
        }
        if let Some(line) = &report.log {
            drop(context.log(&queued.run_id, line).await);
        }
        Ok::<(), GlintError>(())
    };
    match applied.await {
        Ok(()) | Err(GlintError::UnknownRun) => Outcome::Reported,
        Err(error) => error.into(),
    }
}

fn is_linked(context: &Context, state: &RunState) -> bool {
    state.external_id.as_deref().is_some_and(|id| Pipeline::parse_external_id(id).is_some())
        || state.links.iter().any(|link| context.app.gitlab.is_pipeline_page(link, None))
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
        body: queue_message::write_report(run, &report),
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
    if id.len() <= MAX_LENGTH { id } else { Sha256::digest(&id).iter().map(|byte| format!("{byte:02x}")).collect() }
}
