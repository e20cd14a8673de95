//! Which run a hook belongs to: by the id that the run carries, then by what the pipeline proves of itself.

use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, Handling, PROJECT, TOKEN, World, json_body, message, plain_client, sqs_event};
use sandbox::{Call, signing};

/// The token that ties a pipeline to its run, as the trigger's body carries it.
fn run_token(secret: &str, project: &str, run: &str) -> String {
    let project = project.to_lowercase();
    signing::code(secret.as_bytes(), &[b"glint-gitlab-trigger\n", project.as_bytes(), b"\n", run.as_bytes()])
}

/// The hook's body with a `TRIGGER_PAYLOAD` that claims `run`, with a proof for `project`.
pub fn claiming(_world: &World, event: &Value, project: &str, run: &str) -> Value {
    with_claim(event, run, &run_token(CLIENT_SECRET, project, run))
}

fn with_claim(event: &Value, run: &str, proof: &str) -> Value {
    let payload = json!({ "ref": "main", "glint": { "runId": run, "proof": proof } });
    let mut body = json_body(event);
    body["object_attributes"]["variables"] = json!([{ "key": "TRIGGER_PAYLOAD", "value": payload.to_string() }]);
    body
}

/// A pipeline of `project` that this function did not start.
pub async fn foreign_pipeline(world: &World, project: &str) -> u64 {
    world.sandbox.gitlab.project(project).token(TOKEN);
    let url =
        format!("{}/api/v4/projects/{}/trigger/pipeline", world.sandbox.gitlab.url(), project.replace('/', "%2F"));
    let client = plain_client();
    let request = client.post(url).header("content-type", "application/json");
    let answer = request.body(json!({ "token": TOKEN, "ref": "main" }).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    world.sandbox.gitlab.pipelines().last().unwrap().id
}

/// The hook is answered 200 and leaves every run as it was.
pub async fn assert_silent(world: &World, event: &Value, why: &str) {
    let before = world.sandbox.glint.runs();
    let (status, words) = world.post(event).await;
    assert_eq!((status, &words["outcome"]), (200, &json!("Ignored")), "{why}: {words}");
    assert_eq!(world.sandbox.glint.runs(), before, "{why}");
}

#[tokio::test]
async fn a_hook_that_proves_its_run_costs_one_look_at_it() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    world.sandbox.journal.clear();
    assert_eq!(world.post(&world.hook(pipeline)).await.0, 200);
    assert_eq!(world.calls_to_glint(), [Call::GetRun, Call::PostLog, Call::PatchRun]);
    assert_eq!(world.sandbox.journal.count(Call::GetPipeline), 0);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn a_hook_without_a_proof_does_nothing_without_a_read_token() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let event = world.changed_hook(pipeline, |body| body["object_attributes"]["variables"] = json!([]));
    assert_silent(&world, &event, "a guessed project and pipeline id").await;
}

