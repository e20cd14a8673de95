//! What moves no run is answered 200 and changes nothing; what is odd and still a pipeline's hook is read.

use serde_json::{Value, json};

use crate::hooks::matching::{assert_silent, foreign_pipeline};
use crate::support::{Handling, PROJECT, World, furnish};
use sandbox::Sandbox;

#[tokio::test]
async fn what_is_no_pipeline_of_a_trigger_is_answered_and_asks_glint_nothing() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let upstream = json!({ "project": { "id": 41 }, "pipeline_id": 30, "job_id": 3401 });
    let sources = ["push", "web", "schedule", "api", "pipeline", "parent_pipeline", "merge_request_event", "chat", ""];
    let mut silent: Vec<(String, Value)> = sources
        .map(|source| {
            (
                source.to_owned(),
                world.changed_hook(pipeline, |body| body["object_attributes"]["source"] = json!(source)),
            )
        })
        .to_vec();
    silent.push(("child".to_owned(), world.changed_hook(pipeline, |body| body["source_pipeline"] = upstream)));
    for (name, body) in other_events() {
        let mut event = world.hook(pipeline);
        event["headers"]["x-gitlab-event"] = json!(name);
        event["body"] = json!(body.to_string());
        silent.push((name.to_owned(), event));
    }
    for (why, event) in &silent {
        world.sandbox.journal.clear();
        assert_silent(&world, event, why).await;
        assert!(world.calls_to_glint().is_empty(), "{why}");
    }
    println!("{} silent hooks", silent.len());
    assert_eq!(silent.len(), 22);
}

/// What makes one body of another.
type Change = fn(&mut Value);

/// Bodies of GitLab's other events, as far as their shape differs from a pipeline's.
fn other_events() -> [(&'static str, Value); 12] {
    let project = json!({ "id": 101, "path_with_namespace": PROJECT, "web_url": "https://gitlab.example.com/p" });
    let merge =
        json!({ "id": 7, "iid": 1, "source": { "name": "billing" }, "target": {}, "state": "opened", "url": "x" });
    let note = json!({ "id": 9, "note": "x", "noteable_type": "Issue", "url": "x" });
    [
        ("Push Hook", json!({ "object_kind": "push", "project_id": 101, "project": project })),
        ("Tag Push Hook", json!({ "object_kind": "tag_push", "project": project })),
        (
            "Issue Hook",
            json!({ "object_kind": "issue", "object_attributes": { "id": 1, "status": {} }, "project": project }),
        ),
        (
            "Merge Request Hook",
            json!({ "object_kind": "merge_request", "object_attributes": merge, "project": project }),
        ),
        ("Note Hook", json!({ "object_kind": "note", "object_attributes": note, "project": { "id": 1 } })),
        (
            "Job Hook",
            json!({ "object_kind": "build", "build_id": 1, "build_status": "failed", "project": { "id": 1 } }),
        ),
        ("Deployment Hook", json!({ "object_kind": "deployment", "status": "success", "project": { "id": 1 } })),
        ("Release Hook", json!({ "object_kind": "release", "id": 1, "project": { "id": 1 } })),
        ("Wiki Page Hook", json!({ "object_kind": "wiki_page", "object_attributes": { "title": "x" }, "project": {} })),
        ("Feature Flag Hook", json!({ "object_kind": "feature_flag", "object_attributes": { "id": "x" } })),
        ("System Hook", json!({ "event_name": "project_create", "name": "x", "project_id": 1 })),
        ("Subgroup Hook", json!({ "event_name": "subgroup_create", "builds": null })),
    ]
}

#[tokio::test]
async fn a_foreign_pipeline_is_answered_and_leaves_every_run_alone() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.start_run("r_1").await;
    let foreign = foreign_pipeline(&world, "somebody/else").await;
    for status in ["pending", "running", "success"] {
        world.sandbox.gitlab.finish(foreign, status);
        assert_silent(&world, &world.hook(foreign), status).await;
    }
}

#[tokio::test]
async fn members_that_are_null_or_missing_or_new_do_not_make_a_hook_unreadable() {
    let sparse: [(&str, Change); 8] = [
        ("variables null", |body| body["object_attributes"]["variables"] = json!(null)),
        ("a variable without a value", |body| {
            body["object_attributes"]["variables"] = json!([{ "key": "a", "value": null }]);
        }),
        ("builds null", |body| body["builds"] = json!(null)),
        ("no builds", |body| drop(body.as_object_mut().unwrap().remove("builds"))),
        ("a build without a stage", |body| {
            body["builds"] =
                json!([{ "id": 1, "name": "x", "stage": null, "status": "failed", "allow_failure": null }]);
        }),
        ("no url", |body| drop(body["object_attributes"].as_object_mut().unwrap().remove("url"))),
        ("no commit and no user", |body| (body["commit"], body["user"]) = (json!(null), json!(null))),
        ("something new", |body| body["object_attributes"]["inputs"] = json!({ "a": [1] })),
    ];
    for (why, change) in sparse {
        // With a token to look up what a hook without its variables does not prove.
        let world = World::builder().hooks(Handling::InPlace).read_token().start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.gitlab.finish(pipeline, "failed");
        assert_eq!(world.post(&world.changed_hook(pipeline, change)).await.0, 200, "{why}");
        world.assert_ended_once("r_1", pipeline, "failed");
    }
}

#[tokio::test]
async fn a_proven_hook_that_cannot_be_read_is_a_bad_request() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    for body in [
        "",
        "null",
        "[]",
        "{",
        "{}}",
        r#"{"object_kind":"pipeline"}"#,
        r#"{"object_kind":"pipeline","object_attributes":{"id":"x"},"project":{"id":1,"path_with_namespace":"a/b"}}"#,
    ] {
        let mut event = world.hook(pipeline);
        event["body"] = json!(body);
        assert_eq!(world.post(&event).await.0, 400, "{body}");
    }
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
}

#[tokio::test]
async fn an_unfurnished_function_answers_hooks_all_the_same() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.secrets.put("h", json!({ "token": "t" }).to_string());
    sandbox.gitlab.hook_token("t");
    let world = World::builder().settings(&[("GITLAB_HOOK_SECRET_ID", "h")]).around(sandbox);
    let pipeline = foreign_pipeline(&world, PROJECT).await;
    assert_silent(
        &world,
        &{
            world.sandbox.gitlab.finish(pipeline, "success");
            world.hook(pipeline)
        },
        "no run at all",
    )
    .await;
}
