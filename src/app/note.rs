//! The one line that says what became of a delivery, and its metrics.

use tokio::time::Instant;

use super::journey::Journey;
use super::prove::Task;
use crate::event::{Redelivery, Terms};
use crate::outcome::{Outcome, Verdict};
use crate::telemetry::Metric;

/// What a line is about.
#[derive(Debug, Default)]
pub struct Subject {
    message_id: Option<String>,
    project: Option<String>,
    attempt: u32,
}

impl Subject {
    /// A message of which only the id is known.
    pub fn message(id: &Option<String>) -> Self {
        Self { message_id: id.clone(), project: None, attempt: 1 }
    }

    /// A delivery, and what it asks for where that could be read.
    pub fn delivery(terms: &Terms, task: Option<&Task>) -> Self {
        let attempt = match terms.redelivery {
            Redelivery::Counted { receives } => receives,
            _ => 1,
        };
        let project = task.and_then(Task::project).or_else(|| terms.aim.project.clone());
        Self { message_id: terms.id.clone(), project, attempt }
    }
}

impl Journey {
    /// Counts and logs `verdict`.
    pub fn noted(&self, verdict: Verdict, started: Instant, subject: &Subject) -> Verdict {
        self.metrics.count(Metric::of(&verdict.outcome));
        if verdict.gave_up {
            self.metrics.count(Metric::RunsGivenUp);
        }
        let words = words(&verdict);
        let pipeline_id = verdict.outcome.pipeline().map(|pipeline| pipeline.id);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    run_id = verdict.run_id.as_ref().map(|id| id.as_str()),
                    project = subject.project.as_deref(),
                    outcome = verdict.outcome.name(),
                    pipeline_id,
                    message_id = subject.message_id.as_deref(),
                    again = verdict.again(),
                    attempt = subject.attempt,
                    duration_ms,
                    "{words}"
                )
            };
        }
        match &verdict.outcome {
            Outcome::Unreported { .. } | Outcome::Unconfirmed(_) => line!(error),
            Outcome::Refused(_)
            | Outcome::Rejected(_)
            | Outcome::Deferred(_)
            | Outcome::Unreadable { .. }
            | Outcome::Unproven(_) => line!(warn),
            _ => line!(info),
        }
        verdict
    }
}

/// A sentence that stands alone.
fn words(verdict: &Verdict) -> String {
    let subject = verdict.run_id.as_ref().map_or_else(|| "a delivery".to_owned(), |id| format!("run `{id}`"));
    let outcome = match &verdict.outcome {
        Outcome::HandedOver => "handed over".to_owned(),
        other => other.name().to_lowercase(),
    };
    let link = || verdict.outcome.pipeline().map(|pipeline| format!(": {}", pipeline.url));
    let reason = verdict.outcome.reason().map(|(reason, hint)| {
        let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!(": {reason}{hint}")
    });
    format!("{subject} is {outcome}{}", reason.or_else(link).unwrap_or_default())
}
