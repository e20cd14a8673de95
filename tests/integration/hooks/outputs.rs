//! Outputs: what only the pipeline knows, read from one artifact of its jobs when the run ends.

use serde_json::{Value, json};

use crate::support::{Handling, READ_TOKEN, World};
use sandbox::{Call, Fault, Run};

const SETTINGS: [(&str, &str); 2] =
    [("OUTPUTS_FILE", "out/glint outputs.json"), ("DEPLOYMENT_BLUEPRINT", "deployment")];
const FILE: &str = "out/glint outputs.json";

async fn world(handling: Handling) -> (World, u64) {
    let world = World::builder().hooks(handling).read_token().settings(&SETTINGS).start().await;
    let pipeline = world.start_run("r_1").await;
    (world, pipeline)
}

/// The run, in a world whose pipeline's job left `content`, after the hook of its success.
async fn ended_with(content: &[u8]) -> (World, Run) {
    let (world, pipeline) = world(Handling::InPlace).await;
    let job = world.sandbox.gitlab.add_job(pipeline, "deploy", "success", None);
    world.sandbox.gitlab.artifact(job, FILE, content);
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    let run = world.run("r_1");
    assert_eq!(run.status, "SUCCESS");
    assert!(world.sandbox.journal.stray().is_empty());
    (world, run)
}

fn last_line(run: &Run) -> &str {
    &run.logs.last().unwrap().message
}

#[tokio::test]
async fn summary_and_links_reach_the_run_and_properties_and_relations_the_entity() {
    let outputs = json!({
        "summary": "release 1.4.0 is live", "links": ["https://shop.example.com", "https://grafana.example.com/d/1?x=y"],
        "properties": { "imageTag": "1.4.0", "replicas": 3 }, "relations": { "service": "billing" },
    });
    for by_sweep in [false, true] {
        for handling in Handling::ALL {
            let (world, pipeline) = world(handling).await;
            let job = world.sandbox.gitlab.add_job(pipeline, "deploy", "success", None);
            world.sandbox.gitlab.artifact(job, FILE, outputs.to_string().as_bytes());
            world.sandbox.gitlab.finish(pipeline, "success");
            if by_sweep {
                assert_eq!(world.handle(&json!({ "sweep": true })).await.unwrap()["ended"], 1);
            } else {
                world.post(&world.hook(pipeline)).await;
                assert_eq!(world.receive_all().await, 0);
            }
            let (run, pipeline) = (world.run("r_1"), world.sandbox.gitlab.pipeline(pipeline));
            let text = format!("GitLab pipeline succeeded: {}\nrelease 1.4.0 is live", pipeline.web_url);
            assert_eq!(
                (run.status.as_str(), run.summary.as_deref(), last_line(&run)),
                ("SUCCESS", Some(text.as_str()), text.as_str())
            );
            assert_eq!(
                run.links(),
                [&pipeline.web_url, "https://shop.example.com", "https://grafana.example.com/d/1?x=y"]
            );
            let entity = world.sandbox.glint.entities().pop().unwrap();
            assert_eq!(entity.identifier, "billing-staging");
            let expected = json!({
                "imageTag": "1.4.0", "replicas": 3, "jobUrl": pipeline.web_url, "deployingUser": "auth0|sandbox",
                "commitSha": pipeline.sha,
            });
            assert_eq!(
                (Value::Object(entity.properties), Value::Object(entity.relations)),
                (expected, json!({ "service": "billing" }))
            );
            let upsert = &world.sandbox.journal.of(Call::UpsertEntity)[0];
            assert!(upsert.path_and_query.ends_with("&create_missing_related_entities=false"), "{upsert:?}");
        }
    }
}

#[tokio::test]
async fn the_newest_finished_job_that_has_the_file_decides() {
    let (world, pipeline) = world(Handling::InPlace).await;
    let gitlab = &world.sandbox.gitlab;
    for (job, status, file, summary) in [
        ("first", "success", FILE, "older"),
        ("second", "success", FILE, "newer"),
        ("third", "success", "other.json", "another file"),
        ("fourth", "running", FILE, "not finished"),
    ] {
        let job = gitlab.add_job(pipeline, job, status, None);
        gitlab.artifact(job, file, json!({ "summary": summary }).to_string().as_bytes());
    }
    gitlab.add_job(pipeline, "without", "success", None);
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    assert!(last_line(&world.run("r_1")).ends_with("\nnewer"), "{:?}", world.run("r_1").logs);
    let asked = world.sandbox.journal.of(Call::Artifact);
    assert_eq!(asked.len(), 2, "a job without an archive is not asked");
    assert!(asked.iter().all(|one| one.path_and_query.ends_with("/artifacts/out/glint%20outputs.json")));
}

