//! By schedule: runs whose hook never came end as their pipelines did.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{FINAL, Handling, PROJECT, READ_SECRET, READ_TOKEN, World, plain_client};
use sandbox::{Call, Fault, Upstream};

const STILL: [&str; 9] = [
    "created",
    "waiting_for_resource",
    "preparing",
    "waiting_for_callback",
    "pending",
    "running",
    "canceling",
    "manual",
    "scheduled",
];

/// A world whose function may look pipelines up.
async fn with_read_token() -> World {
    World::builder().hooks(Handling::InPlace).read_token().start().await
}

async fn sweep(world: &World) -> Value {
    let mut report = world.handle(&json!({ "sweep": true })).await.unwrap();
    let left = report.as_object_mut().unwrap().remove("leftRuns");
    let named = left.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(report["left"].as_u64().unwrap().min(20), named as u64, "{report}: {left:?}");
    report
}

/// So many runs in progress, each with a pipeline of its own.
async fn many(world: &World, count: usize) -> Vec<(String, u64)> {
    let mut runs = Vec::new();
    for number in 0..count {
        let run = format!("r_{number}");
        let pipeline = world.start_run(&run).await;
        runs.push((run, pipeline));
    }
    runs
}

#[tokio::test]
async fn runs_whose_hook_never_came_end_as_their_pipelines_did() {
    let world = with_read_token().await;
    let runs = many(&world, FINAL.len()).await;
    for ((_, pipeline), (status, ..)) in runs.iter().zip(FINAL) {
        world.sandbox.gitlab.add_job(*pipeline, "deploy", "failed", Some("script_failure"));
        world.sandbox.gitlab.finish(*pipeline, status);
    }
    assert_eq!(sweep(&world).await, json!({ "runs": 4, "ended": 4, "left": 0 }));
    for ((run, pipeline), (status, ..)) in runs.iter().zip(FINAL) {
        let run = world.assert_ended_once(run, *pipeline, status);
        let named = run.summary.unwrap().contains("job `deploy` of stage `deploy` failed (script_failure): http");
        assert_eq!(named, status == "failed");
    }
    assert_eq!(sweep(&world).await, json!({ "runs": 0, "ended": 0, "left": 0 }), "the second finds nothing to do");
}

#[tokio::test]
async fn what_is_still_on_its_way_stays_in_progress_under_the_label_of_now() {
    let world = with_read_token().await;
    let runs = many(&world, STILL.len()).await;
    for ((_, pipeline), status) in runs.iter().zip(STILL) {
        world.sandbox.gitlab.finish(*pipeline, status);
    }
    for _ in 0..2 {
        assert_eq!(sweep(&world).await, json!({ "runs": 9, "ended": 0, "left": 0 }));
    }
    for ((run, _), status) in runs.iter().zip(STILL) {
        let label = match status {
            "pending" => "GitLab pipeline pending",
            "running" => "GitLab pipeline running",
            "manual" => "Waiting for a manual job in GitLab",
            _ => "GitLab pipeline created",
        };
        let run = world.run(run);
        assert_eq!((run.status.as_str(), run.status_label.as_deref()), ("IN_PROGRESS", Some(label)));
        assert_eq!(run.logs.len(), 1 + usize::from(status == "manual"), "the second sweep says nothing again");
    }
}

#[tokio::test]
async fn runs_that_are_not_ours_are_not_looked_up() {
    let world = with_read_token().await;
    world.sandbox.glint.run("r_unlinked");
    world.sandbox.glint.run("r_other").external_id("tf_17").link("https://ci.example.com/17");
    for id in ["gl_1", "gl_a_b", "gl_1_2_3", "GL_1_2", "gl_-1_2", "gl_1_"] {
        world.sandbox.glint.run(id).external_id(id);
    }
    let pipeline = world.start_run("r_ended").await;
    world.sandbox.gitlab.finish(pipeline, "failed");
    world.sandbox.glint.run("r_ended").status("SUCCESS");
    let before = world.sandbox.glint.runs();
    assert_eq!(sweep(&world).await, json!({ "runs": 0, "ended": 0, "left": 0 }));
    assert_eq!(world.sandbox.journal.count(Call::GetPipeline), 0);
    assert_eq!(world.sandbox.glint.runs(), before);
}

#[tokio::test]
async fn without_a_token_it_says_so_and_looks_no_pipeline_up() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    world.sandbox.journal.clear();
    let swept = sweep(&world).await;
    assert!(swept["reason"].as_str().unwrap().contains("`GITLAB_READ_SECRET_ID`"), "{swept}");
    let calls = world.sandbox.journal.calls();
    assert!(calls.iter().all(|call| matches!(call, Call::GetSecret | Call::Login | Call::FindRuns)), "{calls:?}");
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
}

