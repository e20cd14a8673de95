//! The secrets of a sandbox, as canaries: what they look like wherever they may come to light.

use aes_gcm::aead::Aead as _;
use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::PROJECT;
use sandbox::Sandbox;
use sandbox::spellings::forms;

pub const TRIGGER_TOKEN: &str = "glptt-4f1dC0ffee5b2e77aa0419dd63b1c8e2f00d9a71";
pub const READ_TOKEN: &str = "glpat-Zr8wQ2mK5tX9yB3nH7vL";
pub const CLIENT: &str = "kXq7\"/+ %Vd2 \\Wm9é0123456789abcdef";
pub const HOOK_KEY: &str = "whsec_UHJvYmVDYW5hcnlIb29rS2V5MDEyMzQ1Njc4OWFi";
pub const HOOK_TOKEN: &str = "h00k+Token/With=Signs&more";
pub const INPUT: &str = "pr1v4te$Line one\nLine/two \"three\"";

/// The sandbox's secrets, where the settings of [`settings`] look for them.
pub fn furnish(sandbox: &Sandbox) {
    sandbox.glint.credentials("client-id", CLIENT);
    sandbox.secrets.put("glint/credentials", json!({ "clientId": "client-id", "clientSecret": CLIENT }).to_string());
    sandbox.secrets.put("glint/gitlab-trigger-tokens", json!({ PROJECT: TRIGGER_TOKEN }).to_string());
    sandbox.secrets.put("hook", json!({ "signingToken": HOOK_KEY, "token": HOOK_TOKEN }).to_string());
    sandbox.secrets.put("read", READ_TOKEN);
    sandbox.gitlab.project(PROJECT).token(TRIGGER_TOKEN);
    sandbox.gitlab.read_token(READ_TOKEN);
    sandbox.gitlab.sign_hooks_with(HOOK_KEY);
}

pub const SETTINGS: [(&str, &str); 3] =
    [("GITLAB_HOOK_SECRET_ID", "hook"), ("GITLAB_READ_SECRET_ID", "read"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];

/// Every secret that an upstream can know, by the name under which a failure tells of it.
pub fn all(bearer: &str) -> Vec<(&'static str, String)> {
    let named = [
        ("trigger token", TRIGGER_TOKEN),
        ("read token", READ_TOKEN),
        ("client secret", CLIENT),
        ("hook key", HOOK_KEY),
        ("hook token", HOOK_TOKEN),
        ("secret input", INPUT),
        ("bearer token", bearer),
    ];
    named.map(|(name, text)| (name, text.to_owned())).into()
}

/// No spelling of any secret stands in `text`.
pub fn are_absent(text: &str, secrets: &[(&str, String)], place: &str) {
    for (name, secret) in secrets {
        for form in forms(secret) {
            let found = text.find(&form).map(|at| text[..at + form.len()].chars().rev().take(120).collect::<Vec<_>>());
            let found = found.map(|reversed| reversed.into_iter().rev().collect::<String>());
            assert_eq!(found, None, "the {name} came to light in {place}, as {form:?}");
        }
    }
}

/// `plain` as Glint encrypts a secret input.
pub fn sealed(plain: &str, client_secret: &str) -> String {
    let cipher = AesGcm::<Aes256, U16>::new_from_slice(&client_secret.as_bytes()[..32]).expect("32 bytes");
    let nonce = [7; 16];
    let ciphertext = cipher.encrypt(&Array::from(nonce), plain.as_bytes()).expect("it can be encrypted");
    STANDARD.encode([&nonce[..], &ciphertext].concat())
}

/// A run message with the secret input `password`.
pub fn message(run: &str) -> Value {
    let mut message = crate::support::message(run);
    message["payload"]["properties"]["password"] = json!(sealed(INPUT, CLIENT));
    message["payload"]["censoredProperties"] = json!(["password"]);
    message
}
