//! Property tests: what is written says what was read.

use proptest::prelude::*;
use sandbox::arbitrary::{config, json};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{compact, string};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn compact_json_says_the_same(text in json()) {
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        let Ok(compact) = compact(raw) else { return Ok(()) };
        let (Ok(before), Ok(after)) = (serde_json::from_str::<Value>(&text), serde_json::from_str::<Value>(&compact)) else {
            return Ok(());
        };
        prop_assert_eq!(before, after);
    }

    #[test]
    fn a_string_is_what_the_parser_reads(inner in "(\\\\([\"\\\\/bfnrt]|u(d[89a-f]|[0-9A-F]{2})[0-9a-f]{2})|[a-zé😀]){0,8}") {
        let text = format!("\"{inner}\"");
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(string(raw).map(String::from), serde_json::from_str::<String>(&text).ok(), "{}", text);
    }
}
