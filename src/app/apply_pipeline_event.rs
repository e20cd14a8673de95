//! Applies a verified pipeline event to its run: links it, moves its label, or ends it.

use super::context::Context;
use super::outputs::outputs;
use super::prove_event::{Proven, prove_event};
use crate::deadlines::MAX_CLOCK_SKEW;
use crate::gitlab::outputs::Outputs;
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus, pipeline_in};
use crate::glint::run::{RunPatch, RunState, RunStatus};
use crate::glint::{GlintError, PatchResult};
use crate::outcome::claim::{has_claim_id, links_with};
use crate::outcome::{Handled, Outcome, deployment, messages};

const UNPROVEN: &str = "nothing proves which run the pipeline is of";
const LINKED_ELSEWHERE: &str = "the run is linked to another pipeline";
const LEFT_TO_PIPELINE: &str = "the action leaves the run to its pipeline";
const NOT_IN_PROGRESS: &str = "the run is not in progress";
const RETRIED: &str = "the run had ended before its retried pipeline succeeded, and the entity was written";

/// Moves or ends the run that `event` belongs to. At the last attempt nothing but the run itself can hold that up.
pub async fn handle_pipeline_event(context: &Context, event: &PipelineEvent, is_last: bool) -> Handled {
    match prove_event(context, event).await {
        Ok(Some(proven)) => {
            let outcome = apply_pipeline_event(context, &proven, is_last).await.unwrap_or_else(|outcome| outcome);
            Handled::new(Some(proven.run_id), outcome)
        }
        Ok(None) => Handled::new(None, Outcome::Ignored(UNPROVEN)),
        Err(outcome) => Handled::new(None, outcome),
    }
}

/// Moves or ends the run of `proven`. Either side of the result is an outcome: `Err` is the way out early.
pub async fn apply_pipeline_event(context: &Context, proven: &Proven<'_>, is_last: bool) -> Result<Outcome, Outcome> {
    let (id, event) = (&proven.run_id, &*proven.event);
    let run = context.run_state(id).await.map_err(Outcome::from)?;
    let is_ours = matches!(run.status, RunStatus::InProgress | RunStatus::Ended);
    if !is_ours {
        return Ok(Outcome::Ignored(NOT_IN_PROGRESS));
    }
    if is_linked_elsewhere(&run, event) {
        return Ok(Outcome::Ignored(LINKED_ELSEWHERE));
    }
    let reports = event.run_proof.as_ref().is_none_or(|token| token.report_pipeline_status);
    match run.status {
        RunStatus::Ended if reports => record_retry(context, &run, event, is_last).await,
        RunStatus::Ended => Ok(Outcome::Duplicate),
        _ if !reports => link_only(context, &run, event).await,
        _ if event.status.is_final() => finish_run(context, &run, event, is_last).await,
        _ => update_label(context, &run, event).await,
    }
}

async fn link_only(context: &Context, run: &RunState, event: &PipelineEvent) -> Result<Outcome, Outcome> {
    let mut patch = link_patch(run, &event.pipeline);
    if !patch.links.is_empty() {
        let label = Some(messages::CREATED).filter(|label| messages::may_replace(run.label.as_deref(), label));
        patch.status_label = label.map(str::to_owned);
        context.patch(&run.id, &patch).await.map_err(Outcome::from)?;
    }
    Ok(Outcome::Ignored(LEFT_TO_PIPELINE))
}

/// Moves the label. The log line that names a manual job comes behind the PATCH, so that it is not there twice if that has to be repeated.
async fn update_label(context: &Context, run: &RunState, event: &PipelineEvent) -> Result<Outcome, Outcome> {
    let label = messages::label(event.status);
    let current = run.label.as_deref();
    let moves = current != Some(label) && messages::may_replace(current, label) && !is_stale(run, event);
    let mut patch = link_patch(run, &event.pipeline);
    if !moves && patch.links.is_empty() {
        return Ok(Outcome::Duplicate);
    }
    patch.status_label = moves.then(|| label.to_owned());
    match context.patch(&run.id, &patch).await.map_err(Outcome::from)? {
        PatchResult::Applied(_) if moves && event.status == PipelineStatus::Manual => {
            drop(context.log(&run.id, &messages::waiting_for_manual_job(event)).await);
        }
        PatchResult::Applied(_) => {}
        PatchResult::AlreadyEnded => return Ok(Outcome::Duplicate),
    }
    Ok(Outcome::Progressed(Box::new(event.clone())))
}

