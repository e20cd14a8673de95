//! Dead letters: what failed too often ends its run, so that none stays in progress for ever.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, Handling, World, message};
use sandbox::queue::Outgoing;
use sandbox::signing::signed_inside;
use sandbox::{Call, Fault, Upstream};

/// A world whose function knows the queue's dead letters.
async fn with_dead_letter_queue() -> World {
    World::builder().hooks(Handling::Queued).dead_letter_queue().frozen_clock().start().await
}

/// Makes a message a dead letter as SQS does, and delivers it: whether it stays one.
async fn stays(world: &World, body: &str, attributes: &[(&str, &str)]) -> bool {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
    let queue = world.sandbox.queue.max_receives(1).visibility(0);
    let mut outgoing = Outgoing::new(body).group("dead").deduplication(&number);
    for (name, value) in attributes {
        outgoing = outgoing.attribute(name, value);
    }
    let id = queue.send(outgoing);
    queue.receive(10);
    queue.receive(10);
    let letters = queue.receive_dead_letters();
    assert!(
        letters["Records"].as_array().unwrap().iter().any(|letter| letter["messageId"] == json!(id)),
        "it is a dead letter"
    );
    let reply = world.handle(&letters).await.ok();
    queue.acknowledge(&letters, reply).contains(&id)
}

fn text(run: &str) -> String {
    message(run).to_string()
}

#[tokio::test]
async fn a_dead_letter_ends_its_run_with_the_reason() {
    let world = with_dead_letter_queue().await;
    for label in [None, Some("Waiting to retry")] {
        let run = label.map_or("r_1", |_| "r_2");
        world.sandbox.glint.run(run);
        if let Some(label) = label {
            world.sandbox.glint.run(run).label(label);
        }
        assert!(!stays(&world, &text(run), &[]).await);
        let ended = world.run(run);
        assert_eq!((ended.status.as_str(), world.endings(run)), ("FAILURE", (1, 1)));
        assert!(ended.summary.clone().unwrap().contains("failed too often"), "{ended:?}");
        assert_eq!(Some(ended.logs.last().unwrap().message.clone()), ended.summary);
    }
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0, "a dead letter starts nothing");
    assert!(world.sandbox.queue.dead_letters().is_empty());
}

#[tokio::test]
async fn a_dead_letter_whose_trigger_was_sent_says_where_to_look() {
    for (run, label) in [("r_1", "Triggering GitLab pipeline"), ("r_2", "Waiting for GitLab to confirm")] {
        let world = with_dead_letter_queue().await;
        world.sandbox.glint.run(run).label(label);
        assert!(stays(&world, &text(run), &[]).await, "a report that was queued behind it is given time");
        world.pass(120);
        assert!(!stays(&world, &text(run), &[]).await);
        let ended = world.run(run);
        let page = format!("{}/acme/backend/billing/-/pipelines", world.sandbox.gitlab.url());
        assert_eq!(ended.status, "FAILURE");
        assert!(ended.summary.unwrap().contains(&format!("GitLab did not confirm the pipeline; look at {page}")));
    }
}

#[tokio::test]
async fn the_page_to_look_at_is_the_one_that_the_url_named() {
    let world = with_dead_letter_queue().await;
    world.sandbox.glint.run("r_1").label("Waiting for GitLab to confirm");
    let mut message = message("r_1");
    message["payload"]["action"]["invocationMethod"] = json!({ "type": "WEBHOOK", "agent": false });
    world.pass(120);
    assert!(!stays(&world, &message.to_string(), &[("project", "acme/from-the-url")]).await);
    assert!(world.run("r_1").summary.unwrap().contains("/acme/from-the-url/-/pipelines"));
}

#[tokio::test]
async fn linked_and_ended_runs_are_left_alone_by_a_dead_letter() {
    let world = with_dead_letter_queue().await;
    let page = format!("{}/Acme/Backend/billing/-/pipelines/2", world.sandbox.gitlab.url());
    world.sandbox.glint.run("r_linked").external_id("gl_1_2").link("https://preview.example.com");
    world.sandbox.glint.run("r_link").link(&page);
    world.sandbox.glint.run("r_id").external_id("gl_1_2");
    world.sandbox.glint.run("r_ended").status("SUCCESS");
    world.sandbox.glint.run("r_declined").status("DECLINED");
    let before = world.sandbox.glint.runs();
    for run in ["r_linked", "r_link", "r_id", "r_ended", "r_declined"] {
        assert!(!stays(&world, &text(run), &[]).await, "{run}");
    }
    assert!(stays(&world, &text("r_unknown"), &[]).await, "Glint's reads may lag");
    world.pass(120);
    assert!(!stays(&world, &text("r_unknown"), &[]).await);
    assert_eq!(world.sandbox.glint.runs(), before);
}

