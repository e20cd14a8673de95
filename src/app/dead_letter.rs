//! A dead letter ends its run, so that none stays in progress for ever.

use super::journey::Journey;
use super::start::{is_ours, of_glint};
use crate::event::Terms;
use crate::outcome::{Deferral, Doubt, Outcome, Verdict};
use crate::run::{Run, Status};
use crate::telemetry::Metric;
use crate::words;

impl Journey {
    /// Ends the run of a message that failed too often, unless a pipeline of it may be running.
    pub async fn end_dead_run(&self, run: &Run, terms: &Terms) -> Verdict {
        let verdict = |outcome| Verdict::new(Some(run.id.clone()), outcome);
        if let Err(outcome) = is_ours(run, terms) {
            return verdict(outcome);
        }
        let standing = match self.run(&run.id).await {
            Ok(standing) => standing,
            Err(error) => return verdict(of_glint(error)),
        };
        if standing.status == Status::Ended || standing.is_linked() {
            return verdict(Outcome::Duplicate);
        }
        let label = standing.label.as_deref().unwrap_or_default();
        if !words::is_open(label) && !words::is_claim(label) {
            return verdict(Outcome::Ignored("the dead letter's run bears a label that its pipeline may have set"));
        }
        let outcome = if words::is_claim(label) {
            Outcome::Unconfirmed(Doubt {
                why: "GitLab never confirmed the pipeline".to_owned(),
                project_url: self.project_page(run, terms),
                foreign_label: false,
                settled: true,
            })
        } else {
            Outcome::Deferred(Deferral::new("the message failed too often and was set aside"))
        };
        match self.told(&run.id, outcome.telling(true), run.synchronized || standing.synchronized).await {
            Ok(_) => {
                self.metrics.count(Metric::RunsDeadLettered);
                Verdict { gave_up: true, ..verdict(outcome) }
            }
            Err(error) => verdict(of_glint(error)),
        }
    }
}
