//! The result of one delivery attempt, with what is known of its run.

use tokio::time::Instant;

use super::find_pipeline::PipelineQuery;
use crate::glint::VisibleFields;
use crate::glint::run::{RunRequest, RunState};
use crate::outcome::Outcome;

/// An attempt, before its outcome is reported.
#[derive(Debug)]
pub struct AttemptResult {
    pub outcome: Outcome,
    pub known: LastKnown,
}

/// What is known of the run, as last seen or written.
#[derive(Debug, Default)]
pub struct LastKnown {
    /// Glint has shown what the run remembers of its pipeline: before that nothing is written to it.
    pub is_seen: bool,
    /// When label and links were last read or written.
    pub seen_at: Option<Instant>,
    /// Glint ends it from our reply.
    pub is_synchronized: bool,
    pub label: Option<String>,
    pub links: Vec<String>,
    /// Whether the claim, as far as there is one, is so old that its trigger has come to its end.
    pub is_claim_old: bool,
    pub claim: Claim,
    /// This attempt sent the trigger.
    pub is_trigger_sent: bool,
    /// Glint keeps no claim of this run, so that the next attempt would start it again.
    pub is_claim_hidden: bool,
    /// Where its pipeline would be.
    pub query: Option<PipelineQuery>,
    /// Answers of Glint that were lost before the attempt, in this process.
    pub lost_answers_before: u64,
}

/// Whether a claim stands that this attempt has to take back if nothing is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    #[default]
    None,
    /// Its PATCH failed, and may have been carried out all the same.
    Possible,
    Written,
}

impl LastKnown {
    pub fn new(run: &RunRequest, lost_answers_before: u64) -> Self {
        Self { is_synchronized: run.synchronized, lost_answers_before, ..Self::default() }
    }

    /// Takes over what a GET shows.
    pub fn record_state(&mut self, state: &RunState) {
        self.seen_at = Some(Instant::now());
        self.label.clone_from(&state.label);
        self.links.clone_from(&state.links);
        self.is_synchronized |= state.synchronized;
    }

    /// Takes over what the answer to a PATCH shows, which is newer.
    pub fn record_answer(&mut self, shown: &VisibleFields) {
        self.seen_at = Some(Instant::now());
        if !shown.links.is_empty() {
            self.links.clone_from(&shown.links);
        }
    }
}
