//! The one line that says what became of a delivery, and its metrics.

use tokio::time::Instant;

use super::context::Context;
use super::verify_delivery::Task;
use crate::outcome::{Handled, Outcome};
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;

/// What a line is about.
#[derive(Debug, Default)]
pub struct LogFields {
    message_id: Option<String>,
    project: Option<String>,
    attempt: u32,
    bytes: usize,
}

impl LogFields {
    /// A message of which only the id is known.
    pub fn message(id: &Option<String>) -> Self {
        Self { message_id: id.clone(), attempt: 1, ..Self::default() }
    }

    /// A delivery, and what it asks for where that could be read.
    pub fn delivery(metadata: &DeliveryMetadata, task: Option<&Task>) -> Self {
        let attempt = metadata.source.attempt();
        // What the path of a request says is of interest once it is proven: until then it is anybody's.
        let project = task.and_then(|task| task.project().or_else(|| metadata.target.project.clone()));
        Self { message_id: metadata.id.clone(), project, attempt, bytes: metadata.bytes }
    }
}

impl Context {
    /// Counts and logs `handled`.
    pub fn log_outcome(&self, handled: Handled, started: Instant, fields: &LogFields) -> Handled {
        self.metrics.count(Metric::of(&handled.outcome));
        if handled.gave_up {
            self.metrics.count(Metric::RunsGivenUp);
        }
        let words = words(&handled);
        let pipeline_id = handled.outcome.pipeline().map(|pipeline| pipeline.id);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_authentic = !matches!(handled.outcome, Outcome::Unauthenticated(_));
        let bytes = (!is_authentic).then_some(fields.bytes);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    run_id = handled.run_id.as_ref().map(|id| id.as_str()),
                    project = fields.project.as_deref(),
                    outcome = handled.outcome.name(),
                    pipeline_id,
                    message_id = fields.message_id.as_deref(),
                    redeliver = handled.should_redeliver(),
                    attempt = fields.attempt,
                    bytes,
                    duration_ms,
                    "{words}"
                )
            };
        }
        match &handled.outcome {
            Outcome::Unreported { .. } | Outcome::Unconfirmed(_) => line!(error),
            Outcome::Invalid(_)
            | Outcome::Rejected(_)
            | Outcome::Deferred(_)
            | Outcome::Unreadable { .. }
            | Outcome::Unauthenticated(_) => line!(warn),
            _ => line!(info),
        }
        handled
    }
}

/// A sentence that stands alone.
fn words(handled: &Handled) -> String {
    let fields = handled.run_id.as_ref().map_or_else(|| "a delivery".to_owned(), |id| format!("run `{id}`"));
    let outcome = match &handled.outcome {
        Outcome::Enqueued => "handed over".to_owned(),
        other => other.name().to_lowercase(),
    };
    let link = || handled.outcome.pipeline().map(|pipeline| format!(": {}", pipeline.url));
    let reason = handled.outcome.reason().map(|(reason, hint)| {
        let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!(": {reason}{hint}")
    });
    format!("{fields} is {outcome}{}", reason.or_else(link).unwrap_or_default())
}
