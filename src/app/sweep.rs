//! The sweep, by schedule: ends runs whose pipeline ended while its hook was lost or switched off.

use futures_util::{StreamExt as _, stream};
use secrecy::SecretString;
use std::borrow::Cow;
use tokio::time::Instant;

use super::apply_pipeline_event::apply_pipeline_event;
use super::context::Context;
use super::log_outcome::{LogFields, log_outcome};
use super::old_claim::{end_old_claim, is_old_claim};
use super::prove_event::{Proven, verify_run_proof};
use super::sweep_report::{SweepReport, SweepResult};
use crate::deadlines::MIN_TIME_TO_SWEEP;
use crate::gitlab::LookupError;
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus, Project, parse_pipeline_page};
use crate::glint::GlintError;
use crate::glint::run::{RunId, RunState, RunStatus};
use crate::outcome::{Handled, Outcome, messages};
use crate::telemetry::Metric;

/// Runs looked at side by side: gentle to both APIs.
const AT_ONCE: usize = 4;

const UNPROVEN: &str = "the pipeline does not prove that it is of the run";
const NO_TIME: &str = "too little time was left";

/// What a run is compared with.
enum SweepTarget {
    Pipeline {
        project: Project,
        id: u64,
        url: Option<String>,
    },
    /// A claim that is a day old.
    OldClaim,
}

