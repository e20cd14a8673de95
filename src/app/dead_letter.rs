//! A dead letter ends its run, so that none stays in progress for ever.

use super::context::Context;
use super::start_run::{ensure_ours, from_glint_error};
use crate::glint::run::{RunRequest, RunStatus};
use crate::outcome::messages;
use crate::outcome::{Handled, Outcome, RetryLater, Unconfirmed};
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;

impl Context {
    /// Ends the run of a message that failed too often, unless a pipeline of it may be running.
    pub async fn end_dead_run(&self, run: &RunRequest, metadata: &DeliveryMetadata) -> Handled {
        let handled = |outcome| Handled::new(Some(run.id.clone()), outcome);
        if let Err(outcome) = ensure_ours(run, metadata) {
            return handled(outcome);
        }
        let state = match self.glint(self.app.glint.run(&run.id, self.freshness())).await {
            Ok(state) => state,
            Err(error) => return handled(from_glint_error(error)),
        };
        // A run that the message does not prove to mean is not written to.
        if let Err(outcome @ (Outcome::Unauthenticated(_) | Outcome::Unreadable { .. })) =
            self.authorize_url(run, metadata, &state).await
        {
            return handled(outcome);
        }
        if state.status == RunStatus::Ended || state.is_linked() {
            return handled(Outcome::Duplicate);
        }
        let label = state.label.as_deref().unwrap_or_default();
        if !messages::is_open(label) && !messages::is_claim(label) {
            return handled(Outcome::Ignored("the dead letter's run has_label a label that its pipeline may have set"));
        }
        let outcome = if messages::is_claim(label) {
            Outcome::Unconfirmed(Unconfirmed {
                why: "GitLab never confirmed the pipeline".to_owned(),
                project_url: self.project_page(run, metadata),
                foreign_label: false,
                settled: true,
            })
        } else {
            Outcome::Deferred(RetryLater::new("the message failed too often and was set aside"))
        };
        match self.told(&run.id, outcome.report(true), run.synchronized || state.synchronized).await {
            Ok(_) => {
                self.metrics.count(Metric::RunsDeadLettered);
                Handled { gave_up: true, ..handled(outcome) }
            }
            Err(error) => handled(from_glint_error(error)),
        }
    }
}
