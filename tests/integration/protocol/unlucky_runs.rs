//! Histories that once started two pipelines, lost a run, or ended one that had not ended, each by name.

use std::time::Duration;

use serde_json::{Value, json};

use crate::protocol::history::{BOTH, QUEUES, READS, RECEIVES, Setup, enqueue, next_event, one_receive, webhook};
use crate::support::{CLIENT_SECRET, Handling, PROJECT, World, message, signing, sqs_event};
use sandbox::queue::Outgoing;
use sandbox::{Call, Fault};

const THEIR_PREVIEW: &str = "https://preview.example.com/7";

pub fn triggers(world: &World) -> usize {
    world.sandbox.journal.count(Call::Trigger)
}

pub fn page(world: &World) -> String {
    world.sandbox.gitlab.pipelines()[0].web_url.clone()
}

/// One receive of the next message; whether there was one.
pub async fn receive(world: &World) -> bool {
    let Some(event) = next_event(&world.sandbox, 1).await else { return false };
    one_receive(world, &event).await;
    true
}

/// Handles the event until its trigger is carried out: the function is killed before it is answered.
pub async fn killed_after_trigger(world: &World, event: &Value) {
    let trigger = world.sandbox.hold(Call::Trigger);
    tokio::select! {
        () = trigger.reached() => {}
        _ = world.handle(event) => panic!("it is killed between the trigger and its answer"),
    }
    trigger.release();
}

/// A run whose trigger was carried out and not answered.
pub async fn with_lost_answer(setup: Setup) -> World {
    let world = setup.start().await;
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    enqueue(&world.sandbox, "r_1");
    assert!(receive(&world).await);
    assert_eq!((triggers(&world), world.sandbox.gitlab.pipelines().len()), (1, 1));
    world
}

