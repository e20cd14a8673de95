//! Writes JSON text: compact, or with one member cut or replaced and every other byte as it was.

use std::ops::Range;

use serde_json::value::RawValue;

use super::{Document, Key, Object, quote};

/// `value` without white space, members in their order, numbers in their digits. Fails where an object names a member twice.
pub fn compact(value: &RawValue) -> Result<String, serde_json::Error> {
    let mut out = String::with_capacity(value.get().len());
    write_compact(value, &mut out)?;
    Ok(out)
}

fn write_compact(value: &RawValue, out: &mut String) -> Result<(), serde_json::Error> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            out.push('{');
            for (index, (key, member)) in Object::parse(text)?.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&quote(key));
                out.push(':');
                write_compact(member, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            for (index, item) in serde_json::from_str::<Vec<&RawValue>>(text)?.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_compact(item, out)?;
            }
            out.push(']');
        }
        // An error for half a surrogate pair, which is JSON and yet no text.
        Some(b'"') => out.push_str(&quote(&serde_json::from_str::<Key>(text)?.0)),
        _ => out.push_str(text),
    }
    Ok(())
}

impl Document<'_> {
    /// Where its member `name` stands, with the comma that has to go with it. `None` where it has no such member.
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        let members = &self.root.members;
        let index = members.iter().position(|(key, _)| key == name)?;
        let end = self.place_of(members[index].1).end;
        if index > 0 {
            // From the end of the value before.
            return Some(self.place_of(members[index - 1].1).end..end);
        }
        let brace = self.text.find('{')? + 1;
        let comma = if members.len() > 1 { self.text[end..].find(',')? + 1 } else { 0 };
        Some(brace..end + comma)
    }

    /// Its text without the member `name`, every other byte as it was. `None` where it has no such member.
    pub fn without(&self, name: &str) -> Option<String> {
        let place = self.place(name)?;
        Some([&self.text[..place.start], &self.text[place.end..]].concat())
    }

    /// Its text with the value of the member `name` replaced, every other byte as it was.
    pub fn with(&self, name: &str, value: &str) -> Option<String> {
        let (_, old) = self.root.members.iter().find(|(key, _)| key == name)?;
        let place = self.place_of(old);
        Some([&self.text[..place.start], value, &self.text[place.end..]].concat())
    }

    /// Where `value`, which borrows from the text, stands in it.
    fn place_of(&self, value: &RawValue) -> Range<usize> {
        let start = value.get().as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + value.get().len()
    }
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
        assert_eq!(compact(raw(text)).unwrap(), r#"{"b":[1.0,1e-7,12345678901234567890],"a":"é \" ","n":null}"#);
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
            let cut = Document::parse(text).unwrap().without("headers").unwrap();
            assert_eq!(compact(raw(&cut)).unwrap(), compact(raw(expected)).unwrap(), "{text}");
        }
        let document = |text| Document::parse(text).unwrap();
        assert_eq!(document(r#"{"a": 1e-7,"headers":{}}"#).without("headers").unwrap(), r#"{"a": 1e-7}"#);
        assert_eq!(document(r#"{"a":{"headers":1}}"#).without("headers"), None);
        assert_eq!(document(r#"{"a": [1] ,"b":2}"#).with("a", "{}").unwrap(), r#"{"a": {} ,"b":2}"#);
    }
}
