//! Proves that a delivery is genuine, over its raw bytes.
//!
//! What arrives is [`UnverifiedBody`] and gives no access to its content; only [`UnverifiedBody::verify`] turns it into text that may be read.

mod glint;
mod hook;

pub use glint::{SignatureHeaders, UnverifiedBody};
pub use hook::HookSignature;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// How far a signed time may lie from now, on either side.
pub const WINDOW_SECONDS: i64 = 300;

/// Why a delivery is not verify_run_token. The words are safe to log and to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("it carries no signature")]
    Missing,
    #[error("its signature has no timestamp, or one that is no number")]
    Timestamp,
    #[error("its signature is older or newer than {WINDOW_SECONDS} seconds")]
    Expired,
    #[error("its signature does not match")]
    Mismatch,
    #[error("no hooks are expected here")]
    HooksDisabled,
}

/// HMAC-SHA256 over the parts, one after the other.
fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Whether one of the `v1,<base64>` signatures in `header` is `mac`'s, compared in constant time.
///
/// Senders separate several by spaces; a gateway that merges repeated headers, by commas.
fn any_matches(header: &str, mac: &Hmac<Sha256>) -> bool {
    let words: Vec<&str> = header.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    words.windows(2).filter(|pair| pair[0] == "v1").any(|pair| {
        let decoded = BASE64_STANDARD.decode(pair[1]);
        decoded.is_ok_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    })
}

/// The proof that a pipeline of `project` was started here for `run_id`, which the trigger's body carries.
///
/// Keyed with Glint's client secret, so that no other project's pipeline can claim the run.
pub fn sign_run(client_secret: &SecretString, project: &str, run_id: &str) -> String {
    let code = mac_of_run(client_secret, project, run_id).finalize().into_bytes();
    format!("v1,{}", BASE64_STANDARD.encode(code))
}

/// Whether `proof` is [`sign_run`]. Compares in constant time.
pub fn verify_run(client_secret: &SecretString, project: &str, run_id: &str, proof: &str) -> bool {
    let encoded = proof.strip_prefix("v1,").and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    encoded.is_some_and(|bytes| mac_of_run(client_secret, project, run_id).verify_slice(&bytes).is_ok())
}

fn mac_of_run(client_secret: &SecretString, project: &str, run_id: &str) -> Hmac<Sha256> {
    let text = format!("glint-gitlab-trigger\n{project}\n{run_id}");
    mac(client_secret.expose_secret().as_bytes(), &[text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_project_and_run_alone() {
        let secret = SecretString::from("client secret");
        let proof = sign_run(&secret, "g/p", "r_1");
        assert!(verify_run(&secret, "g/p", "r_1", &proof));
        assert!(!verify_run(&secret, "g/q", "r_1", &proof));
        assert!(!verify_run(&secret, "g/p", "r_2", &proof));
        assert!(!verify_run(&SecretString::from("other"), "g/p", "r_1", &proof));
        assert!(!verify_run(&secret, "g/p", "r_1", "v1,"));
    }
}