async fn post(world: &World, event: &Value) -> u64 {
    world.handle(event).await.unwrap()["statusCode"].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_is_found_while_gitlab_s_clock_is_minutes_behind_or_ahead() {
    for ahead in [-590, -120, 120, 590] {
        let world = READS.start().await;
        world.sandbox.gitlab.clock_ahead(ahead);
        world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
        enqueue(&world.sandbox, "r_1");
        while world.run("r_1").links().is_empty() && receive(&world).await {}
        assert_eq!((triggers(&world), world.run("r_1").links()), (1, vec![page(&world)]), "{ahead} s");
    }
}

#[tokio::test(start_paused = true)]
async fn two_throttled_attempts_and_a_lost_answer_at_the_final_one_end_no_running_pipeline() {
    for setup in [READS, BOTH] {
        let world = setup.builder(3).start().await;
        world.sandbox.queue.max_receives(3);
        for nth in [1, 2] {
            world.sandbox.fail(Call::Trigger).nth(nth).with(Fault::throttled(1));
        }
        world.sandbox.fail(Call::Trigger).nth(3).with(Fault::ResetAfter);
        enqueue(&world.sandbox, "r_1");
        while receive(&world).await {}
        assert!(!world.run("r_1").has_ended(), "the final attempt ends nothing");
        for _ in 0..3 {
            let letters = world.sandbox.queue.receive_dead_letters();
            one_receive(&world, &letters).await;
            tokio::time::sleep(Duration::from_secs(200)).await;
        }
        let run = world.run("r_1");
        assert_eq!((run.has_ended(), run.links()), (false, vec![page(&world)]), "{setup:?}");
        assert_eq!(triggers(&world), 3);
        assert!(world.sandbox.queue.dead_letters().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_killed_after_its_report_was_queued_is_linked_by_the_report() {
    let world = QUEUES.start().await;
    let links = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\""));
    links.first(3).with(Fault::status(503));
    enqueue(&world.sandbox, "r_1");
    let event = next_event(&world.sandbox, 1).await.unwrap();
    world.handle(&event).await.unwrap();
    // The function is killed before its answer counts: the message comes before its report, again and again, to its last receive.
    for _ in 1..RECEIVES {
        assert!(receive(&world).await);
        assert!(!world.run("r_1").has_ended());
    }
    while receive(&world).await {}
    assert_eq!((triggers(&world), world.run("r_1").links()), (1, vec![page(&world)]));
    let letters = world.sandbox.queue.receive_dead_letters();
    one_receive(&world, &letters).await;
    assert!(!world.run("r_1").has_ended());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_the_queue_does_not_take_ends_its_run_with_the_reason() {
    let world = QUEUES.start().await;
    world.sandbox.queue.deny(Call::SendMessage);
    world.sandbox.glint.run("r_1");
    assert_eq!(post(&world, &webhook(&world.sandbox, "r_1")).await, 502);
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("FAILURE", Some("Not started")));
    assert_eq!(triggers(&world), 0);
    world.sandbox.glint.run("r_2").external_id("gl_claim_r_2");
    assert_eq!(post(&world, &webhook(&world.sandbox, "r_2")).await, 503, "another copy is at work on it");
    assert!(!world.run("r_2").has_ended());
}

#[tokio::test]
async fn a_project_that_the_action_and_gitlab_write_in_another_letter_case_is_the_same() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let mut sent = message("r_1");
    sent["payload"]["action"]["invocationMethod"]["groupName"] = json!("Acme/BackEnd");
    sent["payload"]["action"]["invocationMethod"]["projectName"] = json!("Billing");
    assert!(world.queue(&[&sent.to_string()]).await.is_empty());
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test(start_paused = true)]
async fn created_does_not_overwrite_the_label_of_a_hook_where_gitlab_answers_late() {
    for label in ["pending", "running"] {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        world.sandbox.glint.run("r_1");
        let trigger = world.sandbox.hold(Call::Trigger);
        let hook = async {
            trigger.reached().await;
            let pipeline = world.sandbox.gitlab.pipelines()[0].id;
            assert_eq!(world.pipeline_reaches(pipeline, label).await, 200);
            world.sandbox.glint.run("r_1").link(THEIR_PREVIEW);
            tokio::time::sleep(Duration::from_secs(4)).await;
            trigger.release();
        };
        let (again, ()) = tokio::join!(world.deliver("r_1"), hook);
        assert!(again.is_empty());
        let run = world.run("r_1");
        assert_eq!(run.status_label, Some(format!("GitLab pipeline {label}")));
        assert_eq!(run.links(), [page(&world), THEIR_PREVIEW.to_owned()], "the link that somebody set is kept too");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_webhook_that_cannot_read_its_run_ends_nothing() {
    for (refused, reply) in [(3, 200), (99, 503)] {
        let world = World::builder().start().await;
        world.sandbox.glint.run("r_1");
        assert_eq!(post(&world, &webhook(&world.sandbox, "r_1")).await, 200);
        world.sandbox.fail(Call::GetRun).first(refused).with(Fault::status(503));
        assert_eq!(post(&world, &webhook(&world.sandbox, "r_1")).await, reply);
        assert!(!world.run("r_1").has_ended(), "its pipeline runs");
        assert_eq!(triggers(&world), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_for_another_url_writes_nothing_where_its_run_cannot_be_read_at_once() {
    for settings in [World::builder(), QUEUES.builder(RECEIVES)] {
        let world = settings.start().await;
        world.sandbox.glint.run("r_1").sent_to("https://others.example.com/hook", json!({}));
        world.sandbox.queue.deny(Call::SendMessage);
        let mut sent = message("r_1");
        sent["payload"]["action"]["invocationMethod"] = json!({ "type": "WEBHOOK", "agent": false });
        let mut event = webhook(&world.sandbox, "r_1");
        event["rawPath"] = json!(format!("/{PROJECT}"));
        event["body"] = json!(sent.to_string());
        let event = signing::signed(event, CLIENT_SECRET, world.sandbox.now().timestamp());
        world.sandbox.fail(Call::GetRun).first(3).with(Fault::status(503));
        post(&world, &event).await;
        post(&world, &event).await;
        let run = world.run("r_1");
        assert!(!run.was_written() && !run.has_ended(), "{run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_attempt_that_cannot_search_for_the_claim_ends_nothing() {
    let world = with_lost_answer(READS).await;
    world.sandbox.glint.shape(|shape| shape.shows_external_id = false);
    world.sandbox.glint.run("r_1").label("deploying").link(THEIR_PREVIEW);
    world.sandbox.fail(Call::FindRuns).every().with(Fault::status(503));
    world.handle(&sqs_event(&[&message("r_1").to_string()], RECEIVES)).await.unwrap();
    let run = world.run("r_1");
    assert_eq!((run.has_ended(), run.status_label.as_deref()), (false, Some("deploying")));
}

#[tokio::test(start_paused = true)]
async fn a_queued_end_gives_way_to_a_claim_that_is_newer() {
    let world = QUEUES.start().await;
    let ends = |one: &sandbox::Exchange| one.text().contains("FAILURE");
    world.sandbox.fail(Call::PatchRun).of(ends).first(3).with(Fault::status(503));
    world.sandbox.gitlab.project(PROJECT).no_ci_file();
    enqueue(&world.sandbox, "r_1");
    assert!(receive(&world).await);
    let reports = world.sandbox.queue.messages();
    assert_eq!(reports.len(), 1, "the end is queued");
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.sandbox.glint.others_write("r_1", json!({ "externalRunId": "gl_claim_r_1" }));
    while receive(&world).await {}
    assert!(!world.run("r_1").has_ended(), "another message of the run has sent its trigger");
    assert!(world.sandbox.queue.messages().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_queued_report_links_its_run_beside_the_page_of_another_pipeline() {
    let world = QUEUES.start().await;
    let links = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\""));
    links.first(3).with(Fault::status(503));
    enqueue(&world.sandbox, "r_1");
    assert!(receive(&world).await);
    let theirs = format!("{}/acme/other/-/pipelines/7", world.sandbox.gitlab.url());
    world.sandbox.glint.run("r_1").link(&theirs);
    while receive(&world).await {}
    let run = world.run("r_1");
    assert_eq!(run.links(), [page(&world), theirs]);
    assert_eq!(run.external_run_id, Some(format!("gl_101_{}", world.sandbox.gitlab.pipelines()[0].id)));
}

#[tokio::test(start_paused = true)]
async fn a_hook_links_a_claimed_run_that_carries_the_page_of_another_pipeline() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    world.sandbox.queue.send(Outgoing::new(message("r_1").to_string()).group("r_1").deduplication("r_1"));
    world.sandbox.glint.run("r_1");
    assert!(receive(&world).await);
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    let theirs = format!("{}/{PROJECT}/-/pipelines/99999", world.sandbox.gitlab.url());
    world.sandbox.glint.run("r_1").link(&theirs);
    assert_eq!(world.pipeline_reaches(pipeline, "running").await, 200);
    assert_eq!(world.run("r_1").links(), [page(&world), theirs]);
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    assert_eq!(world.run("r_1").status, "SUCCESS");
}
