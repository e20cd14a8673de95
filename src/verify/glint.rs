//! Glint's own signature: `v1,` and the base64 of an HMAC-SHA256 with the client secret over `<timestamp>.<body>`.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use super::{VerifyError, WINDOW_SECONDS, any_matches, mac};
use crate::json::{self, Document, NonAscii, Object};

/// What a sender claims of a body.
#[derive(Clone, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// The timestamp as text: it is signed as it stands.
    pub timestamp: String,
    pub signature: String,
}

/// A body whose origin is not known yet, and that may not even be text.
pub struct UnverifiedBody {
    bytes: Vec<u8>,
    headers: Option<SignatureHeaders>,
    signed_inside: bool,
}

impl UnverifiedBody {
    /// A body with the signature that came beside it.
    pub fn new(bytes: impl Into<Vec<u8>>, headers: Option<SignatureHeaders>) -> Self {
        Self { bytes: bytes.into(), headers, signed_inside: false }
    }

    /// A message of Glint's Kafka topic, which carries its signature in its own `headers`.
    pub fn signed_inside(text: String) -> Self {
        let headers = Object::parse(&text).ok().and_then(|message| SignatureHeaders::inside(&message));
        Self::with_signature(text, headers)
    }

    /// The same of a message that was read already: `headers` is the one [`SignatureHeaders::inside`] it.
    pub fn with_signature(text: String, headers: Option<SignatureHeaders>) -> Self {
        Self { bytes: text.into_bytes(), headers, signed_inside: true }
    }

    /// Whether there is a signature to hold it to.
    pub fn is_signed(&self) -> bool {
        self.headers.is_some()
    }

    /// The signature that came beside the body, and has to go with it where it is handed on.
    pub fn headers_beside(&self) -> Option<&SignatureHeaders> {
        self.headers.as_ref().filter(|_| !self.signed_inside)
    }

    /// Whether it is news of an entity, which Glint does not sign and nothing here acts on.
    pub fn announces_change(&self) -> bool {
        self.text().is_some_and(crate::glint::message::announces_change)
    }

    /// The body on the word of the source alone: IAM decided who may send it.
    pub fn into_unverified(self) -> Vec<u8> {
        self.bytes
    }

    /// The body, if one of the client's `secrets` signed it. With `now`, only within [`WINDOW_SECONDS`] of it.
    pub fn verify(&self, secrets: &[SecretString], now: Option<DateTime<Utc>>) -> Result<Vec<u8>, VerifyError> {
        let headers = self.headers.as_ref().ok_or(VerifyError::Missing)?;
        let seconds = seconds_of(&headers.timestamp).ok_or(VerifyError::Timestamp)?;
        if now.is_some_and(|now| (now.timestamp() - seconds).abs() > WINDOW_SECONDS) {
            return Err(VerifyError::Expired);
        }
        let is_signed = |body: &[u8]| {
            secrets.iter().any(|secret| {
                let parts = [headers.timestamp.as_bytes(), b".", body];
                any_matches(&headers.signature, &mac(secret.expose_secret().as_bytes(), &parts))
            })
        };
        let proven = if self.signed_inside {
            signed_texts_of_a_record(self.text().unwrap_or_default()).iter().any(|text| is_signed(text.as_bytes()))
        } else {
            is_signed(&self.bytes)
        };
        if proven || self.reserialised().is_some_and(|text| is_signed(text.as_bytes())) {
            Ok(self.bytes.clone())
        } else {
            Err(VerifyError::Mismatch)
        }
    }

    /// The compact form that an agent in between signs, while it sends another: Python's, with what is not ASCII escaped.
    fn reserialised(&self) -> Option<String> {
        if self.signed_inside { None } else { compact(self.text()?, NonAscii::Escaped) }
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

impl fmt::Debug for UnverifiedBody {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "UnverifiedBody({} bytes)", self.bytes.len())
    }
}

impl fmt::Debug for SignatureHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "SignatureHeaders({})", self.timestamp)
    }
}

/// `text` without white space. `None` for what is nested too deeply to be walked through: nobody has vouched for it yet.
fn compact(text: &str, non_ascii: NonAscii) -> Option<String> {
    const MAX_JSON_DEPTH: usize = 64;
    if json::is_deeper(text, MAX_JSON_DEPTH) {
        None
    } else {
        json::compact(serde_json::from_str(text).ok()?, non_ascii).ok()
    }
}

/// Seconds since the epoch: Glint documents seconds, some of its samples send milliseconds.
fn seconds_of(timestamp: &str) -> Option<i64> {
    const NO_SECONDS: i64 = 100_000_000_000;
    let number: i64 = timestamp.parse().ok().filter(|number| *number >= 0)?;
    Some(if number > NO_SECONDS { number / 1000 } else { number })
}

/// The names under which the signature and its time travel, in `headers` of a message and in message attributes.
const NAMES: [(&str, &str); 2] = [("x-glint-signature", "x-glint-timestamp"), ("x-port-signature", "x-port-timestamp")];

impl SignatureHeaders {
    /// The first family of headers of which there is a signature, each header found by its lower-case name.
    pub fn find<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        NAMES.iter().find_map(|(signature, timestamp)| {
            let signature = header(signature)?.to_owned();
            Some(Self { signature, timestamp: header(timestamp).unwrap_or_default().to_owned() })
        })
    }

    /// The signature in the `headers` of a message.
    pub fn inside(message: &Object) -> Option<Self> {
        let headers = message.object("headers").ok()??;
        // The time may be a number: its digits are what was signed.
        let text = |value: &RawValue| json::string(value).map_or_else(|| value.get().to_owned(), Cow::into_owned);
        let values: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect();
        Self::find(|name| values.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()))
    }
}

/// The texts that Glint may have signed of a Kafka message: without `headers` for GITLAB actions, with the two of the signature taken out
/// of them for all others; the bytes as they came first, then JavaScript's compact form of them.
fn signed_texts_of_a_record(text: &str) -> Vec<String> {
    let Ok(message) = Document::parse(text) else { return Vec::new() };
    let raw: Vec<String> = [message.without("headers"), without_signature(&message)].into_iter().flatten().collect();
    let compact = raw.iter().filter_map(|text| compact(text, NonAscii::Kept)).collect::<Vec<_>>();
    raw.into_iter().chain(compact).collect()
}

fn without_signature(message: &Document) -> Option<String> {
    let headers = message.root().object("headers").ok()??;
    let is_signature = |name: &str| {
        NAMES
            .iter()
            .any(|(signature, timestamp)| name.eq_ignore_ascii_case(signature) || name.eq_ignore_ascii_case(timestamp))
    };
    let rest: Vec<String> = headers
        .iter()
        .filter(|(name, _)| !is_signature(name))
        .map(|(name, value)| format!("{}:{}", json::quote(name), value.get()))
        .collect();
    message.with("headers", &format!("{{{}}}", rest.join(",")))
}
