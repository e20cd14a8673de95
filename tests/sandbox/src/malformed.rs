//! Response bodies that no upstream should send.

use crate::http::Answer;
use serde_json::{Value, json};

/// The upstream's answer with every JSON value of another type than it should have.
pub fn wrong_types(answer: &Answer) -> Value {
    fn wrong(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.into_iter();
                Value::Object(members.map(|(key, value)| (key, wrong(value))).collect())
            }
            Value::String(_) | Value::Array(_) => json!(-0.5),
            Value::Number(_) | Value::Bool(_) | Value::Null => json!(["wrong"]),
        }
    }
    wrong(serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// The upstream's answer with 10 MB more in it. Written as text: serialising so much takes a debug build long.
pub fn huge(answer: &Answer) -> Vec<u8> {
    let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!({}));
    let mut text = body.to_string().into_bytes();
    let is_empty = text.len() == 2;
    let (start, end) = if text.ends_with(b"]") { ("\"", "\"]") } else { ("\"padding\":\"", "\"}") };
    text.pop();
    text.extend(if is_empty { "" } else { "," }.bytes().chain(start.bytes()));
    text.resize(text.len() + (10 << 20), b'x');
    text.extend(end.bytes());
    text
}

/// A gzip stream of zeros. It consists of one byte and then the longest repetition of it (13 bits for 258 bytes) again
/// and again; eight of those are 13 bytes, so the compressed text is periodic too. It breaks off without a checksum,
/// which nobody who inflates it gets to see in time.
pub fn gzip_bomb() -> Vec<u8> {
    const INFLATED: usize = 128 << 20;
    // Last block, fixed codes; literal 0; then length 258 at distance 1, most significant bit of each code first.
    let (start, again) = ("11000110000", "1100010100000");
    let bits: Vec<u8> = format!("{start}{}", again.repeat(24)).bytes().collect();
    let byte = |bits: &[u8]| (0..8).fold(0, |byte, place| byte | ((bits[place] - b'0') << place));
    let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    bomb.extend(&bytes[..2]);
    bomb.extend(bytes[2..15].repeat(INFLATED / 258 / 8));
    bomb
}
