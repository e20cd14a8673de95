//! Verifies Glint's own signature: `v1,` and the base64 of an HMAC-SHA256 with the client secret over `<timestamp>.<body>`.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use super::{VerifyError, codes, mac, matches_any};
use crate::deadlines::MAX_SIGNATURE_AGE;
use crate::glint::message::{self, SIGNATURE_HEADERS};
use crate::json::{self, Document, Object};

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
        // Most messages of a queue carry none, and need not be read for it.
        let message = text.contains("\"headers\"").then(|| Object::parse(&text).ok()).flatten();
        let headers = message.and_then(|message| SignatureHeaders::inside(&message));
        Self { bytes: text.into_bytes(), headers, signed_inside: true }
    }

    /// Whether there is a signature to hold it to.
    pub fn is_signed(&self) -> bool {
        self.headers.is_some()
    }

    /// The signature that came beside the body, and has to go with it where it is enqueued.
    pub fn headers_beside(&self) -> Option<&SignatureHeaders> {
        self.headers.as_ref().filter(|_| !self.signed_inside)
    }

    /// Whether it is news of an entity, which Glint does not sign and nothing here acts on.
    pub fn is_change_log(&self) -> bool {
        self.text().is_some_and(message::is_change_log_text)
    }

    /// The body on the word of the source alone: IAM decided who may send it.
    pub fn into_unverified(self) -> Vec<u8> {
        self.bytes
    }

    /// When it claims to have been signed. An error where that alone, or the form of the signature, shows that no key can verify it: with
    /// `now`, a signature of more than five minutes before or after it.
    pub fn signed_at(&self, now: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, VerifyError> {
        let headers = self.headers.as_ref().ok_or(VerifyError::Missing)?;
        let signed_at = time_of(&headers.timestamp).ok_or(VerifyError::Timestamp)?;
        if now.is_some_and(|now| (now - signed_at).abs() > MAX_SIGNATURE_AGE) {
            return Err(VerifyError::Expired);
        }
        if codes(&headers.signature).is_empty() { Err(VerifyError::Malformed) } else { Ok(signed_at) }
    }

    /// The body, if `secret` signed it, else the body as it was. A blank secret proves nothing.
    pub fn verify(self, secret: &SecretString) -> Result<Vec<u8>, Self> {
        let key = secret.expose_secret().trim().as_bytes();
        let Some(headers) = self.headers.as_ref().filter(|_| !key.is_empty()) else { return Err(self) };
        let codes = codes(&headers.signature);
        let is_signed = |body: &[u8]| {
            let parts = [headers.timestamp.as_bytes(), b".", body];
            matches_any(&codes, &mac(key, &parts))
        };
        let is_genuine = if self.signed_inside {
            signed_texts_of_a_record(self.text().unwrap_or_default()).iter().any(|text| is_signed(text.as_bytes()))
        } else {
            is_signed(&self.bytes) || agent_serialization(&self.bytes).is_some_and(|text| is_signed(&text))
        };
        if is_genuine { Ok(self.bytes) } else { Err(self) }
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
        write!(formatter, "SignatureHeaders({} bytes)", self.timestamp.len() + self.signature.len())
    }
}

/// The form that Glint's agent signs while it sends another: Python's compact JSON, which has no spaces between its tokens and escapes what is
/// not ASCII. `None` where that is no other form, or one much longer than what was sent: it must not cost more than the plain one.
fn agent_serialization(bytes: &[u8]) -> Option<Vec<u8>> {
    const MAX_GROWTH: usize = 4096;
    let text = std::str::from_utf8(bytes).ok()?;
    let mut form = Vec::with_capacity(text.len() + MAX_GROWTH);
    let mut in_string = false;
    let mut rest = text;
    loop {
        // What is alike in both forms is copied at once: a byte at a time costs as much as the signature.
        let is_alike = |byte: &u8| match byte {
            b'"' | 0x80.. => false,
            b'\\' => !in_string,
            b' ' | b'\t' | b'\n' | b'\r' => in_string,
            _ => true,
        };
        let alike = rest.as_bytes().iter().position(|byte| !is_alike(byte)).unwrap_or(rest.len());
        form.extend_from_slice(&rest.as_bytes()[..alike]);
        rest = &rest[alike..];
        let Some(character) = rest.chars().next() else { break };
        let mut taken = character.len_utf8();
        match character {
            '"' => {
                in_string = !in_string;
                form.push(b'"');
            }
            '\\' => {
                // No JSON escapes what is not ASCII.
                let escaped = *rest.as_bytes().get(1).filter(|byte| byte.is_ascii())?;
                form.extend_from_slice(&[b'\\', escaped]);
                taken = 2;
            }
            _ if character.is_ascii() => {}
            _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| form.extend_from_slice(&escape(*unit))),
        }
        rest = &rest[taken..];
        if form.len() > text.len() + MAX_GROWTH {
            return None;
        }
    }
    (form != bytes).then_some(form)
}

