//! Histories that once sent a second trigger, or none at all, because somebody else wrote to the run.

use std::time::Duration;

use serde_json::json;

use crate::event_sources::ways::topic;
use crate::protocol::history::{PLAIN, QUEUES, READS, Setup, enqueue, next_event, one_receive, resend};
use crate::protocol::unlucky_runs::{killed_after_trigger, page, receive, triggers, with_lost_answer};
use crate::support::{CLIENT_SECRET, Handling, World, message};
use rstest::rstest;
use sandbox::queue::Outgoing;
use sandbox::signing::signed_inside;
use sandbox::{Call, Exchange, Fault};

const THEIR_LABEL: &str = "Rolling out to staging";
const THEIR_LINK: &str = "https://preview.example.com/7";
const A_DAY_AND_MORE: Duration = Duration::from_secs(25 * 3600);

/// A function with hooks and a read token; the answer to its run's trigger was lost, and nobody delivers the message again.
async fn with_lost_answer_and_message() -> World {
    let world = World::builder().hooks(Handling::InPlace).read_token().start().await;
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    world.sandbox.glint.run("r_1");
    world.deliver("r_1").await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
    world
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lost_pipeline_that_sets_its_own_label_alone_is_not_started_again_by_a_new_message(
    #[values(PLAIN, READS)] setup: Setup,
    #[values("redriven", "sent twice")] way: &str,
) {
    let world = with_lost_answer(setup).await;
    world.sandbox.glint.run("r_1").label("deploying");
    world.sandbox.fail(Call::GetRun).every().with(Fault::status(503));
    while receive(&world).await {}
    world.sandbox.heal();
    if way == "redriven" {
        assert_eq!(world.sandbox.queue.redrive().len(), 1);
    } else {
        resend(&world.sandbox, "r_1", "a copy after five minutes");
    }
    while receive(&world).await {}
    assert_eq!(triggers(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_time_of_its_own_is_not_started_again_when_it_is_redriven() {
    let world = READS.start().await;
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    let mut sent = message("r_1");
    sent["trigger"].as_object_mut().unwrap().remove("at");
    world.sandbox.glint.run("r_1");
    world.sandbox.queue.send(Outgoing::new(sent.to_string()).group("r_1").deduplication("r_1"));
    assert!(receive(&world).await);
    world.sandbox.fail(Call::GetRun).every().with(Fault::status(503));
    while receive(&world).await {}
    world.sandbox.heal();
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(world.sandbox.queue.redrive().len(), 1);
    while receive(&world).await {}
    assert_eq!((triggers(&world), world.run("r_1").links()), (1, vec![page(&world)]));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_labelled_before_a_first_attempt_that_died_is_started() {
    for setup in [PLAIN, READS] {
        let world = setup.start().await;
        enqueue(&world.sandbox, "r_1");
        world.sandbox.glint.run("r_1").label(THEIR_LABEL);
        world.sandbox.fail(Call::GetRun).first(3).with(Fault::status(503));
        while receive(&world).await {}
        assert_eq!(triggers(&world), 1, "{setup:?}");
        assert_eq!((world.run("r_1").has_ended(), world.run("r_1").links()), (false, vec![page(&world)]));
    }
}

#[tokio::test]
async fn a_record_of_the_topic_whose_run_was_labelled_before_is_started() {
    let world = World::builder().run("r_1").start().await;
    world.sandbox.glint.run("r_1").label(THEIR_LABEL);
    let now = world.sandbox.now();
    let record = signed_inside(&message("r_1").to_string(), CLIENT_SECRET, &now.timestamp().to_string());
    let reply = world.handle(&topic(&[&record], now.timestamp_millis())).await;
    assert_eq!((reply.ok(), triggers(&world)), (Some(json!({})), 1));
    assert_eq!(world.run("r_1").links(), [page(&world)]);
}

#[tokio::test]
async fn the_hook_of_a_lost_pipeline_that_sets_a_link_of_its_own_ends_the_run() {
    let world = with_lost_answer_and_message().await;
    world.sandbox.glint.run("r_1").link(THEIR_LINK);
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.links()), ("SUCCESS", vec![page(&world), THEIR_LINK.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_lost_pipeline_that_sets_a_link_of_its_own_is_ended_by_a_sweep_a_day_later() {
    let world = with_lost_answer_and_message().await;
    world.sandbox.glint.run("r_1").link(THEIR_LINK).sent_to("https://function.example.com/", message("r_1"));
    world.sandbox.gitlab.finish(world.sandbox.gitlab.pipelines()[0].id, "success");
    tokio::time::sleep(A_DAY_AND_MORE).await;
    for _ in 0..2 {
        world.handle(&json!({ "sweep": true })).await.unwrap();
    }
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.links()), ("SUCCESS", vec![page(&world), THEIR_LINK.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_lost_pipeline_is_found_beside_a_later_one_whose_user_input_equals_the_run_id() {
    let world = with_lost_answer(READS).await;
    let mut other = message("r_other");
    other["payload"]["properties"] = json!({ "run": "r_1" });
    world.sandbox.glint.run("r_other");
    assert!(world.queue(&[&other.to_string()]).await.is_empty());
    while receive(&world).await {}
    let [first, second] = &world.sandbox.gitlab.pipelines()[..] else { panic!("not two pipelines") };
    assert_eq!(world.run("r_1").links(), std::slice::from_ref(&first.web_url));
    assert_eq!(world.run("r_other").links(), std::slice::from_ref(&second.web_url));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_taken_back_a_minute_late_opens_no_run_whose_trigger_was_sent_since() {
    let world = QUEUES.start().await;
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::throttled(1));
    let takes_back = |one: &Exchange| one.text().contains("Waiting to retry");
    let late = Fault::AppliedLate(Duration::from_secs(60));
    world.sandbox.fail(Call::PatchRun).of(takes_back).nth(1).with(late);
    enqueue(&world.sandbox, "r_1");
    assert!(receive(&world).await);
    let event = next_event(&world.sandbox, 1).await.unwrap();
    killed_after_trigger(&world, &event).await;
    world.sandbox.journal.wait_for(|one| one.text().contains("Waiting to retry") && one.applied).await;
    while receive(&world).await {}
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
    let letters = world.sandbox.queue.receive_dead_letters();
    one_receive(&world, &letters).await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
}
