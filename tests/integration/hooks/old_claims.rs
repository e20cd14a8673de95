//! Claims that are a day old: the sweep looks for their pipelines where it can, and then ends them.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::hooks::matching::foreign_pipeline;
use crate::support::{Handling, PROJECT, World, message, sqs_event};
use sandbox::{Call, Fault};

async fn with_read_token() -> World {
    World::builder().hooks(Handling::InPlace).read_token().start().await
}

async fn sweep(world: &World) -> Value {
    world.handle(&json!({ "sweep": true })).await.unwrap()
}

/// A run of which Glint tells what it sent, claimed so many hours ago.
fn claimed(world: &World, run: &str, hours: i64) {
    let since = world.sandbox.now() - TimeDelta::hours(hours);
    let builder = world.sandbox.glint.run(run).external_id(&format!("gl_claim_{run}"));
    builder.sent_to("https://function.example.com/", message(run)).created_at(since).updated_at(since);
}

#[tokio::test]
async fn the_pipeline_of_an_old_claim_is_found_and_linked() {
    let world = with_read_token().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::Trigger).with(Fault::ResetAfter);
    world.handle(&sqs_event(&[&message("r_1").to_string()], 1)).await.unwrap();
    claimed(&world, "r_1", 25);
    assert_eq!(sweep(&world).await["ended"], 0);
    let pipeline = &world.sandbox.gitlab.pipelines()[0];
    assert_eq!(world.run("r_1").links(), std::slice::from_ref(&pipeline.web_url));
    world.sandbox.gitlab.finish(pipeline.id, "success");
    assert_eq!(sweep(&world).await["ended"], 1);
    world.assert_ended_once("r_1", pipeline.id, "success");
}

#[tokio::test]
async fn an_old_claim_without_a_pipeline_ends_as_not_started() {
    let world = with_read_token().await;
    claimed(&world, "r_1", 25);
    assert_eq!(sweep(&world).await["ended"], 1);
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("FAILURE", Some("Not started")));
    assert!(run.summary.unwrap().contains("GitLab has no pipeline of this run"));
}

#[tokio::test]
async fn an_old_claim_whose_pipeline_cannot_be_looked_up_waits_another_day() {
    for (hours, ended) in [(25, 0), (49, 1)] {
        let world = with_read_token().await;
        claimed(&world, "r_1", hours);
        world.sandbox.fail(Call::ListPipelines).every().with(Fault::status(503));
        assert_eq!(sweep(&world).await["ended"], ended, "{hours} hours");
    }
}

#[tokio::test]
async fn an_old_claim_beside_the_page_of_another_pipeline_is_ended() {
    for has_token in [true, false] {
        let builder = World::builder().hooks(Handling::InPlace);
        let world = if has_token { builder.read_token() } else { builder }.start().await;
        let theirs = foreign_pipeline(&world, PROJECT).await;
        let since = world.sandbox.now() - TimeDelta::hours(25);
        let page = world.sandbox.gitlab.pipeline(theirs).web_url;
        world.sandbox.gitlab.finish(theirs, "success");
        world.sandbox.glint.run("r_1").external_id("gl_claim_r_1").link(&page).updated_at(since);
        assert_eq!(sweep(&world).await["ended"], 1, "read token: {has_token}");
        assert_eq!(world.run("r_1").status_label.as_deref(), Some("Not confirmed by GitLab"));
    }
}
