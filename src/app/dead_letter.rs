//! Ends the run of a dead letter, so that none stays in progress for ever. Starts nothing.

use super::attempt::LastKnown;
use super::authorize_url::authorize_url;
use super::context::Context;
use super::find_pipeline::{PipelineSearch, claim_state_of, find_pipeline, pipeline_query, read_run};
use super::report_run::{end_run, link_pipeline};
use crate::deadlines::{MAX_DEAD_LETTER_AGE, REPORT_GRACE};
use crate::glint::run::{RunRequest, RunState, RunStatus, UrlTarget};
use crate::outcome::claim::{ClaimState, is_claim_old};
use crate::outcome::{GivenUp, Handled, Outcome, Unconfirmed, messages};
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;

/// Ends the run of a message that failed too often. Where a trigger may have been sent, looks for the pipeline first.
pub async fn end_dead_lettered_run(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> Handled {
    let (Ok(outcome) | Err(outcome)) = end_or_link(context, run, metadata).await;
    Handled::new(Some(run.id.clone()), outcome)
}

async fn end_or_link(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> Result<Outcome, Outcome> {
    let state = read_run(context, run, metadata).await?;
    let target = match authorize_url(context, run, metadata, &state).await {
        Err(outcome) if outcome.is_unproven() => return Err(outcome),
        target => target.unwrap_or_default(),
    };
    if state.status == RunStatus::Ended {
        return Ok(Outcome::Duplicate);
    }
    let given_up = match claim_state_of(context, run, metadata, &state).await? {
        ClaimState::Linked => return Ok(Outcome::Duplicate),
        ClaimState::Claimed => {
            let given_up = match search_for_claim(context, run, metadata, &target, &state).await? {
                ClaimSearch::Linked(outcome) => return Ok(outcome),
                ClaimSearch::GiveUp(given_up) => given_up,
            };
            // Another message of the run may have been handled meanwhile.
            let state = read_run(context, run, metadata).await?;
            if state.status == RunStatus::Ended
                || claim_state_of(context, run, metadata, &state).await? == ClaimState::Linked
            {
                return Ok(Outcome::Duplicate);
            }
            given_up
        }
        ClaimState::Open | ClaimState::Unclear => {
            GivenUp::NotStarted("the message failed too often and was set aside".to_owned())
        }
    };
    let outcome = Outcome::GivenUp(given_up);
    let Some(report) = outcome.report() else { return Ok(outcome) };
    end_run(context, &run.id, report, run.synchronized || state.synchronized).await?;
    context.metrics.count(Metric::RunsDeadLettered);
    Ok(outcome)
}

enum ClaimSearch {
    Linked(Outcome),
    GiveUp(GivenUp),
}

/// Looks for the pipeline of a claimed run, once its trigger has come to its end and a report that was queued behind the message has had time to arrive.
async fn search_for_claim(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    url_target: &UrlTarget,
    state: &RunState,
) -> Result<ClaimSearch, Outcome> {
    let project_url = context.project_page(run, metadata);
    let unconfirmed = |why: &str| Unconfirmed { why: why.to_owned(), project_url: project_url.clone() };
    let search_later = |why: &str| Err(Outcome::Unconfirmed(unconfirmed(why)));
    // A FIFO queue sets the time anew when it sets a message aside. Only then could a report behind it be received.
    let age = metadata.sent_at.map(|sent_at| context.utc() - sent_at);
    let is_first_look = metadata.source.attempt() <= 1 || age.is_some_and(|age| age < REPORT_GRACE);
    let may_be_reported = context.app.queue.is_some() && is_first_look;
    if may_be_reported || (state.updated_at.is_some() && !is_claim_old(state, context.utc())) {
        return search_later("its pipeline may still be reported");
    }
    let not_confirmed = |why: &str| Ok(ClaimSearch::GiveUp(GivenUp::NotConfirmed(unconfirmed(why))));
    let Some(query) = pipeline_query(context, run, url_target, state).await? else {
        return not_confirmed("GitLab never confirmed the pipeline");
    };
    match find_pipeline(context, &query).await {
        PipelineSearch::Found(pipeline) => {
            let mut known = LastKnown::new(run, context.app.glint.lost_answers());
            known.record_state(state);
            Ok(ClaimSearch::Linked(link_pipeline(context, &run.id, pipeline, &known).await))
        }
        PipelineSearch::Absent => Ok(ClaimSearch::GiveUp(GivenUp::NotStarted(messages::NO_PIPELINE.to_owned()))),
        PipelineSearch::NoToken => not_confirmed("GitLab never confirmed the pipeline"),
        PipelineSearch::Failed(why) if age.is_none_or(|age| age < MAX_DEAD_LETTER_AGE) => search_later(&why),
        PipelineSearch::Failed(why) => not_confirmed(&why),
    }
}
