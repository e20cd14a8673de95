//! A hook may come at any moment while its run is delivered, and Glint may be down: the run ends once, and right.

use serde_json::json;

use crate::support::{FINAL, Handling, World, message, redelivered, sqs_event};
use rstest::rstest;
use sandbox::{Call, Fault, Upstream};

/// Where the delivery of the run stands when its pipeline's hooks come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// GitLab has created the pipeline, and its answer is under way.
    BeforeTheAnswer,
    /// The report is under way, and Glint has not seen it.
    BeforeTheReport,
    /// Glint has the report, and its answer is under way.
    BeforeTheReportIsConfirmed,
    /// The delivery is done.
    After,
}

/// GitLab's words on the way to the end: all of them, or only the last.
fn sequences(last: &'static str) -> [Vec<&'static str>; 3] {
    [vec![last], vec!["pending", "running", last], vec!["running", last, last]]
}

async fn hooks_at(moment: Moment, handling: Handling, statuses: &[&str]) {
    let world = World::builder().hooks(handling).start().await;
    world.sandbox.glint.run("r_1");
    let trigger = world.sandbox.hold(Call::Trigger);
    let hooks = async {
        trigger.reached().await;
        if moment == Moment::BeforeTheAnswer {
            return tell(&world, handling, statuses).await;
        }
        let report = match moment {
            Moment::BeforeTheReport => world.sandbox.hold_before(Call::PatchRun),
            _ => world.sandbox.hold(Call::PatchRun),
        };
        trigger.release();
        report.reached().await;
        if moment != Moment::After {
            tell(&world, handling, statuses).await;
        }
    };
    let together = async {
        hooks.await;
        trigger.release();
    };
    let (again, ()) = tokio::join!(world.deliver("r_1"), together);
    assert_eq!(again, [0; 0], "{moment:?}");
    if moment == Moment::After {
        tell(&world, handling, statuses).await;
    }
    let pipelines = world.sandbox.gitlab.pipelines();
    assert_eq!(pipelines.len(), 1);
    world.assert_ended_once("r_1", pipelines[0].id, statuses.last().unwrap());
    assert_eq!(world.endings("r_1").1, 1, "{moment:?}, {handling:?}, {statuses:?}: nobody tried to end it twice");
}

async fn tell(world: &World, handling: Handling, statuses: &[&str]) {
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    for status in statuses {
        assert_eq!(
            world.pipeline_reaches(pipeline, status).await,
            if handling == Handling::Queued { 202 } else { 200 }
        );
        assert_eq!(world.receive_all().await, 0);
    }
}

#[rstest]
#[tokio::test]
async fn hooks_end_the_run_once_at_every_moment_of_its_delivery(
    #[values(Moment::BeforeTheAnswer, Moment::BeforeTheReport, Moment::BeforeTheReportIsConfirmed, Moment::After)]
    moment: Moment,
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
    #[values("success", "failed", "canceled", "skipped")] status: &'static str,
) {
    for statuses in sequences(status) {
        hooks_at(moment, handling, &statuses).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_run_that_its_hook_ended_while_a_second_copy_looked_is_not_started_again(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    let world = World::builder().hooks(handling).start().await;
    world.sandbox.glint.run("r_1");
    let look = world.sandbox.hold(Call::GetRun);
    let first = async {
        look.reached().await;
        let pipeline = world.start_run("r_1").await;
        world.pipeline_reaches(pipeline, "success").await;
        world.receive_all().await;
        look.release();
        pipeline
    };
    let (again, pipeline) = tokio::join!(world.deliver("r_1"), first);
    assert_eq!(again, [0; 0]);
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1, "the claim of the copy met an ended run");
    world.assert_ended_once("r_1", pipeline, "success");
}

#[rstest]
#[tokio::test]
async fn a_run_that_ends_between_its_claim_and_its_trigger_stays_ended(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    let world = World::builder().hooks(handling).start().await;
    world.sandbox.glint.run("r_1");
    let earlier = world.start_run("r_0").await;
    let trigger = world.sandbox.hold_before(Call::Trigger);
    // Another pipeline of the project proves to be of the run, as one would whose creation took GitLab long.
    world.sandbox.gitlab.finish(earlier, "failed");
    let mut early = world.hook(earlier);
    early["body"] = json!(crate::hooks::matching::claiming(&world, &early, crate::support::PROJECT, "r_1").to_string());
    world.sandbox.glint.run("r_0").forget();
    let hook = async {
        trigger.reached().await;
        world.post(&early).await;
        world.receive_all().await;
        trigger.release();
    };
    let (again, ()) = tokio::join!(world.deliver("r_1"), hook);
    assert_eq!(again, [0; 0]);
    let late = world.sandbox.gitlab.pipelines().last().unwrap().id;
    assert_ne!(late, earlier);
    world.pipeline_reaches(late, "success").await;
    world.receive_all().await;
    world.assert_ended_once("r_1", earlier, "failed");
}

#[rstest]
#[tokio::test]
async fn the_same_hook_twice_ends_the_run_once(#[values(Handling::InPlace, Handling::Queued)] handling: Handling) {
    for (status, ..) in FINAL {
        let world = World::builder().hooks(handling).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.gitlab.finish(pipeline, status);
        let hook = world.hook(pipeline);
        for _ in 0..2 {
            world.post(&hook).await;
            world.receive_all().await;
        }
        let run = world.assert_ended_once("r_1", pipeline, status);
        assert_eq!((world.endings("r_1").1, run.refused_writes), (1, 0));
        assert_eq!(run.logs.len(), 2, "one line for its creation, and one for its end");
    }
}

#[tokio::test]
async fn two_copies_of_a_hook_at_once_end_the_run_once() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let hook = world.hook(pipeline);
    let looks = [world.sandbox.hold(Call::GetRun), world.sandbox.hold(Call::GetRun)];
    let both = async { tokio::join!(world.post(&hook), world.post(&hook)) };
    let release = async {
        for look in &looks {
            look.reached().await;
        }
        looks.iter().for_each(sandbox::Hold::release);
    };
    let (((first, _), (second, _)), ()) = tokio::join!(both, release);
    assert_eq!((first, second), (200, 200));
    world.assert_ended_once("r_1", pipeline, "success");
}