#[tokio::test]
async fn a_token_or_a_glint_that_cannot_be_reached_is_the_reason_of_an_empty_sweep() {
    let world = with_read_token().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    world.sandbox.secrets.delete(READ_SECRET);
    assert!(sweep(&world).await["reason"].as_str().unwrap().contains(READ_SECRET));
    let mut world = world;
    world.sandbox.secrets.put(READ_SECRET, READ_TOKEN);
    world.restart(&[("GITLAB_READ_SECRET_ID", READ_SECRET)]);
    let down = world.sandbox.refuse(Upstream::Glint);
    assert!(sweep(&world).await["reason"].as_str().unwrap().contains("Glint does not answer"));
    drop(down);
    assert_eq!(sweep(&world).await["ended"], 1);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn one_pipeline_that_gitlab_does_not_show_does_not_stop_the_rest() {
    for fault in [
        Fault::status(403),
        Fault::status(401),
        Fault::status(500),
        Fault::Garbage,
        Fault::WrongTypes,
        Fault::throttled(60),
    ] {
        let world = with_read_token().await;
        let runs = many(&world, 6).await;
        for (_, pipeline) in &runs {
            world.sandbox.gitlab.finish(*pipeline, "success");
        }
        let hidden = format!("/pipelines/{}", runs[2].1);
        let rule = world.sandbox.fail(Call::GetPipeline).every();
        rule.of(move |look| look.path_and_query.ends_with(&hidden)).with(fault.clone());
        assert_eq!(sweep(&world).await, json!({ "runs": 6, "ended": 5, "left": 1 }), "{fault:?}");
        for (index, (run, pipeline)) in runs.iter().enumerate() {
            match index {
                2 => assert_eq!(world.run(run).status, "IN_PROGRESS"),
                _ => drop(world.assert_ended_once(run, *pipeline, "success")),
            }
        }
    }
}

#[tokio::test]
async fn a_refused_write_of_one_run_does_not_stop_the_rest() {
    let world = with_read_token().await;
    let runs = many(&world, 5).await;
    for (_, pipeline) in &runs {
        world.sandbox.gitlab.finish(*pipeline, "failed");
    }
    let rule = world.sandbox.fail(Call::PatchRun).every();
    rule.of(|write| write.path_and_query.contains("/r_3?")).with(Fault::status(500));
    assert_eq!(sweep(&world).await, json!({ "runs": 5, "ended": 4, "left": 1 }));
    world.sandbox.heal();
    assert_eq!(sweep(&world).await, json!({ "runs": 1, "ended": 1, "left": 0 }));
    for (run, pipeline) in &runs {
        world.assert_ended_once(run, *pipeline, "failed");
    }
}

#[tokio::test]
async fn many_runs_are_swept_a_few_at_a_time_and_the_deadline_is_kept() {
    let mut world = with_read_token().await;
    let runs = many(&world, 120).await;
    for (_, pipeline) in &runs {
        world.sandbox.gitlab.finish(*pipeline, "success");
    }
    world.sandbox.journal.clear();
    world.time = Duration::from_secs(7);
    assert_eq!(sweep(&world).await, json!({ "runs": 120, "ended": 0, "left": 120 }), "too little time is left for any");
    assert_eq!(world.sandbox.journal.count(Call::GetPipeline), 0);
    world.time = Duration::from_secs(600);
    assert_eq!(sweep(&world).await, json!({ "runs": 120, "ended": 120, "left": 0 }));
    for (run, pipeline) in &runs {
        world.assert_ended_once(run, *pipeline, "success");
    }
    let looks = world.sandbox.journal.of(Call::GetPipeline);
    assert_eq!(looks.len(), 120, "one look at each");
    println!("{} runs swept", looks.len());
}

#[tokio::test]
async fn four_pipelines_are_looked_up_at_once_and_no_fifth() {
    let world = with_read_token().await;
    let runs = many(&world, 12).await;
    for (_, pipeline) in &runs {
        world.sandbox.gitlab.finish(*pipeline, "success");
    }
    let holds: Vec<_> = runs.iter().map(|_| world.sandbox.hold_before(Call::GetPipeline)).collect();
    let watch = async {
        world.sandbox.journal.wait_for_count(Call::GetPipeline, 4).await;
        // A fifth would be on its way with them: many round trips to the same sandbox give it time to arrive.
        for _ in 0..50 {
            let answer = plain_client().get(world.sandbox.gitlab.url()).send().await.unwrap();
            assert_eq!(answer.status(), 404);
        }
        assert_eq!(world.sandbox.journal.count(Call::GetPipeline), 4);
        drop(holds);
    };
    let (swept, ()) = tokio::join!(sweep(&world), watch);
    assert_eq!(swept, json!({ "runs": 12, "ended": 12, "left": 0 }));
}

#[tokio::test(start_paused = true)]
async fn a_gitlab_that_never_answers_costs_the_sweep_no_more_than_its_deadline() {
    let mut world = with_read_token().await;
    let runs = many(&world, 12).await;
    world.sandbox.fail(Call::GetPipeline).every().with(Fault::StallBefore);
    world.time = Duration::from_secs(30);
    let start = tokio::time::Instant::now();
    assert_eq!(sweep(&world).await, json!({ "runs": 12, "ended": 0, "left": 12 }));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(runs.iter().all(|(run, _)| world.endings(run).1 == 0));
}

#[tokio::test]
async fn a_hook_and_a_sweep_at_once_end_the_run_once() {
    let world = with_read_token().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "failed");
    let look = world.sandbox.hold(Call::GetPipeline);
    let hook = async {
        look.reached().await;
        assert_eq!(world.post(&world.hook(pipeline)).await.0, 200);
        look.release();
    };
    let (swept, ()) = tokio::join!(sweep(&world), hook);
    assert_eq!(swept, json!({ "runs": 1, "ended": 0, "left": 0 }));
    world.assert_ended_once("r_1", pipeline, "failed");
}

#[tokio::test]
async fn a_sweep_writes_the_deployment_entity_too() {
    let settings = [("GITLAB_READ_SECRET_ID", READ_SECRET), ("DEPLOYMENT_BLUEPRINT", "deployment")];
    let mut world = with_read_token().await;
    world.restart(&settings);
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    sweep(&world).await;
    world.assert_ended_once("r_1", pipeline, "success");
    let entities = world.sandbox.glint.entities();
    assert_eq!((entities.len(), entities[0].identifier.as_str()), (1, "billing-staging"));
    assert_eq!(entities[0].properties["commitSha"], json!(world.sandbox.gitlab.pipeline(pipeline).sha));
    assert_eq!(world.sandbox.gitlab.pipeline(pipeline).project, PROJECT);
}
