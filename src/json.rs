//! JSON as it was sent: members in their order, numbers in their digits, duplicates refused.
//!
//! `serde_json::Value` would reorder, reprint numbers and let the last of two equal keys win. A message that is signed, and that jobs
//! read back byte for byte, can afford none of these.

mod unescape;
mod write;

use std::borrow::Cow;
use std::collections::HashSet;
use std::{fmt, io};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use write::compact;

/// One level of a JSON object, its members in the order sent and their values unread.
#[derive(Debug, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads one level of `text`. An error for anything but an object, and for two members of one name.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        if !text.trim_ascii_start().starts_with('{') {
            // serde_json's own words would quote the text, which may be anything.
            return Err(serde_json::Error::custom("it does not begin with `{`"));
        }
        serde_json::from_str(text)
    }

    /// The member `name`, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.members.iter().find(|(key, _)| key == name)?;
        (value.get() != "null").then_some(*value)
    }

    /// The member `name` as an object: `None` where it is absent, null or something else.
    pub fn object(&self, name: &str) -> Result<Option<Object<'a>>, serde_json::Error> {
        match self.get(name) {
            Some(value) if value.get().starts_with('{') => Object::parse(value.get()).map(Some),
            _ => Ok(None),
        }
    }

    /// The member `name` as a string: `None` where it is absent or something else.
    pub fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(string)
    }

    /// Whether the member `name` is `true`: a boolean or, as newer Glints template it, a string.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.get(), "true" | "\"true\""))
    }

    /// Whether the member `name` is `false`, spelled as a boolean or as a string.
    pub fn is_false(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.get(), "false" | "\"false\""))
    }

    /// The members in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(key, value)| (key.as_ref(), *value))
    }
}

/// A whole text that is an object.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    root: Object<'a>,
}

impl<'a> Document<'a> {
    /// Reads one level of `text`, as [`Object::parse`] does.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        Object::parse(text).map(|root| Self { text, root })
    }

    pub fn root(&self) -> &Object<'a> {
        &self.root
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The members of most objects.
        const TYPICAL_MEMBERS: usize = 8;
        /// So many names are compared one by one in less time than they are hashed.
        const MAX_LINEAR_MEMBERS: usize = 32;

        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(TYPICAL_MEMBERS);
                let mut names = HashSet::new();
                while let Some(Key(key)) = map.next_key()? {
                    let is_there = if members.len() < MAX_LINEAR_MEMBERS {
                        members.iter().any(|(name, _)| *name == key)
                    } else {
                        if members.len() == MAX_LINEAR_MEMBERS {
                            names.extend(members.iter().map(|(name, _)| name.clone()));
                        }
                        !names.insert(key.clone())
                    };
                    if is_there {
                        return Err(A::Error::custom(format_args!("`{}` is there twice", excerpt(&key))));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Object { members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed unless it is written with escapes. (`Cow`'s own `Deserialize` always copies.)
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        Borrowed::deserialize(deserializer).map(|key| Key(key.0))
    }
}

/// `value` as a string, its escapes resolved: `None` where it is something else.
pub fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { unescape::unescape(inner).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// `text` as a JSON string, quotes included.
pub fn quote(text: &str) -> String {
    to_text(text)
}

/// `value` as JSON text, in memory of just its size: a text that grows leaves copies behind, and nobody wipes those of a secret.
pub fn to_text(value: &(impl Serialize + ?Sized)) -> String {
    /// Counts what it is given.
    struct Size(usize);

    impl io::Write for Size {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut size = Size(0);
    let counted = serde_json::to_writer(&mut size, value);
    let mut out = Vec::with_capacity(size.0);
    // Neither can fail: nothing here has keys that are no strings.
    drop(counted.and_then(|()| serde_json::to_writer(&mut out, value)));
    String::from_utf8(out).unwrap_or_default()
}

/// The beginning of a name from a message, escaped for a sentence.
pub fn excerpt(name: &str) -> String {
    const MAX_NAME_CHARACTERS: usize = 64;
    let start: String = name.chars().take(MAX_NAME_CHARACTERS).flat_map(char::escape_debug).collect();
    if name.chars().nth(MAX_NAME_CHARACTERS).is_some() { start + "..." } else { start }
}

/// `value` as JSON text.
pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Whether arrays and objects are nested deeper than `most` in `text`, counted without recursion.
pub fn is_deeper(text: &str, most: usize) -> bool {
    // A usual message opens about twenty in all, be it in strings, and those are counted at a fraction of the cost.
    let brackets = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    brackets > most && depth(text) > most
}

/// How many arrays and objects of `text` lie within each other.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'"' => rest = after_string(behind),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What follows the string whose opening quote is just before `rest`.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'"' => break,
            b'\\' => rest = behind.get(1..).unwrap_or_default(),
            _ => {}
        }
    }
    rest
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_named_twice_is_refused() {
        let error = Object::parse(r#"{"a":1,"b":2,"\u0061":3}"#).unwrap_err();
        assert!(error.to_string().contains("`a` is there twice"), "{error}");
    }

    #[test]
    fn what_is_written_has_just_its_size() {
        for text in ["", "plain", "q\"b\\n\n\u{1}é😀"] {
            let quoted = quote(text);
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
            assert_eq!(quoted.capacity(), quoted.len(), "{quoted}");
        }
    }

    #[test]
    fn depth_ignores_brackets_in_strings() {
        let text = r#"{"a":[["{[\"["]],"b":[[]],"c":{}}"#;
        assert!(is_deeper(text, 2));
        assert!(!is_deeper(text, 3));
        assert!(!is_deeper("1", 0));
    }
}
