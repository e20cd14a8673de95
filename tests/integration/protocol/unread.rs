//! Deliveries whose run cannot be read at first, where nobody delivers again.

use crate::protocol::history::webhook;
use crate::support::World;
use sandbox::{Call, Fault};

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_webhook_that_cannot_read_the_run_at_first_does_not_end_the_run_that_has_its_pipeline() {
    let world = World::builder().at("2026-01-05T09:12:04.120Z").run("r_1").start().await;
    assert_eq!(world.post(&webhook(&world.sandbox, "r_1")).await.0, 200);
    world.sandbox.fail(Call::GetRun).with(Fault::status(422));
    assert_eq!(world.post(&webhook(&world.sandbox, "r_1")).await.0, 200);
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.links().len()), ("IN_PROGRESS", 1));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_cannot_read_the_run_at_first_ends_the_run_that_has_no_pipeline() {
    let world = World::builder().at("2026-01-05T09:12:04.120Z").run("r_1").start().await;
    world.sandbox.fail(Call::GetRun).with(Fault::status(422));
    assert_eq!(world.post(&webhook(&world.sandbox, "r_1")).await.0, 502);
    assert_eq!(world.run("r_1").status, "FAILURE");
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 0);
}
