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
    pub left_runs: Vec<LeftRun>,
    /// Why the sweep was not a whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A run that is left to the next sweep.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftRun {
    pub run_id: RunId,
    pub why: String,
}

/// How the look at one run came out.
pub enum Look {
    Ended,
    InProgress,
    Left(String),
}

impl SweepReport {
    /// Counts how the looks at the runs came out.
    pub fn new(looks: Vec<(RunId, Look)>, reason: Option<String>) -> Self {
        let mut report = Self { runs: looks.len(), reason, ..Self::default() };
        for (run_id, look) in looks {
            match look {
                Look::Ended => report.ended += 1,
                Look::InProgress => {}
                Look::Left(why) => {
                    report.left += 1;
                    if report.left_runs.len() < MAX_NAMED {
                        report.left_runs.push(LeftRun { run_id, why });
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
