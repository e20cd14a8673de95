//! With `RUNS_QUEUE_URL`: reports that Glint could not take wait on the queue, and deferred runs wait as long as they should.

use crate::protocol::history::{End, QUEUES, enqueue, hold, next_event, one_receive, receive_until_empty};
use crate::support::{World, message};
use sandbox::queue::Outgoing;
use sandbox::{Call, Fault, Message};

/// One receive of a new run that meets `fault` at each such call; how long its message is hidden then, in seconds.
async fn hidden_after(call: Call, fault: Fault) -> i64 {
    let world = QUEUES.start().await;
    world.sandbox.fail(call).every().with(fault);
    enqueue(&world.sandbox, "r_1");
    let event = next_event(&world.sandbox, 1).await.unwrap();
    one_receive(&world, &event).await;
    world.sandbox.heal();
    let messages = world.sandbox.queue.messages();
    assert_eq!(messages.len(), 1, "it comes again");
    let hidden = messages[0].visible_at - world.sandbox.now();
    let replies = receive_until_empty(&world).await;
    assert_eq!(hold(&world.sandbox, "r_1", &replies), End::Linked);
    hidden.num_seconds()
}

#[tokio::test(start_paused = true)]
async fn a_deferred_run_waits_as_long_as_the_upstream_says() {
    for wait in [5, 60, 600, 3600] {
        for call in [Call::Trigger, Call::GetRun] {
            let hidden = hidden_after(call, Fault::throttled(wait)).await;
            let least = wait.max(60);
            assert!((least - 1..=least + 60).contains(&hidden), "{hidden} s, not {least}, after a 429 of {call:?}");
        }
    }
    assert!(hidden_after(Call::Trigger, Fault::throttled(50_000)).await < 43_200, "SQS's own limit");
}

#[tokio::test(start_paused = true)]
async fn a_deferred_run_waits_a_minute_or_two_where_nobody_says() {
    let full = r#"{"message":{"base":["Too many pipelines created in the last minute. Try again later."]}}"#;
    let mut waits = Vec::new();
    for (call, fault) in [
        (Call::Trigger, Fault::status_with(400, full)),
        (Call::Trigger, Fault::throttled("soon")),
        (Call::GetRun, Fault::status(503)),
        (Call::Login, Fault::status(500)),
        (Call::GetSecret, Fault::status(500)),
    ] {
        waits.push(hidden_after(call, fault).await);
    }
    assert!(waits.iter().all(|wait| (59..=120).contains(wait)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deferred_run_of_another_queue_is_left_to_that_queue() {
    let world = QUEUES.start().await;
    world.sandbox.fail(Call::GetRun).every().with(Fault::status(503));
    enqueue(&world.sandbox, "r_1");
    let mut event = world.sandbox.queue.receive(1);
    event["Records"][0]["eventSourceARN"] = "arn:aws:sqs:eu-west-1:000000000000:others.fifo".into();
    world.handle(&event).await.unwrap();
    assert_eq!(world.sandbox.journal.count(Call::ChangeVisibility), 0);
}

/// A run whose pipeline Glint could not be told of, after its receive.
async fn unreported(deaf: usize) -> World {
    let world = QUEUES.start().await;
    world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\"")).first(deaf).with(Fault::status(503));
    enqueue(&world.sandbox, "r_1");
    let event = next_event(&world.sandbox, 1).await.unwrap();
    one_receive(&world, &event).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_report_that_glint_cannot_take_waits_in_the_runs_group() {
    let world = unreported(3).await;
    let waiting: Vec<Message> = world.sandbox.queue.messages();
    assert_eq!(waiting.len(), 1, "the delivery is done, its report is queued");
    assert_eq!(waiting[0].group.as_deref(), Some("r_1"));
    assert_eq!(waiting[0].deduplication.as_deref(), Some("r_1.report"));
    assert!(world.run("r_1").links().is_empty());
    let replies = receive_until_empty(&world).await;
    assert_eq!(hold(&world.sandbox, "r_1", &replies), End::Linked);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queued_report_comes_again_until_glint_takes_it() {
    let world = unreported(9).await;
    let replies = receive_until_empty(&world).await;
    assert_eq!(hold(&world.sandbox, "r_1", &replies), End::Linked);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
    assert!(world.sandbox.queue.dead_letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_queued_report_leaves_an_ended_run_alone() {
    let world = unreported(3).await;
    world.sandbox.glint.run("r_1").status("SUCCESS");
    receive_until_empty(&world).await;
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.links().len(), run.refused_writes), ("SUCCESS", 0, 0));
    assert!(world.sandbox.queue.dead_letters().is_empty(), "and is done with");
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_run_behind_its_report_starts_nothing() {
    let world = unreported(3).await;
    world.sandbox.queue.send(Outgoing::new(message("r_1").to_string()).group("r_1").deduplication("copy"));
    let replies = receive_until_empty(&world).await;
    assert_eq!(hold(&world.sandbox, "r_1", &replies), End::Linked);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_queue_cannot_take_the_report_the_delivery_comes_again() {
    let world = QUEUES.start().await;
    world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\"")).every().with(Fault::status(503));
    world.sandbox.fail(Call::SendMessage).every().with(Fault::status(500));
    enqueue(&world.sandbox, "r_1");
    let event = next_event(&world.sandbox, 1).await.unwrap();
    one_receive(&world, &event).await;
    let waiting = world.sandbox.queue.messages();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].deduplication.as_deref(), Some("r_1"), "the delivery itself");
    let replies = receive_until_empty(&world).await;
    assert_eq!(hold(&world.sandbox, "r_1", &replies), End::NotConfirmed);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
}
