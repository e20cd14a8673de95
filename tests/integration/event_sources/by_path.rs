//! WEBHOOK actions, whose message names no project: the URL does. And the shapes that templates make of a message.

use serde_json::{Value, json};

use crate::event_sources::ways::{ask, webhook_to, with_attributes};
use crate::support::{PROJECT, TOKEN, World, message, redelivered, sqs_event};
use rstest::rstest;
use sandbox::{Call, Pipeline};

const PATH: &str = "/acme/backend/billing";

/// A run message of a WEBHOOK action.
fn webhook_action(run: &str) -> Value {
    let mut message = message(run);
    message["payload"]["action"]["invocationMethod"] = json!({
        "type": "WEBHOOK", "agent": false, "synchronized": false, "method": "POST"
    });
    message
}

/// The URL of an action that is sent there.
fn url(path: &str, query: &str) -> String {
    format!("https://example.lambda-url.eu-west-1.on.aws{path}?{query}")
}

/// A world whose run was sent to this URL, as Glint shows it.
async fn world_sent_to(path: &str, query: &str) -> World {
    let world = World::builder().run("r_1").branches(&BRANCHES).start().await;
    world.sandbox.glint.run("r_1").sent_to(&url(path, query), Value::Null);
    world
}

const BRANCHES: [&str; 3] = ["of-the-url", "of-the-input", "feature/é"];

/// The pipeline that a message sent to this URL becomes.
async fn pipeline(path: &str, query: &str, message: &Value) -> Pipeline {
    let world = world_sent_to(path, query).await;
    let (status, body) = ask(&world, &webhook_to(&world, path, query, &message.to_string())).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("Started")), "{path}?{query}: {body}");
    world.sandbox.gitlab.pipelines().remove(0)
}