#[rstest]
#[tokio::test]
async fn a_hook_for_a_run_that_ended_writes_nothing(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
    #[values("SUCCESS", "FAILURE", "DECLINED")] ended: &str,
) {
    let world = World::builder().hooks(handling).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.run("r_1").status(ended);
    let before = world.run("r_1");
    for status in ["running", "success"] {
        world.pipeline_reaches(pipeline, status).await;
        assert_eq!(world.receive_all().await, 0);
    }
    assert_eq!(world.run("r_1"), before, "not even a refused write");
}

#[tokio::test]
async fn glint_down_costs_no_ending_that_is_resent() {
    for outage in [Outage::Refusing, Outage::Answering(503), Outage::Answering(429), Outage::Answering(502)] {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.gitlab.finish(pipeline, "failed");
        let hook = world.hook(pipeline);
        let down = outage.begin(&world);
        let (status, words) = world.post(&hook).await;
        assert_eq!((status, &words["outcome"]), (503, &json!("Deferred")), "{words}");
        outage.end(&world);
        drop(down);
        assert_eq!(world.post(&hook).await.0, 200);
        world.assert_ended_once("r_1", pipeline, "failed");
    }
}

#[tokio::test]
async fn glint_down_costs_no_ending_that_is_queued() {
    for outage in [Outage::Refusing, Outage::Answering(503), Outage::Answering(429), Outage::Answering(502)] {
        let world = World::builder().hooks(Handling::Queued).start().await;
        let pipeline = world.start_run("r_1").await;
        let down = outage.begin(&world);
        assert_eq!(world.pipeline_reaches(pipeline, "failed").await, 202, "GitLab is not made to wait for Glint");
        let received = world.sandbox.queue.receive(10);
        assert_eq!(world.handle(&received).await.unwrap()["batchItemFailures"].as_array().unwrap().len(), 1);
        outage.end(&world);
        drop(down);
        let reply = world.handle(&received).await.unwrap();
        assert!(world.sandbox.queue.acknowledge(&received, Some(reply)).is_empty());
        world.assert_ended_once("r_1", pipeline, "failed");
        assert!(world.sandbox.queue.messages().is_empty());
    }
}

#[derive(Clone, Copy, Debug)]
enum Outage {
    Refusing,
    Answering(u16),
}

impl Outage {
    fn begin(self, world: &World) -> Option<sandbox::Refusal> {
        match self {
            Self::Refusing => Some(world.sandbox.refuse(Upstream::Glint)),
            Self::Answering(status) => {
                world.sandbox.glint.refuse_all(Some(status));
                None
            }
        }
    }

    fn end(self, world: &World) {
        world.sandbox.glint.refuse_all(None);
    }
}

#[rstest]
#[tokio::test]
async fn an_answer_of_glint_that_is_lost_after_the_end_was_written_ends_it_once(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    for fault in [Fault::ResetAfter, Fault::status_after(500), Fault::Garbage, Fault::EmptyBody] {
        let world = World::builder().hooks(handling).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.fail(Call::PatchRun).with(fault);
        world.pipeline_reaches(pipeline, "success").await;
        assert_eq!(world.receive_all().await, 0);
        world.assert_ended_once("r_1", pipeline, "success");
    }
}

#[rstest]
#[tokio::test]
async fn a_run_whose_report_was_lost_is_healed_by_its_hook(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    let world = World::builder().hooks(handling).start().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::Trigger).with(Fault::ResetAfter);
    assert_eq!(world.deliver("r_1").await, [0], "GitLab's answer was lost");
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.run("r_1").external_run_id.as_deref(), Some("gl_claim_r_1"));
    world.pipeline_reaches(pipeline, "running").await;
    world.receive_all().await;
    assert_eq!(world.run("r_1").links(), [world.sandbox.gitlab.pipeline(pipeline).web_url]);
    let second = sqs_event(&[&message("r_1").to_string()], 2);
    assert_eq!(redelivered(&world.handle(&second).await.unwrap()), [0; 0], "the next receive sees a duplicate");
    world.pipeline_reaches(pipeline, "success").await;
    world.receive_all().await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
    world.assert_ended_once("r_1", pipeline, "success");
}
