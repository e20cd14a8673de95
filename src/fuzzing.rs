//! Entry points of the fuzz targets, one for each kind of text that others send: `tests/fuzz/run`.
//!
//! Each says what has to hold of whatever is read. They are part of no release: only tests and fuzz targets are built with them.

mod hook;
mod message;
mod queue_message;
mod url;

pub use hook::hook;
pub use message::message;
pub use queue_message::queue_message;
pub use url::url;

use serde_json::value::RawValue;

use crate::outcome::{Handled, Outcome};
use crate::source::{self, Delivery, Event, SourceSettings};

const GITLAB: &str = "https://gitlab.example.com/sub";
/// No event of the examples is signed with it.
const CLIENT_SECRET: &str = "glint-client-secret-of-the-fuzz-targets";
const TRIGGER_TOKEN: &str = "glptt-0123456789abcdef0123456789abcdef01234567";
const SETTINGS: SourceSettings = SourceSettings { dead_letter_queue_arn: None, max_message_bytes: 1024 * 1024 };

/// The longest sentence that is shown of what cannot be used, in bytes.
const MAX_SENTENCE_BYTES: usize = 1500;

/// A sentence for people: short, and without control characters.
fn assert_sentence(text: &str) {
    assert!(text.len() <= MAX_SENTENCE_BYTES, "{} bytes: {text:?}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// What everybody may see of an outcome: the log line, the reply, and Glint's log and summary, which have several lines.
fn assert_shown(outcome: Outcome) {
    for text in outcome.report().into_iter().flat_map(|report| [report.log, report.update.summary]).flatten() {
        assert!(text.len() <= 64 * 1024, "{} bytes", text.len());
        text.split('\n').for_each(assert_sentence);
    }
    if let Some((reason, hint)) = outcome.reason() {
        reason.split('\n').chain(hint).for_each(assert_sentence);
    }
    let reply = Handled::new(None, outcome).reply();
    assert!((200..600).contains(&reply.status) && reply.body.to_string().len() <= 8 * MAX_SENTENCE_BYTES);
}

/// The deliveries of an event: none where it is refused, which is done with a hint.
fn deliveries(event: &str) -> Vec<Delivery> {
    let Ok(event) = serde_json::from_str::<&RawValue>(event) else { return Vec::new() };
    match source::parse(event, &SETTINGS) {
        Ok(Event::Deliveries(deliveries, _)) => deliveries,
        Ok(_) => Vec::new(),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("hint: "));
            text.split('\n').for_each(assert_sentence);
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
