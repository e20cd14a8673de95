//! What happens beside a request: writes of others, and writes that land late.

use std::time::Duration;

use super::glint::{glint, login};
use super::{ask, read};
use reqwest::Method;
use rstest::rstest;
use sandbox::{Call, Fault, Sandbox};
use serde_json::{Value, json};

const RUN: &str = "/v1/actions/runs/r_1?version=v2";

async fn patch(sandbox: &Sandbox, label: &str) -> u16 {
    glint(sandbox, Method::PATCH, RUN, &json!({ "statusLabel": label })).await.0
}

/// A PATCH whose answer may never come.
async fn patch_unanswered(sandbox: &Sandbox, label: &str) {
    let token = login(sandbox).await.1["accessToken"].as_str().unwrap().to_owned();
    let url = format!("{}{RUN}", sandbox.glint.url());
    let bearer = format!("Bearer {token}");
    let sent = ask(Method::PATCH, url, &[("authorization", &bearer)], &json!({ "statusLabel": label })).await;
    assert!(sent.is_err(), "its connection is closed");
}

fn label(sandbox: &Sandbox) -> Option<String> {
    sandbox.glint.run_state("r_1").status_label
}

#[tokio::test]
async fn others_write_what_they_like_until_the_run_has_ended() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    assert!(sandbox.glint.others_write("r_1", json!({ "statusLabel": "theirs", "link": ["https://x"] })));
    let run = sandbox.glint.run_state("r_1");
    assert_eq!((run.status_label.as_deref(), run.links()), (Some("theirs"), vec!["https://x".to_owned()]));
    assert!(run.writes.is_empty(), "it is nobody's PATCH over the API");
    assert!(sandbox.glint.others_write("r_1", json!({ "status": "FAILURE" })));
    assert!(!sandbox.glint.others_write("r_1", json!({ "statusLabel": "late" })));
    assert_eq!(label(&sandbox).as_deref(), Some("theirs"));
}

/// Of two requests of a kind, somebody writes before or after the second.
#[rstest]
#[case::before(true, "ours 2")]
#[case::after(false, "theirs")]
#[tokio::test]
async fn others_write_at_a_chosen_moment(#[case] before: bool, #[case] last: &str) {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let glint = sandbox.glint.clone();
    let rule = sandbox.on(Call::PatchRun).nth(2);
    let write = move |_: &_| {
        glint.others_write("r_1", json!({ "statusLabel": "theirs" }));
    };
    if before {
        rule.before(write);
    } else {
        rule.after(write);
    }
    assert_eq!(patch(&sandbox, "ours 1").await, 200);
    assert_eq!(label(&sandbox).as_deref(), Some("ours 1"));
    assert_eq!(patch(&sandbox, "ours 2").await, 200);
    assert_eq!(label(&sandbox).as_deref(), Some(last));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_late_is_lost_at_first_and_wins_in_the_end() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    sandbox.fail(Call::PatchRun).with(Fault::AppliedLate(Duration::from_secs(60)));
    patch_unanswered(&sandbox, "first").await;
    assert_eq!(label(&sandbox), None);
    assert_eq!(patch(&sandbox, "second").await, 200);
    assert_eq!(label(&sandbox).as_deref(), Some("second"));
    tokio::time::sleep(Duration::from_secs(61)).await;
    sandbox.journal.wait_for(|one| one.text().contains("first") && one.applied).await;
    assert_eq!(label(&sandbox).as_deref(), Some("first"));
}

#[tokio::test]
async fn a_write_that_is_held_back_lands_when_it_is_released() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let held = sandbox.hold_unanswered(Call::PatchRun);
    patch_unanswered(&sandbox, "first").await;
    held.reached().await;
    assert_eq!(patch(&sandbox, "second").await, 200);
    held.apply().await;
    assert_eq!(label(&sandbox).as_deref(), Some("first"));
}

#[tokio::test]
async fn a_held_write_to_a_run_that_has_ended_meanwhile_changes_nothing() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let held = sandbox.hold_unanswered(Call::PatchRun);
    patch_unanswered(&sandbox, "first").await;
    sandbox.glint.run("r_1").status("SUCCESS");
    held.apply().await;
    assert_eq!(label(&sandbox), None);
}

#[tokio::test]
async fn a_log_with_a_terminal_status_ends_the_run() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let log = json!({ "message": "done", "terminationStatus": "SUCCESS", "statusLabel": "fine" });
    assert_eq!(glint(&sandbox, Method::POST, "/v1/actions/runs/r_1/logs", &log).await.0, 201);
    let run = sandbox.glint.run_state("r_1");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("SUCCESS", Some("fine")));
    let url = format!("{}{RUN}", sandbox.glint.url());
    let answer = ask(Method::GET, url, &[], &Value::Null).await.unwrap();
    assert_eq!(read(answer).await.0, 401, "nothing of it is shown to whoever is not logged in");
}