/// `\uXXXX`, as Python writes it.
fn escape(unit: u16) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u16| DIGITS[usize::from((unit >> shift) & 15)];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

/// The time of a signature: Glint documents seconds since the epoch, some of its samples send milliseconds.
fn time_of(timestamp: &str) -> Option<DateTime<Utc>> {
    const NO_SECONDS: i64 = 100_000_000_000;
    let number: i64 = timestamp.parse().ok().filter(|number| *number >= 0)?;
    DateTime::from_timestamp(if number > NO_SECONDS { number / 1000 } else { number }, 0)
}

impl SignatureHeaders {
    /// The first family of headers of which there is a signature, each header found by its lower-case name.
    pub fn find<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        SIGNATURE_HEADERS.iter().find_map(|(signature, timestamp)| {
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
    let compact = raw.iter().filter_map(|text| compact(text)).collect::<Vec<_>>();
    raw.into_iter().chain(compact).collect()
}

/// `text` without white space. `None` for what is nested too deeply to be walked through: it is not verified yet.
fn compact(text: &str) -> Option<String> {
    const MAX_JSON_DEPTH: usize = 64;
    if json::is_deeper(text, MAX_JSON_DEPTH) { None } else { json::compact(serde_json::from_str(text).ok()?).ok() }
}

fn without_signature(message: &Document) -> Option<String> {
    let headers = message.root().object("headers").ok()??;
    let is_signature = |name: &str| {
        SIGNATURE_HEADERS
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

#[cfg(test)]
mod tests {
    use super::super::MAX_CODES;
    use super::*;

    #[test]
    fn the_agent_serialization_is_what_python_signs() {
        for (sent, signed) in [
            (r#"{"a": [1, 2.50], "b": "x y"}"#, r#"{"a":[1,2.50],"b":"x y"}"#),
            (r#"{"a": "d\u00e9 \" \\", "b": null}"#, r#"{"a":"d\u00e9 \" \\","b":null}"#),
            ("{ \"a\": \"d\u{e9}\u{1F600}\" }", r#"{"a":"d\u00e9\ud83d\ude00"}"#),
        ] {
            assert_eq!(agent_serialization(sent.as_bytes()).as_deref(), Some(signed.as_bytes()), "{sent}");
        }
    }

    #[test]
    fn a_form_that_says_nothing_new_or_costs_more_is_not_tried() {
        assert_eq!(agent_serialization(br#"{"a":1}"#), None);
        assert_eq!(agent_serialization("é".repeat(100_000).as_bytes()), None);
        assert_eq!(agent_serialization(b"\xff"), None);
        assert_eq!(agent_serialization(b"{\"a\\"), None);
        // No JSON escapes what is not ASCII.
        assert_eq!(agent_serialization("{ \"a\\é\" }".as_bytes()), None);
    }

    #[test]
    fn a_signature_in_no_form_of_glints_is_refused_without_a_key() {
        let signed = |signature: &str, timestamp: &str| {
            let headers = SignatureHeaders { timestamp: timestamp.to_owned(), signature: signature.to_owned() };
            UnverifiedBody::new("{}", Some(headers)).signed_at(None)
        };
        let code = format!("v1,{}=", "A".repeat(43));
        assert!(signed(&code, "1700000000").is_ok());
        assert_eq!(signed("v1,AAAA", "1700000000"), Err(VerifyError::Malformed));
        assert_eq!(signed("junk", "1700000000"), Err(VerifyError::Malformed));
        assert_eq!(signed(&code, "soon"), Err(VerifyError::Timestamp));
        assert_eq!(signed(&code, "9223372036854775807"), Err(VerifyError::Timestamp));
        let many = format!("v1,AAAA {}", format!("{code} ").repeat(MAX_CODES));
        assert!(signed(&many, "1700000000").is_ok());
    }
}
