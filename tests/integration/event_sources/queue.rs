//! SQS: proofs that a relay hands on, and batches with poison in them.

use serde_json::{Value, json};

use crate::event_sources::ways::{event_bridge, notification, sns, with_attributes};
use crate::support::{CLIENT_SECRET, World, message, redelivered, sqs_event};
use sandbox::Call;
use sandbox::signing::{signature, signed_inside};

fn body() -> String {
    message("r_1").to_string()
}

/// Whether the message comes again, and whether a pipeline was started.
async fn fate(event: &Value) -> (bool, bool) {
    let world = World::builder().run("r_1").start().await;
    let comes_again = !redelivered(&world.handle(event).await.unwrap()).is_empty();
    let started = !world.sandbox.gitlab.pipelines().is_empty();
    assert_eq!(started, !world.run("r_1").writes.is_empty(), "only what starts is written to");
    (comes_again, started)
}

const STARTED: (bool, bool) = (false, true);
const UNPROVEN: (bool, bool) = (true, false);

fn attributed(attributes: &[(&str, &str)]) -> Value {
    with_attributes(sqs_event(&[&body()], 1), attributes)
}

#[tokio::test]
async fn signature_attributes_are_verified_and_their_age_is_not() {
    let of = |secret: &str, time: &str| signature(secret, time, body().as_bytes());
    let (old, good) = ("1713277889", of(CLIENT_SECRET, "1713277889"));
    let other = of("another-client-secret-0123456789abcdefgh", old);
    for (name, attributes, expected) in [
        ("none", vec![], STARTED),
        ("a right one, years old", vec![("x-glint-signature", good.as_str()), ("x-glint-timestamp", old)], STARTED),
        ("Port's names", vec![("X-Port-Signature", good.as_str()), ("X-Port-Timestamp", old)], STARTED),
        ("a wrong one", vec![("x-glint-signature", "v1,AAAA"), ("x-glint-timestamp", old)], UNPROVEN),
        ("another secret's", vec![("x-glint-signature", other.as_str()), ("x-glint-timestamp", old)], UNPROVEN),
        ("another time", vec![("x-glint-signature", good.as_str()), ("x-glint-timestamp", "1713277890")], UNPROVEN),
        ("no time", vec![("x-glint-signature", good.as_str())], UNPROVEN),
        ("no version", vec![("x-glint-signature", &good[3..]), ("x-glint-timestamp", old)], UNPROVEN),
        ("a time alone", vec![("x-glint-timestamp", old)], STARTED),
    ] {
        assert_eq!(fate(&attributed(&attributes)).await, expected, "{name}");
    }
}

#[tokio::test]
async fn signatures_inside_a_wrapping_are_verified() {
    let time = "1713277889";
    let good = signature(CLIENT_SECRET, time, body().as_bytes());
    let attributes = |signature: &'static str| [("x-glint-signature", signature), ("x-glint-timestamp", time)];
    let good = [("x-glint-signature", good.as_str()), ("x-glint-timestamp", time)];
    let inside = signed_inside(&body(), CLIENT_SECRET, time);
    let forged = signed_inside(&body(), "another-client-secret-0123456789abcdefgh", time);
    let queued = |body: &str| sqs_event(&[body], 1);
    for (name, event, expected) in [
        ("SNS's attributes", queued(&notification(&body(), &good).to_string()), STARTED),
        ("SNS's forged attributes", queued(&notification(&body(), &attributes("v1,AAAA")).to_string()), UNPROVEN),
        ("SNS around a signed message", queued(&notification(&inside, &[]).to_string()), STARTED),
        ("SNS around a forged message", queued(&notification(&forged, &[]).to_string()), UNPROVEN),
        ("EventBridge around a signed message", queued(&event_bridge(&inside)), STARTED),
        ("EventBridge around a forged message", queued(&event_bridge(&forged)), UNPROVEN),
        ("a signed message", queued(&inside), STARTED),
        ("a forged message", queued(&forged), UNPROVEN),
    ] {
        assert_eq!(fate(&event).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_notice_with_a_wrong_signature_fails_the_invocation() {
    let world = World::builder().run("r_1").start().await;
    let forged = signed_inside(&body(), "another-client-secret-0123456789abcdefgh", "1713277889");
    let attributes = [("x-glint-signature", "v1,AAAA"), ("x-glint-timestamp", "1713277889")];
    for event in
        [sns(&forged, &[]).to_string(), sns(&body(), &attributes).to_string(), event_bridge(&forged), forged.clone()]
    {
        let failure = world.handle_text(&event).await.unwrap_err();
        assert!(failure.message.contains("signature verification failed"), "{failure}");
    }
    assert!(world.run("r_1").writes.is_empty());
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0);
}

#[tokio::test]
async fn poison_comes_again_and_its_neighbours_do_not() {
    let world = World::builder().run("r_1").start().await;
    for id in ["r_2", "r_3"] {
        world.sandbox.glint.run(id);
    }
    let without_run = json!({ "action": "deploy", "payload": {} }).to_string();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let bodies = [
        &body(),
        "not json",
        "{}",
        &without_run,
        &message("r_2").to_string(),
        "",
        "null",
        "[]",
        &deep,
        r#"{"context":{"runId":"a b"}}"#,
        "\u{0}",
        &message("r_3").to_string(),
        &body(),
    ];
    let listed = world.queue(&bodies).await;
    assert_eq!(listed, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 3, "each run once, the duplicate too");
}

#[tokio::test]
async fn an_event_of_nobody_fails_in_words() {
    let world = World::builder().run("r_1").start().await;
    for event in [r#""text""#, "[]", "7", r#"{"Records":[{"eventSource":"aws:s3","s3":{}}]}"#, r#"{"Records":7}"#] {
        let failure = world.handle_text(event).await.unwrap_err();
        assert_eq!(failure.kind, "UnsupportedEvent", "{event}: {failure}");
        assert!(failure.message.contains("hint: "), "{event}: {failure}");
    }
    let failure = world.handle_text("{}").await.unwrap_err();
    assert!(failure.message.contains("context.runId"), "{failure}");
    assert!(world.sandbox.journal.calls().is_empty());
}