/// Ends the run: the entity, then the log, then at once the PATCH, after which Glint takes nothing more.
async fn finish_run(
    context: &Context,
    run: &RunState,
    event: &PipelineEvent,
    is_last: bool,
) -> Result<Outcome, Outcome> {
    let outcome = Outcome::Finished(Box::new(event.clone()));
    let Some(mut report) = outcome.report() else { return Ok(outcome) };
    let outputs = outputs(context, event, is_last).await?;
    let mut troubles = outputs_trouble(&outputs, context.app.config.outputs_file.as_deref());
    if event.status == PipelineStatus::Success {
        troubles.extend(write_entity(context, run, event, &outputs, true, is_last).await?);
    }
    if let (Some(summary), Some(text)) = (&outputs.summary, &mut report.update.summary) {
        text.push_str(&format!("\n{summary}"));
        report.log.clone_from(&report.update.summary);
    }
    let link = link_patch(run, &event.pipeline);
    report.update.external_run_id = link.external_run_id;
    report.update.links = link.links;
    if !outputs.links.is_empty() {
        report.update.links = links_with(&event.pipeline.url, run.links.iter().chain(&outputs.links));
    }
    if run.synchronized {
        report.update.status = None;
    }
    for line in report.log.iter().chain(&troubles) {
        drop(context.log(&run.id, line).await);
    }
    match context.patch(&run.id, &report.update).await.map_err(Outcome::from)? {
        PatchResult::Applied(_) => Ok(outcome),
        PatchResult::AlreadyEnded => Ok(Outcome::Duplicate),
    }
}

/// Writes the entity of a pipeline that was retried after its run had ended, and then succeeded. The run is left alone.
async fn record_retry(
    context: &Context,
    run: &RunState,
    event: &PipelineEvent,
    is_last: bool,
) -> Result<Outcome, Outcome> {
    // A run that is a success already has its entity, or a pipeline that reports for itself.
    let is_news = event.status == PipelineStatus::Success && !run.has_succeeded && ended_before(run, event);
    if !is_news || context.app.config.deployment.is_none() {
        return Ok(Outcome::Duplicate);
    }
    let outputs = outputs(context, event, is_last).await?;
    if write_entity(context, run, event, &outputs, false, is_last).await?.is_some() {
        return Ok(Outcome::Duplicate);
    }
    tracing::info!(
        run_id = run.id.as_str(),
        "the pipeline of run `{}` was retried after the run had ended, and succeeded: its entity was written",
        run.id
    );
    Ok(Outcome::Ignored(RETRIED))
}

