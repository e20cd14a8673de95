//! The Glints that are documented or known, each as its name says.

use std::time::Duration;

use super::glint::glint;
use reqwest::Method;
use rstest::rstest;
use sandbox::{ExternalId, Lists, Sandbox, Shape};
use serde_json::{Value, json};

const RUN: &str = "/v1/actions/runs/r_1?version=v2";

async fn look(sandbox: &Sandbox) -> Value {
    glint(sandbox, Method::GET, RUN, &Value::Null).await.1["run"].clone()
}

async fn patch(sandbox: &Sandbox, body: &Value) -> (u16, Value) {
    glint(sandbox, Method::PATCH, RUN, body).await
}

/// The ids of a list, and its `next`.
async fn list(sandbox: &Sandbox, query: &str) -> (Vec<String>, Value) {
    let path = format!("/v1/actions/runs?version=v2{query}");
    let (status, body) = glint(sandbox, Method::GET, &path, &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    let ids = body["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned());
    (ids.collect(), body["next"].clone())
}

#[rstest]
#[case("externalRunId", |shape: &mut Shape| shape.shows_external_id = false)]
#[case("statusLabel", |shape: &mut Shape| shape.shows_label = false)]
#[case("link", |shape: &mut Shape| shape.shows_link = false)]
#[tokio::test]
async fn what_is_not_shown_is_kept_all_the_same(#[case] hidden: &str, #[case] change: fn(&mut Shape)) {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1").external_id("gl_1_2").label("busy").link("https://x.example.com");
    sandbox.glint.shape(change);
    let shown = look(&sandbox).await;
    let written = patch(&sandbox, &json!({ "summary": "s" })).await.1["run"].clone();
    for key in ["externalRunId", "statusLabel", "link"] {
        assert_eq!(shown.get(key).is_some(), key != hidden, "{shown}");
        assert_eq!(written.get(key).is_some(), key != hidden, "{written}");
    }
    assert_eq!(list(&sandbox, "&external_run_id=gl_1_2").await.0, ["r_1"]);
}

#[tokio::test]
async fn a_glint_that_shows_nothing_that_is_written_shows_neither_of_the_three() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1").external_id("gl_1_2").label("busy").link("https://x.example.com");
    sandbox.glint.shape(Shape::show_nothing);
    let shown = look(&sandbox).await;
    assert!(["externalRunId", "statusLabel", "link"].iter().all(|key| shown.get(key).is_none()), "{shown}");
}

#[rstest]
#[case(ExternalId::Kept, 200, Some("gl_1_2"))]
#[case(ExternalId::Refused, 422, None)]
#[case(ExternalId::Dropped, 200, None)]
#[tokio::test]
async fn an_external_id_is_kept_refused_or_dropped(
    #[case] external_id: ExternalId,
    #[case] status: u16,
    #[case] kept: Option<&str>,
) {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    sandbox.glint.shape(|shape| shape.external_id = external_id);
    let body = json!({ "externalRunId": "gl_1_2", "statusLabel": "busy" });
    assert_eq!(patch(&sandbox, &body).await.0, status);
    let run = sandbox.glint.run_state("r_1");
    assert_eq!(run.external_run_id.as_deref(), kept);
    assert_eq!(run.status_label.is_some(), status == 200, "a refused patch changes nothing");
    assert_eq!(patch(&sandbox, &json!({ "statusLabel": "busy" })).await.0, 200, "without the key it is taken");
}

#[tokio::test]
async fn a_glint_that_ignores_the_filter_lists_everything() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1").external_id("gl_1_2");
    sandbox.glint.run("r_2");
    assert_eq!(list(&sandbox, "&external_run_id=gl_1_2").await.0, ["r_1"]);
    sandbox.glint.shape(|shape| shape.filters_external_id = false);
    assert_eq!(list(&sandbox, "&external_run_id=gl_1_2").await.0, ["r_2", "r_1"]);
}

#[rstest]
#[case(409)]
#[case(422)]
#[tokio::test]
async fn every_write_to_a_run_that_has_ended_is_refused_with_the_status_of_this_glint(#[case] ended: u16) {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1").status("SUCCESS");
    sandbox.glint.shape(|shape| shape.ended = ended);
    assert_eq!(patch(&sandbox, &json!({ "statusLabel": "busy" })).await.0, ended);
    let log = json!({ "message": "late" });
    assert_eq!(glint(&sandbox, Method::POST, "/v1/actions/runs/r_1/logs", &log).await.0, ended);
    let entity = json!({ "identifier": "e" });
    let path = "/v1/blueprints/deployment/entities?upsert=true&run_id=r_1";
    assert_eq!(glint(&sandbox, Method::POST, path, &entity).await.0, ended);
    assert_eq!(sandbox.glint.run_state("r_1").refused_writes, 3);
}

