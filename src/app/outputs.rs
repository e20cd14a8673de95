//! Fetches the outputs of a pipeline that ended.

use super::context::Context;
use crate::gitlab::LookupError;
use crate::gitlab::outputs::Outputs;
use crate::gitlab::types::{PipelineEvent, PipelineStatus, Project};
use crate::outcome::{Outcome, RetryLater};
use crate::telemetry::redaction::Redactor;

/// The outputs of the event's pipeline: none where no file is set, no token to read it with, or no job has it. What is wrong is among their
/// faults; only what may work later holds a run up, and not at its last attempt.
pub async fn outputs(context: &Context, event: &PipelineEvent, is_last: bool) -> Result<Outputs, Outcome> {
    let Some(file) = context.app.config.outputs_file.as_deref() else { return Ok(Outputs::default()) };
    if event.status == PipelineStatus::Deleted {
        return Ok(Outputs::default());
    }
    let by_id = event.pipeline.project_id.and_then(|id| Project::by_id(&id.to_string()));
    let Some(project) = by_id.or_else(|| Project::parse_path(&event.project).ok()) else {
        return Ok(Outputs::default());
    };
    let token = match context.read_token().await {
        Ok(Some(token)) => token,
        Ok(None) => return Ok(Outputs::default()),
        Err(_) if is_last => return Ok(Outputs::unusable("the read token cannot be read at the moment")),
        Err(outcome) => return Err(outcome),
    };
    let found = context.app.gitlab.artifact(&project, event.pipeline.id, file, &token, context.call_deadline());
    match context.lookup(found).await {
        Ok(Some(bytes)) => Ok(Outputs::parse(&bytes, &Redactor::new([&*token]))),
        Ok(None) => Ok(Outputs::default()),
        Err(error @ LookupError::Unavailable(_)) if !is_last => Err(Outcome::Deferred(RetryLater::new(error))),
        Err(LookupError::Refused(status @ 300..=399)) => {
            Ok(Outputs::unusable(format!("GitLab answered with a redirect (status {status}), which is not followed")))
        }
        Err(error) => Ok(Outputs::unusable(error.to_string())),
    }
}
