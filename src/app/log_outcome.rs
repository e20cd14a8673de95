//! Logs what happened to a delivery, in one line, and counts it.

use tokio::time::Instant;

use super::context::Context;
use super::verify_delivery::Task;
use crate::outcome::{Handled, Level, Outcome};
use crate::source::{DeliveryMetadata, Source};

/// What a line says beside the outcome.
#[derive(Debug, Default)]
pub struct LogFields {
    message_id: Option<String>,
    project: Option<String>,
    attempt: u32,
    source: Option<Source>,
    bytes: usize,
}

impl LogFields {
    /// A delivery, and what it asks for where that could be read.
    pub fn delivery(metadata: &DeliveryMetadata, task: Option<&Task>) -> Self {
        Self {
            message_id: metadata.id.clone(),
            // The path of a request is logged once it is verified: before that anybody may have chosen it.
            project: task.and_then(|task| task.project().or_else(|| metadata.target.project.clone())),
            attempt: metadata.source.attempt(),
            source: Some(metadata.source.clone()),
            bytes: metadata.bytes,
        }
    }
}

/// Counts and logs `handled`.
pub fn log_outcome(context: &Context, handled: Handled, started: Instant, fields: &LogFields) -> Handled {
    context.metrics.count(handled.outcome.metric());
    let message = message(&handled);
    let pipeline_id = handled.outcome.pipeline().map(|pipeline| pipeline.id);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let is_unauthenticated = matches!(handled.outcome, Outcome::Unauthenticated(_));
    let bytes = is_unauthenticated.then_some(fields.bytes);
    let redeliver = fields.source.as_ref().and_then(|source| source.redelivers(&handled));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                run_id = handled.run_id.as_ref().map(|id| id.as_str()),
                project = fields.project.as_deref(),
                outcome = handled.outcome.name(),
                pipeline_id,
                message_id = fields.message_id.as_deref(),
                redeliver,
                attempt = fields.attempt,
                bytes,
                duration_ms,
                "{message}"
            )
        };
    }
    match handled.outcome.level() {
        Level::Error => line!(error),
        Level::Warn => line!(warn),
        Level::Info => line!(info),
    }
    handled
}

/// A sentence that stands alone.
fn message(handled: &Handled) -> String {
    let subject = handled.run_id.as_ref().map_or_else(|| "a delivery".to_owned(), |id| format!("run `{id}`"));
    let predicate = match &handled.outcome {
        Outcome::Started(_) => "is started",
        Outcome::Duplicate => "is linked or ended already",
        Outcome::Ignored(_) => "is ignored",
        Outcome::Invalid(_) => "is invalid",
        Outcome::Rejected(_) => "is rejected",
        Outcome::Deferred(_) => "is deferred",
        Outcome::GivenUp(_) => "is given up",
        Outcome::Unreported { .. } => "is started, and Glint could not be told",
        Outcome::Reported => "is reported to Glint",
        Outcome::Unconfirmed(_) => "is unconfirmed",
        Outcome::Finished(_) => "is finished",
        Outcome::Progressed(_) => "has moved on",
        Outcome::Enqueued => "is enqueued",
        Outcome::Unreadable { .. } => "is unreadable",
        Outcome::Unauthenticated(_) => "is refused",
    };
    let link = || handled.outcome.pipeline().map(|pipeline| format!(": {}", pipeline.url));
    let reason = handled.outcome.reason().map(|(reason, hint)| {
        let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!(": {reason}{hint}")
    });
    format!("{subject} {predicate}{}", reason.or_else(link).unwrap_or_default())
}
