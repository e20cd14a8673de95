//! Verifies GitLab's proof of a hook: a Standard Webhooks signature (GitLab 19.0 and later), or the plain `X-Gitlab-Token`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use hmac::Mac as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{VerifyError, codes, mac, matches_any};
use crate::deadlines::MAX_SIGNATURE_AGE;
use crate::gitlab::types::HookSecrets;

/// What a hook brought along as proof.
#[derive(Clone, Default)]
pub struct HookSignature {
    pub id: Option<String>,
    pub timestamp: Option<String>,
    pub signature: Option<String>,
    pub token: Option<SecretString>,
}

/// How a hook has to be proven, and when it was: with the keys of another version it must be proven in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookProof {
    Signature {
        signed_at: DateTime<Utc>,
    },
    /// It says nothing of its time: it counts from when it was received.
    Token,
}

impl HookSignature {
    /// How the hook has to be proven under `keys`: a signature, where one came and a signing token is set, decides alone. An error where no
    /// key can prove it.
    pub fn proof(&self, keys: &HookSecrets, now: DateTime<Utc>) -> Result<HookProof, VerifyError> {
        if let (Some(_), Some(signature)) = (&keys.signing_token, &self.signature) {
            let time = self.timestamp.as_ref().filter(|_| self.id.is_some()).and_then(|time| time.parse().ok());
            let signed_at = time.and_then(|time| DateTime::from_timestamp(time, 0)).ok_or(VerifyError::Timestamp)?;
            if (now - signed_at).abs() > MAX_SIGNATURE_AGE {
                return Err(VerifyError::Expired);
            }
            let is_malformed = codes(signature).is_empty();
            return if is_malformed { Err(VerifyError::Malformed) } else { Ok(HookProof::Signature { signed_at }) };
        }
        if keys.token.is_some() && self.token.is_some() { Ok(HookProof::Token) } else { Err(VerifyError::Missing) }
    }

    /// Whether `keys` prove `body` in this way. A blank key proves nothing.
    pub fn verify(&self, proof: HookProof, body: &str, keys: &HookSecrets) -> bool {
        match proof {
            HookProof::Signature { .. } => {
                keys.signing_token.as_ref().is_some_and(|key| self.signature_matches(body, key))
            }
            HookProof::Token => keys
                .token
                .as_ref()
                .zip(self.token.as_ref())
                .is_some_and(|(expected, given)| tokens_match(expected, given)),
        }
    }

    fn signature_matches(&self, body: &str, key: &SecretString) -> bool {
        let (Some(id), Some(timestamp), Some(signature)) = (&self.id, &self.timestamp, &self.signature) else {
            return false;
        };
        let text = key.expose_secret().trim();
        let key = BASE64_STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).unwrap_or_default();
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body.as_bytes()];
        // Everybody can sign with no key.
        !key.is_empty() && matches_any(&codes(signature), &mac(&key, &parts))
    }
}

/// Compares in constant time, length included: what is compared are the MACs of both.
fn tokens_match(expected: &SecretString, given: &SecretString) -> bool {
    let code = |token: &SecretString| mac(b"hook token", &[token.expose_secret().trim().as_bytes()]);
    let given = code(given).finalize().into_bytes();
    !expected.expose_secret().trim().is_empty() && code(expected).verify_slice(&given).is_ok()
}
