//! GitLab's proof of a hook: a Standard Webhooks signature (GitLab 19.0 and later), or the plain `X-Gitlab-Token`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{VerifyError, WINDOW_SECONDS, any_matches, mac};
use crate::gitlab::types::HookSecrets;

/// What a hook brought along as proof.
#[derive(Clone, Default)]
pub struct HookSignature {
    pub id: Option<String>,
    pub timestamp: Option<String>,
    pub signature: Option<String>,
    pub token: Option<SecretString>,
}

impl HookSignature {
    /// Whether one of the keys vouches for `body` at `now`. A signature, where one came and a signing token is set, decides alone.
    pub fn verify(&self, body: &str, keys: &HookSecrets, now: DateTime<Utc>) -> Result<(), VerifyError> {
        match (&keys.signing_token, &self.signature, &keys.token, &self.token) {
            (Some(key), Some(signature), _, _) => self.signature_holds(body, key, signature, now),
            (_, _, Some(expected), Some(given)) => tokens_match(expected, given),
            _ => Err(VerifyError::Missing),
        }
    }

    fn signature_holds(
        &self,
        body: &str,
        key: &SecretString,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), VerifyError> {
        let (Some(id), Some(timestamp)) = (&self.id, &self.timestamp) else { return Err(VerifyError::Timestamp) };
        let seconds: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
        if (now.timestamp().saturating_sub(seconds)).saturating_abs() > WINDOW_SECONDS {
            return Err(VerifyError::Expired);
        }
        let text = key.expose_secret();
        let key = BASE64_STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).unwrap_or_default();
        if key.is_empty() {
            // Everybody can sign with no key.
            return Err(VerifyError::Mismatch);
        }
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body.as_bytes()];
        if any_matches(signature, &mac(&key, &parts)) { Ok(()) } else { Err(VerifyError::Mismatch) }
    }
}

/// Compares in constant time, length included: what is compared are the MACs of both.
fn tokens_match(expected: &SecretString, given: &SecretString) -> Result<(), VerifyError> {
    use hmac::Mac as _;
    let code = |token: &SecretString| mac(b"hook token", &[token.expose_secret().as_bytes()]);
    let given = code(given).finalize().into_bytes();
    code(expected).verify_slice(&given).map_err(|_| VerifyError::Mismatch)
}
