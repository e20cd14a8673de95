//! The deployment entity that a successful pipeline leaves in Glint's catalog.

use serde_json::{Value, json};

use crate::support::{FINAL, Function, Handling, World, invoke};
use rstest::rstest;
use sandbox::{Call, Entity, Fault};

const BLUEPRINT: (&str, &str) = ("DEPLOYMENT_BLUEPRINT", "deployment");

/// A world in which one run with these inputs came to a successful end in one hook.
async fn deployed(identifier: &str, inputs: Value) -> World {
    let world = World::builder()
        .hooks(Handling::InPlace)
        .settings(&[BLUEPRINT, ("DEPLOYMENT_IDENTIFIER", identifier)])
        .start()
        .await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.run("r_1").properties(inputs);
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
    world
}

fn only_entity(world: &World) -> Entity {
    let entities = world.sandbox.glint.entities();
    assert_eq!(entities.len(), 1);
    entities.into_iter().next().unwrap()
}

/// The last line of the run's log.
fn last_line(world: &World) -> String {
    world.run("r_1").logs.last().unwrap().message.clone()
}

#[rstest]
#[tokio::test]
async fn the_entity_is_written_before_the_log_line_and_the_end(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    let world = World::builder().hooks(handling).settings(&[BLUEPRINT]).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.journal.clear();
    world.pipeline_reaches(pipeline, "success").await;
    assert_eq!(world.receive_all().await, 0);
    assert_eq!(world.calls_to_glint(), [Call::GetRun, Call::UpsertEntity, Call::PostLog, Call::PatchRun]);
    let upsert = &world.sandbox.journal.of(Call::UpsertEntity)[0];
    assert_eq!(upsert.path_and_query, "/v1/blueprints/deployment/entities?upsert=true&merge=true&run_id=r_1");
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn its_properties_come_from_the_run_and_the_hook() {
    for (inputs, tag) in [
        (json!({ "imageTag": "1.4.0", "image_tag": "x", "version": "y" }), Some("1.4.0")),
        (json!({ "image_tag": "1.5.0", "version": "y" }), Some("1.5.0")),
        (json!({ "imageTag": "", "image_tag": null, "version": 7 }), Some("7")),
        (json!({}), None),
    ] {
        let mut inputs = inputs;
        (inputs["service"], inputs["environment"]) = (json!("billing"), json!("staging"));
        let world = deployed("", inputs).await;
        let pipeline = &world.sandbox.gitlab.pipelines()[0];
        let entity = only_entity(&world);
        assert_eq!((entity.blueprint.as_str(), entity.identifier.as_str()), ("deployment", "billing-staging"));
        assert_eq!(entity.run_id.as_deref(), Some("r_1"));
        let mut expected =
            json!({ "jobUrl": pipeline.web_url, "deployingUser": "auth0|sandbox", "commitSha": pipeline.sha });
        if let Some(tag) = tag {
            expected["imageTag"] = json!(tag);
        }
        assert_eq!(Value::Object(entity.properties), expected);
    }
}

#[tokio::test]
async fn an_entity_that_is_there_is_merged_with() {
    let world = World::builder().hooks(Handling::InPlace).settings(&[BLUEPRINT]).start().await;
    for (run, tag) in [("r_1", json!("1")), ("r_2", json!(null))] {
        let pipeline = world.start_run(run).await;
        world
            .sandbox
            .glint
            .run(run)
            .properties(json!({ "service": "billing", "environment": "staging", "version": tag }));
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
        world.assert_ended_once(run, pipeline, "success");
    }
    let entity = only_entity(&world);
    assert_eq!((entity.run_id.as_deref(), &entity.properties["imageTag"]), (Some("r_2"), &json!("1")));
}

#[tokio::test]
async fn nothing_is_written_unless_the_pipeline_succeeded_and_a_blueprint_is_named() {
    for (status, ..) in FINAL {
        for settings in [&[BLUEPRINT][..], &[]] {
            let world = World::builder().hooks(Handling::InPlace).settings(settings).start().await;
            let pipeline = world.start_run("r_1").await;
            assert_eq!(world.pipeline_reaches(pipeline, status).await, 200);
            let wanted = usize::from(status == "success" && !settings.is_empty());
            assert_eq!(world.sandbox.glint.entities().len(), wanted, "{status}");
        }
    }
}

#[tokio::test]
async fn identifiers_are_made_of_inputs_as_their_grammar_says() {
    for (template, identifier) in [
        ("{service}-{environment}", "billing-staging"),
        ("{service}", "billing"),
        ("fixed", "fixed"),
        ("{service}{n}", "billing3"),
        ("{environment}/{service}@{n}", "staging/billing@3"),
        ("{dry}.{service}", "true.billing"),
        ("{umlaut}", "Zürich"),
        ("{odd name}", "odd"),
    ] {
        let inputs = json!({
            "service": "billing", "environment": "staging", "n": 3, "dry": true, "umlaut": "Zürich", "odd name": "odd"
        });
        assert_eq!(only_entity(&deployed(template, inputs).await).identifier, identifier, "{template}");
    }
}

#[tokio::test]
async fn an_input_that_the_identifier_needs_and_the_run_lacks_means_no_entity_and_a_line_that_says_so() {
    for inputs in [
        json!({ "service": "billing" }),
        json!({ "service": "billing", "environment": "" }),
        json!({ "service": "billing", "environment": null }),
        json!({}),
    ] {
        let world = deployed("", inputs).await;
        assert!(world.sandbox.glint.entities().is_empty());
        assert_eq!(world.sandbox.journal.count(Call::UpsertEntity), 0);
        let line = last_line(&world);
        assert!(line.contains("No deployment entity") && line.contains("which the run does not have"), "{line}");
        assert!(line.contains("{service}-{environment}"), "{line}");
    }
}

#[tokio::test]
async fn identifiers_that_glint_does_not_take_hold_nothing_up() {
    for service in ["a b", "a,b", "{\"x\":1}", "..", "✓", "a\nb", &"x".repeat(1001)] {
        let world = deployed("{service}", json!({ "service": service })).await;
        assert!(world.sandbox.glint.entities().is_empty(), "{service}");
        let line = last_line(&world);
        assert!(line.contains("No deployment entity was written: Glint refused"), "{line}");
    }
}

#[tokio::test]
async fn a_blueprint_that_glint_does_not_know_is_said_to_be_the_trouble() {
    let world =
        World::builder().hooks(Handling::InPlace).settings(&[("DEPLOYMENT_BLUEPRINT", "deploy ment/x")]).start().await;
    let pipeline = world.start_run("r_1").await;
    let words =
        r#"{"ok":false,"error":"not_found","message":"Blueprint with identifier \"deploy ment/x\" was not found"}"#;
    world.sandbox.fail(Call::UpsertEntity).every().with(Fault::status_with(404, words));
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
    let upsert = &world.sandbox.journal.of(Call::UpsertEntity)[0];
    assert!(upsert.path_and_query.starts_with("/v1/blueprints/deploy%20ment%2Fx/entities?"), "{upsert:?}");
    let line = last_line(&world);
    assert!(line.contains("blueprint") && !line.contains("no such run"), "{line}");
}

#[tokio::test]
async fn a_refusal_of_the_entity_holds_nothing_up() {
    for status in [400, 404, 409, 413, 422, 403, 429, 500, 503] {
        let world = World::builder().hooks(Handling::InPlace).settings(&[BLUEPRINT]).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.fail(Call::UpsertEntity).every().with(Fault::status(status));
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200, "{status}");
        world.assert_ended_once("r_1", pipeline, "success");
        let line = last_line(&world);
        assert!(line.contains("No deployment entity was written"), "{line}");
    }
}

