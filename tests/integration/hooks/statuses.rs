//! Every status that GitLab knows, and what it makes of a run.

use serde_json::json;

use crate::support::{FINAL, Handling, World};
use rstest::rstest;
use sandbox::Call;

const MOVING: [(&str, &str); 2] = [("pending", "GitLab pipeline pending"), ("running", "GitLab pipeline running")];
const SILENT: [&str; 6] =
    ["created", "waiting_for_resource", "preparing", "waiting_for_callback", "canceling", "scheduled"];

#[rstest]
#[tokio::test]
async fn pending_and_running_move_the_label_and_nothing_else(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    let world = World::builder().hooks(handling).start().await;
    let pipeline = world.start_run("r_1").await;
    for (status, label) in MOVING {
        let before = world.run("r_1");
        assert_eq!(
            world.pipeline_reaches(pipeline, status).await,
            if handling == Handling::Queued { 202 } else { 200 }
        );
        assert_eq!(world.receive_all().await, 0);
        let run = world.run("r_1");
        assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("IN_PROGRESS", Some(label)));
        assert_eq!((run.links(), run.external_run_id, run.logs), (before.links(), before.external_run_id, before.logs));
        assert_eq!(run.writes.last(), Some(&json!({ "statusLabel": label })));
    }
}

#[tokio::test]
async fn the_same_label_is_not_written_twice() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    assert_eq!(world.pipeline_reaches(pipeline, "running").await, 200);
    let writes = world.run("r_1").writes.len();
    assert_eq!(world.pipeline_reaches(pipeline, "running").await, 200);
    assert_eq!(world.run("r_1").writes.len(), writes);
}

#[rstest]
#[tokio::test]
async fn the_four_final_statuses_end_the_run_each_in_its_own_words(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    for (status, ending, label) in FINAL {
        let world = World::builder().hooks(handling).start().await;
        let pipeline = world.start_run("r_1").await;
        world.pipeline_reaches(pipeline, status).await;
        assert_eq!(world.receive_all().await, 0);
        let run = world.assert_ended_once("r_1", pipeline, status);
        let words = format!("{label}: {}", world.sandbox.gitlab.pipeline(pipeline).web_url);
        assert_eq!(run.summary.as_deref(), Some(words.as_str()), "{ending}");
        assert_eq!(run.logs.last().unwrap().message, words);
        assert!(run.logs.iter().all(|log| log.termination_status.is_none()));
    }
}

#[tokio::test]
async fn the_log_line_comes_before_the_write_that_ends_the_run() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.journal.clear();
    assert_eq!(world.pipeline_reaches(pipeline, "failed").await, 200);
    assert_eq!(world.calls_to_glint(), [Call::GetRun, Call::PostLog, Call::PatchRun]);
    assert_eq!(world.run("r_1").refused_writes, 0);
}

#[tokio::test]
async fn statuses_between_the_phases_are_answered_and_make_no_call() {
    for handling in Handling::ALL {
        let world = World::builder().hooks(handling).start().await;
        let pipeline = world.start_run("r_1").await;
        let before = world.run("r_1");
        for status in SILENT {
            world.sandbox.journal.clear();
            assert_eq!(world.pipeline_reaches(pipeline, status).await, 200, "{status}");
            assert!(world.sandbox.journal.calls().iter().all(|call| *call == Call::GetSecret), "{status}");
        }
        assert!(world.sandbox.queue.messages().is_empty());
        assert_eq!(world.run("r_1"), before);
    }
    println!("{} statuses", SILENT.len() + MOVING.len() + FINAL.len());
    assert_eq!(SILENT.len() + MOVING.len() + FINAL.len(), 12);
}

#[tokio::test]
async fn a_status_that_nobody_knows_yet_is_answered_and_ignored() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    for status in [json!("paused"), json!("SUCCESS"), json!(""), json!(null)] {
        let event = world.changed_hook(pipeline, |body| body["object_attributes"]["status"] = status.clone());
        assert_eq!(world.post(&event).await.0, 200, "{status}");
    }
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
}

#[rstest]
#[tokio::test]
async fn a_retried_pipeline_does_not_reopen_its_run(#[values(Handling::InPlace, Handling::Queued)] handling: Handling) {
    let world = World::builder().hooks(handling).start().await;
    let pipeline = world.start_run("r_1").await;
    for status in ["running", "failed", "running", "success"] {
        world.pipeline_reaches(pipeline, status).await;
        assert_eq!(world.receive_all().await, 0);
    }
    let run = world.assert_ended_once("r_1", pipeline, "failed");
    assert_eq!(run.refused_writes, 0, "an ended run is never written to");
}

#[tokio::test]
async fn a_hook_that_glint_ends_by_itself_writes_no_status() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.run("r_1").synchronized();
    assert_eq!(
        world
            .post(&{
                world.sandbox.gitlab.finish(pipeline, "success");
                world.hook(pipeline)
            })
            .await
            .0,
        200
    );
    let writes = world.sandbox.journal.of(Call::PatchRun);
    assert!(writes.iter().all(|write| write.json().get("status").is_none()));
    assert_eq!(world.run("r_1").status_label.as_deref(), Some("GitLab pipeline succeeded"));
}
