//! After the outcome: Glint is told, and the queue is asked for patience.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::journey::Journey;
use super::session::Updated;
use crate::event::{Redelivery, Terms};
use crate::glint::GlintError;
use crate::outcome::{Deferral, Doubt, Outcome, Verdict};
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
        let verdict = |outcome, gave_up| Verdict { run_id: Some(run.id.clone()), outcome, gave_up };
        let doubt_ends = match &outcome {
            Outcome::Unconfirmed(Doubt { settled, .. }) => terms.redelivery.ends_doubt(most, now, *settled),
            _ => false,
        };
        if doubt_ends && self.has_been_heard_of(&run.id).await {
            return verdict(Outcome::Duplicate, false);
        }
        match outcome {
            Outcome::Refused(_) | Outcome::Rejected(_) => {
                match self.told_or_queued(run, outcome.telling(false), trail.synchronized).await {
                    Ok(()) => verdict(outcome, false),
                    Err(error) => self.waiting(terms, verdict(untold(&outcome, &error), false)).await,
                }
            }
            Outcome::Deferred(_) if terms.redelivery.is_last(most, now) => {
                match self.told(&run.id, outcome.telling(true), trail.synchronized).await {
                    Ok(_) => verdict(outcome, true),
                    Err(_) => verdict(outcome, false),
                }
            }
            Outcome::Deferred(_) => {
                if trail.seen && trail.label.as_deref() != Some(words::WAITING_TO_RETRY) {
                    self.told_if_possible(&run.id, outcome.telling(false)).await;
                }
                self.waiting(terms, verdict(outcome, false)).await
            }
            Outcome::Unconfirmed(_) if doubt_ends => {
                match self.told(&run.id, outcome.telling(true), trail.synchronized).await {
                    Ok(_) => verdict(outcome, true),
                    Err(_) => verdict(outcome, false),
                }
            }
            Outcome::Unconfirmed(_) => {
                // Writing the label again would make the claim look younger than it is.
                if trail.label.as_deref() != Some(words::WAITING_TO_CONFIRM) {
                    self.told_if_possible(&run.id, outcome.telling(false)).await;
                }
                verdict(outcome, false)
            }
            done => verdict(done, false),
        }
    }

    /// Whether a hook has linked or ended the run while the answer to its trigger was awaited: then nothing is in doubt.
    async fn has_been_heard_of(&self, id: &RunId) -> bool {
        self.run(id).await.is_ok_and(|run| run.status == Status::Ended || run.is_linked())
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
