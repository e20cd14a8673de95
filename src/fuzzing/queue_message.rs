//! What waits on the queue: messages of this function's own, and whatever a relay put there.

use chrono::DateTime;
use secrecy::SecretString;
use serde_json::json;

use super::{CLIENT_SECRET, assert_sentence, assert_shown, deliveries, message};
use crate::aws::queue_message::{
    HOOK, KIND, MAC, REPORT, RUN_ID_HEADER, RUN_URL, RUN_VERSION, RunAttributes, read_hook, read_report, write_hook,
    write_report,
};
use crate::outcome::Outcome;
use crate::source::Payload;
use crate::verify::{sign_queued, verify_queued};

/// A first line that may be the MAC, and the body behind it; or a whole event.
///
/// Only a MAC of ours makes a body one of ours, and what is read from such a body is written as it was.
pub fn queue_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mac, body) = text.split_once('\n').unwrap_or(("", text));
    let secret = SecretString::from(CLIENT_SECRET);
    for kind in [HOOK, REPORT] {
        assert!(verify_queued(&secret, kind, body, &sign_queued(&secret, kind, body)));
        assert!(!verify_queued(&secret, kind, body, mac), "{kind} {mac:?}");
        assert!(!verify_queued(&secret, kind, &format!("{body} "), &sign_queued(&secret, kind, body)));
    }
    assert_kind_decides(mac, body);
    assert_attributes_return(mac, body);
    assert_bodies_return(body);
    for delivery in deliveries(text) {
        match delivery.payload {
            Payload::Message(unverified) => message(&unverified.into_unverified()),
            Payload::Unreadable { why, too_large } => assert_shown(Outcome::Unreadable { why, too_large }),
            // No event here carries a MAC of ours.
            Payload::QueuedHook { body, mac } => assert!(!verify_queued(&secret, HOOK, &body, &mac)),
            Payload::QueuedReport { body, mac } => assert!(!verify_queued(&secret, REPORT, &body, &mac)),
            Payload::Hook { .. } => {}
        }
    }
}

/// A body is taken for a hook or a report only where the attribute says so, and then with the MAC that came with it.
fn assert_kind_decides(given: &str, text: &str) {
    for kind in ["", HOOK, REPORT, "run"] {
        let attribute = |value: &str| json!({ "stringValue": value, "dataType": "String" });
        let event = json!({ "Records": [{
            "messageId": "m0", "receiptHandle": "h0", "body": text, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:runs.fifo", "awsRegion": "eu-west-1",
            "attributes": { "ApproximateReceiveCount": "1" },
            "messageAttributes": { KIND: attribute(kind), MAC: attribute(given) }
        }] });
        let mut found = deliveries(&event.to_string());
        assert_eq!(found.len(), 1);
        match (found.pop().map(|delivery| delivery.payload), kind) {
            (Some(Payload::QueuedHook { body, mac }), HOOK) | (Some(Payload::QueuedReport { body, mac }), REPORT) => {
                assert!(body == text && mac == given);
            }
            (Some(Payload::Message(_)), "" | "run") => {}
            _ => panic!("`{kind}` is taken for something else"),
        }
    }
}

/// What is not in a run's body comes back as it was set, less what says nothing.
fn assert_attributes_return(url: &str, header: &str) {
    let attributes = RunAttributes { url: Some(url.to_owned()), run_id_header: Some(header.to_owned()) };
    let written = attributes.to_attributes();
    assert!(written.iter().all(|(_, value)| !value.is_empty()), "SQS refuses an empty attribute");
    let read = RunAttributes::read(|name| {
        assert!([RUN_URL, RUN_ID_HEADER, RUN_VERSION].contains(&name));
        written.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    });
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let expected = RunAttributes { url: said(url), run_id_header: said(header) };
    assert_eq!(read, Some(expected).filter(|_| !written.is_empty()));
}

fn assert_bodies_return(body: &str) {
    match read_hook(body) {
        Ok(event) => assert_eq!(read_hook(&write_hook(&event)), Ok(event)),
        Err(error) => assert_sentence(&error.to_string()),
    }
    match read_report(body) {
        Ok(queued) => {
            let now = queued.queued_at.unwrap_or(DateTime::UNIX_EPOCH);
            let reread =
                read_report(&write_report(&queued.run_id, &queued.report, now)).expect("what we write is read");
            assert_eq!((&reread.run_id, &reread.report, reread.queued_at), (&queued.run_id, &queued.report, Some(now)));
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}
