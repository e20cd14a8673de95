//! What a receive makes of a run that bears a claim: never a second trigger on a guess.

use chrono::TimeDelta;
use serde_json::Value;

use crate::protocol::history::{End, PLAIN, READS, RECEIVES, Setup, enqueue, hold, webhook};
use crate::support::{World, message, redelivered, sqs_event};
use sandbox::{Call, Fault};

const OURS: [&str; 2] = ["Triggering GitLab pipeline", "Waiting for GitLab to confirm"];

/// A run of this label, last written to so many seconds ago.
async fn labelled(setup: Setup, label: &str, seconds: i64) -> World {
    let world = setup.start().await;
    let written = world.sandbox.now() - TimeDelta::seconds(seconds);
    world.sandbox.glint.run("r_1").label(label).updated_at(written);
    world
}

/// Whether it must come again after this receive, as the queue counts it.
async fn received(world: &World, receives: u32) -> bool {
    let reply = world.handle(&sqs_event(&[&message("r_1").to_string()], receives)).await.unwrap();
    !redelivered(&reply).is_empty()
}

/// Whether the run's dead letter must come again, once its message was set aside.
async fn set_aside(world: &World) -> bool {
    let mut event = sqs_event(&[&message("r_1").to_string()], RECEIVES + 1);
    event["Records"][0]["eventSourceARN"] = world.sandbox.queue.dead_letter_arn().into();
    !redelivered(&world.handle(&event).await.unwrap()).is_empty()
}

fn triggers(world: &World) -> usize {
    world.sandbox.journal.count(Call::Trigger)
}

#[tokio::test(start_paused = true)]
async fn our_claim_is_never_followed_by_another_trigger_where_nobody_can_look() {
    for label in OURS {
        let world = labelled(PLAIN, label, 3600).await;
        for receives in 1..=RECEIVES {
            assert!(received(&world, receives).await);
            assert!(!world.run("r_1").has_ended(), "the dead-letter queue looks first");
        }
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        assert!(!set_aside(&world).await);
        assert_eq!(hold(&world.sandbox, "r_1", &[]), End::NotConfirmed);
        assert_eq!(triggers(&world), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_of_somebody_else_is_no_claim_at_any_receive() {
    for receives in 1..=RECEIVES {
        let world = labelled(PLAIN, "Rolling out to staging", 3600).await;
        assert!(!received(&world, receives).await);
        assert_eq!(hold(&world.sandbox, "r_1", &[]), End::Linked);
        assert_eq!(triggers(&world), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn absence_counts_only_once_the_claim_is_ninety_seconds_old() {
    for label in OURS {
        for (seconds, starts) in [(0, false), (30, false), (89, false), (90, true), (600, true)] {
            let world = labelled(READS, label, seconds).await;
            assert_eq!(received(&world, 2).await, !starts, "{seconds} s");
            assert_eq!(triggers(&world), usize::from(starts), "{seconds} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn absence_counts_only_if_every_candidate_could_be_read() {
    for fault in [Fault::status(403), Fault::status(404), Fault::status(500), Fault::Garbage, Fault::WrongTypes] {
        let world = READS.start().await;
        enqueue(&world.sandbox, "r_other");
        world.handle(&world.sandbox.queue.receive(1)).await.unwrap();
        let written = world.sandbox.now() - TimeDelta::seconds(600);
        world.sandbox.glint.run("r_1").label(OURS[1]).updated_at(written);
        world.sandbox.fail(Call::PipelineVariables).every().with(fault.clone());
        assert!(received(&world, 2).await, "{fault:?}");
        assert_eq!(triggers(&world), 1, "only the other run's");
        world.sandbox.heal();
        assert!(!received(&world, 3).await);
        assert_eq!(hold(&world.sandbox, "r_1", &[]), End::Linked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_pipeline_is_found_among_those_of_other_runs() {
    let world = READS.start().await;
    world.sandbox.fail(Call::Trigger).nth(4).with(Fault::ResetAfter);
    for number in 0..8 {
        let run = if number == 3 { "r_1".to_owned() } else { format!("r_other_{number}") };
        world.sandbox.glint.run(&run);
        world.handle(&sqs_event(&[&message(&run).to_string()], 1)).await.unwrap();
    }
    assert!(world.run("r_1").links().is_empty());
    assert!(!received(&world, 2).await, "found at once, however young the claim is");
    assert_eq!(hold(&world.sandbox, "r_1", &[]), End::Linked);
    assert_eq!(triggers(&world), 8);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_state_cannot_be_read_is_never_triggered() {
    for fault in [Fault::WrongTypes, Fault::EmptyBody, Fault::Garbage, Fault::status(404), Fault::status_after(200)] {
        let world = PLAIN.start().await;
        world.sandbox.glint.run("r_1");
        world.sandbox.fail(Call::GetRun).every().with(fault.clone());
        for receives in 1..=RECEIVES {
            received(&world, receives).await;
        }
        assert_eq!(triggers(&world), 0, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_linked_or_ended_run_is_left_as_it_is() {
    let changes: [fn(sandbox::glint::RunBuilder) -> sandbox::glint::RunBuilder; 4] = [
        |run| run.external_id("gl_1_2"),
        |run| run.status("SUCCESS"),
        |run| run.status("FAILURE"),
        |run| run.status("DECLINED"),
    ];
    for change in changes {
        let world = PLAIN.start().await;
        drop(change(world.sandbox.glint.run("r_1")));
        let before = world.run("r_1");
        for receives in [1, 2, RECEIVES] {
            assert!(!received(&world, receives).await);
        }
        assert_eq!(world.run("r_1"), before, "not even an attempt");
        assert_eq!(triggers(&world), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_ends_an_old_claim_and_leaves_a_young_one_to_the_copy_that_made_it() {
    for (seconds, ends) in [(0, false), (30, false), (89, false), (90, true), (3600, true)] {
        let world = labelled(PLAIN, OURS[1], seconds).await;
        let reply: Value = world.handle(&webhook(&world.sandbox, "r_1")).await.unwrap();
        assert_eq!(reply["statusCode"], 504, "{reply}");
        assert_eq!(world.run("r_1").has_ended(), ends, "{seconds} s");
        assert_eq!(triggers(&world), 0);
    }
}
