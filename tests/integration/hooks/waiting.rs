//! Pipelines that wait for a person, that are retried, and that the action leaves to themselves.

use serde_json::json;

use crate::support::{Handling, World, message, redelivered, sqs_event};
use sandbox::Call;

const WAITING: &str = "Waiting for a manual job in GitLab";
const BLUEPRINT: (&str, &str) = ("DEPLOYMENT_BLUEPRINT", "deployment");

#[tokio::test]
async fn a_manual_job_is_named_and_linked_once_beside_one_that_failed() {
    for handling in Handling::ALL {
        for status in ["manual", "skipped"] {
            let world = World::builder().hooks(handling).start().await;
            let pipeline = world.start_run("r_1").await;
            let gitlab = &world.sandbox.gitlab;
            gitlab.add_job(pipeline, "lint", "failed", Some("script_failure"));
            let approve = gitlab.add_job(pipeline, "approve", "manual", None);
            for _ in 0..2 {
                world.pipeline_reaches(pipeline, status).await;
                assert_eq!(world.receive_all().await, 0);
            }
            let run = world.run("r_1");
            assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("IN_PROGRESS", Some(WAITING)), "{status}");
            let jobs = gitlab.pipeline(pipeline).jobs;
            assert_eq!(run.logs.len(), 2, "{:?}", run.logs);
            let line = &run.logs[1].message;
            for words in ["`approve`", &jobs[1].web_url, "job `lint` of stage `deploy` failed", &jobs[0].web_url] {
                assert!(line.contains(words), "{line}");
            }
            gitlab.finish_job(approve, "success");
            for (status, label) in [("running", "GitLab pipeline running"), ("success", "GitLab pipeline succeeded")] {
                world.pipeline_reaches(pipeline, status).await;
                assert_eq!(world.receive_all().await, 0);
                assert_eq!(world.run("r_1").status_label.as_deref(), Some(label));
            }
            world.assert_ended_once("r_1", pipeline, "success");
        }
    }
}

#[tokio::test]
async fn a_pipeline_that_skips_without_a_manual_job_ends_its_run() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.add_job(pipeline, "deploy", "skipped", None);
    assert_eq!(world.pipeline_reaches(pipeline, "skipped").await, 200);
    world.assert_ended_once("r_1", pipeline, "skipped");
}

#[tokio::test]
async fn progress_never_goes_back_and_never_over_a_label_of_somebody_else() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    for (status, label) in [("running", "running"), ("pending", "running")] {
        world.pipeline_reaches(pipeline, status).await;
        assert_eq!(world.run("r_1").status_label, Some(format!("GitLab pipeline {label}")));
    }
    world.sandbox.glint.run("r_1").label("Rolling out");
    world.pipeline_reaches(pipeline, "manual").await;
    assert_eq!(world.run("r_1").status_label.as_deref(), Some("Rolling out"));
    world.pipeline_reaches(pipeline, "success").await;
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn a_running_hook_that_is_older_than_the_manual_job_does_not_hide_that_it_waits() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "running");
    let build =
        |status: &str| json!([{ "id": 9, "name": "approve", "stage": "deploy", "status": status, "manual": true }]);
    let before = world.changed_hook(pipeline, |body| body["builds"] = build("created"));
    let after = world.changed_hook(pipeline, |body| body["builds"] = build("running"));
    world.sandbox.gitlab.finish(pipeline, "manual");
    let waits = world.changed_hook(pipeline, |body| body["builds"] = build("manual"));
    for (hook, label) in [(&waits, WAITING), (&before, WAITING), (&after, "GitLab pipeline running")] {
        assert_eq!(world.post(hook).await.0, 200);
        assert_eq!(world.run("r_1").status_label.as_deref(), Some(label));
    }
}

#[tokio::test]
async fn a_retried_pipeline_that_succeeds_writes_its_entity_and_leaves_the_run_alone() {
    for handling in Handling::ALL {
        let world = World::builder().hooks(handling).settings(&[BLUEPRINT]).start().await;
        let pipeline = world.start_run("r_1").await;
        for status in ["failed", "running", "failed"] {
            world.pipeline_reaches(pipeline, status).await;
            assert_eq!(world.receive_all().await, 0);
        }
        let ended = world.assert_ended_once("r_1", pipeline, "failed");
        assert!(world.sandbox.glint.entities().is_empty(), "a second failure changes nothing");
        world.sandbox.journal.clear();
        world.pipeline_reaches(pipeline, "success").await;
        assert_eq!(world.receive_all().await, 0);
        assert_eq!(world.calls_to_glint(), [Call::GetRun, Call::UpsertEntity]);
        let entities = world.sandbox.glint.entities();
        assert_eq!((entities.len(), entities[0].run_id.as_deref()), (1, None));
        assert_eq!(world.run("r_1"), ended);
    }
}

