//! Client of the FIFO queue that feeds the function: sends messages, and delays the redelivery of deferred ones.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use tokio::time::Instant;

use crate::aws::http_adapter::{error_code, innermost_cause};
use crate::deadlines::MAX_VISIBILITY_TIMEOUT;
use crate::json::Object;
use crate::retry::{Retry, retry};

/// One FIFO queue.
pub struct Queue {
    client: Client,
    url: String,
}

/// A message to put on the queue.
#[derive(Debug, Default)]
pub struct Message {
    pub body: String,
    /// Messages of one group come one after the other.
    pub group: String,
    /// A second message of the same id within five minutes is dropped.
    pub deduplication: String,
    pub attributes: Vec<(&'static str, String)>,
}

/// Why the queue did not take it. SQS's error codes name no content.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the runs queue does not take it: {why}")]
pub struct QueueError {
    why: String,
    transient: bool,
    /// It may be on the queue all the same: an answer was lost.
    may_have_been_accepted: bool,
}

impl QueueError {
    /// AWS's error code, or why there was no answer.
    pub fn reason(&self) -> &str {
        &self.why
    }

    /// Whether the message may be on the queue all the same.
    pub fn may_have_been_accepted(&self) -> bool {
        self.may_have_been_accepted
    }

    /// The same error after an earlier answer was lost.
    pub fn after_lost_answer(self) -> Self {
        Self { may_have_been_accepted: true, ..self }
    }

    /// Whether the queue may take it later.
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

impl Retry for QueueError {
    fn after(&self) -> Option<Duration> {
        self.transient.then_some(Duration::ZERO)
    }

    fn out_of_time() -> Self {
        Self { why: "no time left".to_owned(), transient: true, may_have_been_accepted: true }
    }
}

impl Queue {
    pub fn new(client: Client, url: &str) -> Self {
        Self { client, url: url.to_owned() }
    }

    /// Whether this is the queue that the event source `arn` stands for.
    pub fn is(&self, arn: &str) -> bool {
        let name = self.url.rsplit('/').next().unwrap_or_default();
        arn.rsplit(':').next() == Some(name)
    }

    /// Puts `message` on the queue. Safe to repeat: the queue knows its deduplication id.
    pub async fn send(&self, message: &Message, deadline: Instant) -> Result<(), QueueError> {
        let is_answer_lost = AtomicBool::new(false);
        retry(deadline, || async {
            let mut request = self.client.send_message().queue_url(&self.url).message_body(&message.body);
            request = request.message_group_id(&message.group).message_deduplication_id(&message.deduplication);
            for (name, value) in &message.attributes {
                let value = MessageAttributeValue::builder()
                    .data_type("String")
                    .string_value(value)
                    .build()
                    .map_err(|error| from_build_error(&error))?;
                request = request.message_attributes(*name, value);
            }
            Box::pin(request.send()).await.map_err(|error| {
                let error = from_sdk_error(&error);
                let is_lost = is_answer_lost.fetch_or(error.may_have_been_accepted, Ordering::Relaxed);
                QueueError { may_have_been_accepted: error.may_have_been_accepted || is_lost, ..error }
            })
        })
        .await?;
        Ok(())
    }

    /// Hides a received message for `wait` from now.
    pub async fn change_visibility(
        &self,
        receipt_handle: &str,
        wait: Duration,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let seconds = wait.min(MAX_VISIBILITY_TIMEOUT).as_secs().try_into().unwrap_or(i32::MAX);
        let request = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds);
        let sent = async { Box::pin(request.send()).await.map_err(|error| from_sdk_error(&error)) };
        tokio::time::timeout_at(deadline, sent).await.unwrap_or_else(|_| Err(QueueError::out_of_time()))?;
        Ok(())
    }
}

/// The attributes of a queue that decide how its messages reach the function.
#[derive(Debug, Default)]
pub struct QueueAttributes {
    pub is_fifo: bool,
    pub visibility_timeout: Option<Duration>,
    /// `maxReceiveCount` and `deadLetterTargetArn` of its redrive policy.
    pub max_receives: Option<u32>,
    pub dead_letter_queue_arn: Option<String>,
}

impl Queue {
    /// Reads the queue's attributes.
    pub async fn attributes(&self, deadline: Instant) -> Result<QueueAttributes, QueueError> {
        use QueueAttributeName::{FifoQueue, RedrivePolicy, VisibilityTimeout};
        let output = retry(deadline, || async {
            let request = self.client.get_queue_attributes().queue_url(&self.url);
            let request = request.set_attribute_names(Some(vec![FifoQueue, VisibilityTimeout, RedrivePolicy]));
            Box::pin(request.send()).await.map_err(|error| from_sdk_error(&error))
        });
        let attributes = output.await?.attributes.unwrap_or_default();
        let policy = attributes.get(&RedrivePolicy).and_then(|policy| Object::parse(policy).ok()).unwrap_or_default();
        // A number, or one in quotes.
        let receives = policy.get("maxReceiveCount").map(|value| value.get().trim_matches('"'));
        Ok(QueueAttributes {
            is_fifo: attributes.get(&FifoQueue).is_some_and(|value| value == "true"),
            visibility_timeout: attributes
                .get(&VisibilityTimeout)
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            max_receives: receives.and_then(|number| number.parse().ok()),
            dead_letter_queue_arn: policy.string("deadLetterTargetArn").map(Cow::into_owned),
        })
    }
}

fn from_build_error(error: &impl std::fmt::Display) -> QueueError {
    QueueError { why: error.to_string(), transient: false, may_have_been_accepted: false }
}

fn from_sdk_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> QueueError {
    let SdkError::ServiceError(service) = error else {
        let is_unsent = matches!(error, SdkError::ConstructionFailure(_))
            || matches!(error, SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_user());
        return QueueError { why: innermost_cause(error), transient: true, may_have_been_accepted: !is_unsent };
    };
    let code = service.err().code();
    let transient = !code.is_some_and(|code| ABOUT_THE_MESSAGE.contains(&code));
    let status = service.raw().status().as_u16();
    QueueError {
        why: code.map_or_else(|| format!("status {status}"), error_code),
        transient,
        may_have_been_accepted: status >= 500,
    }
}

/// What SQS says of a message that it will never take. All else, its own limits and its keys among them, may pass.
const ABOUT_THE_MESSAGE: [&str; 4] =
    ["InvalidMessageContents", "InvalidParameterValue", "InvalidAttributeValue", "InvalidParameterCombination"];
