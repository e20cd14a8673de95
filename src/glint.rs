//! Asks Glint how runs stand, and tells it what became of them.

pub mod credentials;

pub mod message;
mod response;
pub mod run;
mod session;

use session::Bearer;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::deadlines::{Freshness, GLINT_TIMEOUT};
use crate::http::percent_encode;
use crate::http::{BaseUrl, Http, Response, SendError};
use crate::json;
use crate::retry::{Retry, retry};
use credentials::LoadCredentials;
use run::{Entity, RunId, RunPatch, RunState, RunStatus};

/// A run carries its inputs and the backend's response, neither of which Glint takes at more than 1 MiB. Ten may be read at once.
const MAX_RESPONSE_BYTES: usize = 2 * 1024 * 1024;
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;
/// The longest error that is read for its words.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// The most runs that Glint lists at once.
const MAX_RUNS: usize = 1000;

/// Glint's REST API, version 1.
pub struct Glint {
    http: Http,
    base: BaseUrl,
    session: session::Session,
}

/// Why Glint was not told, or did not tell: each variant is another thing to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GlintError {
    /// Glint's own `not_found`: no such run, and there never will be.
    #[error("Glint knows no such run")]
    UnknownRun,
    /// The bearer token is not accepted: log in again.
    #[error("Glint does not accept the login")]
    LoginExpired,
    /// The client id or secret is not accepted.
    #[error("Glint refuses the client's credentials")]
    CredentialsRefused,
    /// There are no credentials to log in with: the words name the secret.
    #[error("{0}")]
    NoCredentials(String),
    /// Glint read the request and will say the same again: its error code, and its words.
    #[error("Glint refused: {words}")]
    Refused { code: String, words: String },
    /// Later it may work.
    #[error("Glint does not answer: {why}")]
    Unavailable { why: String, after: Option<Duration> },
}

impl Retry for GlintError {
    fn after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { after, .. } => Some(after.unwrap_or_default()),
            _ => None,
        }
    }

    fn out_of_time() -> Self {
        Self::Unavailable { why: "no time left".to_owned(), after: None }
    }
}

/// Glint's answer to a PATCH, read where somebody asks. No `Debug`: the run's inputs may stand in it.
pub struct PatchResponse(Vec<u8>);

impl PatchResponse {
    /// Whether the run has_label `label`; `None` where none is sanitize_line.
    pub fn has_label(&self, label: &str) -> Option<bool> {
        Some(response::label(&self.0)?.as_deref() == Some(label))
    }
}

/// What a PATCH came to.
pub enum PatchResult {
    Applied(PatchResponse),
    /// The run had ended, or is gone: nothing was written, and nothing needs to be.
    AlreadyEnded,
}

impl Glint {
    /// `base` is Glint's base URL with `/v1`.
    pub fn new(http: Http, base: BaseUrl, load_credentials: LoadCredentials) -> Self {
        Self { http, base, session: session::Session::new(load_credentials) }
    }

    /// Begins a connection that the next request will use. Nothing is sent.
    pub async fn connect_ahead(&self) {
        if let Ok(url) = self.base.below("auth/access_token") {
            self.http.connect_ahead(url).await;
        }
    }

    /// The run's state.
    pub async fn run(&self, id: &RunId, freshness: Freshness) -> Result<RunState, GlintError> {
        let path = &path_of(id);
        self.repeated(freshness, |bearer| async move {
            let answer = self.call(Method::GET, path, None, &bearer).await?;
            response::run(&answer.body).ok_or_else(unreadable)
        })
        .await
    }

    /// The runs that carry `external_id`.
    pub async fn runs_by_external_id(
        &self,
        external_id: &str,
        freshness: Freshness,
    ) -> Result<Vec<RunState>, GlintError> {
        self.list(&format!("actions/runs?external_run_id={external_id}&version=v2"), freshness).await
    }

    /// The runs in progress, as many as Glint lists at once.
    pub async fn active_runs(&self, freshness: Freshness) -> Result<Vec<RunState>, GlintError> {
        self.list(&format!("actions/runs?active=true&limit={MAX_RUNS}&version=v2"), freshness).await
    }

    /// Patches the run. What Glint refuses of a run that has ended is no failure; a status that it refuses of a synchronized run is left out.
    pub async fn patch(&self, id: &RunId, patch: &RunPatch, freshness: Freshness) -> Result<PatchResult, GlintError> {
        let mut result = self.send_patch(id, patch, freshness).await;
        if matches!(&result, Err(GlintError::Refused { code, .. }) if code == "run_synchronized_error") {
            result = self.send_patch(id, &RunPatch { status: None, ..patch.clone() }, freshness).await;
        }
        let refused = match result {
            Ok(response) => return Ok(PatchResult::Applied(response)),
            Err(GlintError::UnknownRun) => return Ok(PatchResult::AlreadyEnded),
            Err(error @ GlintError::Refused { .. }) => error,
            Err(error) => return Err(error),
        };
        // Glint does not say which refusal means an ended run: its state does.
        match self.run(id, freshness).await {
            Ok(state) if state.status == RunStatus::Ended => Ok(PatchResult::AlreadyEnded),
            _ => Err(refused),
        }
    }

