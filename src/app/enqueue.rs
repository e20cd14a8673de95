//! Puts what is proven on the runs queue, so that a burst or an outage costs no run.

use super::context::Context;
use super::verify_delivery::Task;
use crate::aws::sqs::Message;
use crate::glint::run::{Backend, RunRequest, UrlTarget};
use crate::outcome::{Handled, Outcome, RetryLater};
use crate::source::{DeliveryMetadata, KIND, KIND_HOOK};
use crate::verify::SignatureHeaders;

impl Context {
    /// Hands the task over, where there is a queue and the task did not come from it. `None` where it is to be done in place.
    pub async fn enqueue(&self, task: &Task, metadata: &DeliveryMetadata) -> Option<Handled> {
        let queue = self.app.queue.as_ref().filter(|_| metadata.source.should_enqueue())?;
        let message = match task {
            Task::Start { run, signature } if waits(run, metadata) => of_run(run, signature.as_ref(), metadata),
            Task::Follow(event) => Message {
                body: serde_json::to_string(event).ok()?,
                group: event.pipeline.external_id(),
                deduplication: metadata.id.clone()?,
                attributes: vec![(KIND, KIND_HOOK.to_owned())],
            },
            Task::Start { .. } | Task::Report(_) => return None,
        };
        let handled = |outcome| Some(Handled::new(task.run_id().cloned(), outcome));
        match queue.send(&message, self.call_deadline()).await {
            Ok(()) => handled(Outcome::Enqueued),
            Err(error) if error.is_transient() && matches!(task, Task::Start { .. }) => {
                handled(Outcome::Deferred(RetryLater::new(error)))
            }
            // Too large, or a character that SQS does not take: the queue will never have it. And a hook comes once, but may be done twice.
            Err(error) => {
                tracing::warn!("a delivery of `{}` is handled in place: {error}", message.group);
                None
            }
        }
    }
}

/// Whether the run may wait: Glint ends a synchronized one from our reply, and what is not for us, or is refused for want of a project in
/// its URL, is answered at once.
fn waits(run: &RunRequest, metadata: &DeliveryMetadata) -> bool {
    let ours = match run.backend {
        Backend::GitLab | Backend::Unnamed => true,
        Backend::Webhook => metadata.target.project.is_some(),
        Backend::Other(_) => false,
    };
    ours && !run.synchronized
}

/// The message as it came, with what its body does not say as attributes.
fn of_run(run: &RunRequest, signature: Option<&SignatureHeaders>, metadata: &DeliveryMetadata) -> Message {
    let UrlTarget { project, default_ref, omit_payload, omit_user_inputs, report_pipeline_status, key } =
        metadata.target.clone();
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    let mut attributes: Vec<(&'static str, String)> = Vec::new();
    if let Some(signature) = signature {
        attributes.push(("x-glint-signature", signature.signature.clone()));
        attributes.push(("x-glint-timestamp", signature.timestamp.clone()));
    }
    for (name, value) in [
        ("project", project),
        ("ref", default_ref),
        ("omitPayload", flag(omit_payload)),
        ("omitUserInputs", flag(omit_user_inputs)),
        ("reportPipelineStatus", flag(report_pipeline_status)),
        ("key", key),
    ] {
        // SQS refuses an empty attribute, which says nothing either.
        attributes.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    }
    Message { body: run.text.clone(), group: run.id.to_string(), deduplication: run.id.to_string(), attributes }
}
