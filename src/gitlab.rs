//! Client of GitLab's API: sends triggers, and looks pipelines up.

mod artifact;
mod jobs;
mod lookup;
pub mod outputs;
mod probe;
mod response;
mod text;
pub mod types;
pub mod webhook;

pub use lookup::LookupError;
pub use probe::ReadAccess;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::gitlab::types::{Pipeline, Project};
use crate::http::{BaseUrl, Http, SendError};
use crate::json;
use crate::retry::Retry;
use crate::telemetry::redaction::Redactor;

/// The longest answer to a trigger that is read.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// GitLab's REST API, version 4.
pub struct GitLab {
    http: Http,
    base: BaseUrl,
}

/// What became of a trigger that created no pipeline we know of: each variant is another thing to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TriggerError {
    /// 401 or 404: GitLab does not tell a wrong token from a project that is not there.
    #[error("{0}")]
    TokenRefused(String),
    /// GitLab will say the same again.
    #[error("{0}")]
    Rejected(String),
    /// The pipeline was created, and had failed by then.
    #[error("the pipeline failed as it was created")]
    Failed(Pipeline),
    /// Nothing was created, and later it may be.
    #[error("GitLab takes no more pipelines for now")]
    Throttled(Option<Duration>),
    /// Nothing was created, since nothing arrived.
    #[error("GitLab cannot be reached: {0}")]
    NotSent(String),
    /// A pipeline may have been created.
    #[error("GitLab's answer was lost: {0}")]
    Unknown(String),
}

impl Retry for TriggerError {
    fn after(&self) -> Option<Duration> {
        matches!(self, Self::NotSent(_)).then_some(Duration::ZERO)
    }

    /// Reached only between two tries: one in flight has a limit of its own, and an earlier end.
    fn out_of_time() -> Self {
        Self::Unknown("no time left".to_owned())
    }
}

impl GitLab {
    /// `base` is GitLab's base URL.
    pub fn new(http: Http, base: BaseUrl) -> Self {
        Self { http, base }
    }

    /// Begins a connection that the next request will use. Nothing is sent.
    pub async fn connect_ahead(&self) {
        if let Ok(url) = self.base.below("api/v4/version") {
            self.http.connect_ahead(url).await;
        }
    }

    /// The project's page.
    pub fn project_url(&self, project: &str) -> String {
        format!("{}/{project}", self.base.as_str())
    }

    /// Whether `link` is the page of a pipeline here: of `project` in any letter case, or of any where that is not known.
    pub fn is_pipeline_page(&self, link: &str, project: Option<&str>) -> bool {
        let path = link.strip_prefix(self.base.as_str()).and_then(|path| path.strip_prefix('/'));
        path.and_then(|path| path.split_once("/-/pipelines/")).is_some_and(|(path, id)| {
            let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
            is_number && project.is_none_or(|project| project.eq_ignore_ascii_case(path))
        })
    }

    /// Creates a pipeline: `POST /projects/:id/trigger/pipeline`, once. `body` is all of the request but the token, as members and their JSON;
    /// what GitLab says is told without the token and `secrets`.
    pub async fn trigger(
        &self,
        project: &Project,
        token: &SecretString,
        body: &[(&'static str, Cow<'_, str>)],
        secrets: &[SecretString],
        limit: Duration,
    ) -> Result<Pipeline, TriggerError> {
        let mut request = self
            .request(Method::POST, &["projects/", &project.segment(), "/trigger/pipeline"].concat())
            .map_err(TriggerError::NotSent)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(request_body(body, token).into());
        match self.http.send(request, MAX_RESPONSE_BYTES, limit).await {
            Ok(answer) => {
                let redactor = || Redactor::new(secrets.iter().chain([token]));
                response::decode(&answer, self.base.as_str(), project, redactor)
            }
            Err(SendError::NotSent(why)) => Err(TriggerError::NotSent(why)),
            Err(SendError::ResponseLost(why)) => Err(TriggerError::Unknown(why)),
        }
    }

    /// Whether GitLab answers at all, whatever it says.
    pub async fn reach(&self, limit: Duration) -> Result<(), String> {
        let request = self.request(Method::GET, "version")?;
        self.http.send(request, MAX_RESPONSE_BYTES, limit).await.map(drop).map_err(|no_answer| no_answer.to_string())
    }

    /// A request below `/api/v4/`.
    fn request(&self, method: Method, path: &str) -> Result<Request, String> {
        Ok(Request::new(method, self.base.below(&["api/v4/", path].concat())?))
    }
}

/// The JSON body, the token second as the agent has it. Wiped when it was sent.
pub fn request_body(body: &[(&'static str, Cow<'_, str>)], token: &SecretString) -> Bytes {
    let token = Zeroizing::new(json::quote(token.expose_secret()));
    let size: usize = body.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    // Its capacity is that of the whole: a reallocation would leave a copy that is not wiped.
    let mut out = Zeroizing::new(Vec::with_capacity(size + token.len() + 16));
    let mut push = |pieces: &[&str]| pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    for (index, (name, value)) in body.iter().enumerate() {
        push(&[if index == 0 { "{\"" } else { ",\"" }, name, "\":", value]);
        if index == 0 {
            push(&[",\"token\":", &token]);
        }
    }
    push(&["}"]);
    Bytes::from_owner(out)
}

#[cfg(test)]
mod properties;
