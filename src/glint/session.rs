//! Authenticated Glint calls: one login for all, renewed before it expires, and once more if Glint refuses it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Glint, GlintError, no_answer};
use crate::deadlines::CallLimits;
use crate::deadlines::GLINT_TIMEOUT;
use crate::glint::credentials::{Credentials, LoadCredentials, Wanted};
use crate::http::Response;
use crate::retry::retry;
use crate::telemetry::redaction::Redactor;

/// A login is given up this part of its life before its end.
const MARGIN: u32 = 10;
/// What is kept of Glint's answer at the most.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Glint's bearer token. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Bearer(Arc<Token>);

#[derive(Debug)]
struct Token {
    /// `Bearer ...`, wiped when nobody needs it any more.
    header: HeaderValue,
    /// Hides all that Glint was ever sent of secrets, and might repeat in its words.
    redactor: Redactor,
    /// Counts logins, so that a refused one is forgotten once, by whoever notices first.
    serial: u64,
}

impl Bearer {
    /// Fails where `token` is nothing that a header can hold.
    fn new(token: &SecretString, client_secret: &SecretString, serial: u64) -> Result<Self, GlintError> {
        let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()).into_bytes());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| super::unreadable())?;
        header.set_sensitive(true);
        Ok(Self(Arc::new(Token { header, redactor: Redactor::new([token, client_secret]), serial })))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }
}

/// The session that all calls share, and where its credentials come from.
pub(super) struct Session {
    load_credentials: LoadCredentials,
    current: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    login: Option<Login>,
    serial: u64,
}

struct Login {
    bearer: Bearer,
    client_id: String,
    expires_at: SystemTime,
}

impl Session {
    pub(super) fn new(load_credentials: LoadCredentials) -> Self {
        Self { load_credentials, current: tokio::sync::Mutex::default() }
    }

    /// Forgets `bearer`, which Glint refused, unless a newer one has taken its place.
    async fn forget(&self, bearer: &Bearer) {
        let mut state = self.current.lock().await;
        if state.login.as_ref().is_some_and(|login| login.bearer.0.serial == bearer.0.serial) {
            state.login = None;
        }
    }
}

impl Glint {
    /// Logs in, unless that is done.
    pub async fn log_in(&self, limits: CallLimits) -> Result<(), GlintError> {
        self.bearer(limits).await.map(drop)
    }

    /// Calls Glint with a bearer token. Re-authenticates once if the token expired.
    pub(super) async fn with_login<T, F: Future<Output = Result<T, GlintError>>>(
        &self,
        limits: CallLimits,
        call: impl Fn(Bearer) -> F,
    ) -> Result<T, GlintError> {
        let bearer = self.bearer(limits).await?;
        match call(bearer.clone()).await {
            Err(GlintError::LoginExpired) => {
                self.session.forget(&bearer).await;
                call(self.bearer(limits).await?).await
            }
            other => other,
        }
    }

    /// A bearer token. If Glint refuses the credentials, reads them once more, and logs in again only if they changed.
    async fn bearer(&self, limits: CallLimits) -> Result<Bearer, GlintError> {
        let load =
            |wanted| async { (self.session.load_credentials)(wanted, limits).await.map_err(GlintError::NoCredentials) };
        let Some(loaded) = load(Wanted::Current).await? else { return Err(GlintError::CredentialsRefused) };
        match self.bearer_for(&loaded.credentials, limits).await {
            Err(GlintError::CredentialsRefused) => {}
            other => return other,
        }
        match load(Wanted::NewerThan(loaded.version)).await? {
            Some(newer) => self.bearer_for(&newer.credentials, limits).await,
            None => Err(GlintError::CredentialsRefused),
        }
    }

    /// The bearer token there is, or that of a new login. Concurrent callers share one login.
    ///
    /// A rotated client secret ends no login: Glint says so itself, when it does.
    async fn bearer_for(&self, credentials: &Credentials, limits: CallLimits) -> Result<Bearer, GlintError> {
        let mut state = self.session.current.lock().await;
        let is_current = |login: &&Login| login.client_id == credentials.client_id && limits.now < login.expires_at;
        if let Some(login) = state.login.as_ref().filter(is_current) {
            return Ok(login.bearer.clone());
        }
        let (token, lifetime) = retry(limits.deadline, || self.request_token(credentials)).await?;
        state.serial += 1;
        let bearer = Bearer::new(&token, &credentials.client_secret, state.serial)?;
        let expires_at = limits.now + (lifetime - lifetime / MARGIN);
        state.login = Some(Login { bearer: bearer.clone(), client_id: credentials.client_id.clone(), expires_at });
        Ok(bearer)
    }

    async fn request_token(&self, credentials: &Credentials) -> Result<(SecretString, Duration), GlintError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Asked<'a> {
            client_id: &'a str,
            client_secret: &'a str,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Granted {
            access_token: String,
            #[serde(default)]
            expires_in: Option<f64>,
        }
        let (client_id, client_secret) = (credentials.client_id.as_str(), credentials.client_secret.expose_secret());
        let body = super::request_body(&Asked { client_id, client_secret });
        let request = self.request(Method::POST, "auth/access_token", Some(body))?;
        let answer = self.http.send(request, MAX_RESPONSE_BYTES, GLINT_TIMEOUT).await.map_err(no_answer)?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal_of_login(&answer));
        }
        let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| super::unreadable())?;
        // Glint's documentation names three hours; an answer without a number is trusted for a little while.
        let lifetime = granted.expires_in.filter(|seconds| seconds.is_finite() && *seconds >= 0.0).unwrap_or(300.0);
        Ok((SecretString::from(granted.access_token), Duration::from_secs_f64(lifetime.min(86_400.0))))
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
