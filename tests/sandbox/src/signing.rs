//! Signs as Glint and GitLab do, so that a test or an example can bring a signature that is young.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// Glint's `v1,<base64>` over `<timestamp>.<body>`.
pub fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    code(secret.as_bytes(), &[timestamp.as_bytes(), b".", body])
}

/// GitLab's `v1,<base64>` over `<id>.<timestamp>.<body>`; `token` is `whsec_` and the base64 of the key.
pub fn hook_signature(token: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(token.trim_start_matches("whsec_")).expect("a signing token is `whsec_` and base64");
    code(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
}

/// `v1,<base64>` of the parts' HMAC-SHA256.
pub fn code(key: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part);
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The bytes of an HTTP event's body, whether or not they came as base64.
pub fn body_of(event: &Value) -> Vec<u8> {
    let text = event["body"].as_str().unwrap_or_default();
    match event["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).expect("the event says that its body is base64"),
        _ => text.as_bytes().to_vec(),
    }
}

/// The HTTP event signed anew with Glint's client secret at `seconds`, in the family of headers and the unit of time that it came with.
pub fn signed(mut event: Value, secret: &str, seconds: i64) -> Value {
    let family = if event["headers"]["x-port-signature"].is_string() { "port" } else { "glint" };
    let (signature_name, timestamp_name) = (format!("x-{family}-signature"), format!("x-{family}-timestamp"));
    let in_millis = event["headers"][&timestamp_name].as_str().is_some_and(|text| text.len() > 11);
    let timestamp = if in_millis { seconds * 1000 } else { seconds }.to_string();
    event["headers"][&signature_name] = json!(signature(secret, &timestamp, &body_of(&event)));
    event["headers"][&timestamp_name] = json!(timestamp);
    event
}

/// The hook signed anew with GitLab's signing token at `seconds`, under the id it came with.
pub fn signed_hook(mut event: Value, token: &str, seconds: i64) -> Value {
    let id = event["headers"]["webhook-id"].as_str().unwrap_or("8c5c715f-8c74-4c1e-a7e9-e06f59b44e92").to_owned();
    let timestamp = seconds.to_string();
    event["headers"]["webhook-signature"] = json!(hook_signature(token, &id, &timestamp, &body_of(&event)));
    event["headers"]["webhook-timestamp"] = json!(timestamp);
    event["headers"]["webhook-id"] = json!(id);
    event
}

/// A message of a GITLAB action as it lies on Glint's topic: compact, and with its signature in `headers`, its last member.
pub fn signed_inside(message: &str, secret: &str, timestamp: &str) -> String {
    let headers =
        json!({ "X-Port-Signature": signature(secret, timestamp, message.as_bytes()), "X-Port-Timestamp": timestamp });
    with_headers(message, &headers.to_string())
}

/// The same of any other type, whose signature covers the empty `headers` too.
pub fn signed_inside_with_headers(message: &str, secret: &str, timestamp: &str) -> String {
    let emptied = with_headers(message, "{}");
    let headers =
        json!({ "X-Port-Signature": signature(secret, timestamp, emptied.as_bytes()), "X-Port-Timestamp": timestamp });
    with_headers(message, &headers.to_string())
}

fn with_headers(message: &str, headers: &str) -> String {
    let members = message.strip_suffix('}').expect("a message is an object");
    format!("{members},\"headers\":{headers}}}")
}