#[tokio::test]
async fn an_unlinked_run_is_found_by_the_proven_claim_of_its_pipeline() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = foreign_pipeline(&world, PROJECT).await;
    world.sandbox.glint.run("r_1").label("Waiting for GitLab to confirm");
    world.sandbox.gitlab.finish(pipeline, "success");
    let mut event = world.hook(pipeline);
    event["body"] = json!(claiming(&world, &event, PROJECT, "r_1").to_string());
    assert_eq!(world.post(&event).await.0, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn a_run_without_its_payload_is_still_found_by_its_claim() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let mut message = message("r_1");
    message["payload"]["action"]["invocationMethod"]["omitPayload"] = json!(true);
    let trigger = world.sandbox.hold(Call::Trigger);
    let event = sqs_event(&[&message.to_string()], 1);
    let run = world.handle(&event);
    let told = async {
        trigger.reached().await;
        let pipeline = world.sandbox.gitlab.pipelines()[0].clone();
        assert!(pipeline.trigger_payload.contains(r#""port_payload":{}"#), "{}", pipeline.trigger_payload);
        assert_eq!(world.pipeline_reaches(pipeline.id, "failed").await, 200);
        trigger.release();
        pipeline.id
    };
    let (_, pipeline) = tokio::join!(run, told);
    world.assert_ended_once("r_1", pipeline, "failed");
}

#[tokio::test]
async fn claims_that_are_not_proven_are_not_believed() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = foreign_pipeline(&world, PROJECT).await;
    world.sandbox.glint.run("r_1");
    world.sandbox.gitlab.finish(pipeline, "success");
    let hook = world.hook(pipeline);
    let proof = run_token;
    let good = proof(CLIENT_SECRET, PROJECT, "r_1");
    let cases = [
        ("for another project", "r_1", proof(CLIENT_SECRET, "acme/backend/other", "r_1")),
        ("for a project whose path only begins so", "r_1", proof(CLIENT_SECRET, "acme/backend/billing-2", "r_1")),
        ("for another run", "r_1", proof(CLIENT_SECRET, PROJECT, "r_2")),
        ("with another secret", "r_1", proof("another secret", PROJECT, "r_1")),
        ("none", "r_1", String::new()),
        ("a version alone", "r_1", "v1,".to_owned()),
        ("cut short", "r_1", good[..20].to_owned()),
        ("without its version", "r_1", good[3..].to_owned()),
        ("of another version", "r_1", good.replace("v1,", "v2,")),
        ("not base64", "r_1", "v1,???".to_owned()),
        ("for a run that Glint does not know", "r_9", proof(CLIENT_SECRET, PROJECT, "r_9")),
        ("for what is no run id", "../r_1", proof(CLIENT_SECRET, PROJECT, "../r_1")),
    ];
    for (why, run, proof) in &cases {
        let mut event = hook.clone();
        event["body"] = json!(with_claim(&hook, run, proof).to_string());
        assert_silent(&world, &event, why).await;
    }
    println!("{} claims that are not believed", cases.len());
    assert_eq!(cases.len(), 12);
}

#[tokio::test]
async fn a_pipeline_of_another_project_cannot_carry_a_stolen_claim_off() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let thief = foreign_pipeline(&world, "acme/backend/other").await;
    world.sandbox.gitlab.finish(thief, "success");
    let mut event = world.hook(thief);
    event["body"] = json!(claiming(&world, &event, PROJECT, "r_1").to_string());
    assert_silent(&world, &event, "the proof holds for the project that was triggered").await;
}

#[tokio::test]
async fn a_run_that_is_linked_to_another_pipeline_is_not_moved_by_a_proven_claim() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.start_run("r_1").await;
    let other = foreign_pipeline(&world, PROJECT).await;
    world.sandbox.gitlab.finish(other, "failed");
    let mut event = world.hook(other);
    event["body"] = json!(claiming(&world, &event, PROJECT, "r_1").to_string());
    assert_silent(&world, &event, "the run is linked to another pipeline").await;
    let page = world.sandbox.gitlab.pipeline(other).web_url.replace(&other.to_string(), "7");
    world.sandbox.glint.run("r_2").link(&page);
    event["body"] = json!(claiming(&world, &event, PROJECT, "r_2").to_string());
    assert_silent(&world, &event, "the run has a link alone, to another pipeline of the project").await;
}

#[tokio::test]
async fn a_link_that_somebody_else_set_is_kept_beside_the_pipeline_s() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = foreign_pipeline(&world, PROJECT).await;
    world.sandbox.glint.run("r_1").link("https://preview.example.com/7").external_id("gl_claim_r_1");
    world.sandbox.gitlab.finish(pipeline, "success");
    let mut event = world.hook(pipeline);
    event["body"] = json!(claiming(&world, &event, PROJECT, "r_1").to_string());
    assert_eq!(world.post(&event).await.0, 200);
    let page = world.sandbox.gitlab.pipeline(pipeline).web_url;
    assert_eq!(world.run("r_1").links(), [page.as_str(), "https://preview.example.com/7"]);
    assert_eq!(world.run("r_1").status, "SUCCESS");
}

#[tokio::test]
async fn a_claim_that_was_made_with_the_client_secret_before_is_believed() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let pipeline = foreign_pipeline(&world, PROJECT).await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let mut event = world.hook(pipeline);
    event["body"] = json!(claiming(&world, &event, PROJECT, "r_1").to_string());
    let newer = "glint-sandbox-client-secret-after-its-rotation";
    world.sandbox.glint.rotate_secret(newer);
    let secret = json!({ "clientId": "client-id", "clientSecret": newer });
    world.sandbox.secrets.rotate("glint/credentials", secret.to_string());
    assert_eq!(world.post(&event).await.0, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn a_glint_of_the_older_shape_is_answered_by_link() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    world.sandbox.glint.run("r_1").older_shape();
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}
