//! Recognizes which source invoked the function, and splits its event into deliveries.
//!
//! One file per event source: each parses its event and builds its response.

mod envelope;
mod http;
mod invoke;
mod kafka;
mod sns;
mod sqs;
mod unsupported;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::deadlines::MAX_RECORD_AGE;
use crate::glint::message::Unreadable;
use crate::glint::run::UrlTarget;
use crate::json::{self, Object};
use crate::outcome::Handled;
use crate::verify::{HookSignature, RequestUrl, UnverifiedBody};
use unsupported::{UnsupportedEvent, unsupported};

/// What was asked of the function.
pub enum Event {
    Deliveries(Vec<Delivery>, Respond),
    /// `{"check": true}`
    Check(Check),
    /// `{"sweep": true}`
    Sweep,
    /// An HTTP request without a delivery, with its response, and why.
    Answered(Box<RawValue>, &'static str),
}

/// Builds a source's response from what happened to its deliveries, in their order.
pub type Respond = fn(&[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested>;

/// Fails the invocation, so that its source delivers the event again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RetryRequested(pub String);

/// A request for the check.
#[derive(Debug, Deserialize)]
pub struct Check {
    /// Paths of the projects to try; without them, those that the token map names.
    #[serde(default)]
    pub projects: Vec<String>,
}

/// One message of an event, with its metadata.
pub struct Delivery {
    pub payload: Payload,
    pub metadata: DeliveryMetadata,
}

/// What was delivered. No `Debug`: a body belongs in no log.
pub enum Payload {
    /// A message of Glint.
    Message(UnverifiedBody),
    /// A hook of GitLab, as it came.
    Hook { body: String, signature: HookSignature },
    /// Said to have been put on the queue by this function: the facts of a verified hook.
    QueuedHook { body: String, mac: String },
    /// Said to have been put on the queue by this function: what Glint could not be told.
    QueuedReport { body: String, mac: String },
    /// Not even text.
    Unreadable { why: Unreadable, too_large: bool },
}

impl Payload {
    fn unreadable(what: impl Into<String>, hint: &'static str) -> Self {
        Self::Unreadable { why: Unreadable::new(what, hint), too_large: false }
    }

    fn too_large(what: impl Into<String>) -> Self {
        Self::Unreadable { why: Unreadable::new(what, "let the action send less"), too_large: true }
    }
}

/// What a source says about a delivery.
#[derive(Clone, Debug)]
pub struct DeliveryMetadata {
    /// The source's id for it: SQS's message id.
    pub id: Option<String>,
    pub source: Source,
    pub target: UrlTarget,
    /// Path and query of the request, where `target` comes from them: they are not signed.
    pub url: Option<String>,
    /// The host that was asked, as AWS says.
    pub host: Option<String>,
    /// The header `RUN_ID`, which is not signed either.
    pub run_id_header: Option<String>,
    /// What makes a hook itself: a resent one has the same.
    pub hook_id: Option<String>,
    /// When it was sent to its source.
    pub sent_at: Option<DateTime<Utc>>,
    /// How long its body is.
    pub bytes: usize,
}

impl DeliveryMetadata {
    fn new(source: Source) -> Self {
        Self {
            id: None,
            source,
            target: UrlTarget::default(),
            url: None,
            host: None,
            run_id_header: None,
            hook_id: None,
            sent_at: None,
            bytes: 0,
        }
    }
}

/// Who invoked the function, with what decides about redelivery.
#[derive(Clone, Debug)]
pub enum Source {
    Sqs {
        /// `ApproximateReceiveCount`; `None` where the event does not tell.
        receive_count: Option<u32>,
        is_dead_letter_queue: bool,
        receipt: Option<Receipt>,
    },
    Kafka {
        timestamp: DateTime<Utc>,
    },
    /// A function URL or an HTTP API.
    Http,
    /// SNS, EventBridge, or a direct invoke.
    Invoke,
}

/// Identifies one receive of a message, so that its visibility can be changed.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub queue_arn: String,
    pub handle: String,
}

impl Source {
    /// Whether a message needs Glint's signature: nothing else proves who sent it. IAM decides who may use the other sources.
    pub fn requires_signature(&self) -> bool {
        matches!(self, Self::Http | Self::Kafka { .. })
    }

    /// Whether its deliveries are put on the runs queue, where there is one.
    pub fn should_enqueue(&self) -> bool {
        matches!(self, Self::Http | Self::Kafka { .. })
    }

    pub fn is_dead_letter_queue(&self) -> bool {
        matches!(self, Self::Sqs { is_dead_letter_queue: true, .. })
    }

    /// Whether this is the final attempt: the delivery is not redelivered after it.
    pub fn is_final_attempt(&self, max_receives: u32, now: DateTime<Utc>) -> bool {
        match self {
            Self::Sqs { receive_count, .. } => receive_count.is_some_and(|count| count >= max_receives),
            // A producer's clock may be ahead.
            Self::Kafka { timestamp } => (now - timestamp).abs() > MAX_RECORD_AGE,
            Self::Http => true,
            Self::Invoke => false,
        }
    }

    /// Whether no redelivery is promised: neither a queue nor a topic redelivers it.
    pub fn promises_no_redelivery(&self) -> bool {
        matches!(self, Self::Http | Self::Invoke | Self::Sqs { receive_count: None, .. })
    }

    /// Whether it delivers again what became this; `None` where it never does.
    pub fn redelivers(&self, handled: &Handled) -> Option<bool> {
        let is_skipped = matches!(self, Self::Kafka { .. }) && kafka::is_skipped(handled);
        (!matches!(self, Self::Http)).then(|| handled.should_redeliver() && !is_skipped)
    }

    /// Which delivery attempt this is, as far as the source tells.
    pub fn attempt(&self) -> u32 {
        if let Self::Sqs { receive_count: Some(count), .. } = self { *count } else { 1 }
    }
}

/// Project and options from a webhook's URL, or from the message attributes that stand for it.
fn url_target(project: Option<&str>, parameter: impl Fn(&str) -> Option<String>) -> UrlTarget {
    let flag =
        |name: &str| parameter(name).map(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | ""));
    UrlTarget {
        project: project.map(str::to_owned),
        default_ref: parameter("ref"),
        omit_payload: flag("omitPayload"),
        omit_user_inputs: flag("omitUserInputs"),
        report_pipeline_status: flag("reportPipelineStatus"),
        key: parameter("key"),
    }
}

/// What path and query say, as far as they are trusted.
fn target_of_url(url: &str) -> UrlTarget {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let path = RequestUrl::parse(url).path();
    url_target(Some(path.as_str()).filter(|path| !path.is_empty()), parameter)
}

/// What path and query of an action's URL say; nothing where it is no URL.
pub fn target_of_action_url(url: &str) -> UrlTarget {
    let Ok(url) = url::Url::parse(url.trim()) else { return UrlTarget::default() };
    target_of_url(&url[url::Position::BeforePath..url::Position::AfterQuery])
}

/// A string, or the digits of a number where a source should have written a string.
fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let is_bare = value.get().bytes().next().is_some_and(|byte| !matches!(byte, b'{' | b'[' | b'"' | b'n'));
    if is_bare { Some(Cow::Borrowed(value.get())) } else { json::string(value) }
}

