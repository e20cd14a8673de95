//! Reports the outcome of an attempt to Glint, and delays the redelivery of what is deferred.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::sleep;

use super::attempt::{AttemptResult, Claim, LastKnown};
use super::authorize_url::authorize_url;
use super::context::Context;
use super::find_pipeline::{PipelineQuery, PipelineSearch, claim_state_of, find_pipeline, read_run};
use super::report_run::{end_run, link_pipeline};
use crate::deadlines::{LOOKUP_INTERVAL, MAX_REDELIVERY_JITTER, MIN_REDELIVERY_DELAY, MIN_TIME_TO_LOOK_AGAIN};
use crate::glint::GlintError;
use crate::glint::run::{RunId, RunPatch, RunRequest, RunState, RunStatus};
use crate::outcome::claim::{ClaimState, take_back_patch};
use crate::outcome::{GivenUp, Handled, Outcome, RetryLater, Unconfirmed, messages};
use crate::source::{DeliveryMetadata, Source};

/// Tells Glint of the attempt's outcome. Returns what then has happened to the delivery.
pub async fn report_outcome(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    attempt: AttemptResult,
) -> Handled {
    let AttemptResult { outcome, known } = attempt;
    let outcome = match outcome {
        Outcome::Invalid(_) | Outcome::Rejected(_) | Outcome::Finished(_) => {
            report_end(context, run, outcome, &known).await
        }
        Outcome::Deferred(retry_later) => report_deferred(context, run, metadata, retry_later, &known).await,
        Outcome::Unconfirmed(unconfirmed) => report_unconfirmed(context, run, metadata, unconfirmed, &known).await,
        other => other,
    };
    let handled = Handled::new(Some(run.id.clone()), outcome);
    delay_redelivery(context, metadata, &handled, known.lost_answers_before).await;
    handled
}

/// Ends the run. If Glint cannot be reached, the delivery has to be redelivered.
async fn report_end(context: &Context, run: &RunRequest, outcome: Outcome, known: &LastKnown) -> Outcome {
    let Some(report) = outcome.report() else { return outcome };
    let report = report.with_link_of(outcome.pipeline());
    match end_run(context, &run.id, report, known.is_synchronized).await {
        Ok(_) => outcome,
        Err(error) => {
            let wait = if let GlintError::Unavailable { after, .. } = error { after } else { None };
            let name = outcome.name().to_lowercase();
            Outcome::Deferred(RetryLater {
                why: format!("the run is {name}, and Glint could not be told: {error}"),
                wait,
            })
        }
    }
}

async fn report_deferred(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    retry_later: RetryLater,
    known: &LastKnown,
) -> Outcome {
    let is_final = metadata.source.is_final_attempt(context.app.config.max_receives, context.utc());
    if is_final && matches!(metadata.source, Source::Http) {
        return end_unstarted(context, run, metadata, retry_later, known).await;
    }
    // If Glint could not be read, a pipeline may already exist: the run is left to the next attempt or the dead-letter queue.
    if is_final && known.is_seen {
        let given_up = GivenUp::NotStarted(retry_later.why.clone());
        return give_up(context, run, metadata, given_up, known.is_synchronized)
            .await
            .unwrap_or(Outcome::Deferred(retry_later));
    }
    if let Some(patch) = waiting_patch(context, run, known).await
        && let Err(error) = context.glint(context.app.glint.patch_once(&run.id, &patch, context.call_limits())).await
    {
        tracing::debug!(run_id = run.id.as_str(), "run `{}` could not be marked as waiting: {error}", run.id);
    }
    Outcome::Deferred(retry_later)
}