#[tokio::test]
async fn without_a_file_a_setting_or_a_token_nothing_changes() {
    for (settings, read_token, calls) in
        [(&SETTINGS[..], true, 1), (&SETTINGS[..], false, 0), (&SETTINGS[1..], true, 0)]
    {
        let builder = World::builder().hooks(Handling::InPlace).settings(settings);
        let world = if read_token { builder.read_token() } else { builder }.start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.gitlab.add_job(pipeline, "deploy", "success", None);
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
        let run = world.assert_ended_once("r_1", pipeline, "success");
        assert_eq!(run.logs.len(), 2);
        assert_eq!(world.sandbox.journal.count(Call::PipelineJobs), calls);
        assert_eq!(world.sandbox.journal.count(Call::Artifact), 0);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_file_is_said_and_holds_nothing_up() {
    let long = format!("{{\"summary\":\"{}\"}}", "x".repeat(65 * 1024));
    let huge = "x".repeat(2 * 1024 * 1024);
    let deep = format!("{{\"properties\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    for (content, words) in [
        ("nonsense", "not a JSON object"),
        ("[]", "not a JSON object"),
        (&long, "more than 65536 bytes"),
        (&huge, "longer than"),
        (&deep, "nested deeper"),
        (r#"{"summary":7}"#, "`summary` is not a string"),
        (r#"{"links":["http://a.example.com"]}"#, "link 1 of `links` is not an https URL"),
        (r#"{"links":["https://a.example.com/\u0000"]}"#, "link 1 of `links` holds a control character"),
        (r#"{"properties":{"jobUrl":"https://evil.example.com"}}"#, "`jobUrl` of `properties`"),
        (r#"{"properties":{"commitSha":"0"}}"#, "`commitSha` of `properties`"),
        (r#"{"properties":{"deployingUser":"root"}}"#, "`deployingUser` of `properties`"),
        (r#"{"identifier":"other"}"#, "`identifier` is none of"),
        (r#"{"relations":{"a":7}}"#, "`a` of `relations`"),
    ] {
        let (world, run) = ended_with(content.as_bytes()).await;
        let line = last_line(&run);
        assert!(line.contains(&format!("`{FILE}`")) && line.contains(words), "{line}");
        assert!(line.len() < 2000 && !line.contains('\n'), "{line}");
        let page = &world.sandbox.gitlab.pipelines()[0].web_url;
        assert_eq!(run.links(), [page.as_str()]);
        let entity = world.sandbox.glint.entities().pop().unwrap();
        assert_eq!((entity.identifier.as_str(), &entity.properties["jobUrl"]), ("billing-staging", &json!(page)));
    }
}

#[tokio::test]
async fn the_read_token_stays_with_gitlab_and_no_redirect_is_followed() {
    for status in [301, 302, 307, 401, 403] {
        let (world, pipeline) = world(Handling::InPlace).await;
        let job = world.sandbox.gitlab.add_job(pipeline, "deploy", "success", None);
        world.sandbox.gitlab.artifact(job, FILE, b"{}");
        world.sandbox.fail(Call::Artifact).every().with(Fault::status(status));
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
        let run = world.run("r_1");
        assert_eq!(run.status, "SUCCESS");
        assert!(last_line(&run).contains(&status.to_string()), "{}", last_line(&run));
        assert_eq!(world.sandbox.journal.count(Call::Artifact), 1);
        assert!(!format!("{run:?}").contains(READ_TOKEN));
    }
}

#[tokio::test]
async fn a_token_in_the_file_reaches_nobody() {
    let token = "glpat-aBcDeFgHiJkLmNoPqRsT";
    let content = json!({
        "summary": format!("made with {token} and {READ_TOKEN}"), "links": [format!("https://a.example.com/?t={token}")],
        "properties": { "a": token, "b": [{ "c": READ_TOKEN }], token: 1 }, "relations": { "d": token }, token: 2,
    });
    let (world, run) = ended_with(content.to_string().as_bytes()).await;
    let told = format!("{run:?} {:?}", world.sandbox.glint.entities());
    assert!(!told.contains("glpat-"), "{told}");
}

#[tokio::test]
async fn outputs_that_the_blueprint_does_not_take_cost_not_the_whole_entity() {
    let (world, pipeline) = world(Handling::InPlace).await;
    let job = world.sandbox.gitlab.add_job(pipeline, "deploy", "success", None);
    world.sandbox.gitlab.artifact(job, FILE, br#"{"properties":{"unknown":1}}"#);
    world.sandbox.fail(Call::UpsertEntity).with(Fault::status(422));
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    let run = world.assert_ended_once("r_1", pipeline, "success");
    assert!(last_line(&run).contains("without the pipeline's outputs"), "{}", last_line(&run));
    assert!(!world.sandbox.glint.entities().pop().unwrap().properties.contains_key("unknown"));
}

#[tokio::test]
async fn a_gitlab_that_is_down_makes_a_queued_hook_wait_for_the_outputs() {
    let (world, pipeline) = world(Handling::Queued).await;
    let job = world.sandbox.gitlab.add_job(pipeline, "deploy", "success", None);
    world.sandbox.gitlab.artifact(job, FILE, br#"{"summary":"done"}"#);
    world.sandbox.fail(Call::Artifact).every().with(Fault::status(503));
    world.pipeline_reaches(pipeline, "success").await;
    let received = world.sandbox.queue.receive(10);
    assert_eq!(world.handle(&received).await.unwrap()["batchItemFailures"].as_array().unwrap().len(), 1);
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
    world.sandbox.heal();
    world.handle(&received).await.unwrap();
    assert!(last_line(&world.run("r_1")).ends_with("\ndone"));
}
