//! One login for all, until shortly before it expires.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Glint, GlintError, no_answer, refusal_of_login};
use crate::deadlines::GLINT_TIMEOUT;
use crate::glint::credentials::Credentials;
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

#[derive(Default)]
pub(super) struct Login {
    current: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    serial: u64,
}

struct Session {
    bearer: Bearer,
    client_id: String,
    expires_at: SystemTime,
}

impl Glint {
    /// The bearer token there is, or that of a new login with `credentials`. Who asks meanwhile waits for the same one.
    ///
    /// A rotated client secret ends no login: Glint says so itself, when it does.
    pub async fn bearer(&self, credentials: &Credentials, now: SystemTime, by: Instant) -> Result<Bearer, GlintError> {
        let mut state = self.login.current.lock().await;
        if let Some(session) = state
            .session
            .as_ref()
            .filter(|session| session.client_id == credentials.client_id && now < session.expires_at)
        {
            return Ok(session.bearer.clone());
        }
        let (token, lifetime) = retry(by, || self.log_in(credentials)).await?;
        state.serial += 1;
        let bearer = Bearer::new(&token, &credentials.client_secret, state.serial)?;
        let expires_at = now + (lifetime - lifetime / MARGIN);
        state.session = Some(Session { bearer: bearer.clone(), client_id: credentials.client_id.clone(), expires_at });
        Ok(bearer)
    }

    /// Forgets `bearer`, which Glint refused, unless a newer one has taken its place.
    pub async fn forget(&self, bearer: &Bearer) {
        let mut state = self.login.current.lock().await;
        if state.session.as_ref().is_some_and(|session| session.bearer.0.serial == bearer.0.serial) {
            state.session = None;
        }
    }

    async fn log_in(&self, credentials: &Credentials) -> Result<(SecretString, Duration), GlintError> {
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
        let body = super::written(&Asked { client_id, client_secret });
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
