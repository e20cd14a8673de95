//! Glints that show or keep less of a run than was written: each run gets one pipeline all the same.

use serde_json::json;

use crate::protocol::history::{PLAIN, enqueue, next_event, receive_until_empty};
use crate::protocol::unlucky_runs::killed_after_trigger;
use crate::support::{Function, Handling, World, furnish, invoke, message, sqs_event};
use sandbox::glint::{ExternalId, Shape};
use sandbox::{Call, Fault, Sandbox};

fn only_link() -> Shape {
    Shape { keeps_label: false, external_id: ExternalId::Dropped, ..Shape::default() }
}

/// Every Glint that is known, and one that keeps the link alone.
fn shapes() -> Vec<(&'static str, Shape)> {
    [Shape::all(), vec![("keeps the link alone", only_link())]].concat()
}

#[tokio::test(start_paused = true)]
async fn no_glint_makes_a_second_pipeline_of_lost_answers() {
    let mut broken = Vec::new();
    for (name, shape) in shapes() {
        let world = PLAIN.start().await;
        world.sandbox.glint.set_shape(shape);
        world.sandbox.fail(Call::Trigger).every().with(Fault::ResetAfter);
        enqueue(&world.sandbox, "r_1");
        receive_until_empty(&world).await;
        let (run, pipelines) = (world.run("r_1"), world.sandbox.gitlab.pipelines().len());
        if pipelines != 1 || !run.has_ended() {
            broken.push(format!("{name}: {pipelines} pipelines, {}", run.status));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test(start_paused = true)]
async fn no_glint_that_keeps_a_claim_makes_a_second_pipeline_of_a_kill_after_the_trigger() {
    let mut broken = Vec::new();
    let remembers_nothing = ["keeps the link alone", "shows nothing that is written"];
    for (name, shape) in shapes().into_iter().filter(|(name, _)| !remembers_nothing.contains(name)) {
        let world = PLAIN.start().await;
        world.sandbox.glint.set_shape(shape.clone());
        enqueue(&world.sandbox, "r_1");
        tokio::time::sleep(shape.new_run_lag).await;
        let event = next_event(&world.sandbox, 1).await.unwrap();
        killed_after_trigger(&world, &event).await;
        receive_until_empty(&world).await;
        let pipelines = world.sandbox.gitlab.pipelines().len();
        if pipelines != 1 {
            broken.push(format!("{name}: {pipelines} pipelines"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn a_hook_ends_a_run_of_several_links_where_glint_shows_no_external_id() {
    for ours_first in [true, false] {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        world.sandbox.glint.shape(|shape| shape.shows_external_id = false);
        let pipeline = world.start_run("r_1").await;
        let mut links =
            vec![world.sandbox.gitlab.pipeline(pipeline).web_url, "https://preview.example.com/7".to_owned()];
        if !ours_first {
            links.reverse();
        }
        world.sandbox.glint.others_write("r_1", json!({ "link": links }));
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
        assert_eq!(world.run("r_1").status, "SUCCESS", "ours first: {ours_first}");
    }
}

#[tokio::test]
async fn a_sweep_ends_a_run_of_several_links_where_glint_shows_no_external_id() {
    let world = World::builder().hooks(Handling::InPlace).read_token().start().await;
    world.sandbox.glint.shape(|shape| shape.shows_external_id = false);
    let pipeline = world.start_run("r_1").await;
    let links = ["https://preview.example.com/7".to_owned(), world.sandbox.gitlab.pipeline(pipeline).web_url];
    world.sandbox.glint.others_write("r_1", json!({ "link": links }));
    world.sandbox.gitlab.finish(pipeline, "success");
    world.handle(&json!({ "sweep": true })).await.unwrap();
    assert_eq!(world.run("r_1").status, "SUCCESS");
}

#[tokio::test]
async fn what_a_glint_that_shows_less_cannot_promise_is_logged_once() {
    let shows_no_external_id = Shape { shows_external_id: false, ..Shape::default() };
    for (shape, words) in [
        (shows_no_external_id, "this Glint shows no `externalRunId` of a run"),
        (only_link(), "this Glint shows neither the label nor the `externalRunId` of a run"),
    ] {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        sandbox.glint.set_shape(shape);
        let mut function = Function::start(&sandbox, &[]).await;
        for run in ["r_1", "r_2"] {
            sandbox.glint.run(run);
            invoke(&sandbox, sqs_event(&[&message(run).to_string()], 1)).await;
        }
        let printed = function.kill().await;
        assert_eq!(printed.matches(words).count(), 1, "{printed}");
    }
}
