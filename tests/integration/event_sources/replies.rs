//! What the URL answers, by what became of the request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::event_sources::ways::{as_base64, ask, request, webhook, webhook_to};
use crate::support::{World, message};
use sandbox::{Call, Fault};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn only_post_is_answered_and_that_is_said_before_anything_else() {
    let world = World::new().await;
    let large = "x".repeat(2 * MIB);
    let mut count = 0;
    for method in ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        for path in ["/", "/-/hooks/gitlab", "/acme/backend/billing", "/favicon.ico"] {
            for body in ["", "not json", &large] {
                let answer = world.handle(&request(method, path, "", body)).await.unwrap();
                assert_eq!(answer["statusCode"], 405, "{method} {path}");
                assert_eq!(answer["headers"]["allow"], "POST", "{method} {path}");
                count += 1;
            }
        }
    }
    println!("{count} requests");
    assert!(world.sandbox.journal.calls().is_empty(), "nothing was looked up");
}

#[tokio::test]
async fn an_older_payload_format_is_told_which_one_is_read() {
    let world = World::new().await;
    let older = json!({
        "resource": "/", "path": "/", "httpMethod": "POST", "headers": { "content-type": "application/json" },
        "requestContext": { "stage": "prod", "httpMethod": "POST" }, "body": message("r_1").to_string(), "isBase64Encoded": false
    });
    let answer = world.handle(&older).await.unwrap();
    assert_eq!(answer["statusCode"], 400, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains("payload format 2.0"), "{answer}");
}

