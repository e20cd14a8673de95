//! Property tests: whatever arrives is parsed or refused, and never a panic.

use proptest::prelude::*;
use sandbox::arbitrary::{config, hostile_text, json};
use sandbox::samples::{redelivered, sqs_event};
use serde_json::value::RawValue;

use super::{Event, SourceSettings};
use crate::glint::message::Unreadable;
use crate::glint::run::RunId;
use crate::outcome::{GivenUp, Handled, Outcome, RetryLater};

const SETTINGS: SourceSettings = SourceSettings { dead_letter_queue_arn: None, max_message_bytes: 1024 };

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_event_is_parsed_or_refused_with_a_hint(text in json()) {
        let payload: &RawValue = serde_json::from_str(&text).unwrap();
        if let Err(error) = super::parse(payload, &SETTINGS) {
            prop_assert!(error.to_string().contains("hint: "));
        }
    }

    #[test]
    fn every_record_of_a_queue_becomes_one_delivery(bodies in prop::collection::vec(prop_oneof![json(), hostile_text()], 1..6)) {
        let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let text = sqs_event(&texts, 1).to_string();
        let Ok(Event::Deliveries(deliveries, _)) = super::parse(serde_json::from_str(&text).unwrap(), &SETTINGS) else {
            return Err(TestCaseError::fail("not a queue's event"));
        };
        prop_assert_eq!(deliveries.len(), bodies.len());
    }

    #[test]
    fn a_batchs_answer_lists_exactly_what_must_be_redelivered(kinds in prop::collection::vec(0..6_u8, 0..12)) {
        let handled: Vec<(Option<String>, Handled)> = kinds.iter().enumerate().map(|(index, kind)| {
            let outcome = match kind {
                0 => Outcome::Duplicate,
                1 => Outcome::Ignored("x"),
                2 => Outcome::Deferred(RetryLater::new("x")),
                3 => Outcome::Unreadable { why: Unreadable::message("x"), too_large: false },
                4 => Outcome::GivenUp(GivenUp::NotStarted("x".to_owned())),
                _ => Outcome::Rejected("x".to_owned()),
            };
            (Some(format!("m{index}")), Handled { run_id: RunId::parse("r"), outcome })
        }).collect();
        let expected: Vec<usize> = kinds.iter().enumerate().filter(|(_, kind)| matches!(kind, 2 | 3)).map(|(index, _)| index).collect();
        let event = sqs_event(&[], 1).to_string();
        let Ok(Event::Deliveries(_, respond)) = super::parse(serde_json::from_str(&event).unwrap(), &SETTINGS) else {
            return Err(TestCaseError::fail("not an event of SQS"));
        };
        let answer = respond(&handled).unwrap();
        prop_assert_eq!(redelivered(&serde_json::from_str(answer.get()).unwrap()), expected);
    }
}

#[test]
fn an_event_that_cannot_be_read_is_not_repeated_at_its_length() {
    let long = "x".repeat(10_000);
    for text in [format!(r#"{{"Records":"{long}"}}"#), format!(r#"{{"check":true,"projects":"{long}"}}"#)] {
        let Err(error) = super::parse(serde_json::from_str(&text).unwrap(), &SETTINGS) else {
            panic!("{text} is read")
        };
        let error = error.to_string();
        assert!(error.contains("cannot be read: ") && error.len() < 400, "{} bytes", error.len());
    }
}
