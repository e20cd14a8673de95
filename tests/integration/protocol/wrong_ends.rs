//! Histories that once ended a run as its pipeline did not, or never, each without any help from the test.

use std::time::Duration;

use serde_json::json;

use crate::protocol::history::{PLAIN, QUEUES, READS, enqueue, one_receive, receive_until_empty, webhook};
use crate::protocol::unlucky_runs::{page, receive, triggers};
use crate::support::{Handling, TOKEN, World, message};
use rstest::rstest;
use sandbox::{Call, Fault, Upstream};

const BLUEPRINT: (&str, &str) = ("DEPLOYMENT_BLUEPRINT", "deployment");

fn lines(world: &World, words: &str) -> usize {
    world.run("r_1").logs.iter().filter(|log| log.message.contains(words)).count()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_dead_letter_links_the_pipeline_of_a_run_that_glint_could_not_be_told_of(#[values(true, false)] lost: bool) {
    let world = READS.start().await;
    // Either GitLab's answer is lost too, or only Glint does not take the link.
    if lost {
        world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    }
    enqueue(&world.sandbox, "r_1");
    world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\"")).every().with(Fault::status(503));
    while receive(&world).await {}
    assert!(!world.run("r_1").has_ended());
    world.sandbox.heal();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(200)).await;
        let letters = world.sandbox.queue.receive_dead_letters();
        one_receive(&world, &letters).await;
    }
    let run = world.run("r_1");
    assert_eq!((run.has_ended(), run.links()), (false, vec![page(&world)]));
    assert_eq!((triggers(&world), world.sandbox.queue.dead_letters().len()), (1, 0));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn an_entity_that_glint_refuses_costs_its_run_neither_the_end_nor_a_second_line(
    #[values("hook", "sweep")] way: &str,
) {
    let world = World::builder().hooks(Handling::Queued).read_token().settings(&[BLUEPRINT]).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.deny_entities(true);
    world.sandbox.gitlab.finish(pipeline, "success");
    if way == "hook" {
        assert_eq!(world.post(&world.hook(pipeline)).await.0, 202);
    }
    for _ in 0..3 {
        if way == "hook" {
            receive(&world).await;
        } else {
            world.handle(&json!({ "sweep": true })).await.unwrap();
        }
    }
    assert_eq!(lines(&world, "GitLab pipeline succeeded"), 1);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_nobody_delivers_again_is_ended_by_a_sweep_a_day_later() {
    for has_token in [true, false] {
        let builder = World::builder().hooks(Handling::InPlace);
        let world = if has_token { builder.read_token() } else { builder }.start().await;
        world.sandbox.glint.run("r_1").sent_to("https://function.example.com/", message("r_1"));
        world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetBefore);
        world.deliver("r_1").await;
        tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
        world.handle(&json!({ "sweep": true })).await.unwrap();
        assert!(!world.run("r_1").has_ended(), "its message may still come");
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        world.handle(&json!({ "sweep": true })).await.unwrap();
        assert_eq!(world.run("r_1").status, "FAILURE", "read token: {has_token}");
    }
}

#[tokio::test]
async fn a_pipeline_whose_answer_was_lost_proves_its_run_in_another_letter_case() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    // The action and the secret of the tokens write the project alike; GitLab's hook does not.
    let tokens = json!({ "Acme/BackEnd/Billing": TOKEN });
    world.sandbox.secrets.put("glint/gitlab-trigger-tokens", tokens.to_string());
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::Trigger).nth(1).with(Fault::ResetAfter);
    let mut sent = message("r_1");
    sent["payload"]["action"]["invocationMethod"]["groupName"] = json!("Acme/BackEnd");
    sent["payload"]["action"]["invocationMethod"]["projectName"] = json!("Billing");
    world.queue(&[&sent.to_string()]).await;
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test(start_paused = true)]
async fn a_glint_that_refuses_every_external_id_fails_no_run_whose_pipeline_runs() {
    for status in [413, 422] {
        let world = PLAIN.start().await;
        let refused = world.sandbox.fail(Call::PatchRun).of(|one| one.text().contains("externalRunId"));
        refused.every().with(Fault::status(status));
        enqueue(&world.sandbox, "r_1");
        receive_until_empty(&world).await;
        let run = world.run("r_1");
        assert_eq!((run.status.as_str(), run.links()), ("IN_PROGRESS", vec![page(&world)]), "{status}");
        assert_eq!(triggers(&world), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_while_the_queue_is_down_ends_its_run() {
    let world = QUEUES.start().await;
    world.sandbox.glint.run("r_1");
    let down = world.sandbox.refuse(Upstream::Queue);
    down.closed().await;
    world.handle(&webhook(&world.sandbox, "r_1")).await.unwrap();
    let run = world.run("r_1");
    assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("FAILURE", Some("Not started")));
    assert_eq!(triggers(&world), 0);
}
