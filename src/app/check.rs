//! `{"check": true}`: what works and what does not, for a person and for a machine. Uses every secret, and starts nothing.

mod glint;
mod projects;
mod report;
mod settings;

pub use report::CheckReport;

use super::context::Context;
use crate::source::Check;
use crate::telemetry::Metric;

impl Context {
    /// Checks all that this function needs. Each failing line is logged, and counts as a fault of the operator's.
    pub async fn check(&self, request: &Check) -> CheckReport {
        let (glint, hook, (reading, read_token), queue) =
            tokio::join!(self.check_glint(), self.check_hook_secret(), self.check_read_token(), self.check_queue());
        let mut checks = self.check_settings(read_token.is_some());
        checks.extend(glint);
        checks.extend([hook, reading]);
        checks.extend(queue);
        checks.extend(self.check_projects(request, read_token.as_deref()).await);
        let report = CheckReport::new(checks);
        for line in report.faults() {
            self.metrics.count(Metric::OperatorFaults);
            let hint = line.hint.as_deref().unwrap_or_default();
            tracing::warn!(check = line.check, "the check of {} failed: {}; hint: {hint}", line.check, line.detail);
        }
        report
    }
}
