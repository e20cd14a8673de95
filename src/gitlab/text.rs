//! Parses members of GitLab's JSON whose content others choose: texts are capped, and another type counts as absent.

use std::marker::PhantomData;
use std::ops::Deref;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// At most `MAX` bytes of a string, without control characters; empty for every other type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text, unless it is empty.
    pub fn into_option(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A whole number that is not negative; `None` for every other type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number(pub Option<u64>);

/// A boolean; `false` for every other type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flag(pub bool);

/// An object; `None` for every other type.
#[derive(Debug)]
pub struct Lenient<T>(pub Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What a value of another type than the wanted one comes to: its default, and whatever it holds is passed over.
macro_rules! others_are_default {
    ($($name:ident: $type:ty),*) => {
        $(fn $name<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })*

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
            formatter.write_str("any value")
        }
    };
}

macro_rules! passes_over_lists {
    () => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

macro_rules! passes_over_objects {
    () => {
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

pub(super) use {others_are_default, passes_over_lists, passes_over_objects};

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Capped<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Capped<MAX> {
            type Value = Text<MAX>;

            others_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
            passes_over_lists!();
            passes_over_objects!();

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let mut capped = String::new();
                for character in text.chars().filter(|character| !character.is_control()) {
                    if capped.len() + character.len_utf8() > MAX {
                        break;
                    }
                    capped.push(character);
                }
                Ok(Text(capped))
            }
        }

        deserializer.deserialize_any(Capped::<MAX>)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl<'de> Visitor<'de> for Whole {
            type Value = Number;

            others_are_default!(visit_bool: bool, visit_i64: i64, visit_f64: f64, visit_str: &str);
            passes_over_lists!();
            passes_over_objects!();

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Number(Some(number)))
            }
        }

        deserializer.deserialize_any(Whole)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Boolean;

        impl<'de> Visitor<'de> for Boolean {
            type Value = Flag;

            others_are_default!(visit_u64: u64, visit_i64: i64, visit_f64: f64, visit_str: &str);
            passes_over_lists!();
            passes_over_objects!();

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Flag(flag))
            }
        }

        deserializer.deserialize_any(Boolean)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Lenient<T>;

            others_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
            passes_over_lists!();

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(|object| Lenient(Some(object)))
            }
        }

        deserializer.deserialize_any(Object(PhantomData))
    }
}

/// A time as GitLab's API writes it (RFC 3339), or as its hooks do (`2016-08-12 15:23:28 UTC`).
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let in_hook =
        || Some(NaiveDateTime::parse_from_str(text.strip_suffix(" UTC")?, "%Y-%m-%d %H:%M:%S").ok()?.and_utc());
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok().or_else(in_hook)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_type_is_as_good_as_nothing() {
        for json in ["null", "true", "-1", "1.5", "[1,[2]]", r#"{"a":{}}"#] {
            assert_eq!(serde_json::from_str::<Text<8>>(json).unwrap(), Text::default(), "{json}");
        }
        for json in ["null", "true", "-1", "1.5", r#""7""#, "[7]", "{}"] {
            assert_eq!(serde_json::from_str::<Number>(json).unwrap().0, None, "{json}");
        }
        for json in ["null", "1", r#""true""#, "[true]", "{}"] {
            assert!(!serde_json::from_str::<Flag>(json).unwrap().0, "{json}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_has_one_line() {
        let text = |json: &str| serde_json::from_str::<Text<4>>(json).unwrap().into_option();
        assert_eq!(text(r#""abcdef""#).as_deref(), Some("abcd"));
        assert_eq!(text(r#""abcé""#).as_deref(), Some("abc"));
        assert_eq!(text(r#""a\nb\u0000""#).as_deref(), Some("ab"));
        assert_eq!(text(r#""""#), None);
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        let times =
            ["2016-08-12 15:23:28 UTC", "2016-08-12T15:23:28.000Z", "2016-08-12T17:23:28+02:00"].map(parse_time);
        assert!(times.iter().all(|time| time.is_some() && *time == times[0]));
        assert_eq!(parse_time("soon"), None);
    }
}