/// What parsing needs of the settings.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Events of this queue are dead letters.
    pub dead_letter_queue_arn: Option<String>,
    /// The longest message that is taken over HTTP.
    pub max_message_bytes: usize,
}

/// Parses `event`, recognized by the members of its top level alone.
pub fn parse(event: &RawValue, settings: &SourceSettings) -> Result<Event, UnsupportedEvent> {
    if let Some(event) = sqs::parse_usual(event, settings) {
        return Ok(event);
    }
    let root = Object::parse(event.get()).map_err(|error| unsupported("the event is not a JSON object", &error))?;
    // Only where nothing else is there: a user input may be called so too.
    let is_command = root.iter().all(|(name, _)| matches!(name, "check" | "sweep" | "projects"));
    if is_command && root.is_true("check") {
        let check = serde_json::from_str(event.get());
        return check.map(Event::Check).map_err(|error| unsupported("the check cannot be read", &error));
    }
    if is_command && root.is_true("sweep") {
        return Ok(Event::Sweep);
    }
    if unsupported::is_for_authorizer(&root) {
        return Err(UnsupportedEvent("the event asks a Lambda authorizer, which this function is not".to_owned()));
    }
    // Only `rawPath` belongs to payload format 2.0: the others are answered with what to change.
    let is_request = ["rawPath", "httpMethod", "headers"].iter().any(|name| root.get(name).is_some());
    if is_request && root.get("requestContext").is_some() {
        return Ok(http::parse(&root, settings));
    }
    if let Some(records) = root.get("Records") {
        return parse_records(records, settings);
    }
    if kafka::is_event(&root) {
        return kafka::parse(&root);
    }
    Ok(invoke::parse(event.get(), &root))
}

/// Parses `Records`, a member that SQS and SNS share. One odd record among theirs does not make the event another's.
fn parse_records(records: &RawValue, settings: &SourceSettings) -> Result<Event, UnsupportedEvent> {
    let list: Vec<&RawValue> = serde_json::from_str(records.get())
        .map_err(|error| unsupported("the event's `Records` cannot be read", &error))?;
    let has = |is_record: fn(&Object) -> bool| {
        list.iter().any(|record| Object::parse(record.get()).is_ok_and(|record| is_record(&record)))
    };
    if list.is_empty() || has(sqs::is_record) {
        Ok(sqs::parse(&list, settings))
    } else if has(sns::is_record) {
        Ok(sns::parse(&list))
    } else {
        Err(unsupported::foreign_records(&list))
    }
}

#[cfg(test)]
mod properties;
