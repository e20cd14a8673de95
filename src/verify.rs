//! Verifies that a delivery is genuine, over its raw bytes.
//!
//! What arrives is [`UnverifiedBody`] and gives no access to its content; only [`UnverifiedBody::verify`] turns it into text that may be read.

mod glint;
mod hook;
mod url;

pub use glint::{SignatureHeaders, UnverifiedBody};
pub use hook::{HookProof, HookSignature};
pub use url::{RequestUrl, url_key};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of `bytes` in hexadecimal digits.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a delivery is not authenticated. The words hold nothing of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("it carries no signature")]
    Missing,
    #[error("its signature has no timestamp, or one that is no number")]
    Timestamp,
    #[error("its signature is older or newer than 300 seconds")]
    Expired,
    #[error("its signature has another form than `v1,<base64>`")]
    Malformed,
    #[error("its signature was made with another key, or of another body")]
    Mismatch,
    #[error("the action's own URL is another one")]
    OtherUrl,
    #[error("it was not put on the queue by this function")]
    NotEnqueuedHere,
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

/// More signatures than these in one header are not tried.
const MAX_CODES: usize = 8;

/// The `v1,<base64>` signatures in `header`, decoded; those of another form are left out.
///
/// Senders separate several by spaces; a gateway that merges repeated headers, by commas.
fn codes(header: &str) -> Vec<[u8; 32]> {
    let words = || header.split([' ', ',']).filter(|word| !word.is_empty());
    let encoded = words().zip(words().skip(1)).filter(|(version, _)| *version == "v1").map(|(_, code)| code);
    let decoded = encoded.filter(|code| code.len() <= 44).filter_map(|code| BASE64_STANDARD.decode(code).ok());
    decoded.filter_map(|code| code.try_into().ok()).take(MAX_CODES).collect()
}

/// Whether one of `codes` is `mac`'s, compared in constant time.
fn matches_any(codes: &[[u8; 32]], mac: &Hmac<Sha256>) -> bool {
    codes.iter().any(|code| mac.clone().verify_slice(code).is_ok())
}

/// Proves that this function put `body` on its queue as `kind`: a relay that may send there can send runs alone.
pub fn sign_queued(client_secret: &SecretString, kind: &str, body: &str) -> String {
    format!("v1,{}", BASE64_STANDARD.encode(mac_of_queued(client_secret, kind, body).finalize().into_bytes()))
}

/// Whether `code` is [`sign_queued`]. Compares in constant time; a blank secret proves nothing.
pub fn verify_queued(client_secret: &SecretString, kind: &str, body: &str, code: &str) -> bool {
    let is_blank = client_secret.expose_secret().trim().is_empty();
    !is_blank && matches_any(&codes(code), &mac_of_queued(client_secret, kind, body))
}

fn mac_of_queued(client_secret: &SecretString, kind: &str, body: &str) -> Hmac<Sha256> {
    let key = client_secret.expose_secret().as_bytes();
    mac(key, &[b"glint-gitlab-trigger queue\n", kind.as_bytes(), b"\n", body.as_bytes()])
}

/// The proof that a pipeline of `project` was started here for `run_id`, which the trigger's body carries.
///
/// Keyed with Glint's client secret, so that no other project's pipeline can claim the run.
pub fn sign_run(client_secret: &SecretString, project: &str, run_id: &str) -> String {
    let code = mac_of_run(client_secret, project, run_id).finalize().into_bytes();
    format!("v1,{}", BASE64_STANDARD.encode(code))
}

/// Whether `proof` is [`sign_run`]. Compares in constant time; a blank secret proves nothing.
pub fn verify_run(client_secret: &SecretString, project: &str, run_id: &str, proof: &str) -> bool {
    let is_blank = client_secret.expose_secret().trim().is_empty();
    !is_blank && matches_any(&codes(proof), &mac_of_run(client_secret, project, run_id))
}

fn mac_of_run(client_secret: &SecretString, project: &str, run_id: &str) -> Hmac<Sha256> {
    let text = format!("glint-gitlab-trigger\n{}\n{run_id}", project.to_lowercase());
    mac(client_secret.expose_secret().as_bytes(), &[text.as_bytes()])
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_project_and_run_alone() {
        let secret = SecretString::from("client secret");
        let proof = sign_run(&secret, "g/p", "r_1");
        assert!(verify_run(&secret, "g/p", "r_1", &proof));
        assert!(verify_run(&secret, "G/P", "r_1", &proof));
        assert!(!verify_run(&secret, "g/q", "r_1", &proof));
        assert!(!verify_run(&secret, "g/p", "r_2", &proof));
        assert!(!verify_run(&SecretString::from("other"), "g/p", "r_1", &proof));
        assert!(!verify_run(&secret, "g/p", "r_1", "v1,"));
        let blank = SecretString::from("");
        assert!(!verify_run(&blank, "g/p", "r_1", &sign_run(&blank, "g/p", "r_1")));
    }

    #[test]
    fn what_was_queued_is_proven_by_kind_and_body() {
        let secret = SecretString::from("client secret");
        let code = sign_queued(&secret, "hook", "{}");
        assert!(verify_queued(&secret, "hook", "{}", &code));
        assert!(!verify_queued(&secret, "report", "{}", &code));
        assert!(!verify_queued(&secret, "hook", "{ }", &code));
        assert!(!verify_queued(&SecretString::from("other"), "hook", "{}", &code));
        assert!(!verify_queued(&secret, "hook", "{}", ""));
    }
}