/// The patch that shows the run as waiting, and takes back a claim that may stand. `None` where there is nothing to write.
async fn waiting_patch(context: &Context, run: &RunRequest, known: &LastKnown) -> Option<RunPatch> {
    let label = messages::WAITING_TO_RETRY;
    let may_replace = |current: Option<&str>| messages::may_replace(current, label);
    match known.claim {
        Claim::None => {
            let is_wanted =
                known.is_seen && known.label.as_deref() != Some(label) && may_replace(known.label.as_deref());
            is_wanted.then(|| RunPatch::label(label))
        }
        // A claim that did not arrive left the label that somebody else had set, and so does this patch.
        Claim::Possible if !may_replace(known.label.as_deref()) => match context.run_state(&run.id).await {
            Ok(state) if !may_replace(state.label.as_deref()) => {
                Some(RunPatch { status_label: None, ..take_back_patch(&run.id) })
            }
            _ => Some(take_back_patch(&run.id)),
        },
        Claim::Possible | Claim::Written => Some(take_back_patch(&run.id)),
    }
}

async fn report_unconfirmed(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    unconfirmed: Unconfirmed,
    known: &LastKnown,
) -> Outcome {
    let is_last = is_final_search(context, metadata, known);
    if is_last {
        return search_then_end(context, run, metadata, unconfirmed, known).await;
    }
    let label = messages::WAITING_TO_CONFIRM;
    // Writing the label again would make the claim look younger than it is.
    if known.label.as_deref() == Some(label) || !messages::may_replace(known.label.as_deref(), label) {
        return Outcome::Unconfirmed(unconfirmed);
    }
    // While the answer was awaited, a hook may have linked or ended the run, or somebody may have set its label.
    let Ok(state) = context.run_state(&run.id).await else { return Outcome::Unconfirmed(unconfirmed) };
    if has_ended_or_is_linked(context, run, metadata, &state).await {
        return Outcome::Duplicate;
    }
    if messages::may_replace(state.label.as_deref(), label)
        && let Err(error) = context.patch(&run.id, &RunPatch::label(label)).await
    {
        tracing::debug!(run_id = run.id.as_str(), "the label of run `{}` was not taken: {error}", run.id);
    }
    Outcome::Unconfirmed(unconfirmed)
}

/// Whether nobody looks at the unconfirmed run after this attempt.
fn is_final_search(context: &Context, metadata: &DeliveryMetadata, known: &LastKnown) -> bool {
    let config = &context.app.config;
    let source = &metadata.source;
    if known.is_claim_hidden {
        return true;
    }
    if source.promises_no_redelivery() {
        // Copies may run at once: the one that sent the trigger may still run.
        return known.is_trigger_sent || known.is_claim_old;
    }
    let has_dead_letter_consumer = matches!(source, Source::Sqs { .. }) && config.dead_letter_queue_arn.is_some();
    source.is_final_attempt(config.max_receives, context.utc()) && !has_dead_letter_consumer
}

/// Looks for the pipeline for as long as the invocation lasts, then ends the run.
async fn search_then_end(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    unconfirmed: Unconfirmed,
    known: &LastKnown,
) -> Outcome {
    let given_up = loop {
        match context.run_state(&run.id).await {
            Ok(state) if has_ended_or_is_linked(context, run, metadata, &state).await => return Outcome::Duplicate,
            Err(_) if !matches!(metadata.source, Source::Http) => return Outcome::Unconfirmed(unconfirmed),
            _ => {}
        }
        match find_pipeline_of(context, known.query.as_ref()).await {
            PipelineSearch::Found(pipeline) => return link_pipeline(context, &run.id, pipeline, known).await,
            PipelineSearch::Absent if known.is_claim_old && !known.is_trigger_sent => {
                break GivenUp::NotStarted(messages::NO_PIPELINE.to_owned());
            }
            PipelineSearch::Absent | PipelineSearch::Failed(_) if context.time_left() >= MIN_TIME_TO_LOOK_AGAIN => {
                sleep(LOOKUP_INTERVAL).await;
            }
            PipelineSearch::Absent | PipelineSearch::Failed(_) | PipelineSearch::NoToken => {
                break GivenUp::NotConfirmed(unconfirmed.clone());
            }
        }
    };
    give_up(context, run, metadata, given_up, known.is_synchronized).await.unwrap_or(Outcome::Unconfirmed(unconfirmed))
}

async fn find_pipeline_of(context: &Context, query: Option<&PipelineQuery>) -> PipelineSearch {
    match query {
        Some(query) => find_pipeline(context, query).await,
        None => PipelineSearch::NoToken,
    }
}

