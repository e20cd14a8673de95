//! The types of a run: the request, its state in Glint, and the patch and report that are sent.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::gitlab::types::Pipeline;

use crate::json;

/// Glint's name for one execution of an action: `[A-Za-z0-9_-]`, 1 to 128 characters, so that it is safe as a path segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Accepts what [`RunId`] allows. Prefixes are not judged: Glint has used `r_`, `run_` and `wfnr_`.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        ((1..=128).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for RunId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a run id")
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// What a user entered in the action's form, in the order sent and as JSON.
pub type Inputs = Vec<(String, Box<RawValue>)>;

/// One message of Glint that starts a run.
#[derive(Debug)]
pub struct RunRequest {
    pub id: RunId,
    /// The id came in the header `RUN_ID`, which is not signed: it holds only where Glint shows that run with this very message.
    pub is_id_unsigned: bool,
    /// When the user clicked, as Glint says.
    pub clicked_at: Option<DateTime<Utc>>,
    /// Whether the pipeline's end ends the run. Otherwise the pipeline does so itself.
    pub report_pipeline_status: bool,
    /// `invocationMethod.url`: where Glint sent the message, as the message itself says.
    pub action_url: Option<String>,
    /// Glint waits for our reply and ends the run by it, so no status may be set.
    pub synchronized: bool,
    /// The backend that the action names: what decides whether the run is ours.
    pub backend: InvocationType,
    /// What to start, or the sentence that says what of the message cannot be read.
    pub spec: Result<TriggerSpec, String>,
    /// The whole message, byte for byte.
    pub text: String,
    /// Where its top-level `headers` stand in it, with the comma that goes with them.
    pub headers: Option<Range<usize>>,
}

impl RunRequest {
    /// The message less its `headers`, which were for the way, and the white space around it: what the pipeline is given.
    pub fn payload(&self) -> Cow<'_, str> {
        let Some(headers) = self.headers.clone() else { return self.text.trim_ascii().into() };
        let (before, after) = (&self.text[..headers.start], &self.text[headers.end..]);
        Cow::Owned([before.trim_ascii_start(), after.trim_ascii_end()].concat())
    }

    /// The project's path, as far as the message names one.
    pub fn requested_project_path(&self) -> Option<String> {
        let spec = self.spec.as_ref().ok()?;
        Some(format!("{}/{}", json::string(spec.group.as_deref()?)?, json::string(spec.project.as_deref()?)?))
    }

    /// Whether the message itself says which project it is for, be it in a form that cannot be read: its URL then says nothing.
    pub fn names_project(&self) -> bool {
        let is_named = |value: &Option<Box<RawValue>>| value.as_ref().is_some_and(|value| value.get() != "\"\"");
        self.spec.as_ref().is_ok_and(|spec| is_named(&spec.group) || is_named(&spec.project))
    }
}

/// `invocationMethod.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvocationType {
    GitLab,
    Webhook,
    /// Another backend's run.
    Other(String),
    /// The message does not say, as a templated one may.
    Unnamed,
}

/// What a message asks GitLab to do, nothing of it judged yet. What may be of a wrong type is kept as it came.
#[derive(Debug, Default)]
pub struct TriggerSpec {
    /// `invocationMethod.groupName`.
    pub group: Option<Box<RawValue>>,
    /// `invocationMethod.projectName`.
    pub project: Option<Box<RawValue>>,
    /// `invocationMethod.defaultRef`.
    pub default_ref: Option<Box<RawValue>>,
    pub inputs: Inputs,
    /// `invocationMethod.pipelineVariables`: when there are any, they take the inputs' place.
    pub pipeline_variables: Option<Box<RawValue>>,
    /// Names of the inputs that Glint encrypted.
    pub secret_inputs: Vec<String>,
    pub omit_payload: bool,
    pub omit_user_inputs: bool,
}

/// Project and options from the webhook's URL, or from the message attributes that stand for it, used where the message sets none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlTarget {
    /// `group/sub/project`.
    pub project: Option<String>,
    pub default_ref: Option<String>,
    pub omit_payload: Option<bool>,
    pub omit_user_inputs: Option<bool>,
    pub report_pipeline_status: Option<bool>,
    /// The URL's key, a MAC of its path and query: proves them where the action's own URL is unknown.
    pub key: Option<String>,
}

/// The state of a run in Glint.
#[derive(Debug)]
pub struct RunState {
    pub id: RunId,
    pub status: RunStatus,
    /// Whether it ended as a success.
    pub has_succeeded: bool,
    pub label: Option<String>,
    pub links: Vec<String>,
    pub external_id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The user's inputs as Glint kept them, unread: few who look at a run want them.
    pub inputs: Option<Box<RawValue>>,
    /// Who started it: an e-mail address where Glint tells one, else its user id.
    pub started_by: Option<String>,
    /// Glint ends it by itself, from our reply.
    pub synchronized: bool,
    /// The URL of the action, as Glint kept it: `payload.url`.
    pub action_url: Option<String>,
    /// What Glint sent there: `payload.body`.
    pub action_body: Option<Box<RawValue>>,
}

/// Glint's run status, as far as it decides anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStatus {
    InProgress,
    WaitingForApproval,
    /// `SUCCESS`, `FAILURE` or `DECLINED`: Glint accepts nothing more.
    Ended,
    /// A word that no documentation names: not to be acted on.
    Unknown(String),
}

/// How a run can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TerminalStatus {
    #[serde(rename = "SUCCESS")]
    Success,
    #[serde(rename = "FAILURE")]
    Failure,
}

/// The only keys that Glint's `PATCH /v1/actions/runs/{id}` accepts; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPatch {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<TerminalStatus>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status_label: Option<String>,
    #[serde(
        rename = "link",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "one_or_many",
        deserialize_with = "one_or_more",
        default
    )]
    pub links: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external_run_id: Option<String>,
}

/// Glint takes a link as a string, several as a list.
fn one_or_many<S: Serializer>(links: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match links {
        [link] => link.serialize(serializer),
        links => links.serialize(serializer),
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Links {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Links::deserialize(deserializer)? {
        Links::One(link) => vec![link],
        Links::Many(links) => links,
    })
}

impl RunPatch {
    /// An update of the label alone, which leaves the run in progress.
    pub fn label(text: &str) -> Self {
        Self { status_label: Some(text.to_owned()), ..Self::default() }
    }
}

/// What Glint is told of a run: first the log line, then the update, since an ended run accepts no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    pub log: Option<String>,
    pub update: RunPatch,
}

impl RunReport {
    /// The report with the link of the pipeline that it tells of.
    pub fn with_link_of(mut self, pipeline: Option<&Pipeline>) -> Self {
        if let Some(pipeline) = pipeline {
            self.update.links = vec![pipeline.url.clone()];
            self.update.external_run_id = pipeline.external_id();
        }
        self
    }
}

/// An entity of Glint's catalog, to be written on a run's behalf.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    pub blueprint: String,
    pub identifier: String,
    pub properties: Map<String, Value>,
    pub relations: Map<String, Value>,
}