#[tokio::test]
async fn the_path_names_the_project_and_the_query_the_ref() {
    let plain = webhook_action("r_1");
    let mut with_input = plain.clone();
    with_input["payload"]["properties"]["ref"] = json!("of-the-input");
    let mut with_empty_input = plain.clone();
    with_empty_input["payload"]["properties"]["ref"] = json!("");
    for (path, query, message, expected) in [
        (PATH, "", &plain, "main"),
        ("/acme/backend/billing/", "", &plain, "main"),
        (PATH, "ref=of-the-url", &plain, "of-the-url"),
        (PATH, "ref=release%2F1.4", &plain, "release/1.4"),
        (PATH, "other=1&ref=feature%2F%C3%A9", &plain, "feature/é"),
        (PATH, "ref=", &plain, "main"),
        (PATH, "ref=of-the-url", &with_input, "of-the-input"),
        (PATH, "ref=of-the-url", &with_empty_input, "of-the-url"),
    ] {
        let pipeline = pipeline(path, query, message).await;
        assert_eq!((pipeline.project.as_str(), pipeline.r#ref.as_str()), (PROJECT, expected), "{path}?{query}");
        assert_eq!(pipeline.variables["service"], "billing");
    }
}

#[tokio::test]
async fn the_stage_of_an_http_api_is_no_group() {
    for (stage, path, expected) in [
        ("$default", PATH, Some(PROJECT)),
        ("prod", "/prod/acme/backend/billing", Some(PROJECT)),
        ("prod", "/production/billing", Some("production/billing")),
        ("prod", PATH, Some(PROJECT)),
    ] {
        let world = world_sent_to(path, "").await;
        world.sandbox.gitlab.project("production/billing").token("glptt-production");
        let tokens = json!({ PROJECT: TOKEN, "production/billing": "glptt-production" });
        world.sandbox.secrets.put("glint/gitlab-trigger-tokens", tokens.to_string());
        let mut event = webhook_to(&world, path, "", &webhook_action("r_1").to_string());
        event["requestContext"]["stage"] = json!(stage);
        event["requestContext"]["domainName"] = json!("a1b2c3.execute-api.eu-west-1.amazonaws.com");
        let (status, body) = ask(&world, &event).await;
        assert_eq!(status, if expected.is_some() { 200 } else { 422 }, "{stage} {path}: {body}");
        let projects: Vec<String> = world.sandbox.gitlab.pipelines().into_iter().map(|one| one.project).collect();
        assert_eq!(projects.first().map(String::as_str), expected, "{stage} {path}");
    }
}

#[tokio::test]
async fn what_a_message_names_goes_before_what_its_url_names() {
    let pipeline = pipeline("/acme/backend/ledger", "ref=of-the-url", &message("r_1")).await;
    assert_eq!((pipeline.project.as_str(), pipeline.r#ref.as_str()), (PROJECT, "main"));
}

#[rstest]
#[tokio::test]
async fn a_ref_in_the_url_is_judged_like_any_other(
    #[values("ref=a..b", "ref=-x", "ref=a%20b", "ref=%00")] query: &str,
) {
    let world = world_sent_to(PATH, query).await;
    let (status, body) = ask(&world, &webhook_to(&world, PATH, query, &webhook_action("r_1").to_string())).await;
    assert_eq!(status, 422, "{query}: {body}");
    assert!(body["reason"].as_str().unwrap().contains("the URL's `ref` is no git ref"), "{query}: {body}");
}

#[tokio::test]
async fn the_query_omits_payload_and_inputs() {
    for (query, payload, inputs) in [
        ("", false, false),
        ("omitPayload=true", true, false),
        ("omitUserInputs=true", false, true),
        ("omitPayload=true&omitUserInputs=true", true, true),
        ("omitPayload=false&omitUserInputs=false", false, false),
    ] {
        let pipeline = pipeline(PATH, query, &webhook_action("r_1")).await;
        let sent: Value = serde_json::from_str(&pipeline.trigger_payload).unwrap();
        assert_eq!(sent["port_payload"] == json!({}), payload, "{query}: {sent}");
        assert_eq!(pipeline.variables.is_empty(), inputs, "{query}: {sent}");
        assert_eq!(sent["glint"]["runId"], "r_1", "{query}: {sent}");
    }
}

#[tokio::test]
async fn without_a_path_it_is_refused_at_the_url_and_ignored_on_a_queue() {
    let world = World::builder().run("r_1").branches(&BRANCHES).start().await;
    let (status, body) = ask(&world, &webhook_to(&world, "/", "ref=main", &webhook_action("r_1").to_string())).await;
    assert_eq!((status, &body["outcome"]), (422, &json!("Invalid")), "{body}");
    assert_eq!(world.run("r_1").status, "FAILURE");
    world.sandbox.journal.clear();
    world.sandbox.glint.run("r_2");
    assert_eq!(world.queue(&[&webhook_action("r_2").to_string()]).await, [0; 0]);
    assert!(world.run("r_2").writes.is_empty());
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0);
    let relayed = with_attributes(
        sqs_event(&[&webhook_action("r_2").to_string()], 1),
        &[("project", PROJECT), ("ref", "of-the-url")],
    );
    assert!(redelivered(&world.handle(&relayed).await.unwrap()).is_empty());
    assert_eq!(world.sandbox.gitlab.pipelines()[0].r#ref, "of-the-url");
}

#[tokio::test]
async fn a_path_that_is_no_project_is_refused_in_words() {
    for path in ["/billing", "/-/hooks/other", "/acme/billing.git", "/a/b%3Fc"] {
        for world in [world_sent_to(path, "").await, World::builder().run("r_1").start().await] {
            let (status, body) = ask(&world, &webhook_to(&world, path, "", &webhook_action("r_1").to_string())).await;
            assert_eq!((status, &body["outcome"]), (422, &json!("Invalid")), "{path}: {body}");
            assert!(
                body["reason"].as_str().unwrap().contains("the URL's path names no GitLab project"),
                "{path}: {body}"
            );
            assert_eq!(world.sandbox.journal.count(Call::Trigger), 0, "{path}");
        }
    }
    // A URL never keeps these, so nobody can tell one of them.
    for path in ["/acme/../billing", "/acme/%2E%2E/billing", "/acme/./billing"] {
        let world = World::builder().run("r_1").start().await;
        let (status, body) = ask(&world, &webhook_to(&world, path, "", &webhook_action("r_1").to_string())).await;
        assert_eq!((status, &body["outcome"]), (422, &json!("Invalid")), "{path}: {body}");
    }
}

/// Bodies that templates make, with what becomes of their inputs.
fn templated() -> Vec<(&'static str, Value, Value)> {
    let inputs = json!({ "service": "billing", "replicas": 3 });
    let as_variables = json!({ "service": "billing", "replicas": "3" });
    let legacy = json!({ "context": { "runId": "r_1" }, "payload": { "properties": inputs } });
    vec![
        (
            "everything",
            json!({ "inputs": inputs, "trigger": { "origin": "UI" }, "event": null, "entity": {}, "action": { "identifier": "deploy" }, "run": { "id": "r_1" } }),
            as_variables.clone(),
        ),
        (
            "spread inputs",
            json!({ "service": "billing", "replicas": 3, "port_context": { "runId": "r_1", "entity": {} } }),
            as_variables.clone(),
        ),
        (
            "snake case",
            json!({ "service": "billing", "replicas": 3, "port_context": { "run_id": "r_1" } }),
            as_variables.clone(),
        ),
        ("port_payload as an object", json!({ "port_payload": legacy }), as_variables.clone()),
        ("port_payload as a string", json!({ "port_payload": legacy.to_string() }), as_variables.clone()),
        (
            "port_payload with a bare id",
            json!({ "port_payload": { "runId": "r_1", "inputs": inputs } }),
            as_variables.clone(),
        ),
        (
            "port_payload with a run",
            json!({ "port_payload": { "run": { "id": "r_1" }, "inputs": inputs } }),
            as_variables.clone(),
        ),
        ("a bare id", json!({ "runId": "r_1", "inputs": inputs }), as_variables),
        ("no inputs at all", json!({ "context": { "runId": "r_1" } }), json!({})),
    ]
}

#[tokio::test]
async fn templated_bodies_are_read_where_they_carry_what_a_trigger_needs() {
    for (name, body, variables) in templated() {
        let pipeline = pipeline(PATH, "ref=of-the-url", &body).await;
        assert_eq!(json!(pipeline.variables), variables, "{name}");
        assert_eq!(pipeline.r#ref, "of-the-url", "{name}");
        assert!(pipeline.trigger_payload.contains(&format!("\"port_payload\":{body}")), "{name}");
    }
}

#[tokio::test]
async fn templated_bodies_that_lack_something_are_told_what() {
    for (name, body, _) in templated() {
        let world = World::builder().run("r_1").branches(&BRANCHES).start().await;
        let (status, answer) = ask(&world, &webhook_to(&world, "/", "", &body.to_string())).await;
        assert_eq!((status, &answer["runId"]), (422, &json!("r_1")), "{name}: {answer}");
        assert!(answer["reason"].as_str().unwrap().contains("`groupName` is missing"), "{name}: {answer}");
    }
    let world = World::builder().run("r_1").branches(&BRANCHES).start().await;
    let (status, answer) = ask(&world, &webhook_to(&world, PATH, "", r#"{"service":"billing"}"#)).await;
    assert_eq!(status, 400);
    assert!(answer["reason"].as_str().unwrap().contains("`context.runId` is missing"), "{answer}");
}
