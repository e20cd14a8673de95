//! URLs of webhooks: the signature does not cover them, so they hold only where the action's own URL or a key says so.

use glint_gitlab_trigger::url_key;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::event_sources::ways::{ask, webhook_to};
use crate::support::{Handling, PROJECT, TOKEN, World, message};
use sandbox::Call;

const PATH: &str = "/acme/backend/billing";
const HOST: &str = "https://example.lambda-url.eu-west-1.on.aws";

async fn world() -> World {
    World::builder().run("r_1").branches(&["evil"]).start().await
}

/// A WEBHOOK message that tells this URL of its action, or none.
fn signed_for(url: Option<&str>) -> String {
    let mut message = message("r_1");
    message["payload"]["action"]["invocationMethod"] = json!({ "type": "WEBHOOK", "url": url });
    message.to_string()
}

fn nothing_was_done(world: &World, name: &str) {
    assert!(world.run("r_1").writes.is_empty(), "{name}");
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0, "{name}");
}

#[tokio::test]
async fn a_message_for_another_url_starts_nothing_and_writes_nothing() {
    for (url, path, query) in [
        ("https://hooks.example.com/for/others", PATH, ""),
        ("https://hooks.example.com/for/others", "/", ""),
        (&format!("{HOST}/acme/backend/ledger"), PATH, ""),
        (&format!("{HOST}{PATH}"), PATH, "ref=evil"),
        (&format!("{HOST}{PATH}"), PATH, "omitUserInputs=true"),
        (&format!("{HOST}{PATH}?ref=main"), PATH, ""),
        (&format!("{HOST}{PATH}?ref=main"), PATH, "ref=main&ref=evil"),
        (&format!("{HOST}/billing"), PATH, ""),
    ] {
        for told_by_the_message in [true, false] {
            let world = world().await;
            world.sandbox.glint.run("r_1").sent_to(url, Value::Null);
            let body = signed_for(told_by_the_message.then_some(url));
            let (status, answer) = ask(&world, &webhook_to(&world, path, query, &body)).await;
            let name = format!("{url} asked at {path}?{query}, told by the message: {told_by_the_message}: {answer}");
            assert_eq!((status, &answer["outcome"]), (401, &json!("Unauthenticated")), "{name}");
            assert_eq!(answer["runId"], Value::Null, "{name}");
            nothing_was_done(&world, &name);
        }
    }
}

#[tokio::test]
async fn the_actions_own_url_is_believed_however_it_is_spelled() {
    for (url, path, query) in [
        (format!("{HOST}{PATH}"), PATH, ""),
        (format!("{HOST}{PATH}/"), "/acme%2Fbackend%2Fbilling", ""),
        (
            "https://API.example.com/base/acme/backend/billing?ref=main".to_owned(),
            "//acme//backend/billing",
            "ref=main",
        ),
        (format!("{HOST}{PATH}?omitPayload=true&ref=release%2F1.4"), PATH, "ref=release/1.4&omitPayload=true"),
    ] {
        let world = world().await;
        let (status, answer) = ask(&world, &webhook_to(&world, path, query, &signed_for(Some(&url)))).await;
        assert_eq!((status, &answer["outcome"]), (200, &json!("Started")), "{url} {path}?{query}: {answer}");
        assert_eq!(world.sandbox.gitlab.pipelines()[0].project, PROJECT);
    }
}

#[tokio::test]
async fn where_nobody_tells_the_url_a_key_of_it_proves_it() {
    let token = SecretString::from(TOKEN);
    let key = url_key(&token, PATH);
    let with_ref = url_key(&token, &format!("{PATH}?ref=release/1.4"));
    for (query, status) in [
        (String::new(), 422),
        (format!("key={key}"), 200),
        (format!("ref=release/1.4&key={with_ref}"), 200),
        (format!("ref=evil&key={with_ref}"), 422),
        (format!("ref=evil&key={key}"), 422),
        ("key=".to_owned(), 422),
        (format!("key={}", url_key(&SecretString::from("glptt-other"), PATH)), 422),
    ] {
        let world = world().await;
        let (answered, answer) = ask(&world, &webhook_to(&world, PATH, &query, &signed_for(None))).await;
        assert_eq!(answered, status, "{query}: {answer}");
        assert_eq!(world.sandbox.gitlab.pipelines().len(), usize::from(status == 200), "{query}");
        assert!(status == 200 || answer["hint"].as_str().unwrap().contains("`key=...`"), "{query}: {answer}");
    }
}

#[tokio::test]
async fn a_message_that_names_its_project_takes_nothing_from_the_url() {
    let world = world().await;
    let body = message("r_1").to_string();
    let (status, _) = ask(&world, &webhook_to(&world, "/acme/other", "ref=evil&omitPayload=true", &body)).await;
    assert_eq!(status, 200);
    let pipeline = world.sandbox.gitlab.pipelines().remove(0);
    assert_eq!((pipeline.project.as_str(), pipeline.r#ref.as_str()), (PROJECT, "main"));
    assert!(pipeline.trigger_payload.contains("deploy_service"));
}

#[tokio::test]
async fn a_copy_with_another_url_does_not_displace_the_genuine_message_on_the_queue() {
    let world = World::builder().hooks(Handling::Queued).run("r_1").branches(&["evil"]).start().await;
    world.sandbox.glint.run("r_1").sent_to(&format!("{HOST}{PATH}"), Value::Null);
    let body = signed_for(None);
    for query in ["ref=evil", ""] {
        let (status, answer) = ask(&world, &webhook_to(&world, PATH, query, &body)).await;
        assert_eq!(status, 202, "{answer}");
    }
    let waiting = world.sandbox.queue.messages();
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert!(waiting[0].deduplication != waiting[1].deduplication);
    world.receive_all().await;
    let pipelines = world.sandbox.gitlab.pipelines();
    assert!(pipelines.iter().all(|pipeline| pipeline.r#ref == "main"), "{pipelines:?}");
}

#[tokio::test]
async fn what_this_function_did_not_put_on_the_queue_writes_no_run() {
    let world = world().await;
    let report = r#"{"v":1,"runId":"r_1","status":"SUCCESS","links":["https://evil.example.com"]}"#;
    let hook = r#"{"v":1,"pipelineId":1,"projectId":1,"url":"u","project":"acme/backend/billing","status":"success"}"#;
    for (kind, body) in [("report", report), ("hook", hook)] {
        for mac in [None, Some("v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")] {
            let mut event = crate::support::sqs_event(&[body], 1);
            let attributes = &mut event["Records"][0]["messageAttributes"];
            attributes["x-glint-kind"] = json!({ "stringValue": kind, "dataType": "String" });
            if let Some(mac) = mac {
                attributes["x-glint-mac"] = json!({ "stringValue": mac, "dataType": "String" });
            }
            let reply = world.handle(&event).await.unwrap();
            assert_eq!(crate::support::redelivered(&reply), [0], "{kind}");
            nothing_was_done(&world, kind);
        }
    }
}
