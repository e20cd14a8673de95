//! Others write to a run too: pipelines and automations set its label and link, before and after us.

use sandbox::{Call, Fault, Run, Sandbox};
use serde_json::{Value, json};

use crate::protocol::history::{RECEIVES, Setup, one_receive};
use crate::support::{PROJECT, World, message, redelivered, sqs_event};

const PLAIN: Setup = Setup { reads: false, queues: false };
const READS: Setup = Setup { reads: true, queues: false };
const THEIR_LABEL: &str = "Rolling out to staging";
const THEIR_LINK: &str = "https://preview.example.com/7";

/// Hands over the run's message as so-manyth receive; whether it must come again.
async fn receive(world: &World, receives: u32) -> bool {
    let event = sqs_event(&[&message("r_1").to_string()], receives);
    !redelivered(&world.handle(&event).await.unwrap()).is_empty()
}

/// Hands over the run's message from the dead-letter queue; whether it must come again.
async fn receive_dead_letter(world: &World) -> bool {
    let mut event = sqs_event(&[&message("r_1").to_string()], 1);
    event["Records"][0]["eventSourceARN"] = world.sandbox.queue.dead_letter_arn().into();
    !redelivered(&world.handle(&event).await.unwrap()).is_empty()
}

/// A world whose run was triggered and whose answer of GitLab was lost; the pipeline then wrote to the run.
async fn lost_then_written(setup: Setup, write: impl Fn(&Sandbox)) -> World {
    let world = setup.start().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    assert!(receive(&world, 1).await);
    write(&world.sandbox);
    world
}

fn page(world: &World) -> String {
    world.sandbox.gitlab.pipelines()[0].web_url.clone()
}

fn triggers(world: &World) -> usize {
    world.sandbox.journal.count(Call::Trigger)
}

fn patches(world: &World) -> Vec<Value> {
    world.sandbox.journal.of(Call::PatchRun).iter().map(sandbox::Exchange::json).collect()
}

#[tokio::test(start_paused = true)]
async fn a_usual_run_is_claimed_and_linked_by_its_external_id() {
    let world = PLAIN.start().await;
    world.sandbox.glint.run("r_1");
    assert!(!receive(&world, 1).await);
    let page = page(&world);
    let id = format!("gl_101_{}", world.sandbox.gitlab.pipelines()[0].id);
    assert_eq!(
        patches(&world),
        [
            json!({ "externalRunId": "gl_claim_r_1", "statusLabel": "Triggering GitLab pipeline" }),
            json!({ "link": page, "externalRunId": id, "statusLabel": "GitLab pipeline created" }),
        ]
    );
    let calls = world.sandbox.journal.calls();
    let calls: Vec<Call> = calls.into_iter().filter(|call| !matches!(call, Call::GetSecret | Call::Login)).collect();
    assert_eq!(calls, [Call::GetRun, Call::PatchRun, Call::Trigger, Call::PatchRun, Call::PostLog]);
}

