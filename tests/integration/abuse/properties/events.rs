//! Whatever arrives is recognised, read or refused, and never a panic.

use glint_gitlab_trigger::gitlab::webhook;
use glint_gitlab_trigger::glint::message::{self, Message};
use glint_gitlab_trigger::glint::run::RunId;
use glint_gitlab_trigger::json;
use glint_gitlab_trigger::outcome::{GivenUp, Handled, Outcome, RetryLater};
use glint_gitlab_trigger::source::{self, Event, SourceSettings};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{config, hostile_text, json};

const DOORS: SourceSettings = SourceSettings { dead_letter_queue_arn: None, max_message_bytes: 1024 };

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_event_is_recognised_or_refused_with_a_hint(text in json()) {
        let payload: &RawValue = serde_json::from_str(&text).unwrap();
        if let Err(refusal) = source::parse(payload, &DOORS) {
            prop_assert!(refusal.to_string().contains("hint: "));
        }
    }

    #[test]
    fn every_record_of_a_queue_becomes_one_delivery(bodies in prop::collection::vec(prop_oneof![json(), hostile_text()], 1..6)) {
        let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let text = crate::support::sqs_event(&texts, 1).to_string();
        let Ok(Event::Deliveries(deliveries, _)) = source::parse(serde_json::from_str(&text).unwrap(), &DOORS) else {
            return Err(TestCaseError::fail("not a queue's event"));
        };
        prop_assert_eq!(deliveries.len(), bodies.len());
    }

    #[test]
    fn any_message_is_read_or_refused(text in prop_oneof![4 => json(), 1 => hostile_text()]) {
        match message::parse(text, None) {
            Ok(Message::Run(run)) => {
                let id = run.id.as_str();
                prop_assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
                prop_assert!(json::Object::parse(&run.payload()).is_ok_and(|payload| payload.get("headers").is_none()));
            }
            Ok(Message::ChangeLog) => {}
            Err(why) => prop_assert!(why.what.len() < 1000, "{}", why),
        }
    }

    #[test]
    fn the_run_id_of_a_message_is_the_one_there_is(id in "[A-Za-z0-9_-]{1,128}", context in json(), extra in json()) {
        let text = format!(r#"{{"payload":{context},"x":{extra},"context":{{"x":{extra},"runId":"{id}"}}}}"#);
        let Ok(Message::Run(run)) = message::parse(text.clone(), None) else { return Err(TestCaseError::fail("no run")) };
        prop_assert_eq!(run.id.as_str(), id);
        prop_assert_eq!(run.payload(), text);
    }

    #[test]
    fn any_hook_is_read_or_refused(text in prop_oneof![json(), hostile_text()]) {
        drop(webhook::parse(&text, "https://gitlab.example.com"));
        drop(webhook::run_token(&text));
    }

    #[test]
    fn compact_json_says_the_same(text in json()) {
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        let Ok(compact) = json::compact(raw) else { return Ok(()) };
        let (Ok(before), Ok(after)) = (serde_json::from_str::<Value>(&text), serde_json::from_str::<Value>(&compact)) else {
            return Ok(());
        };
        prop_assert_eq!(before, after);
    }

    #[test]
    fn a_batchs_answer_lists_exactly_what_must_come_again(kinds in prop::collection::vec(0..6_u8, 0..12)) {
        let verdicts: Vec<(Option<String>, Handled)> = kinds.iter().enumerate().map(|(index, kind)| {
            let outcome = match kind {
                0 => Outcome::Duplicate,
                1 => Outcome::Ignored("x"),
                2 => Outcome::Deferred(RetryLater::new("x")),
                3 => Outcome::Unreadable { why: message::Unreadable::message("x"), too_large: false },
                4 => Outcome::GivenUp(GivenUp::NotStarted("x".to_owned())),
                _ => Outcome::Rejected("x".to_owned()),
            };
            (Some(format!("m{index}")), Handled { run_id: RunId::parse("r"), outcome })
        }).collect();
        let expected: Vec<usize> = kinds.iter().enumerate().filter(|(_, kind)| matches!(kind, 2 | 3)).map(|(index, _)| index).collect();
        let event = crate::support::sqs_event(&[], 1).to_string();
        let Ok(Event::Deliveries(_, respond)) = source::parse(serde_json::from_str(&event).unwrap(), &DOORS) else {
            return Err(TestCaseError::fail("not an event of SQS"));
        };
        let answer = respond(&verdicts).unwrap();
        prop_assert_eq!(crate::support::redelivered(&serde_json::from_str(answer.get()).unwrap()), expected);
    }
}
