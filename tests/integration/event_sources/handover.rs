//! With `RUNS_QUEUE_URL`: what is verified waits on the queue as it came, and works from there.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::event_sources::ways::{ask, request, topic, webhook, webhook_to, with_headers};
use crate::support::{CLIENT_SECRET, Handling, World, message};
use sandbox::signing::signed_inside;
use sandbox::{Call, Fault, Message, Upstream};

fn attributes(message: &Message) -> Value {
    json!(message.attributes)
}

/// The one message on the queue.
fn queued(world: &World) -> Message {
    let mut messages = world.sandbox.queue.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}

/// Handles what is on the queue, all of which succeeds.
async fn receive_all(world: &World) {
    assert_eq!(world.receive_all().await, 0);
    assert!(world.sandbox.queue.messages().is_empty());
}

fn webhook_action(run: &str) -> String {
    let mut message = message(run);
    message["payload"]["action"]["invocationMethod"] = json!({ "type": "WEBHOOK", "agent": false });
    message.to_string()
}

#[tokio::test]
async fn a_webhook_waits_as_it_came_and_starts_from_the_queue() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    let body = serde_json::to_string_pretty(&message("r_1")).unwrap();
    let event = webhook(&world, &body);
    let (status, answer) = ask(&world, &event).await;
    assert_eq!((status, answer), (202, json!({ "runId": "r_1", "outcome": "Enqueued" })));
    assert_eq!(world.sandbox.journal.calls(), [Call::GetSecret, Call::SendMessage], "nothing else yet");
    let message = queued(&world);
    assert_eq!(message.body, body);
    assert_eq!((message.group.as_deref(), message.deduplication.as_deref()), (Some("r_1"), Some("r_1")));
    let proof = json!({
        "x-glint-signature": event["headers"]["x-glint-signature"],
        "x-glint-timestamp": event["headers"]["x-glint-timestamp"]
    });
    assert_eq!(attributes(&message), proof);
    receive_all(&world).await;
    assert_eq!(world.run("r_1").links(), [world.sandbox.gitlab.pipelines()[0].web_url.clone()]);
}

#[tokio::test]
async fn what_the_url_says_goes_with_it_as_attributes() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    let body = webhook_action("r_1");
    let query = "ref=release%2F1.4&omitPayload=true&omitUserInputs=false";
    let path_and_query = format!("/acme/backend/billing?{query}");
    world.sandbox.glint.run("r_1").sent_to(&format!("https://fn.example.com{path_and_query}"), Value::Null);
    let event = webhook_to(&world, "/acme/backend/billing", query, &body);
    assert_eq!(ask(&world, &event).await.0, 202);
    let message = queued(&world);
    assert_eq!(
        attributes(&message),
        json!({
            "x-glint-url": path_and_query, "x-glint-v": "1",
            "x-glint-signature": event["headers"]["x-glint-signature"],
            "x-glint-timestamp": event["headers"]["x-glint-timestamp"]
        })
    );
    receive_all(&world).await;
    let pipeline = world.sandbox.gitlab.pipelines().remove(0);
    assert_eq!(pipeline.r#ref, "release/1.4");
    assert!(pipeline.trigger_payload.contains("\"port_payload\":{}"), "{}", pipeline.trigger_payload);
    assert_eq!(pipeline.variables["service"], "billing");
}

#[tokio::test]
async fn a_record_of_the_topic_waits_with_its_own_signature_inside() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    world.sandbox.glint.run("r_2");
    let now = world.sandbox.now();
    let values =
        ["r_1", "r_2"].map(|id| signed_inside(&message(id).to_string(), CLIENT_SECRET, &now.timestamp().to_string()));
    let event = topic(&[&values[0], "not json", &values[1]], now.timestamp_millis());
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    let messages = world.sandbox.queue.messages();
    assert_eq!(messages.len(), 2);
    for (id, value) in ["r_1", "r_2"].iter().zip(&values) {
        let found = messages.iter().find(|message| message.body == *value).expect("it came as it was");
        assert_eq!((found.group.as_deref(), found.deduplication.as_deref()), (Some(*id), Some(*id)));
        assert_eq!(attributes(found), json!({}));
    }
    receive_all(&world).await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 2);
}

#[tokio::test]
async fn a_repeated_webhook_waits_once() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    for _ in 0..5 {
        assert_eq!(ask(&world, &webhook(&world, &message("r_1").to_string())).await.0, 202);
    }
    queued(&world);
    receive_all(&world).await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
}