#[tokio::test(start_paused = true)]
async fn a_label_or_link_of_an_automation_before_the_first_look_costs_one_more_request() {
    for receives in [1, 2, RECEIVES] {
        let world = PLAIN.start().await;
        world.sandbox.glint.run("r_1").label(THEIR_LABEL).link(THEIR_LINK);
        assert!(!receive(&world, receives).await, "receive {receives}");
        assert_eq!(world.run("r_1").links(), [page(&world), THEIR_LINK.to_owned()]);
        let searches = world.sandbox.journal.of(Call::FindRuns);
        assert_eq!(searches.len(), 1);
        assert_eq!(searches[0].path_and_query, "/v1/actions/runs?external_run_id=gl_claim_r_1&version=v2");
        assert_eq!(triggers(&world), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_pipeline_that_sets_its_own_label_and_link_is_not_started_again_by_a_new_message() {
    for setup in [PLAIN, READS] {
        let world = lost_then_written(setup, |sandbox| {
            sandbox.glint.run("r_1").label("deploying").link(THEIR_LINK);
        });
        let world = world.await;
        for receives in [1, 2, RECEIVES] {
            receive(&world, receives).await;
        }
        assert_eq!(triggers(&world), 1, "{setup:?}");
        if setup == READS {
            let run = world.run("r_1");
            assert_eq!(run.links(), [page(&world), THEIR_LINK.to_owned()]);
            assert_eq!(run.status_label.as_deref(), Some("deploying"), "a label of somebody else stays");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_redriven_message_looks_for_pipelines_since_its_run_was_created() {
    let world = lost_then_written(READS, |_| {}).await;
    tokio::time::sleep(std::time::Duration::from_secs(7200)).await;
    let mut event = sqs_event(&[&message("r_1").to_string()], 1);
    event["Records"][0]["attributes"]["SentTimestamp"] = world.sandbox.now().timestamp_millis().to_string().into();
    assert!(redelivered(&world.handle(&event).await.unwrap()).is_empty());
    assert_eq!((triggers(&world), world.run("r_1").links()), (1, vec![page(&world)]));
    let list = &world.sandbox.journal.of(Call::ListPipelines)[0].path_and_query;
    assert!(list.contains("created_after=2026-01-05T09%3A02%3A04Z"), "ten minutes before the run was created: {list}");
}

#[tokio::test(start_paused = true)]
async fn a_user_input_that_equals_the_run_id_proves_nothing() {
    let world = READS.start().await;
    world.sandbox.glint.run("r_other");
    let mut other = message("r_other");
    other["payload"]["properties"] = json!({ "run": "r_1" });
    assert!(world.queue(&[&other.to_string()]).await.is_empty());
    world.sandbox.glint.run("r_1").external_id("gl_claim_r_1");
    assert!(receive(&world, 2).await, "the claim is young");
    assert!(world.run("r_1").links().is_empty());
    tokio::time::sleep(std::time::Duration::from_secs(90)).await;
    receive(&world, 3).await;
    assert_ne!(world.run("r_1").links(), world.run("r_other").links());
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_links_the_pipeline_that_it_finds() {
    let world = lost_then_written(READS, |_| {}).await;
    tokio::time::sleep(std::time::Duration::from_secs(200)).await;
    world.sandbox.fail(Call::ListPipelines).every().with(Fault::status(503));
    assert!(receive(&world, RECEIVES).await, "the final attempt ends nothing");
    world.sandbox.heal();
    tokio::time::sleep(std::time::Duration::from_secs(200)).await;
    assert!(!receive_dead_letter(&world).await);
    let run = world.run("r_1");
    assert_eq!((run.has_ended(), run.links()), (false, vec![page(&world)]));
    assert_eq!(triggers(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_taken_back_once_and_not_again_where_the_answer_is_lost() {
    let setup = Setup { reads: false, queues: true };
    for (fault, times, hidden) in [(Fault::ResetAfter, 1, 0), (Fault::status(503), 3, 1)] {
        let world = setup.start().await;
        crate::protocol::history::enqueue(&world.sandbox, "r_1");
        world.sandbox.fail(Call::Trigger).nth(1).with(Fault::throttled(1));
        world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("gl_open_r_1")).every().with(fault);
        let event = world.sandbox.queue.receive(1);
        one_receive(&world, &event).await;
        let taken_back = patches(&world).into_iter().filter(|patch| patch["externalRunId"] == "gl_open_r_1");
        let expected = json!({ "externalRunId": "gl_open_r_1", "statusLabel": "Waiting to retry" });
        assert!(taken_back.clone().all(|patch| patch == expected));
        assert_eq!(taken_back.count(), times);
        assert_eq!(world.sandbox.journal.count(Call::ChangeVisibility), hidden);
    }
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_is_refused_with_the_external_id_is_sent_without_it() {
    for status in [400, 413, 422] {
        let world = PLAIN.start().await;
        world.sandbox.glint.run("r_1");
        let refused = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("externalRunId"));
        refused.every().with(Fault::status(status));
        assert!(!receive(&world, 1).await, "{status}");
        let Run { external_run_id, status_label, .. } = world.run("r_1");
        assert_eq!((external_run_id, status_label.as_deref()), (None, Some("GitLab pipeline created")));
        assert_eq!(world.run("r_1").links(), [page(&world)]);
        assert!(!receive(&world, 2).await, "and the run is linked");
        assert_eq!(triggers(&world), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_glint_keeps_no_claim_a_lost_answer_ends_the_run_at_once() {
    let world = PLAIN.start().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.glint.forget_labels();
    world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("externalRunId")).every().with(Fault::status(422));
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    assert!(!receive(&world, 1).await);
    let run = world.run("r_1");
    assert!(run.has_ended() && run.summary.unwrap().contains("did not confirm"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_glint_does_not_know_yet_is_deferred_while_its_message_is_young() {
    for call in [Call::GetRun, Call::PatchRun] {
        let world = PLAIN.start().await;
        world.sandbox.glint.run("r_1");
        let unknown = r#"{"ok":false,"error":"not_found","message":"Run with id \"r_1\" was not found"}"#;
        world.sandbox.fail(call).every().with(Fault::status_with(404, unknown));
        assert!(receive(&world, 1).await, "{call:?}");
        tokio::time::sleep(std::time::Duration::from_secs(61)).await;
        assert!(!receive(&world, 2).await, "{call:?}");
        assert_eq!(triggers(&world), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_an_ended_run_refuses_is_done_after_one_get() {
    for status in [409, 422] {
        let world = PLAIN.start().await;
        world.sandbox.glint.run("r_1");
        world.sandbox.fail(Call::PatchRun).every().with(Fault::status(status));
        let hold = world.sandbox.hold_before(Call::PatchRun);
        let end = async {
            hold.reached().await;
            world.sandbox.glint.run("r_1").status("FAILURE");
            hold.release();
        };
        let (again, ()) = tokio::join!(receive(&world, 1), end);
        assert!(!again, "{status}");
        let calls = world.sandbox.journal.calls();
        let calls: Vec<Call> =
            calls.into_iter().filter(|call| !matches!(call, Call::GetSecret | Call::Login)).collect();
        assert_eq!(calls, [Call::GetRun, Call::PatchRun, Call::GetRun], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_to_a_pipeline_of_the_project_is_linked_in_any_letter_case() {
    let world = PLAIN.start().await;
    let link = format!("{}/{}/-/pipelines/7", world.sandbox.gitlab.url(), PROJECT.to_uppercase());
    world.sandbox.glint.run("r_1").link(&link);
    assert!(!receive(&world, 1).await);
    assert_eq!(triggers(&world), 0);
    let elsewhere = PLAIN.start().await;
    let link = format!("{}/{PROJECT}/-/jobs/7", elsewhere.sandbox.gitlab.url());
    elsewhere.sandbox.glint.run("r_1").link(&link);
    assert!(!receive(&elsewhere, 1).await);
    assert_eq!(triggers(&elsewhere), 1, "the page of a job is no pipeline");
}
