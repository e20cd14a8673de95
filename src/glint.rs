//! Client of Glint's API: reads runs, patches them, and adds to their logs.

pub mod credentials;
mod entity;
pub mod message;
mod patch;
mod probe;
mod response;
pub mod run;
mod session;

pub use patch::PatchResult;
pub use probe::Probe;
pub use response::RunPage;
pub use response::VisibleFields;
use session::Bearer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::deadlines::{CallLimits, GLINT_TIMEOUT};
use crate::http::percent_encode;
use crate::http::{BaseUrl, Http, Response, SendError};
use crate::json;
use crate::retry::{Retry, retry};
use credentials::{LoadCredentials, NoCredentials};
use run::{RunId, RunState};

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
    /// Requests that may still be carried out although nobody waits for them any more.
    lost_answers: AtomicU64,
    /// Requests that failed and may have been carried out all the same.
    doubtful_failures: AtomicU64,
    /// Whether it was logged that this Glint refuses an `externalRunId`.
    has_refused_external_id: AtomicBool,
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
    /// There are no credentials to log in with.
    #[error("{0}")]
    NoCredentials(NoCredentials),
    /// Glint read the request and will say the same again: its error code, and its words.
    #[error("Glint refused: {words}")]
    Refused { code: String, words: String },
    /// Glint does not allow it, to this client or from this address: 403.
    #[error("Glint does not allow it (status 403)")]
    Denied,
    /// Later it may work.
    #[error("Glint does not answer: {why}")]
    Unavailable { why: String, after: Option<Duration> },
    /// The answer to a request that must not be repeated was lost: it may still be carried out, however late.
    #[error("Glint's answer was lost: {0}")]
    ResponseLost(String),
}

impl Retry for GlintError {
    fn after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { after, .. } => Some(after.unwrap_or_default()),
            Self::Denied => Some(Duration::ZERO),
            _ => None,
        }
    }

    fn out_of_time() -> Self {
        Self::Unavailable { why: "no time left".to_owned(), after: None }
    }
}

impl Glint {
    /// `base` is Glint's base URL with `/v1`.
    pub fn new(http: Http, base: BaseUrl, load_credentials: LoadCredentials) -> Self {
        Self {
            http,
            base,
            session: session::Session::new(load_credentials),
            lost_answers: AtomicU64::new(0),
            doubtful_failures: AtomicU64::new(0),
            has_refused_external_id: AtomicBool::new(false),
        }
    }

    /// Begins a connection that the next request will use. Nothing is sent.
    pub async fn connect_ahead(&self) {
        if let Ok(url) = self.base.below("auth/access_token") {
            self.http.connect_ahead(url).await;
        }
    }

    /// The run's state.
    pub async fn run(&self, id: &RunId, limits: CallLimits) -> Result<RunState, GlintError> {
        let path = &path_of(id);
        self.with_retries(limits, |bearer| async move {
            let answer = self.call(Method::GET, path, None, &bearer).await?;
            response::run(&answer.body).ok_or_else(unreadable)
        })
        .await
    }

    /// The runs that carry `external_id`.
    pub async fn runs_by_external_id(
        &self,
        external_id: &str,
        limits: CallLimits,
    ) -> Result<Vec<RunState>, GlintError> {
        self.list(&format!("actions/runs?external_run_id={external_id}&version=v2"), limits).await
    }

    /// The runs in progress, as many as Glint lists at once: the first of them, or those behind `next`.
    pub async fn active_runs(&self, next: Option<&str>, limits: CallLimits) -> Result<RunPage, GlintError> {
        let next = next.map(|token| format!("&next={}", percent_encode(token))).unwrap_or_default();
        self.page(&format!("actions/runs?active=true&limit={MAX_RUNS}&version=v2{next}"), limits).await
    }

    /// Counts answers that were lost since the function started. A request whose answer was lost may be carried out later.
    pub fn lost_answers(&self) -> u64 {
        self.lost_answers.load(Ordering::Relaxed)
    }

    /// Counts failed requests that may have been carried out all the same, since the function started.
    pub fn doubtful_failures(&self) -> u64 {
        self.doubtful_failures.load(Ordering::Relaxed)
    }

    /// Adds a line to the run's log. Sent once: a repetition would show.
    pub async fn log(&self, id: &RunId, message: &str, limits: CallLimits) -> Result<(), GlintError> {
        let path = &format!("actions/runs/{id}/logs");
        let sent = self.with_login(limits, |bearer| async move {
            let body = request_body(&json!({ "message": bearer.redactor().redact(message) }));
            self.call(Method::POST, path, Some(body), &bearer).await
        });
        tokio::time::timeout_at(limits.deadline, sent).await.unwrap_or_else(|_| Err(GlintError::out_of_time()))?;
        Ok(())
    }

    async fn list(&self, path: &str, limits: CallLimits) -> Result<Vec<RunState>, GlintError> {
        Ok(self.page(path, limits).await?.runs)
    }

    async fn page(&self, path: &str, limits: CallLimits) -> Result<RunPage, GlintError> {
        self.with_retries(limits, |bearer| async move {
            let answer = self.call_for(MAX_LIST_BYTES, Method::GET, path, None, &bearer).await?;
            response::runs(&answer.body).ok_or_else(unreadable)
        })
        .await
    }

    /// An authenticated call that may be repeated.
    async fn with_retries<T, F: Future<Output = Result<T, GlintError>>>(
        &self,
        limits: CallLimits,
        call: impl Fn(Bearer) -> F,
    ) -> Result<T, GlintError> {
        let call = &call;
        self.with_login(limits, |bearer| async move { retry(limits.deadline, || call(bearer.clone())).await }).await
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
        let mut lost = CountIfDropped(Some(&self.lost_answers));
        let mut doubtful = CountIfDropped(Some(&self.doubtful_failures));
        let sent = self.http.send(request, cap, GLINT_TIMEOUT).await;
        let (is_lost, is_doubtful) = match &sent {
            Ok(answer) => (matches!(answer.status, 408 | 502 | 504), matches!(answer.status, 408 | 500..)),
            Err(SendError::NotSent(_)) => (false, false),
            Err(SendError::ResponseLost(_)) => (true, true),
        };
        if !is_lost {
            lost.0 = None;
        }
        if !is_doubtful {
            doubtful.0 = None;
        }
        let answer = sent.map_err(no_answer)?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refused_error(&answer, bearer)) }
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

/// Counts one when it is dropped: a request that is given up may still arrive.
struct CountIfDropped<'a>(Option<&'a AtomicU64>);

impl Drop for CountIfDropped<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn path_of(run: &RunId) -> String {
    ["actions/runs/", run.as_str(), "?version=v2"].concat()
}

/// The body of a request, wiped when it was sent: a login's holds the client secret.
fn request_body(body: &impl Serialize) -> Bytes {
    Bytes::from_owner(Zeroizing::new(json::to_text(body).into_bytes()))
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
fn refused_error(answer: &Response, bearer: &Bearer) -> GlintError {
    let (code, words) = response::error(answer.body.get(..MAX_ERROR_BYTES).unwrap_or(&answer.body));
    match answer.status {
        401 => GlintError::LoginExpired,
        404 if code == "not_found" => GlintError::UnknownRun,
        // Also for an address that is not on the organisation's list.
        403 => GlintError::Denied,
        // A 404 without Glint's own JSON is another server's.
        400 | 405 | 409 | 413 | 415 | 422 => GlintError::Refused {
            words: bearer.redactor().sanitize_line(&format!("{words} (status {})", answer.status)),
            code,
        },
        status => GlintError::Unavailable { why: format!("status {status}"), after: answer.retry_after() },
    }
}
