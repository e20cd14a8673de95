//! GitLab as its own source says: what it takes, finds, lists and refuses beside the usual.

use super::gitlab::trigger;
use super::pipelines::look_up;
use super::{TOKEN, ask, client, read, sandbox_with_project};
use chrono::TimeDelta;
use reqwest::Method;
use rstest::rstest;
use sandbox::Sandbox;
use serde_json::{Value, json};

const READER: &str = "glpat-reader";

/// A sandbox whose project has one pipeline, and the pipeline.
async fn with_pipeline() -> (Sandbox, u64) {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.read_token(READER);
    assert_eq!(trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": "main" })).await.0, 201);
    let pipeline = sandbox.gitlab.pipelines()[0].id;
    (sandbox, pipeline)
}

async fn look(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    look_up(sandbox, path, READER).await
}

fn ids(list: &Value) -> Vec<u64> {
    list.as_array().expect("a list").iter().map(|one| one["id"].as_u64().unwrap()).collect()
}

#[rstest]
#[case::json("", "application/json", r#"{"token":"glptt-0123456789abcdef","ref":"main","variables":{"a":"b"}}"#)]
#[case::form("", "application/x-www-form-urlencoded", "token=glptt-0123456789abcdef&ref=main&variables%5Ba%5D=b")]
#[case::query("?token=glptt-0123456789abcdef&ref=main&variables[a]=b", "application/json", "{}")]
#[case::query_without_a_body("?token=glptt-0123456789abcdef&ref=main&variables[a]=b", "", "")]
#[tokio::test]
async fn a_token_is_taken_from_body_form_and_query(
    #[case] query: &str,
    #[case] kind: &str,
    #[case] body: &'static str,
) {
    let sandbox = sandbox_with_project().await;
    let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline{query}", sandbox.gitlab.url());
    let request = client().post(url).body(body);
    let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
    let (status, answer) = read(request.send().await.unwrap()).await;
    assert_eq!(status, 201, "{answer}");
    let pipeline = sandbox.gitlab.pipelines().remove(0);
    assert_eq!(pipeline.variables["a"], "b");
    assert!(!pipeline.trigger_payload.contains(TOKEN), "{}", pipeline.trigger_payload);
}

#[tokio::test]
async fn variables_may_be_null() {
    let sandbox = sandbox_with_project().await;
    let body = json!({ "token": TOKEN, "ref": "main", "variables": null, "inputs": null });
    assert_eq!(trigger(&sandbox, "a%2Fb", &body).await.0, 201);
}

/// Only a pipeline's hook is a loop, and only after the parameters were found right.
#[rstest]
#[case("Pipeline Hook", "main", 403)]
#[case("Pipeline Hook", "", 400)]
#[case("Push Hook", "main", 201)]
#[tokio::test]
async fn a_loop_is_a_pipeline_hook_that_triggers(#[case] event: &str, #[case] name: &str, #[case] expected: u16) {
    let sandbox = sandbox_with_project().await;
    let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline", sandbox.gitlab.url());
    let body = json!({ "token": TOKEN, "ref": name });
    let answer = ask(Method::POST, url, &[("x-gitlab-event", event)], &body).await.unwrap();
    assert_eq!(read(answer).await.0, expected);
}

#[rstest]
#[case("main", Ok(("main", false)))]
#[case("refs/heads/main", Ok(("main", false)))]
#[case("refs/tags/v1", Ok(("v1", true)))]
#[case("refs/heads/both", Ok(("both", false)))]
#[case("refs/tags/both", Ok(("both", true)))]
#[case("both", Err("Ref is ambiguous"))]
#[case("refs/heads/v1", Err("Reference not found"))]
#[case("heads/main", Err("Reference not found"))]
#[tokio::test]
async fn full_names_of_refs_are_resolved_and_pipelines_carry_the_short_one(
    #[case] name: &str,
    #[case] expected: Result<(&str, bool), &str>,
) {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.project("a/b").branch("both").tag("both").tag("v1");
    let (status, answer) = trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": name })).await;
    match expected {
        Ok((short, is_tag)) => {
            assert_eq!((status, &answer["ref"], &answer["tag"]), (201, &json!(short), &json!(is_tag)));
        }
        Err(words) => assert_eq!((status, &answer["message"]["base"][0]), (400, &json!(words))),
    }
}

#[tokio::test]
async fn a_project_is_found_in_any_letter_case_and_answers_in_its_own_spelling() {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.project("Acme/Shop").token(TOKEN);
    sandbox.gitlab.read_token(READER);
    let (status, answer) = trigger(&sandbox, "acme%2FSHOP", &json!({ "token": TOKEN, "ref": "main" })).await;
    assert_eq!(status, 201);
    assert!(answer["web_url"].as_str().unwrap().contains("/Acme/Shop/-/pipelines/"), "{answer}");
    assert_eq!(look(&sandbox, "aCME%2Fshop").await.1["path_with_namespace"], "Acme/Shop");
    let (_, body) = sandbox.gitlab.hook(answer["id"].as_u64().unwrap());
    let hook: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(hook["project"]["path_with_namespace"], "Acme/Shop");
}

#[rstest]
#[case("pipelines?source=triggers", "source")]
#[case("pipelines?status=done", "status")]
#[case("pipelines?order_by=created_at", "order_by")]
#[case("pipelines?sort=newest", "sort")]
#[case("pipelines/1001/jobs?scope[]=finished", "scope")]
#[case("pipelines/1001/jobs?scope=", "scope")]
#[tokio::test]
async fn a_value_that_a_list_does_not_know_is_refused(#[case] path: &str, #[case] name: &str) {
    let (sandbox, _) = with_pipeline().await;
    let (status, answer) = look(&sandbox, &format!("a%2Fb/{path}")).await;
    assert_eq!((status, answer), (400, json!({ "error": format!("{name} does not have a valid value") })));
}

#[tokio::test]
async fn jobs_are_listed_newest_first_by_their_scopes_and_without_those_that_were_retried() {
    let (sandbox, pipeline) = with_pipeline().await;
    let test = sandbox.gitlab.add_job(pipeline, "test", "success", None);
    let deploy = sandbox.gitlab.add_job(pipeline, "deploy", "failed", Some("script_failure"));
    let approve = sandbox.gitlab.add_job(pipeline, "approve", "manual", None);
    let jobs = async |query: &str| ids(&look(&sandbox, &format!("a%2Fb/pipelines/{pipeline}/jobs{query}")).await.1);
    assert_eq!(jobs("").await, [approve, deploy, test]);
    assert_eq!(jobs("?scope[]=failed&scope[]=manual").await, [approve, deploy]);
    assert_eq!(jobs("?scope=success").await, [test]);
    sandbox.gitlab.finish(pipeline, "failed");
    sandbox.gitlab.retry(pipeline);
    assert_eq!(sandbox.gitlab.pipeline(pipeline).status, "running");
    assert_eq!(jobs("").await, [approve + 1, approve, test]);
    assert!(jobs("?include_retried=true").await.contains(&deploy));
    sandbox.gitlab.finish_job(approve, "success");
    assert_eq!(jobs("?scope[]=manual").await, [0; 0]);
}

#[tokio::test]
async fn a_hook_names_its_manual_jobs_and_their_artifacts() {
    let (sandbox, pipeline) = with_pipeline().await;
    sandbox.gitlab.add_job(pipeline, "approve", "manual", None);
    let build = sandbox.gitlab.add_job(pipeline, "build", "success", None);
    sandbox.gitlab.artifact(build, "out/outputs.json", "{}");
    sandbox.gitlab.finish(pipeline, "skipped");
    let hook: Value = serde_json::from_slice(&sandbox.gitlab.hook(pipeline).1).unwrap();
    assert_eq!(hook["object_attributes"]["status"], "skipped");
    assert_eq!((&hook["builds"][0]["manual"], &hook["builds"][0]["when"]), (&json!(true), &json!("manual")));
    assert_eq!(hook["builds"][1]["manual"], false);
    assert_eq!(hook["builds"][1]["artifacts_file"], json!({ "filename": "artifacts.zip", "size": 2 }));
}

#[tokio::test]
async fn one_file_of_an_archive_is_streamed_and_any_other_is_not_there() {
    let (sandbox, pipeline) = with_pipeline().await;
    let job = sandbox.gitlab.add_job(pipeline, "build", "success", None);
    let content = "x".repeat(100_000);
    sandbox.gitlab.artifact(job, "out/a b.json", content.clone());
    let url = format!("{}/api/v4/projects/a%2Fb/jobs/{job}/artifacts/out/a%20b.json", sandbox.gitlab.url());
    let answer = ask(Method::GET, url, &[("private-token", READER)], &Value::Null).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, None), "no redirect, and no length");
    assert_eq!(answer.text().await.unwrap(), content);
    for path in [format!("jobs/{job}/artifacts/out/b.json"), format!("jobs/{}/artifacts/out/a%20b.json", job + 1)] {
        assert_eq!(look(&sandbox, &format!("a%2Fb/{path}")).await.0, 404, "{path}");
    }
    assert!(sandbox.journal.stray().is_empty());
    sandbox.gitlab.delete_pipeline(pipeline);
    assert_eq!(look(&sandbox, &format!("a%2Fb/jobs/{job}/artifacts/out/a%20b.json")).await.0, 404);
}

