//! Ends claims that no delivery can still be working on. Looks for their pipelines first, where Glint shows the message of the run.

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt::LastKnown;
use super::context::Context;
use super::find_pipeline::{PipelineQuery, PipelineSearch, find_pipeline, pipeline_query};
use super::report_run::link_pipeline;
use super::sweep_report::SweepResult;
use crate::deadlines::{MAX_CLAIM_AGE, MAX_RUN_AGE, MAX_UNREADABLE_CLAIM_AGE};
use crate::glint::PatchResult;
use crate::glint::message::{self, Message};
use crate::glint::run::{RunPatch, RunState, RunStatus, TerminalStatus, UrlTarget};
use crate::json;
use crate::outcome::claim::has_claim_id;
use crate::outcome::{Outcome, messages};
use crate::source::target_of_action_url;
use crate::telemetry::Metric;

/// Whether the run carries a claim that no delivery can still be working on.
pub fn is_old_claim(context: &Context, run: &RunState) -> bool {
    is_claimed(run) && is_quiet_for(run, MAX_CLAIM_AGE, context.utc())
}

/// Links the run with its pipeline where that is found, else ends it. The run is read again first, since a list may lag.
pub async fn end_old_claim(context: &Context, run: &RunState) -> SweepResult {
    let state = match context.run_state(&run.id).await {
        Ok(state) if state.status == RunStatus::InProgress && is_claimed(&state) => state,
        Ok(_) => return SweepResult::InProgress,
        Err(error) => return SweepResult::Left(error.to_string()),
    };
    let search = match query_of_action(context, &state).await {
        Ok(Some(query)) => find_pipeline(context, &query).await,
        Ok(None) => PipelineSearch::NoToken,
        Err(outcome) => PipelineSearch::Failed(outcome.reason().map_or_else(String::new, |(why, _)| why)),
    };
    match search {
        PipelineSearch::Found(pipeline) => {
            let mut known = LastKnown::default();
            known.record_state(&state);
            match link_pipeline(context, &state.id, pipeline, &known).await {
                Outcome::Started(_) => SweepResult::InProgress,
                outcome => SweepResult::Left(outcome.name().to_owned()),
            }
        }
        PipelineSearch::Absent => {
            end_claim(context, &state, messages::NOT_STARTED, &messages::never_started(messages::NO_PIPELINE)).await
        }
        PipelineSearch::Failed(why) if !is_quiet_for(&state, MAX_UNREADABLE_CLAIM_AGE, context.utc()) => {
            SweepResult::Left(why)
        }
        PipelineSearch::Failed(_) | PipelineSearch::NoToken => {
            end_claim(context, &state, messages::NOT_CONFIRMED, &messages::claim_expired()).await
        }
    }
}

/// Where the run's pipeline would be, as far as Glint tells what it sent and where to.
async fn query_of_action(context: &Context, state: &RunState) -> Result<Option<PipelineQuery>, Outcome> {
    let Some(body) = &state.action_body else { return Ok(None) };
    let text = json::string(body).map_or_else(|| body.get().to_owned(), std::borrow::Cow::into_owned);
    let Ok(Message::Run(run)) = message::parse(text, Some(state.id.as_str())) else { return Ok(None) };
    if run.id != state.id {
        return Ok(None);
    }
    let url = state.action_url.as_deref().filter(|_| !run.names_project());
    let url_target = url.map_or_else(UrlTarget::default, target_of_action_url);
    pipeline_query(context, &run, &url_target, state).await
}

async fn end_claim(context: &Context, run: &RunState, label: &str, text: &str) -> SweepResult {
    let patch = RunPatch {
        status: (!run.synchronized).then_some(TerminalStatus::Failure),
        status_label: Some(label.to_owned()),
        summary: Some(text.to_owned()),
        ..RunPatch::default()
    };
    drop(context.log(&run.id, text).await);
    match context.patch(&run.id, &patch).await {
        Ok(PatchResult::Applied(_)) => {
            context.metrics.count(Metric::RunsGivenUp);
            tracing::error!(run_id = run.id.as_str(), outcome = "GivenUp", "run `{}` is given up: {text}", run.id);
            SweepResult::Ended
        }
        Ok(PatchResult::AlreadyEnded) => SweepResult::InProgress,
        Err(error) => SweepResult::Left(error.to_string()),
    }
}

fn is_claimed(run: &RunState) -> bool {
    let label = run.label.as_deref().unwrap_or_default();
    match run.external_id {
        Some(_) => has_claim_id(run),
        None => matches!(label, messages::TRIGGERING | messages::WAITING_TO_CONFIRM),
    }
}

fn is_quiet_for(run: &RunState, least: TimeDelta, now: DateTime<Utc>) -> bool {
    let age = |time: Option<DateTime<Utc>>| time.map(|time| now - time);
    age(run.updated_at.or(run.created_at)).is_some_and(|quiet| quiet >= least)
        || age(run.created_at).is_some_and(|age| age >= MAX_RUN_AGE)
}
