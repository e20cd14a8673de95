//! Reports an outcome to Glint, and delays redelivery of what is deferred.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::context::Context;
use crate::deadlines::MIN_REDELIVERY_DELAY;
use crate::glint::GlintError;
use crate::glint::PatchResult;
use crate::glint::run::{RunId, RunReport, RunRequest, RunState, RunStatus};
use crate::outcome::messages;
use crate::outcome::{Handled, Outcome, RetryLater};
use crate::source::{DeliveryMetadata, Source};

/// What is known of the run in Glint, step by step.
#[derive(Debug, Default)]
pub struct LastKnown {
    /// Its label, as last seen or written.
    pub label: Option<String>,
    /// Glint ends it from our reply.
    pub synchronized: bool,
    /// Glint has sanitize_line the run: before that there is nothing to write to.
    pub seen: bool,
}

impl LastKnown {
    pub fn see(&mut self, run: &RunRequest, state: &RunState) {
        self.seen = true;
        self.label.clone_from(&state.label);
        self.synchronized = run.synchronized || state.synchronized;
    }
}

impl Context {
    /// Tells Glint of `outcome`, and says what the source has to do.
    pub async fn settled(
        &self,
        run: &RunRequest,
        metadata: &DeliveryMetadata,
        outcome: Outcome,
        last_known: &LastKnown,
    ) -> Handled {
        let (most, now) = (self.app.config.max_receives, self.utc());
        let handled = |outcome| Handled::new(Some(run.id.clone()), outcome);
        match &outcome {
            Outcome::Invalid(_) | Outcome::Rejected(_) => {
                match self.report_or_enqueue(run, outcome.report(false), last_known.synchronized).await {
                    Ok(()) => handled(outcome),
                    Err(error) => self.waiting(metadata, handled(unreported(&outcome, &error))).await,
                }
            }
            Outcome::Deferred(_) if metadata.source.is_final_attempt(most, now) => {
                // What Glint did not show may be running: whoever looks next, be it at the dead letter, must see it first.
                if last_known.seen || matches!(metadata.source, Source::Http) {
                    self.given_up(run, metadata, outcome, last_known).await
                } else {
                    handled(outcome)
                }
            }
            Outcome::Deferred(_) => {
                if last_known.seen && last_known.label.as_deref() != Some(messages::WAITING_TO_RETRY) {
                    self.try_report(&run.id, outcome.report(false)).await;
                }
                self.waiting(metadata, handled(outcome)).await
            }
            Outcome::Unconfirmed(unconfirmed) => {
                let ends = metadata.source.fails_unconfirmed(most, now, unconfirmed.settled);
                // Writing the label again would make the claim look younger than it is.
                if !ends && last_known.label.as_deref() == Some(messages::WAITING_TO_CONFIRM) {
                    return handled(outcome);
                }
                // While the answer was awaited, a hook may have linked or ended the run: then nothing is in unconfirmed.
                match self.glint(self.app.glint.run(&run.id, self.freshness())).await {
                    Ok(now) if now.status == RunStatus::Ended || now.is_linked() => handled(Outcome::Duplicate),
                    Err(_) if !matches!(metadata.source, Source::Http) => handled(outcome),
                    _ if ends => self.given_up(run, metadata, outcome, last_known).await,
                    _ => {
                        self.try_report(&run.id, outcome.report(false)).await;
                        handled(outcome)
                    }
                }
            }
            _ => handled(outcome),
        }
    }

    /// Ends the run with the reason, since there is no further try. If Glint cannot be told, there has to be one.
    async fn given_up(
        &self,
        run: &RunRequest,
        metadata: &DeliveryMetadata,
        outcome: Outcome,
        last_known: &LastKnown,
    ) -> Handled {
        let gave_up = match self.told(&run.id, outcome.report(true), run.synchronized || last_known.synchronized).await
        {
            Ok(_) => true,
            // Glint will say the same again, and a topic would bring the record again until it forgets it.
            Err(GlintError::Refused { .. }) => matches!(metadata.source, Source::Kafka { .. }),
            Err(_) => false,
        };
        Handled { run_id: Some(run.id.clone()), outcome, gave_up }
    }

    /// Tells Glint, the log line first: an ended run accepts no more. Fails where the update is not taken.
    pub async fn told(
        &self,
        id: &RunId,
        report: Option<RunReport>,
        synchronized: bool,
    ) -> Result<PatchResult, GlintError> {
        let Some(RunReport { log, mut update }) = report else { return Ok(PatchResult::AlreadyEnded) };
        if synchronized {
            update.status = None;
        }
        if let Some(log) = log {
            // A log line is best effort: the summary says the same.
            drop(self.glint(self.app.glint.log(id, &log, self.freshness())).await);
        }
        self.glint(self.app.glint.patch(id, &update, self.freshness())).await
    }

    async fn try_report(&self, id: &RunId, report: Option<RunReport>) {
        if let Err(error) = self.told(id, report, false).await {
            tracing::debug!(run_id = id.as_str(), "the label of run `{id}` was not taken: {error}");
        }
    }

    /// Has the queue bring a deferred delivery no earlier than it makes sense. Best effort: the queue's own time-out is the fallback.
    pub async fn waiting(&self, metadata: &DeliveryMetadata, handled: Handled) -> Handled {
        let Source::Sqs { receipt: Some(receipt), .. } = &metadata.source else { return handled };
        let Some(queue) = &self.app.queue else { return handled };
        if !queue.is(&receipt.queue_arn) {
            return handled;
        }
        let Outcome::Deferred(retry_later) = &handled.outcome else { return handled };
        let wait = retry_later
            .wait
            .unwrap_or_else(|| MIN_REDELIVERY_DELAY + jitter(handled.run_id.as_ref(), metadata.source.attempt()));
        if let Err(error) = queue.change_visibility(&receipt.handle, wait, self.call_deadline()).await {
            tracing::debug!("a deferred message comes again by the queue's own time-out: {error}");
        }
        handled
    }
}

/// Up to another minute, so that a burst does not come back as one: another one for each run and each receive.
fn jitter(run_id: Option<&RunId>, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    run_id.hash(&mut hasher);
    attempt.hash(&mut hasher);
    Duration::from_secs(hasher.finish() % 61)
}

/// A run that was to be ended, and could not be: it comes again.
fn unreported(outcome: &Outcome, error: &GlintError) -> Outcome {
    let wait = if let GlintError::Unavailable { after, .. } = error { *after } else { None };
    Outcome::Deferred(RetryLater {
        why: format!("the run is {}, and Glint could not be told: {error}", outcome.name().to_lowercase()),
        wait,
    })
}
