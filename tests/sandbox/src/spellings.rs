//! How a secret looks wherever it may come to light.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// The spellings of a secret: plain, URL-encoded, as a form, base64, JSON-escaped, and its first eight characters.
pub fn forms(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let json = json!(secret).to_string();
    let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let escaped = json[1..json.len() - 1].to_owned();
    let mut forms =
        vec![secret.to_owned(), percent, form, STANDARD.encode(secret), escaped, secret.chars().take(8).collect()];
    forms.dedup();
    forms
}