#[tokio::test]
async fn a_run_whose_label_somebody_else_set_is_ended_by_its_dead_letter() {
    let world = with_dead_letter_queue().await;
    world.sandbox.glint.run("r_1").label("Step 3 of 7");
    assert!(!stays(&world, &text("r_1"), &[]).await);
    assert_eq!(world.run("r_1").status, "FAILURE");
}

#[tokio::test]
async fn runs_of_other_backends_are_not_failed_by_a_dead_letter() {
    let world = with_dead_letter_queue().await;
    for (run, method) in [
        ("r_github", json!({ "type": "GITHUB", "org": "acme", "repo": "x", "workflow": "y" })),
        ("r_kafka", json!({ "type": "KAFKA" })),
        ("r_webhook", json!({ "type": "WEBHOOK", "url": "https://elsewhere.example.com" })),
    ] {
        world.sandbox.glint.run(run);
        let mut message = message(run);
        message["payload"]["action"]["invocationMethod"] = method;
        assert!(!stays(&world, &message.to_string(), &[]).await, "{run}");
        assert_eq!((world.run(run).status.as_str(), world.run(run).writes.len()), ("IN_PROGRESS", 0), "{run}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_believed_stays_for_a_person_to_see() {
    let world = with_dead_letter_queue().await;
    world.sandbox.glint.run("r_1");
    let forged = signed_inside(&text("r_1"), "another secret", "1767604323");
    let unreadable = [
        ("not json", None),
        ("{}", None),
        (r#"{"context":{"runId":"../x"}}"#, None),
        ("{", Some("hook")),
        ("{}", Some("report")),
        (&*forged, None),
    ];
    for (body, kind) in unreadable {
        let attributes: Vec<(&str, &str)> = kind.map(|kind| ("x-glint-kind", kind)).into_iter().collect();
        assert!(stays(&world, body, &attributes).await, "{body}");
    }
    assert_eq!(world.sandbox.queue.dead_letters().len(), unreadable.len());
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
    let proven = signed_inside(&text("r_1"), CLIENT_SECRET, "1767604323");
    assert!(!stays(&world, &proven, &[]).await, "a proven one beside them goes, however old");
    assert_eq!(world.run("r_1").status, "FAILURE");
}

#[tokio::test]
async fn a_dead_letter_waits_while_glint_is_down() {
    let world = with_dead_letter_queue().await;
    world.sandbox.glint.run("r_1");
    let down = world.sandbox.refuse(Upstream::Glint);
    assert!(stays(&world, &text("r_1"), &[]).await);
    drop(down);
    let letters = world.sandbox.queue.receive_dead_letters();
    let reply = world.handle(&letters).await.ok();
    assert!(world.sandbox.queue.acknowledge(&letters, reply).is_empty());
    assert_eq!((world.run("r_1").status.as_str(), world.endings("r_1").0), ("FAILURE", 1));
}

/// The only message that waits on the queue: its body, its kind and its proof.
fn waiting(world: &World) -> (String, String, String) {
    let messages = world.sandbox.queue.messages();
    assert_eq!(messages.len(), 1);
    let attribute = |name: &str| messages[0].attributes[name].clone();
    (messages[0].body.clone(), attribute("x-glint-kind"), attribute("x-glint-mac"))
}

#[tokio::test]
async fn a_dead_hook_is_tried_once_more() {
    let world = with_dead_letter_queue().await;
    let pipeline = world.start_run("r_1").await;
    assert_eq!(world.pipeline_reaches(pipeline, "failed").await, 202);
    let (body, kind, mac) = waiting(&world);
    assert_eq!(kind, "hook");
    assert!(!stays(&world, &body, &[("x-glint-kind", &kind), ("x-glint-mac", &mac)]).await);
    world.assert_ended_once("r_1", pipeline, "failed");
}

#[tokio::test]
async fn a_dead_report_is_tried_once_more() {
    let world = with_dead_letter_queue().await;
    world.sandbox.glint.run("r_1");
    let rule = world.sandbox.fail(Call::PatchRun).every();
    rule.of(|write| write.json().get("link").is_some()).with(Fault::status(503));
    assert_eq!(world.queue(&[&text("r_1")]).await, [0; 0], "the report is queued instead");
    let (body, kind, mac) = waiting(&world);
    assert_eq!((kind.as_str(), world.run("r_1").links()), ("report", Vec::new()));
    world.sandbox.heal();
    assert!(!stays(&world, &body, &[("x-glint-kind", &kind), ("x-glint-mac", &mac)]).await);
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.run("r_1").external_run_id, Some(format!("gl_101_{pipeline}")));
    world.pipeline_reaches(pipeline, "success").await;
    world.receive_all().await;
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn a_queue_of_another_name_is_no_queue_of_the_dead() {
    let world = with_dead_letter_queue().await;
    world.sandbox.glint.run("r_1");
    let mut event: Value = crate::support::sqs_event(&[&text("r_1")], 1);
    event["Records"][0]["eventSourceARN"] = json!(format!("{}2", world.sandbox.queue.dead_letter_arn()));
    world.handle(&event).await.unwrap();
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1, "it is a run like any other");
}
