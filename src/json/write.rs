//! Writes JSON text: compact, or with one member cut or replaced and every other byte as it was.

use serde_json::value::RawValue;

use super::{Key, Object, quote};

/// How [`compact`] writes what is not ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonAscii {
    /// As UTF-8, as JavaScript's `JSON.stringify` does.
    Kept,
    /// As `\uXXXX`, as Python's `json.dumps` does.
    Escaped,
}

/// `value` without white space, members in their order, numbers in their digits. Fails where an object names a member twice.
pub fn compact(value: &RawValue, non_ascii: NonAscii) -> Result<String, serde_json::Error> {
    let mut out = String::with_capacity(value.get().len());
    write_compact(value, non_ascii, &mut out)?;
    Ok(out)
}

fn write_compact(value: &RawValue, non_ascii: NonAscii, out: &mut String) -> Result<(), serde_json::Error> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            out.push('{');
            for (index, (key, member)) in Object::parse(text)?.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, non_ascii, out);
                out.push(':');
                write_compact(member, non_ascii, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            for (index, item) in serde_json::from_str::<Vec<&RawValue>>(text)?.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_compact(item, non_ascii, out)?;
            }
            out.push(']');
        }
        // An error for half a surrogate pair, which is JSON and yet no text.
        Some(b'"') => write_string(&serde_json::from_str::<Key>(text)?.0, non_ascii, out),
        _ => out.push_str(text),
    }
    Ok(())
}

fn write_string(text: &str, non_ascii: NonAscii, out: &mut String) {
    let quoted = quote(text);
    if non_ascii == NonAscii::Kept || quoted.is_ascii() {
        out.push_str(&quoted);
        return;
    }
    for character in quoted.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

/// The text of the object `text` without its top-level member `name`, every other byte as it was.
///
/// `None` where `text` is no object or has no such member.
pub fn without_member(text: &str, name: &str) -> Option<String> {
    let object = Object::parse(text).ok()?;
    let index = object.members.iter().position(|(key, _)| key == name)?;
    let end_of = |value: &RawValue| offset_in(text, value.get()) + value.get().len();
    let (_, value) = &object.members[index];
    let (from, to) = if index > 0 {
        // From the end of the value before: the comma goes with the member.
        (end_of(object.members[index - 1].1), end_of(value))
    } else {
        let brace = text.find('{')? + 1;
        let rest = &text[end_of(value)..];
        let comma = if object.members.len() > 1 { rest.find(',')? + 1 } else { 0 };
        (brace, end_of(value) + comma)
    };
    Some([&text[..from], &text[to..]].concat())
}

/// The text of the object `text` with the value of its top-level member `name` replaced, every other byte as it was.
pub fn with_member(text: &str, name: &str, value: &str) -> Option<String> {
    let object = Object::parse(text).ok()?;
    let old = object.members.iter().find(|(key, _)| key == name)?.1.get();
    let from = offset_in(text, old);
    Some([&text[..from], value, &text[from + old.len()..]].concat())
}

/// Where `part`, which borrows from `text`, starts in it.
fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn compact_keeps_order_and_digits() {
        let text = "{ \"b\" : [ 1.0 , 1e-7, 12345678901234567890 ], \"a\" : \"\\u00e9 \\\" \" , \"n\":null}";
        assert_eq!(
            compact(raw(text), NonAscii::Kept).unwrap(),
            r#"{"b":[1.0,1e-7,12345678901234567890],"a":"é \" ","n":null}"#
        );
        assert_eq!(compact(raw("\"d\u{e9}\u{1F600}\""), NonAscii::Escaped).unwrap(), r#""d\u00e9\ud83d\ude00""#);
    }

    #[test]
    fn a_member_is_cut_without_touching_its_neighbours() {
        for (text, expected) in [
            (r#"{"a": 1e-7, "headers": {"x": [1]}}"#, r#"{"a": 1e-7}"#),
            (r#"{"headers":{},"a":1}"#, r#"{"a":1}"#),
            (r#" { "headers" : 1 , "a":1}"#, r#" { "a":1}"#),
            (r#"{"a":1,"headers":"}","b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"headers":{}}"#, "{}"),
        ] {
            let cut = without_member(text, "headers").unwrap();
            assert_eq!(
                compact(raw(&cut), NonAscii::Kept).unwrap(),
                compact(raw(expected), NonAscii::Kept).unwrap(),
                "{text}"
            );
        }
        assert_eq!(without_member(r#"{"a": 1e-7,"headers":{}}"#, "headers").unwrap(), r#"{"a": 1e-7}"#);
        assert_eq!(without_member(r#"{"a":{"headers":1}}"#, "headers"), None);
        assert_eq!(with_member(r#"{"a": [1] ,"b":2}"#, "a", "{}").unwrap(), r#"{"a": {} ,"b":2}"#);
    }
}
