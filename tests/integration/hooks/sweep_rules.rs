//! What a sweep looks at, in which order, and what it must not believe.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::hooks::matching::foreign_pipeline;
use crate::support::{Handling, World};
use sandbox::glint::Lists;
use sandbox::{Call, Fault};

async fn with_read_token() -> World {
    World::builder().hooks(Handling::InPlace).read_token().start().await
}

async fn sweep(world: &World) -> Value {
    world.handle(&json!({ "sweep": true })).await.unwrap()
}

#[tokio::test]
async fn an_external_id_that_somebody_set_tells_the_run_nothing_of_a_private_pipeline() {
    let world = with_read_token().await;
    let private = foreign_pipeline(&world, "acme/secret-project").await;
    world.sandbox.gitlab.add_job(private, "secret-job", "failed", Some("script_failure"));
    world.sandbox.gitlab.finish(private, "failed");
    let page = world.sandbox.gitlab.pipeline(private).web_url;
    world.sandbox.glint.run("r_1").external_id(&format!("gl_102_{private}"));
    world.sandbox.glint.run("r_2").link(&page);
    let before = world.sandbox.glint.runs();
    let swept = sweep(&world).await;
    assert_eq!((&swept["runs"], &swept["ended"], &swept["left"]), (&json!(2), &json!(0), &json!(2)), "{swept}");
    assert!(swept["leftRuns"][0]["why"].as_str().unwrap().contains("does not prove"), "{swept}");
    assert!(!swept.to_string().contains("secret"), "{swept}");
    assert_eq!(world.sandbox.glint.runs(), before);
    assert_eq!(world.sandbox.journal.count(Call::PipelineJobs), 0);
}

#[tokio::test]
async fn the_pipeline_of_another_run_does_not_end_this_one() {
    let world = with_read_token().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    world.sandbox.glint.run("r_2").external_id(&format!("gl_101_{pipeline}"));
    assert_eq!(sweep(&world).await["ended"], 1);
    world.assert_ended_once("r_1", pipeline, "success");
    assert_eq!(world.run("r_2").status, "IN_PROGRESS");
}

#[tokio::test]
async fn a_run_that_has_a_link_alone_is_ended_too() {
    let world = with_read_token().await;
    let pipeline = world.start_run("r_1").await;
    let page = world.sandbox.gitlab.pipeline(pipeline).web_url;
    world.sandbox.gitlab.finish(pipeline, "failed");
    world.sandbox.glint.run("r_1").older_shape();
    assert_eq!(sweep(&world).await, json!({ "runs": 1, "ended": 1, "left": 0 }));
    assert_eq!((world.run("r_1").status.as_str(), world.run("r_1").links()), ("FAILURE", vec![page]));
}

#[tokio::test]
async fn a_pipeline_that_is_gone_ends_its_run_only_while_its_project_can_be_read() {
    let world = with_read_token().await;
    let pipeline = world.start_run("r_1").await;
    let page = world.sandbox.gitlab.pipeline(pipeline).web_url;
    world.sandbox.gitlab.delete_pipeline(pipeline);
    world.sandbox.fail(Call::Project).with(Fault::status(404));
    assert_eq!(sweep(&world).await["left"], 1);
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
    assert_eq!(sweep(&world).await["ended"], 1);
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("FAILURE", Some("GitLab pipeline deleted")));
    assert_eq!(
        run.logs.last().unwrap().message,
        format!("GitLab pipeline deleted: {page}"),
        "the page that people know"
    );
}

#[tokio::test]
async fn a_claim_that_is_a_day_old_is_ended_and_a_younger_one_is_not() {
    for has_token in [true, false] {
        let builder = World::builder().hooks(Handling::InPlace);
        let world = if has_token { builder.read_token() } else { builder }.start().await;
        let now = world.sandbox.now();
        for (run, age) in [("r_old", 25), ("r_young", 23)] {
            world
                .sandbox
                .glint
                .run(run)
                .external_id(&format!("gl_claim_{run}"))
                .updated_at(now - TimeDelta::hours(age));
        }
        let swept = sweep(&world).await;
        assert_eq!((&swept["runs"], &swept["ended"]), (&json!(1), &json!(1)), "{swept}");
        let run = world.run("r_old");
        assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("FAILURE", Some("Not confirmed by GitLab")));
        assert_eq!(run.logs.len(), 1);
        assert_eq!(world.run("r_young").status, "IN_PROGRESS");
    }
}

#[tokio::test]
async fn every_page_of_runs_is_looked_at() {
    let world = with_read_token().await;
    let mut pipelines = Vec::new();
    for number in 0..23 {
        let pipeline = world.start_run(&format!("r_{number}")).await;
        world.sandbox.gitlab.finish(pipeline, "success");
        pipelines.push(pipeline);
    }
    world.sandbox.glint.shape(|shape| shape.lists = Lists::Paged(vec![5, 0, 3]));
    assert_eq!(sweep(&world).await, json!({ "runs": 23, "ended": 23, "left": 0 }));
    for (number, pipeline) in pipelines.into_iter().enumerate() {
        world.assert_ended_once(&format!("r_{number}"), pipeline, "success");
    }
}

#[tokio::test]
async fn sweeps_begin_at_different_runs() {
    let mut world = World::builder().hooks(Handling::InPlace).read_token().frozen_clock().start().await;
    for number in 0..20 {
        let pipeline = world.start_run(&format!("r_{number}")).await;
        world.sandbox.gitlab.finish(pipeline, "running");
    }
    world.time = Duration::from_secs(60);
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..10 {
        world.pass(300);
        world.sandbox.journal.clear();
        sweep(&world).await;
        first.insert(world.sandbox.journal.of(Call::GetPipeline)[0].path_and_query.clone());
    }
    assert!(first.len() >= 7, "{first:?}");
}

#[tokio::test]
async fn an_entity_that_fails_does_not_hold_the_run_s_end_up_in_a_sweep() {
    let world =
        World::builder().hooks(Handling::InPlace).read_token().settings(&[("DEPLOYMENT_BLUEPRINT", "deployment")]);
    let world = world.start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    world.sandbox.fail(Call::UpsertEntity).every().with(Fault::status(503));
    assert_eq!(sweep(&world).await["ended"], 1);
    let run = world.assert_ended_once("r_1", pipeline, "success");
    assert!(run.logs.last().unwrap().message.contains("No deployment entity was written"), "{:?}", run.logs);
}

#[tokio::test]
async fn a_hook_without_a_proof_is_looked_up_where_there_is_a_read_token() {
    let world = with_read_token().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "running");
    // The hook lies about everything but the ids: only what GitLab says counts.
    let hook = world.changed_hook(pipeline, |body| {
        body["object_attributes"]["variables"] = json!([]);
        body["object_attributes"]["status"] = json!("success");
        body["project"]["path_with_namespace"] = json!("acme/other");
    });
    assert_eq!(world.post(&hook).await.0, 200);
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("IN_PROGRESS", Some("GitLab pipeline running")));
    world.sandbox.gitlab.finish(pipeline, "success");
    assert_eq!(world.post(&hook).await.0, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}