#[tokio::test]
async fn a_token_may_see_pipelines_and_not_their_variables() {
    let (sandbox, pipeline) = with_pipeline().await;
    sandbox.gitlab.read_token_without_variables("glpat-guest");
    assert_eq!(look_up(&sandbox, &format!("a%2Fb/pipelines/{pipeline}"), "glpat-guest").await.0, 200);
    assert_eq!(look_up(&sandbox, &format!("a%2Fb/pipelines/{pipeline}/variables"), "glpat-guest").await.0, 403);
}

#[tokio::test]
async fn a_pipeline_refused_for_a_duplicate_variable_has_none() {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.read_token(READER);
    let body = json!({ "token": TOKEN, "ref": "main", "variables": { "TRIGGER_PAYLOAD": "x", "other": "y" } });
    assert_eq!(trigger(&sandbox, "a%2Fb", &body).await.0, 422);
    assert_eq!(look(&sandbox, "a%2Fb/pipelines/1001").await.1["status"], "failed");
    assert_eq!(look(&sandbox, "a%2Fb/pipelines/1001/variables").await.1, json!([]));
    let hook: Value = serde_json::from_slice(&sandbox.gitlab.hook(1001).1).unwrap();
    assert_eq!(hook["object_attributes"]["variables"], json!([]));
}

