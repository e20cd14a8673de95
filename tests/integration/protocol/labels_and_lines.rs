//! Histories that once left the wrong label, the wrong reason, or a log line twice.

use crate::protocol::history::{BOTH, READS, enqueue, receive_until_empty};
use crate::protocol::unlucky_runs::{page, receive, triggers, with_lost_answer};
use crate::support::{Handling, World};
use sandbox::{Call, Fault};

const THEIR_LABEL: &str = "Rolling out to staging";

#[tokio::test]
async fn progress_leaves_a_label_of_somebody_else_alone() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.run("r_1").label(THEIR_LABEL);
    for status in ["pending", "running"] {
        assert_eq!(world.pipeline_reaches(pipeline, status).await, 200);
        assert_eq!(world.run("r_1").status_label.as_deref(), Some(THEIR_LABEL), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_glint_did_not_take_leaves_the_label_of_somebody_else() {
    for (fault, label) in [
        (Fault::status(503), Some(THEIR_LABEL)),
        (Fault::ResetBefore, Some(THEIR_LABEL)),
        // The claim replaced their label.
        (Fault::status_after(503), Some("Waiting to retry")),
        (Fault::ResetAfter, Some("Waiting to retry")),
    ] {
        let world = READS.start().await;
        let claims = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("gl_claim_"));
        claims.first(3).with(fault);
        enqueue(&world.sandbox, "r_1");
        world.sandbox.glint.run("r_1").label(THEIR_LABEL);
        assert!(receive(&world).await);
        assert_eq!((triggers(&world), world.run("r_1").status_label.as_deref()), (0, label));
        while receive(&world).await {}
        assert_eq!((triggers(&world), world.run("r_1").links()), (1, vec![page(&world)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_queued_report_links_no_longer_waits_for_gitlab_to_confirm() {
    let world = with_lost_answer(BOTH).await;
    let links = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\""));
    links.first(3).with(Fault::status(503));
    assert_eq!(world.run("r_1").status_label.as_deref(), Some("Waiting for GitLab to confirm"));
    assert!(receive(&world).await, "the pipeline is found, and its report is queued");
    world.sandbox.glint.run("r_1").link("https://preview.example.com/7");
    while receive(&world).await {}
    let run = world.run("r_1");
    assert_eq!(run.status_label.as_deref(), Some("GitLab pipeline created"));
    assert_eq!(run.links(), [page(&world), "https://preview.example.com/7".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_glint_takes_at_the_second_attempt_is_logged_once() {
    let world = READS.start().await;
    let links = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\""));
    links.first(3).with(Fault::status(503));
    enqueue(&world.sandbox, "r_1");
    while receive(&world).await {}
    let run = world.run("r_1");
    assert_eq!((triggers(&world), run.links()), (1, vec![page(&world)]));
    assert_eq!(run.logs.len(), 1, "{:?}", run.logs);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_gitlab_throttled_to_the_end_is_not_said_to_be_unconfirmed() {
    let world = READS.start().await;
    world.sandbox.fail(Call::Trigger).every().with(Fault::throttled(1));
    // The final attempt cannot end the run, and leaves that to the dead letter.
    world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("FAILURE")).every().with(Fault::status(503));
    enqueue(&world.sandbox, "r_1");
    receive_until_empty(&world).await;
    let run = world.run("r_1");
    let summary = run.summary.unwrap_or_default();
    assert!(!summary.contains("did not confirm"), "{summary}");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("FAILURE", Some("Not started")), "{summary}");
}
