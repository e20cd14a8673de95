//! Puts verified deliveries on the runs queue, so that a burst or an outage costs no run.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::Context;
use super::verify_delivery::Task;
use crate::aws::queue_message::{self, HOOK, RunAttributes};
use crate::aws::sqs::{Message, Queue, QueueError};
use crate::deadlines::{ENQUEUE_INTERVAL, ENQUEUE_TIMEOUT};
use crate::glint::run::{InvocationType, RunRequest, UrlTarget};
use crate::outcome::{Outcome, RetryLater};
use crate::source::{DeliveryMetadata, Source};
use crate::verify::{RequestUrl, SignatureHeaders, sha256_hex};

/// The longest id of a group or of deduplication that SQS takes.
const MAX_ID_LENGTH: usize = 128;

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
    let Some(message) = message(context, task, metadata).await else { return Enqueued::InPlace };
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
        Err(error) if is_webhook && !error.may_have_been_accepted() => Enqueued::Refused(RetryLater::new(error)),
        Err(error) => Enqueued::Done(Outcome::Deferred(RetryLater::new(error))),
    }
}

/// Sends the message, and retries until `limit`: its deduplication id makes that safe.
async fn send(context: &Context, queue: &Queue, message: &Message, limit: Duration) -> Result<(), QueueError> {
    let until = (Instant::now() + limit).min(context.call_deadline());
    let mut may_have_been_accepted = false;
    loop {
        let error = match queue.send(message, context.call_deadline()).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        may_have_been_accepted |= error.may_have_been_accepted();
        if !error.is_transient() || Instant::now() + ENQUEUE_INTERVAL >= until {
            return Err(if may_have_been_accepted { error.after_lost_answer() } else { error });
        }
        sleep(ENQUEUE_INTERVAL).await;
    }
}

async fn message(context: &Context, task: &Task, metadata: &DeliveryMetadata) -> Option<Message> {
    match task {
        Task::Start { run, signature } if should_enqueue_run(run, metadata) => {
            Some(run_message(run, signature.as_ref(), metadata))
        }
        Task::Follow(event) => {
            let message = Message {
                body: queue_message::write_hook(event),
                group: task.group_key(),
                deduplication: metadata.hook_id.clone()?,
                attributes: Vec::new(),
            };
            context.sign_message(HOOK, message).await.ok()
        }
        Task::Start { .. } | Task::Report(_) => None,
    }
}

/// Whether the run may wait: Glint ends a synchronized one from our reply, and what is not for us, or is refused for want of a project in
/// its URL, is answered at once.
fn should_enqueue_run(run: &RunRequest, metadata: &DeliveryMetadata) -> bool {
    let ours = match run.backend {
        InvocationType::GitLab => true,
        InvocationType::Unnamed if !matches!(metadata.source, Source::Http) => true,
        InvocationType::Unnamed | InvocationType::Webhook => metadata.target.project.is_some() || run.names_project(),
        InvocationType::Other(_) => false,
    };
    ours && !run.synchronized
}

/// The message as it came, with what its body does not say as attributes. What the URL says is judged by who takes it from the queue.
fn run_message(run: &RunRequest, signature: Option<&SignatureHeaders>, metadata: &DeliveryMetadata) -> Message {
    let run_id_header = metadata.run_id_header.clone().filter(|_| run.is_id_unsigned);
    let mut attributes = RunAttributes { url: unsigned_url(run, metadata), run_id_header }.to_attributes();
    if let Some(signature) = signature {
        attributes.push(("x-glint-signature", signature.signature.clone()));
        attributes.push(("x-glint-timestamp", signature.timestamp.clone()));
    }
    let deduplication = deduplication(run, metadata);
    // Whoever sends a header can name any run: until it is proven, the message waits for no other one of that run, and none for it.
    let group = if run.is_id_unsigned { deduplication.clone() } else { run.id.to_string() };
    Message { body: run.text.clone(), group, deduplication, attributes }
}

/// The run id, with a hash of what is not signed where something is used of it: a copy with another URL, or of another message, must not
/// displace the genuine one.
fn deduplication(run: &RunRequest, metadata: &DeliveryMetadata) -> String {
    let mut unsigned = unsigned_url(run, metadata).map(|url| RequestUrl::parse(&url).canonical()).unwrap_or_default();
    if !unsigned.is_empty() {
        unsigned.extend(["\n", metadata.target.key.as_deref().unwrap_or_default()]);
    }
    if run.is_id_unsigned {
        unsigned.extend(["\n", &run.text]);
    }
    if unsigned.is_empty() {
        return run.id.to_string();
    }
    let id = format!("{}.{}", run.id, &sha256_hex(unsigned)[..32]);
    if id.len() <= MAX_ID_LENGTH { id } else { sha256_hex(id) }
}

/// The URL that a run takes something from: a message that names its project takes nothing.
fn unsigned_url(run: &RunRequest, metadata: &DeliveryMetadata) -> Option<String> {
    let says_nothing = run.names_project() || metadata.target == UrlTarget::default();
    metadata.url.clone().filter(|_| !says_nothing || run.is_id_unsigned)
}