#[tokio::test]
async fn the_size_comes_before_the_proof_and_the_proof_before_the_rest() {
    let world = World::new().await;
    let of = |length: usize| "x".repeat(length);
    let forged = |body: &str| request("POST", "/", "", body);
    let mut broken = webhook(&world, "{}");
    broken["isBase64Encoded"] = json!(true);
    // Read leniently it would name a run.
    let no_utf8 = *b"{\"context\":{\"runId\":\"r_1\"},\"note\":\"\xff\"}";
    let mut no_text = webhook(&world, "");
    let time = no_text["headers"]["x-glint-timestamp"].as_str().unwrap().to_owned();
    let proof = sandbox::signing::signature(crate::support::CLIENT_SECRET, &time, &no_utf8);
    no_text["headers"]["x-glint-signature"] = json!(proof);
    no_text["body"] = json!(STANDARD.encode(no_utf8));
    no_text["isBase64Encoded"] = json!(true);
    let table: [(&str, Value, u64, &str); 14] = [
        ("a byte too many", forged(&of(MIB + 1)), 413, "Unreadable"),
        ("a byte too many, signed", webhook(&world, &of(MIB + 1)), 413, "Unreadable"),
        ("a byte too many in base64", as_base64(forged(&of(MIB + 1))), 413, "Unreadable"),
        ("far too many in base64", as_base64(forged(&of(3 * MIB))), 413, "Unreadable"),
        ("just enough, unsigned", forged(&of(MIB)), 401, "Unauthenticated"),
        ("just enough in base64, unsigned", as_base64(forged(&of(MIB))), 401, "Unauthenticated"),
        ("unsigned and no JSON", forged("not json"), 401, "Unauthenticated"),
        ("an unsigned change log", forged(r#"{"resourceType":"entity","diff":{}}"#), 401, "Unauthenticated"),
        ("signed and no JSON", webhook(&world, "not json"), 400, "Unreadable"),
        ("signed and without a run", webhook(&world, "{}"), 400, "Unreadable"),
        ("signed and with no id", webhook(&world, r#"{"context":{"runId":"../r_1"}}"#), 400, "Unreadable"),
        ("signed and empty", webhook(&world, ""), 400, "Unreadable"),
        ("signed and no text", no_text, 400, "Unreadable"),
        ("base64 that is none", broken, 400, "Unreadable"),
    ];
    for (name, event, status, outcome) in table {
        let (answered, body) = ask(&world, &event).await;
        assert_eq!((answered, &body["outcome"]), (status, &json!(outcome)), "{name}: {body}");
        assert!(body["reason"].is_string() && body["hint"].is_string(), "{name}: {body}");
    }
    assert!(world.sandbox.journal.calls().iter().all(|call| *call == Call::GetSecret));
}

#[tokio::test]
async fn hooks_are_refused_where_none_are_expected() {
    let world = World::new().await;
    for path in ["/-/hooks/gitlab", "/-/hooks/gitlab/"] {
        for event in [request("POST", path, "", "{}"), webhook_to(&world, path, "", &message("r_1").to_string())] {
            let (status, body) = ask(&world, &event).await;
            assert_eq!(status, 403, "{path}: {body}");
            assert!(body["hint"].as_str().unwrap().contains("GITLAB_HOOK_SECRET_ID"), "{body}");
        }
    }
    assert!(world.sandbox.journal.calls().is_empty());
}

/// The message with another member of `invocationMethod`.
fn with_method(run: &str, name: &str, value: Value) -> String {
    let mut message = message(run);
    message["payload"]["action"]["invocationMethod"][name] = value;
    message.to_string()
}

fn with_ref(run: &str, name: &str) -> String {
    let mut message = message(run);
    message["payload"]["properties"]["ref"] = json!(name);
    message.to_string()
}

#[tokio::test]
async fn a_run_that_needs_no_other_try_is_answered_by_its_outcome() {
    let world = World::new().await;
    for id in ["r_1", "r_2", "r_3", "r_4", "r_5"] {
        world.sandbox.glint.run(id);
    }
    let change = json!({ "context": { "runId": "r_5" }, "resourceType": "entity", "diff": {} }).to_string();
    let table = [
        ("started", message("r_1").to_string(), 200, "Started", json!("r_1")),
        ("a second time", message("r_1").to_string(), 200, "Duplicate", json!("r_1")),
        ("unknown to Glint", message("r_0").to_string(), 200, "Ignored", json!("r_0")),
        ("another backend", with_method("r_5", "type", json!("GITHUB")), 200, "Ignored", json!("r_5")),
        ("a change log", change, 200, "Ignored", json!(null)),
        ("no project", with_method("r_2", "projectName", json!("")), 422, "Invalid", json!("r_2")),
        ("a ref that git forbids", with_ref("r_3", "a..b"), 422, "Invalid", json!("r_3")),
        ("a ref that is not there", with_ref("r_4", "gone"), 502, "Rejected", json!("r_4")),
    ];
    for (name, text, status, outcome, run) in table {
        let (answered, body) = ask(&world, &webhook(&world, &text)).await;
        assert_eq!((answered, &body["outcome"], &body["runId"]), (status, &json!(outcome), &run), "{name}: {body}");
        assert_eq!(body["link"].is_string(), outcome == "Started", "{name}: {body}");
        assert_eq!(body["reason"].is_string(), !["Started", "Duplicate"].contains(&outcome), "{name}: {body}");
        assert_eq!(body["hint"].is_string(), outcome == "Invalid", "{name}: {body}");
    }
    assert_eq!(world.run("r_1").links().len(), 1);
    for (run, words) in [("r_2", "projectName"), ("r_3", "`ref`"), ("r_4", "Reference not found")] {
        let run = world.run(run);
        assert_eq!(run.status, "FAILURE", "{run:?}");
        assert!(run.summary.as_ref().unwrap().contains(words), "{run:?}");
        assert_eq!(run.logs.len(), 1, "{run:?}");
    }
    assert!(world.run("r_5").writes.is_empty());
}

/// A run whose trigger meets this fault, handled in place: the reply, and how the run stands.
async fn after(fault: Fault) -> (Value, sandbox::Run) {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.fail(Call::Trigger).every().with(fault);
    let answer = world.handle(&webhook(&world, &message("r_1").to_string())).await.unwrap();
    (answer, world.run("r_1"))
}

#[tokio::test]
async fn what_may_not_come_again_is_ended_in_glint_and_not_asked_for_again() {
    let throttled = r#"{"message":{"base":["Too many pipelines created in the last minute. Try again later."]}}"#;
    for (name, fault, status) in [
        ("429", Fault::throttled(30), 502),
        ("the throttle", Fault::status_with(400, throttled), 502),
        ("a lost answer", Fault::DropAfter, 504),
        ("a gateway's answer", Fault::status_after(502), 504),
        ("a garbled 201", Fault::Garbage, 504),
    ] {
        let (answer, run) = after(fault).await;
        assert_eq!(answer["statusCode"], status, "{name}: {answer}");
        assert!(answer["headers"]["retry-after"].is_null(), "{name}: {answer}");
        assert_eq!(run.status, "FAILURE", "{name}: {run:?}");
        let summary = run.summary.unwrap();
        let words = if status == 504 { "did not confirm" } else { "retries are exhausted" };
        assert!(summary.contains(words), "{name}: {summary}");
    }
}

#[tokio::test]
async fn what_glint_could_not_be_told_is_asked_for_again() {
    let mut world = World::new().await;
    world.time = std::time::Duration::from_millis(2500);
    world.sandbox.glint.run("r_1");
    world.sandbox.glint.refuse_all(Some(503));
    let answer = world.handle(&webhook(&world, &message("r_1").to_string())).await.unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");
    let wait: u32 = answer["headers"]["retry-after"].as_str().unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{answer}");
    assert!(world.sandbox.gitlab.pipelines().is_empty());
}

#[tokio::test]
async fn a_pipeline_that_glint_was_not_told_of_is_asked_for_again_and_found() {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    let links = |one: &sandbox::journal::Exchange| one.json()["link"].is_string();
    world.sandbox.fail(Call::PatchRun).of(links).every().with(Fault::status(422));
    let (status, body) = ask(&world, &webhook(&world, &message("r_1").to_string())).await;
    assert_eq!((status, &body["outcome"]), (503, &json!("Unreported")), "{body}");
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
    assert_eq!(body["link"], world.sandbox.gitlab.pipelines()[0].web_url);
}
