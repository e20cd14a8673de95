//! The report of a sweep, for its invoker and the log.

use serde::Serialize;

use crate::glint::run::RunId;

/// The most runs that the report names one by one.
const MAX_NAMED: usize = 20;

/// What a sweep did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// Runs in progress that have a pipeline, or a claim that is a day old.
    pub runs: usize,
    /// Of those, the ones that were ended.
    pub ended: usize,
    /// Of those, the ones of which nothing could be told now.
    pub left: usize,
    /// Why they were left, the first ones by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_runs: Vec<UnchangedRun>,
    /// Why the sweep was not a whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A run that is left to the next sweep.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnchangedRun {
    pub run_id: RunId,
    pub why: String,
}

/// What the sweep found of one run.
pub enum SweepResult {
    Ended,
    InProgress,
    Left(String),
}

impl SweepReport {
    /// Counts the results.
    pub fn new(results: Vec<(RunId, SweepResult)>, reason: Option<String>) -> Self {
        let mut report = Self { runs: results.len(), reason, ..Self::default() };
        for (run_id, look) in results {
            match look {
                SweepResult::Ended => report.ended += 1,
                SweepResult::InProgress => {}
                SweepResult::Left(why) => {
                    report.left += 1;
                    if report.left_runs.len() < MAX_NAMED {
                        report.left_runs.push(UnchangedRun { run_id, why });
                    }
                }
            }
        }
        report
    }

    /// Logs the figures.
    pub fn log(&self) {
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        tracing::info!(
            runs = self.runs,
            ended = self.ended,
            left = self.left,
            "the sweep ended {} of {} runs in progress, {} are left for the next{reason}",
            self.ended,
            self.runs,
            self.left
        );
    }
}