#[tokio::test]
async fn a_queued_hook_waits_for_an_entity_that_may_be_taken_later_and_not_for_ever() {
    for (receives, last) in [(1, false), (19, false), (20, true)] {
        let world = World::builder().hooks(Handling::Queued).settings(&[BLUEPRINT]).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.fail(Call::UpsertEntity).every().with(Fault::status(503));
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 202);
        let mut received = world.sandbox.queue.receive(10);
        received["Records"][0]["attributes"]["ApproximateReceiveCount"] = json!(receives.to_string());
        let reply = world.handle(&received).await.unwrap();
        assert_eq!(reply["batchItemFailures"].as_array().unwrap().is_empty(), last, "receive {receives}");
        if !last {
            assert_eq!(world.run("r_1").status, "IN_PROGRESS");
            world.sandbox.heal();
            world.handle(&received).await.unwrap();
        }
        world.assert_ended_once("r_1", pipeline, "success");
        assert_eq!(world.sandbox.glint.entities().len(), usize::from(!last));
    }
}

#[tokio::test]
async fn an_entity_whose_answer_was_lost_is_written_once_more_and_is_one() {
    let world = World::builder().hooks(Handling::InPlace).settings(&[BLUEPRINT]).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.fail(Call::UpsertEntity).with(Fault::ResetAfter);
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
    only_entity(&world);
}

#[tokio::test]
async fn the_function_s_own_log_says_which_input_is_missing() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    world.sandbox.glint.run("r_1").properties(json!({ "service": "billing" }));
    let settings = [BLUEPRINT, ("GITLAB_HOOK_SECRET_ID", crate::support::HOOK_SECRET)];
    let mut function = Function::start(&world.sandbox, &settings).await;
    invoke(&world.sandbox, world.hook(pipeline)).await;
    let printed = function.kill().await;
    let line = printed.lines().find(|line| line.contains("no `deployment` entity was written for run `r_1`"));
    assert!(line.is_some_and(|line| line.contains("user input `environment`")), "{printed}");
    assert_eq!(world.post(&world.hook(pipeline)).await.0, 200);
}