    /// Writes the same values however often it is sent, so it is retried.
    async fn send_patch(
        &self,
        id: &RunId,
        patch: &RunPatch,
        freshness: Freshness,
    ) -> Result<PatchResponse, GlintError> {
        let path = &path_of(id);
        let answer = self.repeated(freshness, |bearer| async move {
            let summary = patch.summary.as_ref().map(|text| bearer.redactor().redact(text));
            let body = written(&RunPatch { summary, ..patch.clone() });
            self.call(Method::PATCH, path, Some(body), &bearer).await
        });
        Ok(PatchResponse(answer.await?.body))
    }

    /// Adds a line to the run's log. Sent once: a repetition would show.
    pub async fn log(&self, id: &RunId, message: &str, freshness: Freshness) -> Result<(), GlintError> {
        let path = &format!("actions/runs/{id}/logs");
        let sent = self.authenticated(freshness, |bearer| async move {
            let body = written(&json!({ "message": bearer.redactor().redact(message) }));
            self.call(Method::POST, path, Some(body), &bearer).await
        });
        tokio::time::timeout_at(freshness.deadline, sent).await.unwrap_or_else(|_| Err(GlintError::out_of_time()))?;
        Ok(())
    }

    /// Writes the entity, merging with what is there, on behalf of the run, which must be in progress.
    pub async fn upsert(&self, entity: &Entity, run: &RunId, freshness: Freshness) -> Result<(), GlintError> {
        let properties: BTreeMap<&str, &String> =
            entity.properties.iter().map(|(name, value)| (*name, value)).collect();
        let body = &written(&json!({ "identifier": entity.identifier, "properties": properties }));
        let path =
            &format!("blueprints/{}/entities?upsert=true&merge=true&run_id={run}", percent_encode(&entity.blueprint));
        self.repeated(
            freshness,
            |bearer| async move { self.call(Method::POST, path, Some(body.clone()), &bearer).await },
        )
        .await?;
        Ok(())
    }

    /// Glint's clock, as it stamps its answers; `None` where it does not.
    pub async fn clock(&self, freshness: Freshness) -> Result<Option<SystemTime>, GlintError> {
        let path = "actions/runs?active=true&limit=1&version=v2";
        let answer =
            self.repeated(freshness, |bearer| async move { self.call(Method::GET, path, None, &bearer).await });
        Ok(answer.await?.date().map(Into::into))
    }

    async fn list(&self, path: &str, freshness: Freshness) -> Result<Vec<RunState>, GlintError> {
        self.repeated(freshness, |bearer| async move {
            let answer = self.call_for(MAX_LIST_BYTES, Method::GET, path, None, &bearer).await?;
            response::runs(&answer.body).ok_or_else(unreadable)
        })
        .await
    }

    /// An authenticated call that may be repeated.
    async fn repeated<T, F: Future<Output = Result<T, GlintError>>>(
        &self,
        freshness: Freshness,
        call: impl Fn(Bearer) -> F,
    ) -> Result<T, GlintError> {
        let call = &call;
        self.authenticated(freshness, |bearer| async move { retry(freshness.deadline, || call(bearer.clone())).await })
            .await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        bearer: &Bearer,
    ) -> Result<Response, GlintError> {
        self.call_for(MAX_RESPONSE_BYTES, method, path, body, bearer).await
    }

    async fn call_for(
        &self,
        cap: usize,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        bearer: &Bearer,
    ) -> Result<Response, GlintError> {
        let mut request = self.request(method, path, body)?;
        request.headers_mut().insert(AUTHORIZATION, bearer.header());
        let answer = self.http.send(request, cap, GLINT_TIMEOUT).await.map_err(no_answer)?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refusal(&answer, bearer)) }
    }

    fn request(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Request, GlintError> {
        let url = self.base.below(path).map_err(|why| GlintError::Unavailable { why, after: None })?;
        let mut request = Request::new(method, url);
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
        }
        Ok(request)
    }
}

fn path_of(run: &RunId) -> String {
    ["actions/runs/", run.as_str(), "?version=v2"].concat()
}

/// The body of a request, wiped when it was sent: a login's holds the client secret.
fn written(body: &impl Serialize) -> Bytes {
    Bytes::from_owner(Zeroizing::new(json::written(body).into_bytes()))
}

fn no_answer(failure: SendError) -> GlintError {
    match failure {
        SendError::NotSent(why) | SendError::ResponseLost(why) => GlintError::Unavailable { why, after: None },
    }
}

fn unreadable() -> GlintError {
    GlintError::Unavailable { why: "the answer cannot be read".to_owned(), after: None }
}

/// What an answer that is no success leaves to do.
fn refusal(answer: &Response, bearer: &Bearer) -> GlintError {
    let (code, words) = response::error(answer.body.get(..MAX_ERROR_BYTES).unwrap_or(&answer.body));
    match answer.status {
        401 => GlintError::LoginExpired,
        404 if code == "not_found" => GlintError::UnknownRun,
        // 403 is Glint's word for an address that is not on the organisation's list, 404 without its JSON another server's.
        400 | 405 | 413 | 415 | 422 => GlintError::Refused {
            words: bearer.redactor().sanitize_line(&format!("{words} (status {})", answer.status)),
            code,
        },
        status => GlintError::Unavailable { why: format!("status {status}"), after: answer.retry_after() },
    }
}

/// What a login that was not granted leaves to do.
fn refusal_of_login(answer: &Response) -> GlintError {
    match answer.status {
        // 403 is Glint's word for an address that is not on its list, 404 another server's for a path it does not have.
        400 | 401 | 422 => GlintError::CredentialsRefused,
        status => GlintError::Unavailable {
            why: format!("the login was answered with status {status}"),
            after: answer.retry_after(),
        },
    }
}