#[tokio::test]
async fn a_success_that_is_resent_after_the_run_ended_writes_nothing() {
    let world = World::builder().hooks(Handling::InPlace).settings(&[BLUEPRINT]).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let hook = world.hook(pipeline);
    let older = world.changed_hook(pipeline, |body| {
        body["object_attributes"]["finished_at"] = json!("2016-08-12 15:23:28 UTC");
    });
    assert_eq!(world.post(&hook).await.0, 200);
    let ended = world.assert_ended_once("r_1", pipeline, "success");
    assert_eq!(world.post(&hook).await.0, 200);
    assert_eq!(world.run("r_1"), ended);
    // The same where somebody else failed the run after the pipeline had succeeded.
    world.sandbox.glint.run("r_1").status("FAILURE").label("stopped by hand");
    assert_eq!(world.post(&older).await.0, 200);
    assert_eq!(world.sandbox.journal.count(Call::UpsertEntity), 1);
}

#[tokio::test]
async fn a_run_that_is_left_to_its_pipeline_is_linked_and_never_ended() {
    for handling in Handling::ALL {
        let world = World::builder().hooks(handling).read_token().settings(&[BLUEPRINT]).start().await;
        world.sandbox.glint.run("r_1");
        let mut message = message("r_1");
        message["payload"]["action"]["invocationMethod"]["reportPipelineStatus"] = json!(false);
        let reply = world.handle(&sqs_event(&[&message.to_string()], 1)).await.unwrap();
        assert_eq!(redelivered(&reply), [0; 0]);
        let pipeline = world.sandbox.gitlab.pipelines()[0].id;
        let linked = world.run("r_1");
        for status in ["running", "failed", "success"] {
            world.pipeline_reaches(pipeline, status).await;
            assert_eq!(world.receive_all().await, 0);
            let swept = world.handle(&json!({ "sweep": true })).await.unwrap();
            assert_eq!((&swept["ended"], &swept["left"]), (&json!(0), &json!(0)), "{status}");
        }
        assert_eq!(world.run("r_1"), linked);
        assert!(world.sandbox.glint.entities().is_empty());
    }
}

#[tokio::test]
async fn a_run_that_is_left_to_its_pipeline_is_linked_by_a_hook_where_the_answer_was_lost() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.run("r_2");
    let mut message = message("r_2");
    message["payload"]["action"]["invocationMethod"]["reportPipelineStatus"] = json!(false);
    world.sandbox.fail(Call::Trigger).with(sandbox::Fault::ResetAfter);
    world.handle(&sqs_event(&[&message.to_string()], 1)).await.unwrap();
    let second = world.sandbox.gitlab.pipelines().last().unwrap().id;
    assert_ne!(second, pipeline);
    assert_eq!(world.pipeline_reaches(second, "success").await, 200);
    let run = world.run("r_2");
    assert_eq!(
        (run.status.as_str(), run.links()),
        ("IN_PROGRESS", vec![world.sandbox.gitlab.pipeline(second).web_url])
    );
}

#[tokio::test]
async fn a_reply_to_a_hook_names_no_run() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_secretive").await;
    for status in ["running", "failed", "success"] {
        world.sandbox.gitlab.finish(pipeline, status);
        let (_, words) = world.post(&world.hook(pipeline)).await;
        assert!(!words.to_string().contains("r_secretive"), "{words}");
    }
}

#[tokio::test]
async fn a_link_that_is_not_a_page_of_gitlab_is_not_shown() {
    for url in [
        "javascript:alert(1)",
        "https://evil.example.com/",
        "data:text/html,x",
        "",
        "https://evil.example.com/\n/-/pipelines/1001",
    ] {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.glint.run("r_1").external_id("gl_claim_r_1").link("https://preview.example.com");
        world.sandbox.gitlab.finish(pipeline, "failed");
        let hook = world.changed_hook(pipeline, |body| {
            body["object_attributes"]["url"] = json!(url);
            body["project"]["web_url"] = json!(url);
            body["builds"] = json!([{ "id": 9, "name": "a", "stage": "b", "status": "failed", "web_url": url }]);
        });
        assert_eq!(world.post(&hook).await.0, 200);
        let run = world.run("r_1");
        let page = world.sandbox.gitlab.pipeline(pipeline).web_url;
        assert_eq!(run.links(), [page.as_str(), "https://preview.example.com"], "{url}");
        assert!(run.summary.unwrap().contains(&page.replace(&format!("pipelines/{pipeline}"), "jobs/9")));
    }
}
