//! Recognises which source called, splits its payload into deliveries, and answers as that source understands.

mod answer;
mod batch;
mod envelope;
mod web;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

pub use answer::{MustComeAgain, Source};
pub use batch::{KIND, KIND_HOOK, KIND_REPORT};

use crate::json::Object;
use crate::run::Aim;
use crate::signature::{HookProof, Unproven};

/// What was asked of the function.
pub enum Event {
    Deliveries(Source, Vec<Delivery>),
    /// `{"check": true}`
    Check(Check),
    /// `{"sweep": true}`
    Sweep,
    /// An HTTP request that no delivery is in: answered as it stands.
    Answered(Box<RawValue>),
}

/// The request to say what works and what does not.
#[derive(Debug, Deserialize)]
pub struct Check {
    /// Paths of the projects to try; without them, those that the token map names.
    #[serde(default)]
    pub projects: Vec<String>,
}

/// One thing that was delivered, and on which terms.
pub struct Delivery {
    pub content: Content,
    pub terms: Terms,
}

/// What was delivered. No `Debug`: a body belongs into no log.
pub enum Content {
    /// A message of Glint.
    Message(Unproven),
    /// A hook of GitLab, as it came.
    Hook { body: String, proof: HookProof },
    /// Put on the queue by this function: the facts of a proven hook.
    QueuedHook(String),
    /// Put on the queue by this function: what Glint could not be told.
    QueuedReport(String),
    /// Not even text.
    Unreadable { why: String, too_large: bool },
}

impl Content {
    fn unreadable(why: impl Into<String>) -> Self {
        Self::Unreadable { why: why.into(), too_large: false }
    }
}

/// What a source says about a delivery, and what it will do with it.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the source calls it: SQS's message id.
    pub id: Option<String>,
    pub door: Door,
    pub aim: Aim,
    pub redelivery: Redelivery,
    /// When it was put where it came from.
    pub sent_at: Option<DateTime<Utc>>,
    pub receipt: Option<Receipt>,
}

/// The way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Queue,
    /// The queue of the messages that failed too often.
    DeadLetters,
    /// A function URL or an HTTP API.
    Web,
    /// Glint's Kafka topic.
    Topic,
    /// SNS, EventBridge, or a direct invoke.
    Notice,
}

impl Door {
    /// Whether a message has to prove by Glint's signature that it is genuine: nobody vouches for who sent it.
    pub fn wants_signature(self) -> bool {
        match self {
            Self::Web | Self::Topic => true,
            // IAM decides who may send here.
            Self::Queue | Self::DeadLetters | Self::Notice => false,
        }
    }

    /// Whether what comes in is handed over to the runs queue, where there is one.
    pub fn hands_over(self) -> bool {
        match self {
            Self::Web | Self::Topic => true,
            // From the queue itself, or from somebody who waits for the outcome.
            Self::Queue | Self::DeadLetters | Self::Notice => false,
        }
    }
}

/// Whether a delivery comes again, and how one knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// A queue counts its receives.
    Counted { receives: u32 },
    /// A topic brings it again until it gets through, and it is not worth that for ever.
    WhileYoung { written_at: DateTime<Utc> },
    /// Whoever invoked may try again.
    Perhaps,
    /// Nobody promised to.
    Never,
}

/// How old a Kafka record may be and still come again.
const YOUNG: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

impl Redelivery {
    /// Whether a run that still cannot start has to be failed now.
    pub fn is_last(self, max_receives: u32, now: DateTime<Utc>) -> bool {
        match self {
            Self::Counted { receives } => receives >= max_receives,
            // A producer's clock may be ahead.
            Self::WhileYoung { written_at } => (now - written_at).abs() > YOUNG,
            Self::Perhaps => false,
            Self::Never => true,
        }
    }

    /// Whether a run whose pipeline is not confirmed has to be ended now: nobody is sure to bring it again. Where copies of a delivery may
    /// overlap, only once the claim is `settled`: the copy that made it may still be at work, and will say how that went.
    pub fn ends_doubt(self, max_receives: u32, now: DateTime<Utc>, settled: bool) -> bool {
        match self {
            Self::Perhaps | Self::Never => settled,
            Self::Counted { .. } | Self::WhileYoung { .. } => self.is_last(max_receives, now),
        }
    }

    /// Whether the delivery may have been here before, its trigger sent.
    pub fn may_be_second(self) -> bool {
        !matches!(self, Self::Counted { receives: 1 } | Self::Never)
    }
}

/// Where a URL, or the message attributes that stand for one, say the pipeline should run.
fn aim(project: Option<&str>, parameter: impl Fn(&str) -> Option<String>) -> Aim {
    let flag =
        |name: &str| parameter(name).map(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | ""));
    Aim {
        project: project.map(str::to_owned),
        default_ref: parameter("ref"),
        omit_payload: flag("omitPayload"),
        omit_user_inputs: flag("omitUserInputs"),
    }
}

/// What makes one received message of a queue wait.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub queue_arn: String,
    pub handle: String,
}

/// A payload that no source sends.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}\n  hint: send an SQS, Kafka, SNS, EventBridge or HTTP event, a message of Glint, or `{{\"check\": true}}`"
)]
pub struct NotRecognised(String);

/// Recognises `payload` by the members of its top level alone.
pub fn recognise(payload: &RawValue, settings: &Doors) -> Result<Event, NotRecognised> {
    if let Some(event) = batch::queue(payload, settings) {
        return Ok(event);
    }
    let root = Object::parse(payload.get())
        .map_err(|error| NotRecognised(format!("the event is not a JSON object: {error}")))?;
    // Only where nothing else is there: a user input may be called so too.
    let is_order = root.iter().all(|(name, _)| matches!(name, "check" | "sweep" | "projects"));
    if is_order && root.is_true("check") {
        let check = serde_json::from_str(payload.get());
        return check.map(Event::Check).map_err(|error| NotRecognised(format!("the check cannot be read: {error}")));
    }
    if is_order && root.is_true("sweep") {
        return Ok(Event::Sweep);
    }
    // `httpMethod` is payload format 1.0's, which is answered with what to change.
    let is_request = root.get("rawPath").is_some() || root.get("httpMethod").is_some();
    if is_request && root.get("requestContext").is_some() {
        return Ok(web::deliveries(payload, &root, settings));
    }
    if let Some(records) = root.get("Records") {
        return batch::records(records, settings);
    }
    if root.get("records").is_some()
        && root.string("eventSource").is_some_and(|source| source.to_ascii_lowercase().contains("kafka"))
    {
        return batch::topic(&root);
    }
    let (text, sent_at) = envelope::event_bridge(&root).unwrap_or((payload.get().to_owned(), None));
    Ok(Event::Deliveries(Source::Notice, vec![batch::notice(Unproven::signed_inside(text), sent_at)]))
}

/// What recognising needs of the settings.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Events of this queue are dead letters.
    pub dead_letter_queue_arn: Option<String>,
    /// The longest message that is taken over HTTP, in bytes.
    pub most_message: usize,
}
