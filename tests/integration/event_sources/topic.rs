//! Glint's Kafka topic: what starts, what holds the batch back, and what is passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::event_sources::ways::topic;
use crate::support::{CLIENT_SECRET, Function, World, furnish, invoke, message};
use sandbox::signing::{signed_inside, signed_inside_with_headers};
use sandbox::{Call, Fault, Sandbox};

fn signed(world: &World, message: &Value) -> String {
    signed_inside(&message.to_string(), CLIENT_SECRET, &world.sandbox.now().timestamp().to_string())
}

/// The event's records, all written `minutes` ago.
fn written(world: &World, minutes: i64, values: &[&str]) -> Value {
    topic(values, world.sandbox.now().timestamp_millis() - minutes * 60_000)
}

#[tokio::test]
async fn every_record_of_every_partition_is_started() {
    let world = World::builder().runs(&["r_1", "r_2", "r_3"]).start().await;
    let values = ["r_1", "r_2", "r_3"].map(|id| signed(&world, &message(id)));
    let mut event = written(&world, 0, &[&values[0], &values[1]]);
    event["records"]["org_1.runs-7"] = written(&world, 0, &[&values[2]])["records"]["org_1.runs-0"].clone();
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 3);
}

#[tokio::test]
async fn an_old_signature_is_believed_since_a_record_may_wait() {
    let world = World::builder().runs(&["r_1"]).start().await;
    let old = (world.sandbox.now().timestamp() - 86_400).to_string();
    let value = signed_inside(&message("r_1").to_string(), CLIENT_SECRET, &old);
    assert_eq!(world.handle(&written(&world, 1, &[&value])).await.unwrap(), json!({}));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_or_believed_is_passed_over_and_its_neighbours_start() {
    let world = World::builder().runs(&["r_1", "r_2"]).start().await;
    let good = signed(&world, &message("r_1"));
    let forged = signed(&world, &message("r_2")).replace("billing", "ledger!");
    let unsigned = message("r_2").to_string();
    let nameless = signed(&world, &json!({ "context": {} }));
    let other = signed_inside(&message("r_2").to_string(), "another-secret", "1713277889");
    let mut event = written(&world, 0, &["not json", "{}", "", &forged, &unsigned, &nameless, &other, &good]);
    let records = event["records"]["org_1.runs-0"].as_array_mut().unwrap();
    for value in [json!(STANDARD.encode([0xff, 0xfe])), json!("!!!"), json!(null), json!(7)] {
        let mut record = records[0].clone();
        record["value"] = value;
        records.insert(0, record);
    }
    println!("{} records, one of them good", records.len());
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    assert_eq!(world.run("r_1").links().len(), 1);
    assert!(world.run("r_2").writes.is_empty() && world.run("r_2").logs.is_empty());
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
}

#[tokio::test]
async fn what_is_passed_over_is_not_logged_as_if_it_came_again() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let mut function = Function::start(&sandbox, &[("AWS_LAMBDA_LOG_FORMAT", "JSON")]).await;
    let unsigned = message("r_1").to_string();
    invoke(&sandbox, topic(&["not json", &unsigned], sandbox.now().timestamp_millis())).await;
    let printed = function.kill().await;
    let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line["outcome"].is_string()).collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines.iter().all(|line| line["redeliver"] == false), "{printed}");
}

#[tokio::test]
async fn a_record_that_must_come_again_brings_the_whole_batch_again_and_nothing_twice() {
    let world = World::builder().runs(&["r_1", "r_2"]).start().await;
    let values = ["r_1", "r_2"].map(|id| signed(&world, &message(id)));
    let event = written(&world, 0, &[&values[0], "not json", &values[1]]);
    let of_the_second = |one: &sandbox::Exchange| one.text().contains("r_2");
    world.sandbox.fail(Call::Trigger).of(of_the_second).with(Fault::throttled(5));
    let failure = world.handle(&event).await.unwrap_err();
    assert!(failure.message.contains("1 of 3"), "{failure}");
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
    assert_eq!(world.run("r_2").status, "IN_PROGRESS");
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 2);
    assert_eq!(world.run("r_2").links().len(), 1);
}

#[tokio::test]
async fn a_record_that_is_too_old_to_start_is_failed_in_glint() {
    for (minutes, fails) in [(14, false), (16, true)] {
        let world = World::builder().runs(&["r_1"]).start().await;
        world.sandbox.fail(Call::Trigger).every().with(Fault::throttled(5));
        let value = signed(&world, &message("r_1"));
        let answer = world.handle(&written(&world, minutes, &[&value])).await;
        assert_eq!(answer.is_ok(), fails, "{minutes} minutes");
        let run = world.run("r_1");
        assert_eq!(run.status == "FAILURE", fails, "{minutes} minutes: {run:?}");
        assert_eq!(
            run.summary.is_some_and(|words| words.contains("retries are exhausted")),
            fails,
            "{minutes} minutes"
        );
    }
}

#[tokio::test]
async fn an_old_record_that_can_start_starts() {
    let world = World::builder().runs(&["r_1"]).start().await;
    let value = signed(&world, &message("r_1"));
    assert_eq!(world.handle(&written(&world, 600, &[&value])).await.unwrap(), json!({}));
    assert_eq!(world.run("r_1").links().len(), 1);
}

#[tokio::test]
async fn news_of_entities_and_runs_of_others_are_ignored() {
    let world = World::builder().runs(&["r_1"]).start().await;
    let change = json!({
        "action": "UPDATE", "resourceType": "entity", "status": "SUCCESS", "trigger": { "origin": "UI" },
        "context": { "entity": "billing", "blueprint": "service", "runId": "r_1" },
        "diff": { "before": {}, "after": {} }, "changelogDestination": { "type": "KAFKA" }
    });
    let mut other = message("r_1");
    other["payload"]["action"]["invocationMethod"] = json!({ "type": "KAFKA" });
    let now = world.sandbox.now().timestamp().to_string();
    let signed_change = signed_inside_with_headers(&change.to_string(), CLIENT_SECRET, &now);
    let signed_other = signed_inside_with_headers(&other.to_string(), CLIENT_SECRET, &now);
    let event = written(&world, 0, &[&change.to_string(), &signed_change, &signed_other]);
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    assert!(world.run("r_1").writes.is_empty());
    assert!(world.sandbox.journal.calls().iter().all(|call| *call == Call::GetSecret));
}

#[tokio::test]
async fn an_outage_of_secrets_manager_holds_the_batch_back() {
    let mut world = World::builder().runs(&["r_1"]).start().await;
    world.time = std::time::Duration::from_millis(2500);
    world.sandbox.fail(Call::GetSecret).every().with(Fault::status(503));
    let value = signed(&world, &message("r_1"));
    let event = written(&world, 0, &[&value]);
    assert!(world.handle(&event).await.is_err());
    world.sandbox.heal();
    world.time = std::time::Duration::from_secs(45);
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
}
