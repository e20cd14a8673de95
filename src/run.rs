//! A run: what Glint asked for, how it stands there, and what it can be told.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
pub struct Run {
    pub id: RunId,
    /// When the user clicked, as Glint says.
    pub clicked_at: Option<DateTime<Utc>>,
    /// Glint waits for our reply and ends the run by it, so no status may be set.
    pub synchronized: bool,
    /// The backend that the action names: what decides whether the run is ours.
    pub backend: Backend,
    /// What to start, or the sentence that says what of the message cannot be read.
    pub request: Result<Request, String>,
    /// The whole message, byte for byte.
    pub text: String,
    /// Where its top-level `headers` stand in it, with the comma that goes with them.
    pub headers: Option<Range<usize>>,
}

impl Run {
    /// The message less its `headers`, which were for the way, and the white space around it: what the pipeline is given.
    pub fn payload(&self) -> Cow<'_, str> {
        let Some(headers) = self.headers.clone() else { return self.text.trim_ascii().into() };
        let (before, after) = (&self.text[..headers.start], &self.text[headers.end..]);
        Cow::Owned([before.trim_ascii_start(), after.trim_ascii_end()].concat())
    }

    /// The project's path, as far as the message names one.
    pub fn project_path(&self) -> Option<String> {
        let request = self.request.as_ref().ok()?;
        Some(format!("{}/{}", request.group.as_ref()?, request.project.as_ref()?))
    }
}

/// `invocationMethod.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    GitLab,
    Webhook,
    /// Another backend's run.
    Other(String),
    /// The message does not say, as a templated one may.
    Unnamed,
}

/// What a message asks GitLab to do, nothing of it judged yet.
#[derive(Debug, Default)]
pub struct Request {
    pub group: Option<String>,
    pub project: Option<String>,
    pub default_ref: Option<String>,
    pub inputs: Inputs,
    /// `invocationMethod.pipelineVariables`: when there are any, they take the inputs' place.
    pub pipeline_variables: Inputs,
    /// Names of the inputs that Glint encrypted.
    pub secret_inputs: Vec<String>,
    pub omit_payload: bool,
    pub omit_user_inputs: bool,
}

/// What the door says of the pipeline where the message itself does not: the path and query of a webhook's URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// `group/sub/project`.
    pub project: Option<String>,
    pub default_ref: Option<String>,
    pub omit_payload: Option<bool>,
    pub omit_user_inputs: Option<bool>,
}

/// How a run stands in Glint.
#[derive(Debug)]
pub struct Standing {
    pub id: RunId,
    pub status: Status,
    pub label: Option<String>,
    pub link: Option<String>,
    pub external_id: Option<String>,
    pub updated_at: Option<DateTime<Utc>>,
    /// The user's inputs as Glint kept them, unread: few who look at a run want them.
    pub inputs: Option<Box<RawValue>>,
    /// Who started it: an e-mail address where Glint tells one, else its user id.
    pub started_by: Option<String>,
    /// Glint ends it by itself, from our reply.
    pub synchronized: bool,
}

impl Standing {
    /// Whether a pipeline belongs to it already.
    pub fn is_linked(&self) -> bool {
        self.link.is_some() || self.external_id.is_some()
    }
}

/// Glint's run status, as far as it decides anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    InProgress,
    WaitingForApproval,
    /// `SUCCESS`, `FAILURE` or `DECLINED`: Glint accepts nothing more.
    Ended,
    /// A word that no documentation names: not to be acted on.
    Unknown(String),
}

/// How a run can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    #[serde(rename = "SUCCESS")]
    Success,
    #[serde(rename = "FAILURE")]
    Failure,
}

/// The only keys that Glint's `PATCH /v1/actions/runs/{id}` accepts; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external_run_id: Option<String>,
}

impl Update {
    /// An update of the label alone, which leaves the run in progress.
    pub fn label(text: &str) -> Self {
        Self { status_label: Some(text.to_owned()), ..Self::default() }
    }
}

/// What Glint is told of a run: first the log line, then the update, since an ended run accepts no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    pub log: Option<String>,
    pub update: Update,
}

/// An entity of Glint's catalog, to be written on a run's behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    pub blueprint: String,
    pub identifier: String,
    pub properties: Vec<(&'static str, String)>,
}