#[tokio::test]
async fn a_queue_that_is_down_is_said_to_the_caller() {
    let mut world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    world.time = std::time::Duration::from_millis(2500);
    let down = world.sandbox.refuse(Upstream::Queue);
    let answer = world.handle(&webhook(&world, &message("r_1").to_string())).await.unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");
    assert!(answer["headers"]["retry-after"].is_string(), "{answer}");
    let now = world.sandbox.now();
    let value = signed_inside(&message("r_1").to_string(), CLIENT_SECRET, &now.timestamp().to_string());
    let record = topic(&[&value], now.timestamp_millis());
    assert!(world.handle(&record).await.is_err(), "the batch comes again");
    drop(down);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0, "nothing was started in place");
    world.time = std::time::Duration::from_secs(45);
    assert_eq!(world.handle(&record).await.unwrap(), json!({}));
    queued(&world);
}

#[tokio::test]
async fn what_is_no_use_on_the_queue_is_answered_at_once() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    let mut synchronized = message("r_1");
    synchronized["payload"]["action"]["invocationMethod"]["synchronized"] = json!(true);
    world.sandbox.glint.run("r_1").synchronized();
    world.sandbox.glint.run("r_2");
    let mut other = message("r_2");
    other["payload"]["action"]["invocationMethod"]["type"] = json!("GITHUB");
    let mut forged = webhook(&world, &message("r_2").to_string());
    forged["headers"]["x-glint-signature"] = json!("v1,AAAA");
    for (name, event, status, outcome) in [
        ("a synchronized action", webhook(&world, &synchronized.to_string()), 200, "Started"),
        ("another backend's", webhook(&world, &other.to_string()), 200, "Ignored"),
        ("a WEBHOOK action without a path", webhook(&world, &webhook_action("r_2")), 422, "Invalid"),
        ("a forgery", forged, 401, "Unauthenticated"),
        ("no run", webhook(&world, "{}"), 400, "Unreadable"),
    ] {
        let (answered, body) = ask(&world, &event).await;
        assert_eq!((answered, &body["outcome"]), (status, &json!(outcome)), "{name}: {body}");
    }
    assert_eq!(world.sandbox.journal.count(Call::SendMessage), 0);
    let run = world.run("r_1");
    assert!(run.writes.iter().all(|write| write.get("status").is_none()), "{run:?}");
}

#[tokio::test]
async fn a_message_may_only_be_so_long_that_its_envelope_fits() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    let most = 1024 * 1024 - 16 * 1024;
    for (length, status) in [(most, 202), (most + 1, 413)] {
        let mut message = message("r_1");
        message["padding"] = json!("");
        let padding = length - message.to_string().len();
        message["padding"] = json!("x".repeat(padding));
        let (answered, body) = ask(&world, &webhook(&world, &message.to_string())).await;
        assert_eq!(answered, status, "{length} bytes: {body}");
    }
}

/// GitLab's hook about the pipeline, and what its deduplication id has to be.
fn hook(world: &World, pipeline: u64, id: Option<&str>) -> (Value, String) {
    let (headers, body) = world.sandbox.gitlab.hook(pipeline);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let text = String::from_utf8(body).unwrap();
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let event = with_headers(request("POST", "/-/hooks/gitlab", "", &text), &headers);
    match id {
        Some(id) => (with_headers(event, &[("webhook-id", id)]), id.to_owned()),
        None => (event, digest),
    }
}

#[tokio::test]
async fn a_hook_waits_by_its_pipeline_and_its_id_and_ends_the_run_from_the_queue() {
    for id in [None, Some("8c5c715f-8c74-4c1e-a7e9-e06f59b44e92")] {
        let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
        ask(&world, &webhook(&world, &message("r_1").to_string())).await;
        receive_all(&world).await;
        let pipeline = world.sandbox.gitlab.pipelines().remove(0);
        world.sandbox.gitlab.finish(pipeline.id, "success");
        let (event, deduplication) = hook(&world, pipeline.id, id);
        let (status, answer) = ask(&world, &event).await;
        assert_eq!((status, &answer["outcome"]), (202, &json!("Enqueued")), "{answer}");
        let waiting = queued(&world);
        assert_eq!(waiting.group, Some(format!("gl_{}_{}", pipeline.project_id, pipeline.id)));
        assert_eq!(waiting.deduplication.as_ref(), Some(&deduplication));
        let attributes = attributes(&waiting);
        assert_eq!(attributes["x-glint-kind"], "hook");
        assert!(attributes["x-glint-mac"].as_str().is_some_and(|mac| mac.starts_with("v1,")), "{attributes}");
        assert!(waiting.body.len() < 1024 && !waiting.body.contains("port_payload"), "only facts: {}", waiting.body);
        assert_eq!(world.run("r_1").status, "IN_PROGRESS");
        receive_all(&world).await;
        assert_eq!(world.run("r_1").status, "SUCCESS");
    }
}

#[tokio::test]
async fn a_refusal_of_the_queue_is_handled_in_place() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").start().await;
    let refusal = json!({ "__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "no" }).to_string();
    world.sandbox.fail(Call::SendMessage).every().with(Fault::status_with(400, refusal));
    let (status, body) = ask(&world, &webhook(&world, &message("r_1").to_string())).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("Started")), "{body}");
}