/// Compares every run in progress that has a pipeline with it, and ends claims that are a day old.
pub async fn sweep(context: &Context) -> SweepReport {
    let (token, mut reason) = match context.app.secrets.read_token(context.call_limits()).await {
        Ok(Some(token)) => (Some(token), None),
        Ok(None) => (None, Some(no_read_token(context))),
        Err(error) => {
            let metric = if error.is_transient() { Metric::SecretsManagerFaults } else { Metric::OperatorFaults };
            context.metrics.count(metric);
            (None, Some(error.to_string()))
        }
    };
    let (mut runs, is_whole) = match runs_to_sweep(context, token.is_some()).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!("nothing was swept: {error}");
            return SweepReport { reason: reason.or(Some(error.to_string())), ..SweepReport::default() };
        }
    };
    if !is_whole {
        reason.get_or_insert_with(|| "too little time was left to list all runs in progress".to_owned());
    }
    let start = start_offset(runs.len(), context.utc().timestamp());
    runs.rotate_left(start);
    let token = token.as_deref();
    let results: Vec<(RunId, SweepResult)> = stream::iter(&runs)
        .map(|(run, target)| async move { (run.id.clone(), sweep_run(context, run, target, token).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let report = SweepReport::new(results, reason);
    report.log();
    report
}

/// Why pipelines are not looked up where no read token is stored.
fn no_read_token(context: &Context) -> String {
    match &context.app.config.read_secret_id {
        Some(id) => format!("pipelines are looked up with a read token, and nothing is stored in `{id}`"),
        None => "pipelines are looked up with the token of `GITLAB_READ_SECRET_ID`, which is not set".to_owned(),
    }
}

/// The runs that the sweep is about, and whether all runs in progress were listed.
async fn runs_to_sweep(context: &Context, has_token: bool) -> Result<(Vec<(RunState, SweepTarget)>, bool), GlintError> {
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let page = context.glint(context.app.glint.active_runs(next.as_deref(), context.call_limits())).await?;
        found.extend(page.runs.into_iter().filter_map(|run| {
            let target = target(context, &run, has_token)?;
            // Hundreds of thousands of runs may be in progress: what they were started with is read again where it is needed.
            Some((RunState { inputs: None, action_body: None, ..run }, target))
        }));
        match page.next {
            Some(token) if next.as_ref() != Some(&token) && context.time_left() >= MIN_TIME_TO_SWEEP => {
                next = Some(token);
            }
            rest => return Ok((found, rest.is_none())),
        }
    }
}

/// What the run is to be compared with; `None` where it is not ours, or pipelines cannot be looked up.
fn target(context: &Context, run: &RunState, has_token: bool) -> Option<SweepTarget> {
    if run.status != RunStatus::InProgress {
        return None;
    }
    let pipeline = if has_token { pipeline_of(context, run) } else { None };
    pipeline.or_else(|| is_old_claim(context, run).then_some(SweepTarget::OldClaim))
}

/// The pipeline that the run's `externalRunId` names, else its link.
fn pipeline_of(context: &Context, run: &RunState) -> Option<SweepTarget> {
    let base = &context.app.config.gitlab_url;
    let mut pages = run.links.iter().filter_map(|link| Some((link, parse_pipeline_page(link, base)?)));
    if let Some((project, id)) = run.external_id.as_deref().and_then(Pipeline::parse_external_id) {
        let project = Project::by_id(&project.to_string())?;
        // Only the link says where people find it.
        let url = pages.find(|(_, (_, page_id))| *page_id == id).map(|(link, _)| link.clone());
        return Some(SweepTarget::Pipeline { project, id, url });
    }
    let (link, (path, id)) = pages.next()?;
    Some(SweepTarget::Pipeline { project: Project::parse_path(path).ok()?, id, url: Some(link.clone()) })
}

async fn sweep_run(
    context: &Context,
    run: &RunState,
    target: &SweepTarget,
    token: Option<&SecretString>,
) -> SweepResult {
    if context.time_left() < MIN_TIME_TO_SWEEP {
        return SweepResult::Left(NO_TIME.to_owned());
    }
    match (target, token) {
        (SweepTarget::OldClaim, _) => end_old_claim(context, run).await,
        (SweepTarget::Pipeline { .. }, None) => SweepResult::Left(no_read_token(context)),
        (SweepTarget::Pipeline { project, id, url }, Some(token)) => {
            let event = match fetch_event(context, run, project, *id, url.as_deref(), token).await {
                Ok(Some(event)) => event,
                Ok(None) => return SweepResult::InProgress,
                // The link beside the claim is somebody else's.
                Err(why) if why == UNPROVEN && is_old_claim(context, run) => return end_old_claim(context, run).await,
                Err(why) => {
                    tracing::warn!(run_id = run.id.as_str(), "the pipeline of run `{}` is left: {why}", run.id);
                    return SweepResult::Left(why);
                }
            };
            apply(context, Proven { run_id: run.id.clone(), event: Cow::Owned(event) }).await
        }
    }
}

/// What the run's pipeline has to tell it, once the pipeline has proved to be of the run: before that nothing of it is told, since whoever
/// may write a run may put any pipeline's id into it. `None` where there is nothing new.
async fn fetch_event(
    context: &Context,
    run: &RunState,
    project: &Project,
    id: u64,
    url: Option<&str>,
    token: &SecretString,
) -> Result<Option<PipelineEvent>, String> {
    let gitlab = &context.app.gitlab;
    let words = |error: LookupError| format!("it cannot be looked up: {error}");
    let mut event = match context.lookup(gitlab.pipeline(project, id, token, context.call_deadline())).await {
        Ok(Some(event)) => event,
        Ok(None) => return Ok(None),
        Err(error) if error.is_not_found() => {
            return match look_for_deletion(context, project, id, token).await.map_err(words)? {
                true => Ok(Some(gitlab.deleted(project, id, url))),
                false => Err(words(error)),
            };
        }
        Err(error) => return Err(words(error)),
    };
    let label = messages::label(event.status);
    let current = run.label.as_deref();
    let is_same = current == Some(label) || !messages::may_replace(current, label);
    if !event.status.is_final() && is_same {
        return Ok(None);
    }
    event.run_proof =
        context.lookup(gitlab.run_proof(project, id, token, context.call_deadline())).await.map_err(words)?;
    match verify_run_proof(context, &event).await {
        Ok(Some(proven)) if proven == run.id => {}
        Ok(_) => return Err(UNPROVEN.to_owned()),
        Err(outcome) => return Err(outcome.reason().map_or_else(String::new, |(why, _)| why)),
    }
    context.lookup(gitlab.add_jobs(&mut event, project, token, context.call_deadline())).await.map_err(words)?;
    let waits = event.status == PipelineStatus::Manual && current == Some(messages::WAITING_FOR_MANUAL_JOB);
    Ok((!waits).then_some(event))
}

/// Whether the pipeline is gone while its project can be read. Looked for twice, since a replica of GitLab may lag.
async fn look_for_deletion(
    context: &Context,
    project: &Project,
    id: u64,
    token: &SecretString,
) -> Result<bool, LookupError> {
    if !context.lookup(context.app.gitlab.has_project(project, token, context.call_deadline())).await? {
        return Ok(false);
    }
    match context.lookup(context.app.gitlab.pipeline(project, id, token, context.call_deadline())).await {
        Err(error) if error.is_not_found() => Ok(true),
        Ok(_) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn apply(context: &Context, proven: Proven<'_>) -> SweepResult {
    let started = Instant::now();
    // What the catalogue or GitLab's artifacts could not take or give now has had its tries, and must not hold the run's end up again.
    let outcome = apply_pipeline_event(context, &proven, true).await.unwrap_or_else(|outcome| outcome);
    let handled = Handled::new(Some(proven.run_id), outcome);
    let result = match &handled.outcome {
        Outcome::Finished(_) => SweepResult::Ended,
        outcome if handled.should_redeliver() => {
            SweepResult::Left(outcome.reason().map_or_else(|| outcome.name().to_owned(), |(why, _)| why))
        }
        _ => SweepResult::InProgress,
    };
    if matches!(handled.outcome, Outcome::Finished(_) | Outcome::Progressed(_)) {
        log_outcome(context, handled, started, &LogFields::default());
    }
    result
}

/// Where a sweep of `count` runs begins: elsewhere each time, so that none is always the last. Steps of the golden ratio spread evenly whatever
/// the schedule is.
fn start_offset(count: usize, seconds: i64) -> usize {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = u128::from(seconds.unsigned_abs().wrapping_mul(GOLDEN_RATIO));
    usize::try_from((fraction * count as u128) >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_begin_all_over_the_list() {
        for (count, interval) in [(1000, 300), (7, 60), (2000, 3600), (50, 900)] {
            let places: std::collections::HashSet<usize> =
                (0..count * 20).map(|sweep| start_offset(count, 1_700_000_000 + sweep as i64 * interval)).collect();
            assert!(places.len() > count * 9 / 10, "{count} runs, every {interval} s: {}", places.len());
        }
        assert_eq!(start_offset(0, 1), 0);
    }
}
