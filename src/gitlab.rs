//! Sends triggers to GitLab, and looks pipelines up.

mod answer;
mod lookup;

pub use lookup::LookupError;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::http::{Http, NoAnswer};
use crate::pipeline::{Pipeline, Project};

/// The longest answer to a trigger that is read.
const CAP: usize = 256 * 1024;

/// GitLab's REST API, version 4.
pub struct GitLab {
    http: Http,
    base: String,
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

impl crate::retry::Retry for TriggerError {
    fn after(&self) -> Option<Duration> {
        matches!(self, Self::NotSent(_)).then_some(Duration::ZERO)
    }

    /// Reached only between two tries: one in flight has a limit of its own, and an earlier end.
    fn out_of_time() -> Self {
        Self::Unknown("no time left".to_owned())
    }
}

impl GitLab {
    /// `base` is GitLab's base URL without a trailing slash.
    pub fn new(http: Http, base: &str) -> Self {
        Self { http, base: base.to_owned() }
    }

    /// The project's page.
    pub fn project_url(&self, project: &str) -> String {
        format!("{}/{project}", self.base)
    }

    /// Creates a pipeline: `POST /projects/:id/trigger/pipeline`, once. `body` is all of the request but the token;
    /// what GitLab says is told without the token and `secrets`.
    pub async fn trigger(
        &self,
        project: &Project,
        token: &SecretString,
        body: &[(&'static str, Box<RawValue>)],
        secrets: &[SecretString],
        limit: Duration,
    ) -> Result<Pipeline, TriggerError> {
        let mut request = self
            .request(Method::POST, &format!("projects/{}/trigger/pipeline", project.segment()))
            .map_err(TriggerError::NotSent)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(written(body, token).as_bytes().to_vec().into());
        match self.http.send(request, CAP, limit).await {
            Ok(answer) => {
                let secrets: Vec<&SecretString> = secrets.iter().chain([token]).collect();
                answer::decode(&answer, &secrets)
            }
            Err(NoAnswer::NotSent(why)) => Err(TriggerError::NotSent(why)),
            Err(NoAnswer::Lost(why)) => Err(TriggerError::Unknown(why)),
        }
    }

    /// Whether GitLab answers at all, whatever it says.
    pub async fn reach(&self, limit: Duration) -> Result<(), String> {
        let request = self.request(Method::GET, "version")?;
        self.http.send(request, CAP, limit).await.map(drop).map_err(|no_answer| no_answer.to_string())
    }

    /// A request below `/api/v4/`, whose URL is compared with what it must be before anything secret is added: an encoded path that a
    /// URL parser resolves would send the token elsewhere.
    fn request(&self, method: Method, path: &str) -> Result<Request, String> {
        let text = format!("{}/api/v4/{path}", self.base);
        let url = Url::parse(&text).map_err(|error| error.to_string())?;
        if url.as_str() != text {
            return Err("the project's path does not survive in a URL".to_owned());
        }
        Ok(Request::new(method, url))
    }
}

/// The JSON body, the token second as the agent has it.
fn written(body: &[(&'static str, Box<RawValue>)], token: &SecretString) -> Zeroizing<String> {
    let token = Zeroizing::new(crate::json::quote(token.expose_secret()));
    let size: usize = body.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
    let mut out = Zeroizing::new(String::with_capacity(size + token.len() + 16));
    for (index, (name, value)) in body.iter().enumerate() {
        out.push_str(if index == 0 { "{\"" } else { ",\"" });
        out.push_str(name);
        out.push_str("\":");
        out.push_str(value.get());
        if index == 0 {
            out.push_str(",\"token\":");
            out.push_str(&token);
        }
    }
    out.push('}');
    out
}
