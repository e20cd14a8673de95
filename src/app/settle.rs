//! After the outcome: Glint is told, and the queue is asked for patience.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::journey::Journey;
use super::session::Updated;
use crate::event::{Redelivery, Terms};
use crate::glint::GlintError;
use crate::outcome::{Deferral, Outcome, Verdict};
use crate::run::{Run, RunId, Standing, Status, Telling};
use crate::words;

/// What is known of the run in Glint, step by step.
#[derive(Debug, Default)]
pub struct Trail {
    /// Its label, as last seen or written.
    pub label: Option<String>,
    /// Glint ends it from our reply.
    pub synchronized: bool,
    /// Glint has shown the run: before that there is nothing to write to.
    pub seen: bool,
}

impl Trail {
    pub fn see(&mut self, run: &Run, standing: &Standing) {
        self.seen = true;
        self.label.clone_from(&standing.label);
        self.synchronized = run.synchronized || standing.synchronized;
    }
}

/// The least wait of a deferred run where nobody said how long: GitLab counts pipelines by the minute.
const PATIENCE: Duration = Duration::from_secs(60);

impl Journey {
    /// Tells Glint of `outcome`, and says what the source has to do.
    pub async fn settled(&self, run: &Run, terms: &Terms, outcome: Outcome, trail: &Trail) -> Verdict {
        let (most, now) = (self.app.config.max_receives, self.utc());
        let verdict = |outcome| Verdict::new(Some(run.id.clone()), outcome);
        match &outcome {
            Outcome::Refused(_) | Outcome::Rejected(_) => {
                match self.told_or_queued(run, outcome.telling(false), trail.synchronized).await {
                    Ok(()) => verdict(outcome),
                    Err(error) => self.waiting(terms, verdict(untold(&outcome, &error))).await,
                }
            }
            Outcome::Deferred(_) if terms.redelivery.is_last(most, now) => {
                // What Glint did not show may be running: whoever looks next, be it at the dead letter, must see it first.
                if trail.seen || terms.redelivery == Redelivery::Never {
                    self.given_up(run, terms, outcome, trail).await
                } else {
                    verdict(outcome)
                }
            }
            Outcome::Deferred(_) => {
                if trail.seen && trail.label.as_deref() != Some(words::WAITING_TO_RETRY) {
                    self.told_if_possible(&run.id, outcome.telling(false)).await;
                }
                self.waiting(terms, verdict(outcome)).await
            }
            Outcome::Unconfirmed(doubt) => {
                let ends = terms.redelivery.ends_doubt(most, now, doubt.settled);
                // Writing the label again would make the claim look younger than it is.
                if !ends && trail.label.as_deref() == Some(words::WAITING_TO_CONFIRM) {
                    return verdict(outcome);
                }
                // While the answer was awaited, a hook may have linked or ended the run: then nothing is in doubt.
                match self.run(&run.id).await {
                    Ok(now) if now.status == Status::Ended || now.is_linked() => verdict(Outcome::Duplicate),
                    Err(_) if terms.redelivery != Redelivery::Never => verdict(outcome),
                    _ if ends => self.given_up(run, terms, outcome, trail).await,
                    _ => {
                        self.told_if_possible(&run.id, outcome.telling(false)).await;
                        verdict(outcome)
                    }
                }
            }
            _ => verdict(outcome),
        }
    }

    /// Ends the run with the reason, since there is no further try. If Glint cannot be told, there has to be one.
    async fn given_up(&self, run: &Run, terms: &Terms, outcome: Outcome, trail: &Trail) -> Verdict {
        let gave_up = match self.told(&run.id, outcome.telling(true), run.synchronized || trail.synchronized).await {
            Ok(_) => true,
            // Glint will say the same again, and a topic would bring the record again until it forgets it.
            Err(GlintError::Refused { .. }) => matches!(terms.redelivery, Redelivery::WhileYoung { .. }),
            Err(_) => false,
        };
        Verdict { run_id: Some(run.id.clone()), outcome, gave_up }
    }

    /// Tells Glint, the log line first: an ended run accepts no more. Fails where the update is not taken.
    pub async fn told(&self, id: &RunId, telling: Option<Telling>, synchronized: bool) -> Result<Updated, GlintError> {
        let Some(Telling { log, mut update }) = telling else { return Ok(Updated::AlreadyEnded) };
        if synchronized {
            update.status = None;
        }
        if let Some(log) = log {
            // A log line is best effort: the summary says the same.
            drop(self.log(id, &log).await);
        }
        self.update(id, &update).await
    }

    async fn told_if_possible(&self, id: &RunId, telling: Option<Telling>) {
        if let Err(error) = self.told(id, telling, false).await {
            tracing::debug!(run_id = id.as_str(), "the label of run `{id}` was not taken: {error}");
        }
    }

    /// Has the queue bring a deferred delivery no earlier than it makes sense. Best effort: the queue's own time-out is the fallback.
    pub async fn waiting(&self, terms: &Terms, verdict: Verdict) -> Verdict {
        let (Some(queue), Some(receipt)) = (&self.app.queue, &terms.receipt) else { return verdict };
        if !queue.is(&receipt.queue_arn) {
            return verdict;
        }
        let Outcome::Deferred(deferral) = &verdict.outcome else { return verdict };
        let wait = deferral.wait.unwrap_or_else(|| PATIENCE + spread(verdict.run_id.as_ref(), terms.redelivery));
        if let Err(error) = queue.hide(&receipt.handle, wait, self.last_call()).await {
            tracing::debug!("a deferred message comes again by the queue's own time-out: {error}");
        }
        verdict
    }
}

/// Up to another minute, so that a burst does not come back as one: another one for each run and each receive.
fn spread(run_id: Option<&RunId>, redelivery: Redelivery) -> Duration {
    let mut hasher = DefaultHasher::new();
    run_id.hash(&mut hasher);
    if let Redelivery::Counted { receives } = redelivery {
        receives.hash(&mut hasher);
    }
    Duration::from_secs(hasher.finish() % 61)
}

/// A run that was to be ended, and could not be: it comes again.
fn untold(outcome: &Outcome, error: &GlintError) -> Outcome {
    let wait = if let GlintError::Unavailable { after, .. } = error { *after } else { None };
    Outcome::Deferred(Deferral {
        why: format!("the run is {}, and Glint could not be told: {error}", outcome.name().to_lowercase()),
        wait,
    })
}
