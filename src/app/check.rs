//! `{"check": true}`: reports what works and what does not. Uses every secret, and starts nothing.

mod glint;
mod projects;
mod report;
mod settings;

pub use report::CheckReport;

use super::context::Context;
use crate::source::Check;
use crate::telemetry::Metric;
use glint::check_glint;
use projects::check_projects;
use settings::{check_hook_secret, check_queue, check_read_token, check_settings};

/// Checks all that this function needs. Each failing line is logged, and counts as a fault of the operator's.
pub async fn check(context: &Context, request: &Check) -> CheckReport {
    let (glint, hook, (reading, read_token), queue) =
        tokio::join!(check_glint(context), check_hook_secret(context), check_read_token(context), check_queue(context));
    let mut checks = check_settings(context, read_token.is_some());
    checks.extend(glint);
    checks.extend([hook, reading]);
    checks.extend(queue);
    checks.extend(check_projects(context, request, read_token.as_deref()).await);
    let report = CheckReport::new(checks);
    for line in report.faults() {
        context.metrics.count(Metric::OperatorFaults);
        let hint = line.hint.as_deref().unwrap_or_default();
        tracing::warn!(check = line.check, "the check of {} failed: {}; hint: {hint}", line.check, line.detail);
    }
    report
}
