//! Ends the run of a dead letter, so that none stays in progress for ever. Starts nothing.

use super::attempt::LastKnown;
use super::authorize_url::authorize_url;
use super::context::Context;
use super::find_pipeline::{LookUp, look_up, memory_of, read_run, target_of};
use super::report_run::{end_run, link_pipeline};
use crate::deadlines::{MAX_DEAD_LETTER_AGE, REPORT_GRACE};
use crate::glint::run::{RunRequest, RunState, RunStatus, UrlTarget};
use crate::outcome::memory::{Memory, is_claim_old};
use crate::outcome::{GivenUp, Handled, Outcome, Unconfirmed, messages};
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;

/// Ends the run of a message that failed too often. Where a trigger may have been sent, looks for the pipeline first.
pub async fn end_dead_run(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> Handled {
    let (Ok(outcome) | Err(outcome)) = end(context, run, metadata).await;
    Handled::new(Some(run.id.clone()), outcome)
}

async fn end(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> Result<Outcome, Outcome> {
    let state = read_run(context, run, metadata).await?;
    let target = authorize_url(context, run, metadata, &state).await;
    // A run that the message does not prove to mean is not written to.
    if let Err(outcome @ (Outcome::Unauthenticated(_) | Outcome::Unreadable { .. })) = target {
        return Err(outcome);
    }
    let target = target.unwrap_or_default();
    if state.status == RunStatus::Ended {
        return Ok(Outcome::Duplicate);
    }
    let given_up = match memory_of(context, run, metadata, &state).await? {
        Memory::Linked => return Ok(Outcome::Duplicate),
        Memory::Claimed => {
            let given_up = match look(context, run, metadata, &target, &state).await? {
                Looked::Linked(outcome) => return Ok(outcome),
                Looked::GiveUp(given_up) => given_up,
            };
            // Another message of the run may have been handled meanwhile.
            let state = read_run(context, run, metadata).await?;
            if state.status == RunStatus::Ended || memory_of(context, run, metadata, &state).await? == Memory::Linked {
                return Ok(Outcome::Duplicate);
            }
            given_up
        }
        Memory::Open | Memory::Unclear => {
            GivenUp::NotStarted("the message failed too often and was set aside".to_owned())
        }
    };
    let outcome = Outcome::GivenUp(given_up);
    let Some(report) = outcome.report() else { return Ok(outcome) };
    end_run(context, &run.id, report, run.synchronized || state.synchronized).await?;
    context.metrics.count(Metric::RunsDeadLettered);
    Ok(outcome)
}

enum Looked {
    Linked(Outcome),
    GiveUp(GivenUp),
}

/// Looks for the pipeline of a claimed run, once its trigger has come to its end and a report that was queued behind the message has had time to arrive.
async fn look(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    url_target: &UrlTarget,
    state: &RunState,
) -> Result<Looked, Outcome> {
    let project_url = context.project_page(run, metadata);
    let unconfirmed = |why: &str| Unconfirmed { why: why.to_owned(), project_url: project_url.clone() };
    let look_later = |why: &str| Err(Outcome::Unconfirmed(unconfirmed(why)));
    // A FIFO queue sets the time anew when it sets a message aside. Only then could a report behind it be received.
    let age = metadata.sent_at.map(|sent_at| context.utc() - sent_at);
    let is_first_look = metadata.source.attempt() <= 1 || age.is_some_and(|age| age < REPORT_GRACE);
    let may_be_reported = context.app.queue.is_some() && is_first_look;
    if may_be_reported || (state.updated_at.is_some() && !is_claim_old(state, context.utc())) {
        return look_later("its pipeline may still be reported");
    }
    let not_confirmed = |why: &str| Ok(Looked::GiveUp(GivenUp::NotConfirmed(unconfirmed(why))));
    let Some(target) = target_of(context, run, url_target, state).await? else {
        return not_confirmed("GitLab never confirmed the pipeline");
    };
    match look_up(context, &target).await {
        LookUp::Found(pipeline) => {
            let mut known = LastKnown::new(run, context.app.glint.lost_answers());
            known.see(state);
            Ok(Looked::Linked(link_pipeline(context, &run.id, pipeline, &known).await))
        }
        LookUp::Absent => Ok(Looked::GiveUp(GivenUp::NotStarted(messages::NO_PIPELINE.to_owned()))),
        LookUp::NoToken => not_confirmed("GitLab never confirmed the pipeline"),
        LookUp::Failed(why) if age.is_none_or(|age| age < MAX_DEAD_LETTER_AGE) => look_later(&why),
        LookUp::Failed(why) => not_confirmed(&why),
    }
}