#[tokio::test]
async fn a_deleted_pipeline_is_gone_and_its_project_is_not() {
    let (sandbox, pipeline) = with_pipeline().await;
    sandbox.gitlab.delete_pipeline(pipeline);
    assert_eq!(look(&sandbox, &format!("a%2Fb/pipelines/{pipeline}")).await.0, 404);
    assert_eq!(look(&sandbox, "a%2Fb/pipelines").await, (200, json!([])));
    assert_eq!(look(&sandbox, "a%2Fb").await.0, 200);
}

#[tokio::test]
async fn an_older_gitlab_names_no_project_and_may_create_a_pipeline_that_has_failed() {
    let (sandbox, pipeline) = with_pipeline().await;
    sandbox.gitlab.older_bodies();
    sandbox.gitlab.project("a/b").yaml_error_but_created();
    let (status, answer) = trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": "main" })).await;
    assert_eq!((status, &answer["status"], answer.get("project_id")), (201, &json!("failed"), None));
    assert!(look(&sandbox, &format!("a%2Fb/pipelines/{pipeline}")).await.1.get("project_id").is_none());
    assert!(look(&sandbox, "a%2Fb/pipelines").await.1[0].get("project_id").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_expired_trigger_token_is_like_a_wrong_one() {
    let sandbox = sandbox_with_project().await;
    let expiry = sandbox.now() + TimeDelta::seconds(60);
    sandbox.gitlab.project("a/b").expiring_token("glptt-expires", expiry);
    let body = json!({ "token": "glptt-expires", "ref": "main" });
    assert_eq!(trigger(&sandbox, "a%2Fb", &body).await.0, 201);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(trigger(&sandbox, "a%2Fb", &body).await, (404, json!({ "message": "404 Not Found" })));
}

#[rstest]
#[case(-600)]
#[case(600)]
#[tokio::test]
async fn gitlab_has_a_clock_of_its_own(#[case] seconds: i64) {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.read_token(READER);
    sandbox.gitlab.clock_ahead(seconds);
    trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": "main" })).await;
    let created = sandbox.gitlab.pipelines()[0].created_at;
    let ahead = (created - sandbox.now()).num_seconds();
    assert!((ahead - seconds).abs() <= 5, "{ahead}");
    let after = |time: chrono::DateTime<chrono::Utc>| {
        format!("a%2Fb/pipelines?created_after={}", time.to_rfc3339().replace("+00:00", "Z"))
    };
    assert_eq!(look(&sandbox, &after(created - TimeDelta::seconds(1))).await.1.as_array().unwrap().len(), 1);
    assert_eq!(look(&sandbox, &after(created + TimeDelta::seconds(1))).await.1, json!([]));
}