/// Whether the run has ended or has its pipeline by now.
async fn has_ended_or_is_linked(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    state: &RunState,
) -> bool {
    state.status == RunStatus::Ended
        || matches!(claim_state_of(context, run, metadata, state).await, Ok(ClaimState::Linked))
}

/// Ends the run with the reason, since there is no further attempt. `None` where Glint cannot be told, so that there has to be one.
async fn give_up(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    given_up: GivenUp,
    is_synchronized: bool,
) -> Option<Outcome> {
    let outcome = Outcome::GivenUp(given_up);
    match end_run(context, &run.id, outcome.report()?, is_synchronized).await {
        Ok(_) => Some(outcome),
        // Glint will refuse again, and Kafka would retry the record until it expires.
        Err(GlintError::Refused { .. }) if matches!(metadata.source, Source::Kafka { .. }) => Some(outcome),
        Err(_) => None,
    }
}

/// Reads the run, and ends it for this reason unless a pipeline of it may be running. For what nobody delivers again: a webhook that the queue
/// provably did not take, or one that is handled in place.
pub async fn end_unless_started(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    reason: RetryLater,
) -> Outcome {
    let known = LastKnown::new(run, context.app.glint.lost_answers());
    end_unstarted(context, run, metadata, reason, &known).await
}

/// Ends the run of a webhook, which nobody sends again, unless a pipeline of it may be running. Reads it first: a copy may have started it since,
/// and nothing is written to a run that could not be read or that the request does not prove to mean.
async fn end_unstarted(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    retry_later: RetryLater,
    known: &LastKnown,
) -> Outcome {
    let Ok(state) = read_run(context, run, metadata).await else { return Outcome::Deferred(retry_later) };
    match authorize_url(context, run, metadata, &state).await {
        Err(outcome) if outcome.is_unproven() => return outcome,
        _ => {}
    }
    if state.status == RunStatus::Ended {
        return Outcome::Duplicate;
    }
    match claim_state_of(context, run, metadata, &state).await {
        Ok(ClaimState::Linked) => Outcome::Duplicate,
        Ok(ClaimState::Claimed) if known.claim == Claim::None => Outcome::Deferred(retry_later),
        Ok(_) => {
            let given_up = GivenUp::NotStarted(retry_later.why.clone());
            let is_synchronized = known.is_synchronized || state.synchronized;
            let ended = give_up(context, run, metadata, given_up, is_synchronized).await;
            ended.unwrap_or(Outcome::Deferred(retry_later))
        }
        Err(_) => Outcome::Deferred(retry_later),
    }
}

/// Extends the visibility timeout of a deferred message. Best effort.
///
/// Not after an answer of Glint was lost: the write may still arrive, and the next attempt must not run before that.
pub async fn delay_redelivery(
    context: &Context,
    metadata: &DeliveryMetadata,
    handled: &Handled,
    lost_answers_before: u64,
) {
    let (Source::Sqs { receipt: Some(receipt), .. }, Outcome::Deferred(retry_later), Some(queue)) =
        (&metadata.source, &handled.outcome, &context.app.queue)
    else {
        return;
    };
    if !queue.is(&receipt.queue_arn) || context.app.glint.lost_answers() > lost_answers_before {
        return;
    }
    let least = retry_later.wait.unwrap_or_default().max(MIN_REDELIVERY_DELAY);
    let wait = least + jitter(handled.run_id.as_ref(), metadata.source.attempt());
    if let Err(error) = queue.change_visibility(&receipt.handle, wait, context.call_deadline()).await {
        tracing::debug!("a deferred message keeps the queue's own visibility timeout: {error}");
    }
}

/// Up to another minute, so that a burst does not come back as one: another one for each run and attempt.
fn jitter(run_id: Option<&RunId>, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    run_id.hash(&mut hasher);
    attempt.hash(&mut hasher);
    Duration::from_secs(hasher.finish() % (MAX_REDELIVERY_JITTER.as_secs() + 1))
}
