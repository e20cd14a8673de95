//! Property tests: any message is read or refused.

use proptest::prelude::*;
use sandbox::arbitrary::{config, hostile_text, json};

use super::Message;
use crate::json;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_message_is_read_or_refused(text in prop_oneof![4 => json(), 1 => hostile_text()]) {
        match super::parse(text, None) {
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
        let Ok(Message::Run(run)) = super::parse(text.clone(), None) else { return Err(TestCaseError::fail("no run")) };
        prop_assert_eq!(run.id.as_str(), id);
        prop_assert_eq!(run.payload(), text);
    }
}
