//! Puts what is proven on the runs queue, so that a burst or an outage costs no run.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::Context;
use super::verify_delivery::Task;
use crate::aws::sqs::{Message, Queue, QueueError};
use crate::deadlines::{ENQUEUE_INTERVAL, ENQUEUE_TIMEOUT};
use crate::glint::run::{Backend, RunRequest, UrlTarget};
use crate::outcome::{Outcome, RetryLater};
use crate::source::{DeliveryMetadata, KIND, KIND_HOOK, Source};
use crate::verify::SignatureHeaders;

/// What became of a delivery that may wait on the queue.
pub enum Enqueued {
    /// It waits there, or may.
    Done(Outcome),
    /// The queue provably does not have it, and its sender does not send it again.
    Refused(RetryLater),
    /// It is handled in place: there is no queue, it came from there, or the queue will never take it.
    InPlace,
}

/// Puts the task on the queue, where there is one and the task did not come from it.
pub async fn enqueue(context: &Context, task: &Task, metadata: &DeliveryMetadata) -> Enqueued {
    let Some(queue) = context.app.queue.as_ref().filter(|_| metadata.source.should_enqueue()) else {
        return Enqueued::InPlace;
    };
    let Some(message) = message(task, metadata) else { return Enqueued::InPlace };
    let is_run = matches!(task, Task::Start { .. });
    let is_webhook = is_run && matches!(metadata.source, Source::Http);
    let limit = if is_webhook { ENQUEUE_TIMEOUT } else { Duration::ZERO };
    match send(context, queue, &message, limit).await {
        Ok(()) => Enqueued::Done(Outcome::Enqueued),
        Err(error) if !error.is_transient() || !is_run => {
            // SQS will never accept this message, or it is a hook, which may be handled twice.
            tracing::warn!("a delivery of `{}` is handled in place: {error}", message.group);
            Enqueued::InPlace
        }
        Err(error) if is_webhook && !error.may_be_taken() => Enqueued::Refused(RetryLater::new(error)),
        Err(error) => Enqueued::Done(Outcome::Deferred(RetryLater::new(error))),
    }
}

/// Sends the message, again and again for so long as `limit` says: its deduplication id makes that safe.
async fn send(context: &Context, queue: &Queue, message: &Message, limit: Duration) -> Result<(), QueueError> {
    let until = (Instant::now() + limit).min(context.call_deadline());
    let mut may_be_taken = false;
    loop {
        let error = match queue.send(message, context.call_deadline()).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        may_be_taken |= error.may_be_taken();
        if !error.is_transient() || Instant::now() + ENQUEUE_INTERVAL >= until {
            return Err(if may_be_taken { error.after_lost_answer() } else { error });
        }
        sleep(ENQUEUE_INTERVAL).await;
    }
}

fn message(task: &Task, metadata: &DeliveryMetadata) -> Option<Message> {
    match task {
        Task::Start { run, signature } if waits(run, metadata) => Some(of_run(run, signature.as_ref(), metadata)),
        Task::Follow(event) => Some(Message {
            body: serde_json::to_string(event).ok()?,
            group: event.pipeline.external_id(),
            deduplication: metadata.id.clone()?,
            attributes: vec![(KIND, KIND_HOOK.to_owned())],
        }),
        Task::Start { .. } | Task::Report(_) => None,
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