/// Writes the deployment entity, where one is wanted: in the name of the run while that is in progress. What Glint will not take comes back
/// as a sentence for the run's log, and holds nothing up.
async fn write_entity(
    context: &Context,
    run: &RunState,
    event: &PipelineEvent,
    outputs: &Outputs,
    in_progress: bool,
    is_last: bool,
) -> Result<Option<String>, Outcome> {
    let Some(deployment) = &context.app.config.deployment else { return Ok(None) };
    let run_id = in_progress.then_some(&run.id);
    let upsert = async |outputs: &Outputs| {
        let entity = deployment::entity(deployment, run, event, outputs).map_err(Trouble::Input)?;
        context.glint(context.app.glint.upsert(&entity, run_id, context.call_limits())).await.map_err(Trouble::Glint)
    };
    let mut result = upsert(outputs).await;
    let has_additions = !outputs.properties.is_empty() || !outputs.relations.is_empty();
    let mut without_outputs = None;
    if let Err(Trouble::Glint(refused @ GlintError::Refused { .. })) = &result
        && has_additions
    {
        // The blueprint may lack what the file adds: the deployment itself is worth writing.
        without_outputs = Some(refused.to_string());
        result = upsert(&Outputs::default()).await;
    }
    let trouble = match result {
        Ok(()) => {
            return Ok(without_outputs.map(|why| {
                format!("The {} entity was written without the pipeline's outputs: {why}", deployment.blueprint)
            }));
        }
        Err(Trouble::Glint(error @ GlintError::Unavailable { .. })) if !is_last => {
            return Err(Outcome::from(error));
        }
        Err(Trouble::Glint(error)) => error.to_string(),
        Err(Trouble::Input(missing)) => missing,
    };
    tracing::warn!(
        run_id = run.id.as_str(),
        "no `{}` entity was written for run `{}`: {trouble}",
        deployment.blueprint,
        run.id
    );
    Ok(Some(format!("No {} entity was written: {trouble}", deployment.blueprint)))
}

/// Why an entity was not written.
enum Trouble {
    /// The run lacks what its identifier needs.
    Input(String),
    Glint(GlintError),
}

/// The line of the run's log that says what of the outputs was not used.
fn outputs_trouble(outputs: &Outputs, file: Option<&str>) -> Vec<String> {
    let Some(file) = file.filter(|_| !outputs.faults.is_empty()) else { return Vec::new() };
    vec![format!("Not all of the pipeline's outputs in `{file}` was used: {}", outputs.faults.join("; "))]
}

/// Whether the run carries another pipeline than the event's: its id decides, else a link to a pipeline of the same project.
fn is_linked_elsewhere(run: &RunState, event: &PipelineEvent) -> bool {
    let external_id = run.external_id.as_deref().unwrap_or_default();
    if let Some((project_id, pipeline_id)) = Pipeline::parse_external_id(external_id) {
        return pipeline_id != event.pipeline.id || event.pipeline.project_id.is_some_and(|id| id != project_id);
    }
    if has_claim_id(run) {
        // The claim waits for its pipeline; a link beside it is somebody else's.
        return false;
    }
    let mut pages = run.links.iter().filter_map(|link| pipeline_in(link, &event.project)).peekable();
    pages.peek().is_some() && pages.all(|id| id != event.pipeline.id)
}

/// What links the run with its pipeline: nothing where it is linked already. Links that others set are kept, behind ours.
fn link_patch(run: &RunState, pipeline: &Pipeline) -> RunPatch {
    let external_id = pipeline.external_id();
    let is_linked = match &run.external_id {
        Some(id) => Some(id) == external_id.as_ref() || (!id.starts_with("gl_") && run.links.contains(&pipeline.url)),
        None => run.links.contains(&pipeline.url),
    };
    if is_linked {
        return RunPatch::default();
    }
    RunPatch { links: links_with(&pipeline.url, &run.links), external_run_id: external_id, ..RunPatch::default() }
}

/// Whether the event is older than what the label says. Running and waiting for a manual job follow each other in either order, so their jobs
/// decide: whether one that had to be started was, and else when one of them last moved, by GitLab's clock.
fn is_stale(run: &RunState, event: &PipelineEvent) -> bool {
    let waits = run.label.as_deref() == Some(messages::WAITING_FOR_MANUAL_JOB);
    if waits && let Some(has_started) = event.manual_job_has_started {
        return !has_started;
    }
    match (event.moved_at, run.updated_at) {
        (Some(moved_at), Some(updated_at)) => waits && moved_at + MAX_CLOCK_SKEW < updated_at,
        _ => false,
    }
}

/// Whether the run had ended when the pipeline finished. Hooks tell whole seconds.
fn ended_before(run: &RunState, event: &PipelineEvent) -> bool {
    let ended_at = run.ended_at.or(run.updated_at);
    ended_at
        .zip(event.finished_at)
        .is_some_and(|(ended_at, finished_at)| finished_at.timestamp() >= ended_at.timestamp())
}
