//! What upstreams say: waits are bounded, and no secret survives the redactor.

use std::time::Duration;

use chrono::DateTime;
use glint_gitlab_trigger::redact::{masked, shown};
use glint_gitlab_trigger::retry::asked_wait;
use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::{config, hostile_text};
use crate::secrets::forms;

fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0..100_000_i64).prop_map(|number| number.to_string()),
        "[0-9+-]{0,25}",
        any::<i32>().prop_map(|at| DateTime::from_timestamp(at.into(), 0).unwrap().to_rfc2822()),
        hostile_text(),
    ]
}

/// A secret of at least eight characters; what is shorter has no beginning that could give it away.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{8,40}",
        "(glptt-|glpat-|whsec_|eyJ)[A-Za-z0-9+/=._-]{5,40}",
        "[ -~]{8,40}",
        "[a-z\"\\\\/+% \n\té😀]{8,24}",
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_wait_is_negative_or_longer_than_half_a_day(retry_after in header(), reset in header(), status in prop::sample::select(vec![429_u16, 503]), now in 0..4_000_000_000_i64) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("retry-after", &retry_after), ("x-ratelimit-reset", &reset)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let now = DateTime::from_timestamp(now, 0).unwrap();
        let wait = asked_wait(status, &headers, now);
        prop_assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(12 * 3600)), "{:?}", wait);
    }

    #[test]
    fn a_wait_in_seconds_is_taken_at_its_word(seconds in 0..43_200_u64) {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from(seconds));
        prop_assert_eq!(asked_wait(503, &headers, DateTime::UNIX_EPOCH), Some(Duration::from_secs(seconds)));
    }

    #[test]
    fn no_canary_survives_the_redactor(secret in secret(), other in secret(), before in hostile_text(), after in hostile_text(), choice in any::<prop::sample::Index>()) {
        let spellings = forms(&secret);
        let form = &spellings[choice.index(spellings.len())];
        let secrets = [SecretString::from(other), SecretString::from(secret.as_str())];
        let secrets: Vec<&SecretString> = secrets.iter().collect();
        let text = format!("{before} {form} {after} {form}");
        for told in [masked(&text, &secrets), shown(&text, &secrets)] {
            let hidden = told.replace("[redacted]", "\u{1}");
            for spelling in &spellings {
                // What the words around it hold by themselves is no echo.
                let innocent = before.contains(spelling.as_str()) || after.contains(spelling.as_str());
                prop_assert!(innocent || !hidden.contains(spelling.as_str()), "{:?} in {:?} of {:?}", spelling, told, text);
            }
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line(text in hostile_text(), times in 1..200_usize) {
        let shown = shown(&text.repeat(times), &[]);
        prop_assert!(shown.chars().count() <= 500 && !shown.contains(char::is_control));
    }

    #[test]
    fn words_without_secrets_stay_as_they_are(text in "[a-z ]{0,80}") {
        prop_assert_eq!(masked(&text, &[&SecretString::from("0123456789")]), text);
    }
}
