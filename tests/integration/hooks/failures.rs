//! Failed jobs, named and linked; and names that nobody should have given.

use serde_json::{Value, json};

use crate::support::{FINAL, Function, Handling, READ_SECRET, READ_TOKEN, TOKEN, World, furnish, invoke, json_body};
use sandbox::Run;

/// The run after a hook with these builds.
async fn ended_with(builds: Value) -> (World, Run) {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "failed");
    let (status, words) = world.post(&world.changed_hook(pipeline, |body| body["builds"] = builds)).await;
    assert_eq!(status, 200, "{words}");
    let run = world.assert_ended_once("r_1", pipeline, "failed");
    (world, run)
}

fn build(id: u64, name: &str, status: &str) -> Value {
    json!({ "id": id, "name": name, "stage": "deploy", "status": status, "failure_reason": "script_failure", "allow_failure": false })
}

fn told(run: &Run) -> [String; 2] {
    [run.summary.clone().unwrap(), run.logs.last().unwrap().message.clone()]
}

#[tokio::test]
async fn failed_jobs_are_named_and_linked_with_their_reasons() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    let gitlab = &world.sandbox.gitlab;
    for (name, status, reason) in [
        ("unit", "success", None),
        ("deploy: [eu, blue]", "failed", Some("script_failure")),
        ("smoke", "failed", Some("runner_system_failure")),
        ("notify", "failed", None),
        ("after", "skipped", None),
        ("by hand", "manual", None),
    ] {
        gitlab.add_job(pipeline, name, status, reason);
    }
    gitlab.finish(pipeline, "failed");
    assert_eq!(world.post(&world.hook(pipeline)).await.0, 200);
    let run = world.assert_ended_once("r_1", pipeline, "failed");
    let jobs = gitlab.pipeline(pipeline).jobs;
    let expected = [
        format!("GitLab pipeline failed: {}", gitlab.pipeline(pipeline).web_url),
        format!("job `deploy: [eu, blue]` of stage `deploy` failed (script_failure): {}", jobs[1].web_url),
        format!("job `smoke` of stage `deploy` failed (runner_system_failure): {}", jobs[2].web_url),
        format!("job `notify` of stage `deploy` failed: {}", jobs[3].web_url),
    ];
    assert_eq!(told(&run), [expected.join("\n"), expected.join("\n")]);
}

#[tokio::test]
async fn failures_that_are_allowed_are_not_to_blame() {
    let mut lint = build(8, "lint", "failed");
    lint["allow_failure"] = json!(true);
    let (_, run) = ended_with(json!([build(9, "deploy", "failed"), lint])).await;
    for text in told(&run) {
        assert!(text.contains("job `deploy`") && !text.contains("lint"), "{text}");
    }
}

#[tokio::test]
async fn only_a_failed_pipeline_names_failed_jobs() {
    for (status, ..) in FINAL.into_iter().filter(|(status, ..)| *status != "failed") {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.gitlab.add_job(pipeline, "flaky", "failed", Some("script_failure"));
        world.sandbox.gitlab.finish(pipeline, status);
        assert_eq!(world.post(&world.hook(pipeline)).await.0, 200);
        let run = world.assert_ended_once("r_1", pipeline, status);
        assert!(told(&run).iter().all(|text| !text.contains("flaky")));
    }
}

#[tokio::test]
async fn failed_jobs_come_in_the_order_in_which_they_ran() {
    let builds = [1_000, 99, 9, 100, 10].map(|id| build(id, &format!("job-{id}-"), "failed"));
    let (_, run) = ended_with(json!(builds)).await;
    let text = told(&run)[0].clone();
    let places = [9, 10, 99, 100, 1_000].map(|id| text.find(&format!("job-{id}-")).unwrap());
    assert!(places.is_sorted(), "{text}");
}

#[tokio::test]
async fn hundreds_of_failed_jobs_stay_a_text_that_a_person_reads() {
    let builds: Vec<Value> = (1..=5_000).map(|id| build(id, &"long name ".repeat(25), "failed")).collect();
    let (_, run) = ended_with(json!(builds)).await;
    for text in told(&run) {
        assert!(text.len() < 20_000, "{} bytes", text.len());
        assert!(text.lines().count() > 5 && text.lines().last().unwrap().contains("more jobs failed"), "{text}");
    }
}

#[tokio::test]
async fn hostile_names_do_no_harm() {
    let hostile = [
        "line\nbreak".to_owned(),
        "carriage\rreturn\u{1b}[2Jescape\u{0}null\u{7f}delete\u{85}next".to_owned(),
        format!("echo {TOKEN}"),
        "export TOKEN=glpat-aBcDeFgHiJkLmNoPqRsT".to_owned(),
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(),
        "\u{202e}right to left".to_owned(),
        "x".repeat(100_000),
        "é".repeat(100_000),
        String::new(),
    ];
    for name in &hostile {
        let mut named = build(9, name, "failed");
        (named["stage"], named["failure_reason"]) = (json!(name), json!(name));
        let (_, run) = ended_with(json!([named])).await;
        for text in told(&run) {
            assert_eq!(text.lines().count(), 2, "{name:?}: {text:?}");
            assert!(text.len() < 20_000, "{} bytes", text.len());
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            for token in [TOKEN, "glpat-aBcDeFgHiJkLmNoPqRsT", "eyJhbGciOiJIUzI1NiJ9"] {
                assert!(!text.contains(token), "{text}");
            }
        }
    }
    println!("{} hostile names", hostile.len());
    assert_eq!(hostile.len(), 9);
}

#[tokio::test]
async fn hostile_names_do_no_harm_when_a_sweep_finds_them_either() {
    let world =
        World::builder().hooks(Handling::InPlace).settings(&[("GITLAB_READ_SECRET_ID", READ_SECRET)]).start().await;
    world.sandbox.secrets.put(READ_SECRET, READ_TOKEN);
    world.sandbox.gitlab.read_token(READ_TOKEN);
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.add_job(pipeline, &format!("a\nb {TOKEN}"), "failed", Some("script_failure"));
    world.sandbox.gitlab.finish(pipeline, "failed");
    world.handle(&json!({ "sweep": true })).await.unwrap();
    let run = world.assert_ended_once("r_1", pipeline, "failed");
    for text in told(&run) {
        assert!(text.lines().count() == 2 && !text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn the_built_function_logs_one_line_for_a_hook_and_none_of_its_words() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.add_job(pipeline, "job of evil\nERROR forged line", "failed", Some("script_failure"));
    world.sandbox.gitlab.finish(pipeline, "failed");
    furnish(&world.sandbox);
    let settings = [("GITLAB_HOOK_SECRET_ID", crate::support::HOOK_SECRET)];
    let mut function = Function::start(&world.sandbox, &settings).await;
    let sandbox::Reply::Response(reply) = invoke(&world.sandbox, world.hook(pipeline)).await else {
        panic!("no response")
    };
    assert_eq!((&reply["statusCode"], &json_body(&reply)["outcome"]), (&json!(200), &json!("Finished")));
    let printed = function.kill().await;
    assert_eq!(printed.matches("run `r_1` is finished").count(), 1, "{printed}");
    assert!(!printed.contains("evil") && !printed.contains("forged line"), "{printed}");
    assert!(!printed.contains(crate::support::HOOK_TOKEN), "{printed}");
}