#[tokio::test(start_paused = true)]
async fn reads_lag_behind_a_write_and_the_answer_to_it_does_not() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1").label("old");
    sandbox.glint.shape(|shape| shape.stale_reads = Duration::from_secs(5));
    assert_eq!(patch(&sandbox, &json!({ "statusLabel": "new" })).await.1["run"]["statusLabel"], "new");
    assert_eq!(look(&sandbox).await["statusLabel"], "old");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(sandbox.glint.others_write("r_1", json!({ "statusLabel": "newer" })));
    assert_eq!(look(&sandbox).await["statusLabel"], "old");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(look(&sandbox).await["statusLabel"], "new", "each write shows in its turn");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(look(&sandbox).await["statusLabel"], "newer");
}

#[tokio::test(start_paused = true)]
async fn lists_lag_on_their_own() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    sandbox.glint.shape(|shape| shape.stale_lists = Duration::from_secs(5));
    assert_eq!(patch(&sandbox, &json!({ "externalRunId": "gl_1_2", "status": "SUCCESS" })).await.0, 200);
    assert_eq!(look(&sandbox).await["status"], "SUCCESS");
    assert_eq!(list(&sandbox, "&active=true").await.0, ["r_1"]);
    assert!(list(&sandbox, "&external_run_id=gl_1_2").await.0.is_empty());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(list(&sandbox, "&active=true").await.0.is_empty());
    assert_eq!(list(&sandbox, "&external_run_id=gl_1_2").await.0, ["r_1"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_run_is_unknown_at_first_to_reads_lists_and_writes() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.shape(|shape| shape.new_run_lag = Duration::from_secs(5));
    sandbox.glint.run("r_1");
    let (status, body) = glint(&sandbox, Method::GET, RUN, &Value::Null).await;
    assert_eq!((status, &body["error"]), (404, &json!("not_found")));
    assert_eq!(patch(&sandbox, &json!({ "statusLabel": "busy" })).await.0, 404);
    assert!(list(&sandbox, "").await.0.is_empty());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(patch(&sandbox, &json!({ "statusLabel": "busy" })).await.0, 200);
    assert_eq!(list(&sandbox, "").await.0, ["r_1"]);
}

#[tokio::test]
async fn pages_may_be_short_or_empty_and_only_the_absence_of_next_is_the_end() {
    let sandbox = Sandbox::start().await;
    for number in 1..=6 {
        sandbox.glint.run(&format!("r_{number}"));
    }
    sandbox.glint.shape(|shape| shape.lists = Lists::Paged(vec![2, 0, 1]));
    let (mut pages, mut query) = (Vec::new(), String::new());
    loop {
        let (ids, next) = list(&sandbox, &query).await;
        pages.push(ids);
        let Some(next) = next.as_str() else { break };
        query = format!("&next={next}");
    }
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 0, 1, 2, 0, 1]);
    assert_eq!(pages.concat(), ["r_6", "r_5", "r_4", "r_3", "r_2", "r_1"], "newest first, each once");
}

#[tokio::test]
async fn a_list_without_pages_ends_at_its_limit_and_does_not_say_so() {
    let sandbox = Sandbox::start().await;
    for number in 1..=1001 {
        sandbox.glint.run(&format!("r_{number}"));
    }
    let (ids, next) = list(&sandbox, "&limit=1000").await;
    assert_eq!((ids.len(), next), (1000, Value::Null));
}

#[tokio::test]
async fn a_run_shows_when_it_was_created_and_what_glint_sends_for_it() {
    let sandbox = Sandbox::start().await;
    let payload =
        json!({ "type": "WEBHOOK", "url": "https://x.example.com/a?ref=b", "method": "POST", "body": { "a": 1 } });
    let run = sandbox.glint.run("r_1").payload(payload).created_at("2026-01-05T09:12:03.120Z".parse().unwrap());
    let shown = look(&sandbox).await;
    assert_eq!(shown["createdAt"], "2026-01-05T09:12:03.120Z");
    assert_eq!(shown["payload"]["url"], "https://x.example.com/a?ref=b");
    assert_eq!(shown["payload"]["body"], json!({ "a": 1 }));
    run.older_shape();
    assert!(look(&sandbox).await.get("payload").is_none());
}

#[tokio::test]
async fn entities_need_a_known_blueprint_and_the_right_to_write_them() {
    let sandbox = Sandbox::start().await;
    let upsert = async |blueprint: &str| {
        let path = format!("/v1/blueprints/{blueprint}/entities?upsert=true");
        let (status, body) = glint(&sandbox, Method::POST, &path, &json!({ "identifier": "e" })).await;
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(upsert("deployment").await.0, 201);
    assert_eq!(upsert("release").await, (404, "not_found".to_owned()));
    sandbox.glint.blueprints(&["release"]);
    assert_eq!(upsert("release").await.0, 201);
    sandbox.glint.deny_entities(true);
    assert_eq!(upsert("release").await.0, 403);
}

#[test]
fn every_shape_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Shape::all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), Shape::all().len());
}
