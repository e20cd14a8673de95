//! More runs at once than GitLab starts in a quarter of an hour.

use futures_util::future::join_all;

use crate::protocol::history::{End, Setup, enqueue, hold_all, next_event, nothing_secret};
use crate::support::PROJECT;

const RUNS: usize = 500;
/// Invocations side by side, as the queue's event source allows.
const AT_ONCE: usize = 10;
/// The queue's default.
const RECEIVES: u32 = 20;

#[tokio::test(start_paused = true)]
async fn a_burst_of_500_runs_drains_at_25_pipelines_a_minute() {
    let world = Setup { reads: false, queues: true }.builder(RECEIVES).at("2026-01-05T09:12:04.120Z").start().await;
    world.sandbox.gitlab.project(PROJECT).throttle(25);
    let start = world.sandbox.now();
    for number in 0..RUNS {
        enqueue(&world.sandbox, &format!("r_{number}"));
    }
    let (mut receives, mut most) = (0, 0);
    while let Some(first) = next_event(&world.sandbox, 10).await {
        let others = (1..AT_ONCE).map(|_| world.sandbox.queue.receive(10));
        let events: Vec<_> =
            std::iter::once(first).chain(others).filter(|event| event["Records"] != serde_json::json!([])).collect();
        let replies = join_all(events.iter().map(|event| world.handle(event))).await;
        for (event, reply) in events.iter().zip(replies) {
            receives += event["Records"].as_array().unwrap().len();
            for record in event["Records"].as_array().unwrap() {
                let count = record["attributes"]["ApproximateReceiveCount"].as_str().unwrap().parse::<u32>().unwrap();
                most = most.max(count);
            }
            world.sandbox.queue.acknowledge(event, reply.ok());
        }
        nothing_secret(&world.sandbox.journal.exchanges(), &[]);
        world.sandbox.journal.clear();
    }
    let took = world.sandbox.now() - start;
    assert!(world.sandbox.queue.dead_letters().is_empty());
    let runs: Vec<String> = (0..RUNS).map(|number| format!("r_{number}")).collect();
    assert!(hold_all(&world.sandbox, &runs, &[]).iter().all(|end| *end == End::Linked));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), RUNS);
    println!(
        "{RUNS} runs started in {} minutes and {receives} receives; no run was received more than {most} times",
        took.num_minutes()
    );
    assert!(most < RECEIVES);
}
