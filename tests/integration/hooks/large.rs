//! Hooks may be as large as Lambda takes them; of those that are queued, only the facts are.

use serde_json::{Value, json};

use crate::support::{Handling, World};
use sandbox::{Call, Fault};

/// Lambda's limit for an invocation, less what surrounds the body.
const LARGE: usize = 5_900_000;

fn grown(world: &World, pipeline: u64, grow: impl FnOnce(&mut Value, usize)) -> Value {
    let event = world.changed_hook(pipeline, |body| {
        let missing = LARGE - body.to_string().len();
        grow(body, missing);
    });
    assert!(event["body"].as_str().unwrap().len() > 5_500_000);
    event
}

fn builds(count: usize) -> Value {
    let build = |id: usize| {
        json!({
            "id": id, "name": format!("job {id}"), "stage": "deploy", "status": "failed", "allow_failure": false,
            "failure_reason": "script_failure", "user": { "name": "x".repeat(400) }
        })
    };
    (1..=count).map(build).collect()
}

#[tokio::test]
async fn six_megabytes_end_a_run_and_the_queue_sees_the_facts_alone() {
    let growths: [fn(&mut Value, usize); 3] = [
        |body, bytes| body["commit"]["message"] = json!("x".repeat(bytes)),
        |body, bytes| {
            body["object_attributes"]["variables"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "key": "BIG", "value": "y".repeat(bytes) }));
        },
        |body, bytes| body["builds"] = builds(bytes / 540),
    ];
    for handling in Handling::ALL {
        for grow in growths {
            let world = World::builder().hooks(handling).start().await;
            let pipeline = world.start_run("r_1").await;
            world.sandbox.gitlab.finish(pipeline, "failed");
            let (status, words) = world.post(&grown(&world, pipeline, grow)).await;
            assert_eq!(status, if handling == Handling::Queued { 202 } else { 200 }, "{words}");
            for message in world.sandbox.queue.messages() {
                println!("{} bytes are queued", message.body.len());
                assert!(message.body.len() < 64 * 1024, "{} bytes", message.body.len());
            }
            assert_eq!(world.receive_all().await, 0);
            world.assert_ended_once("r_1", pipeline, "failed");
        }
    }
}

#[tokio::test]
async fn beyond_lambda_s_limit_a_hook_is_too_large() {
    let world = World::builder().hooks(Handling::Queued).start().await;
    let pipeline = world.start_run("r_1").await;
    let event = world.changed_hook(pipeline, |body| body["commit"]["message"] = json!("x".repeat(6 * 1024 * 1024)));
    assert_eq!(world.post(&event).await.0, 413);
    assert!(world.sandbox.queue.messages().is_empty());
}

#[tokio::test]
async fn the_queue_gets_the_pipeline_s_group_and_the_hook_s_own_id() {
    let world = World::builder().hooks(Handling::Queued).start().await;
    world.sandbox.gitlab.sign_hooks_with("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let signed = world.hook(pipeline);
    let mut plain = world.changed_hook(pipeline, |body| body["object_attributes"]["status"] = json!("running"));
    for name in ["webhook-id", "webhook-signature", "webhook-timestamp"] {
        plain["headers"].as_object_mut().unwrap().remove(name);
    }
    for event in [&signed, &signed, &plain, &plain] {
        assert_eq!(world.post(event).await.0, 202);
    }
    let messages = world.sandbox.queue.messages();
    assert_eq!(messages.len(), 2, "a hook that is resent is the same hook");
    let digest = {
        use sha2::{Digest as _, Sha256};
        Sha256::digest(plain["body"].as_str().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let ids: Vec<_> = messages.iter().map(|message| message.deduplication.clone().unwrap()).collect();
    assert_eq!(ids, [signed["headers"]["webhook-id"].as_str().unwrap(), &digest]);
    for message in &messages {
        assert_eq!(message.group, Some(format!("gl_101_{pipeline}")));
        assert_eq!(message.attributes.get("x-glint-kind").map(String::as_str), Some("hook"));
        for secret in [crate::support::HOOK_TOKEN, "port_payload"] {
            assert!(!message.body.contains(secret), "{}", message.body);
        }
    }
}

#[tokio::test]
async fn a_queue_that_takes_nothing_leaves_the_hook_to_be_done_in_place() {
    for fault in [Fault::status(500), Fault::status(400), Fault::ResetBefore] {
        let world = World::builder().hooks(Handling::Queued).start().await;
        let pipeline = world.start_run("r_1").await;
        world.sandbox.fail(Call::SendMessage).every().with(fault);
        assert_eq!(world.pipeline_reaches(pipeline, "success").await, 200, "GitLab sends a hook once");
        world.assert_ended_once("r_1", pipeline, "success");
    }
}

#[tokio::test]
async fn a_deferred_hook_waits_as_long_as_glint_asks() {
    let world = World::builder().hooks(Handling::Queued).start().await;
    let pipeline = world.start_run("r_1").await;
    assert_eq!(world.pipeline_reaches(pipeline, "success").await, 202);
    world.sandbox.fail(Call::GetRun).every().with(Fault::throttled(120));
    let received = world.sandbox.queue.receive(10);
    let reply = world.handle(&received).await.unwrap();
    assert_eq!(reply["batchItemFailures"].as_array().unwrap().len(), 1);
    let asked = world.sandbox.journal.of(Call::ChangeVisibility);
    let seconds: Vec<u64> = asked.iter().filter_map(|one| one.json()["VisibilityTimeout"].as_u64()).collect();
    assert!(matches!(seconds.as_slice(), [120..=180]), "what Glint asks for, and up to a minute more: {seconds:?}");
}
