//! The invocation's deadline: nothing is begun that cannot end, and the answer is always in time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::protocol::history::{BOTH, PLAIN, Setup, enqueue, webhook};
use crate::support::{World, message, redelivered, sqs_event};
use rstest::rstest;
use sandbox::{Call, Fault};

/// What an answer has to be ahead of its deadline.
const MARGIN: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn with_less_than_ten_seconds_left_no_trigger_is_sent() {
    for millis in (1000..10_000).step_by(500).chain([9_999]) {
        let mut world = PLAIN.start().await;
        world.sandbox.glint.run("r_1");
        world.time = Duration::from_millis(millis);
        assert_eq!(world.queue(&[&message("r_1").to_string()]).await, [0], "with {millis} ms");
        assert_eq!(world.sandbox.journal.count(Call::Trigger), 0, "with {millis} ms");
        assert!(!world.run("r_1").has_ended());
        world.time = Duration::from_secs(11);
        assert!(world.queue(&[&message("r_1").to_string()]).await.is_empty(), "with eleven seconds");
        assert_eq!(world.run("r_1").links().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_glint_takes_is_not_there_for_the_trigger() {
    let mut world = PLAIN.start().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::GetRun).nth(1).with(Fault::Delay(Duration::from_millis(2500)));
    world.time = Duration::from_secs(12);
    assert_eq!(world.queue(&[&message("r_1").to_string()]).await, [0]);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_leaves_three_seconds_for_its_report() {
    for (seconds, limit) in [(45, 30), (20, 17), (12, 9)] {
        let mut world = PLAIN.start().await;
        world.sandbox.glint.run("r_1");
        world.time = Duration::from_secs(seconds);
        world.sandbox.fail(Call::Trigger).every().with(Fault::StallBefore);
        world.queue(&[&message("r_1").to_string()]).await;
        let trigger = &world.sandbox.journal.of(Call::Trigger)[0];
        let took = trigger.ended.unwrap() - trigger.started;
        let limit = Duration::from_secs(limit);
        assert!(took <= limit + Duration::from_millis(50) && took >= limit - Duration::from_millis(500), "{took:?}");
        assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
    }
}

/// Calls that may stall, one by one and all together.
fn stalls() -> Vec<Vec<Call>> {
    let mut all: Vec<Vec<Call>> = Call::ALL.into_iter().map(|call| vec![call]).collect();
    all.push(Call::ALL.to_vec());
    all.push(vec![Call::PatchRun, Call::PostLog]);
    all.push(vec![Call::PatchRun, Call::PostLog, Call::SendMessage]);
    all.push(vec![Call::Trigger, Call::PatchRun, Call::ChangeVisibility]);
    all
}

fn events(world: &World, last_receive: bool) -> Vec<Value> {
    let several: Vec<String> = ["r_1", "r_2", "r_2", "r_3", "r_claimed"].map(|run| message(run).to_string()).to_vec();
    let bodies: Vec<&str> = several.iter().map(String::as_str).collect();
    let mut letters = sqs_event(&bodies, 1);
    for letter in letters["Records"].as_array_mut().unwrap() {
        letter["eventSourceARN"] = json!(world.sandbox.queue.dead_letter_arn());
    }
    vec![
        sqs_event(&bodies, if last_receive { 20 } else { 1 }),
        letters,
        webhook(&world.sandbox, "r_1"),
        message("r_1"),
        json!({ "check": true }),
        json!({ "sweep": true }),
    ]
}

/// One event of the list, in a world where these calls stall for ever. How long before its deadline it is answered.
async fn spare_time(setup: Setup, stalls: &[Call], applied: bool, which: usize, time: Duration) -> Duration {
    let mut world = setup.start().await;
    world.time = time;
    for run in ["r_1", "r_2", "r_3"] {
        world.sandbox.glint.run(run);
    }
    world.sandbox.glint.run("r_claimed").label("Triggering GitLab pipeline");
    world.sandbox.glint.run("r_linked").external_id("gl_101_1001");
    for call in stalls {
        let fault = if applied { Fault::StallAfter } else { Fault::StallBefore };
        world.sandbox.fail(*call).every().with(fault);
    }
    let event = events(&world, applied).swap_remove(which);
    let start = Instant::now();
    let reply = world.handle(&event).await;
    let took = start.elapsed();
    if let (0 | 1, Ok(reply)) = (which, &reply) {
        let listed = redelivered(reply);
        assert!(listed.is_sorted() && listed.len() <= 5, "{listed:?}");
    }
    time.checked_sub(took).unwrap_or_else(|| panic!("{took:?} of {time:?} with {stalls:?}"))
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn every_invocation_is_answered_half_a_second_before_its_deadline_whatever_stalls(
    #[values(PLAIN, BOTH)] setup: Setup,
    #[values(0, 1, 2, 3, 4, 5)] which: usize,
) {
    let (mut count, mut least) = (0, Duration::MAX);
    for stalled in stalls() {
        for (applied, seconds) in [(false, 45), (true, 45), (true, 11), (false, 3)] {
            let spare = spare_time(setup, &stalled, applied, which, Duration::from_secs(seconds)).await;
            assert!(spare >= MARGIN, "{spare:?} to spare of {seconds} s: event {which}, {stalled:?} stalled");
            least = least.min(spare);
            count += 1;
        }
    }
    println!("{count} invocations among stalls, each answered at least {least:?} before its deadline");
    assert!(count >= 75);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_trickle_are_not_waited_for_either() {
    let mut world = BOTH.start().await;
    world.time = Duration::from_secs(30);
    for call in Call::ALL {
        world.sandbox.fail(call).every().with(Fault::SlowBody);
    }
    enqueue(&world.sandbox, "r_1");
    let event = world.sandbox.queue.receive(1);
    let start = Instant::now();
    assert_eq!(world.handle(&event).await.unwrap()["batchItemFailures"].as_array().unwrap().len(), 1);
    assert!(start.elapsed() + MARGIN <= world.time);
}
