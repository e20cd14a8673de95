//! More than one that may end the run: a webhook that is not redelivered, and a pipeline that reports for itself.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, Handling, PROJECT, World, message, plain_client};
use rstest::rstest;
use sandbox::signing;
use sandbox::{Call, Fault};

/// A WEBHOOK action's delivery at the function URL, signed by Glint, with the project in its path.
fn webhook(world: &World, run: &str) -> Value {
    let mut message = message(run);
    let url = format!("https://example.lambda-url.eu-west-1.on.aws/{PROJECT}");
    message["payload"]["action"]["invocationMethod"] =
        json!({ "type": "WEBHOOK", "url": url, "agent": false, "synchronized": false });
    let (body, timestamp) = (message.to_string(), world.sandbox.now().timestamp().to_string());
    let signed = signing::signature(CLIENT_SECRET, &timestamp, body.as_bytes());
    let headers = [("x-glint-timestamp".to_owned(), timestamp), ("x-glint-signature".to_owned(), signed)];
    let mut event = crate::support::hook_request(&headers, &body);
    event["rawPath"] = json!(format!("/{PROJECT}"));
    event
}

/// Posts the webhook of `r_1` and loses GitLab's answer, but only once a hook has told that its pipeline reached `status`. The webhook's answer, and
/// the pipeline.
async fn lose_answer_after_hook(world: &World, status: &str) -> ((u16, Value), u64) {
    let trigger = world.sandbox.hold(Call::Trigger);
    world.sandbox.fail(Call::Trigger).with(Fault::ResetAfter);
    let request = webhook(world, "r_1");
    let hook = async {
        trigger.reached().await;
        let pipeline = world.sandbox.gitlab.pipelines()[0].id;
        assert_eq!(world.pipeline_reaches(pipeline, status).await, 200);
        trigger.release();
        pipeline
    };
    tokio::join!(world.post(&request), hook)
}

/// GitLab's answer is lost, and a hook of the pipeline has come by then.
#[rstest]
#[tokio::test]
async fn a_hook_that_came_before_a_lost_answer_keeps_a_webhook_s_run_alive(
    #[values("pending", "running")] status: &str,
) {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let ((reply, words), pipeline) = lose_answer_after_hook(&world, status).await;
    assert_eq!((reply, &words["outcome"]), (200, &json!("Duplicate")), "{words}");
    assert_eq!(world.run("r_1").status, "IN_PROGRESS", "nothing is in doubt: the pipeline has spoken");
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn a_final_hook_before_a_lost_answer_decides_how_a_webhook_s_run_ends() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let ((reply, _), pipeline) = lose_answer_after_hook(&world, "success").await;
    assert_eq!(reply, 200);
    world.assert_ended_once("r_1", pipeline, "success");
    assert_eq!(world.endings("r_1").1, 1);
}

#[tokio::test]
async fn a_lost_answer_without_a_hook_ends_a_webhook_s_run_and_a_later_hook_is_silent() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::Trigger).with(Fault::ResetAfter);
    assert_eq!(world.post(&webhook(&world, "r_1")).await.0, 504);
    let ended = world.run("r_1");
    assert_eq!((ended.status.as_str(), world.endings("r_1").0), ("FAILURE", 1));
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    assert_eq!(world.run("r_1"), ended);
}

/// What a pipeline that holds Glint's credentials does at its end; the status of Glint's answer.
async fn pipeline_reports(world: &World, run: &str, status: &str) -> u16 {
    let client = plain_client();
    let send = async |method: Method, path: String, bearer: &str, body: Value| {
        let request = client.request(method, format!("{}{path}", world.sandbox.glint.url()));
        let request =
            request.header("content-type", "application/json").header("authorization", format!("Bearer {bearer}"));
        request.body(body.to_string()).send().await.unwrap()
    };
    let credentials = json!({ "clientId": "client-id", "clientSecret": CLIENT_SECRET });
    let login = send(Method::POST, "/v1/auth/access_token".to_owned(), "", credentials).await.text().await.unwrap();
    let login: Value = serde_json::from_str(&login).unwrap();
    let body = json!({ "status": status, "message": { "run_status": "GitLab CI/CD Run completed successfully!" } });
    let token = login["accessToken"].as_str().unwrap();
    send(Method::PATCH, format!("/v1/actions/runs/{run}"), token, body).await.status().as_u16()
}

#[rstest]
#[tokio::test]
async fn a_pipeline_that_reports_first_has_the_last_word(
    #[values(Handling::InPlace, Handling::Queued)] handling: Handling,
) {
    let world = World::builder().hooks(handling).start().await;
    let pipeline = world.start_run("r_1").await;
    assert_eq!(pipeline_reports(&world, "r_1", "SUCCESS").await, 200);
    let before = world.run("r_1");
    world.pipeline_reaches(pipeline, "success").await;
    assert_eq!(world.receive_all().await, 0);
    assert_eq!(world.run("r_1"), before, "the hook is silent");
}

#[rstest]
#[tokio::test]
async fn a_hook_that_comes_first_has_the_last_word(#[values(Handling::InPlace, Handling::Queued)] handling: Handling) {
    let world = World::builder().hooks(handling).start().await;
    let pipeline = world.start_run("r_1").await;
    world.pipeline_reaches(pipeline, "failed").await;
    assert_eq!(world.receive_all().await, 0);
    assert_eq!(pipeline_reports(&world, "r_1", "SUCCESS").await, 422);
    world.assert_ended_once("r_1", pipeline, "failed");
}

#[tokio::test]
async fn a_pipeline_that_reports_while_its_hook_is_read_wins_and_the_hook_is_answered() {
    for call in [Call::GetRun, Call::PostLog] {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.gitlab.finish(pipeline, "failed");
        let hook = world.hook(pipeline);
        let hold = world.sandbox.hold(call);
        let report = async {
            hold.reached().await;
            assert_eq!(pipeline_reports(&world, "r_1", "SUCCESS").await, 200);
            hold.release();
        };
        let ((status, words), ()) = tokio::join!(world.post(&hook), report);
        assert_eq!((status, &words["outcome"]), (200, &json!("Duplicate")));
        assert_eq!((world.run("r_1").status.as_str(), world.endings("r_1").0), ("SUCCESS", 1));
    }
}

#[tokio::test]
async fn a_pipeline_that_reports_before_the_report_is_written_keeps_its_end() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.glint.run("r_1");
    let trigger = world.sandbox.hold(Call::Trigger);
    let report = async {
        trigger.reached().await;
        assert_eq!(pipeline_reports(&world, "r_1", "SUCCESS").await, 200);
        trigger.release();
    };
    let (again, ()) = tokio::join!(world.deliver("r_1"), report);
    assert_eq!(again, [0; 0]);
    let pipeline = world.sandbox.gitlab.pipelines()[0].id;
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200);
    assert_eq!((world.run("r_1").status.as_str(), world.endings("r_1").0), ("SUCCESS", 1));
}
