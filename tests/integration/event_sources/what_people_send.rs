//! Messages as people send them, each kind with siblings: what is the user's, where the run id is, and what is of a wrong type.

use serde_json::{Value, json};

use crate::event_sources::ways::{ask, webhook_to, with_headers};
use crate::support::{World, message, redelivered, sqs_event};
use sandbox::Pipeline;

const PATH: &str = "/acme/backend/billing";
const URL: &str = "https://example.lambda-url.eu-west-1.on.aws/acme/backend/billing";

async fn world(sent: &Value) -> World {
    let branches = ["2024", "refs/heads/release/1.4", "release/2"];
    let world = World::builder().run("r_1").branches(&branches).start().await;
    world.sandbox.glint.run("r_1").sent_to(URL, sent.clone());
    world
}

/// The pipeline of a templated body that was sent to the project's URL.
async fn webhook(body: &Value) -> Pipeline {
    let world = world(body).await;
    let (status, answer) = ask(&world, &webhook_to(&world, PATH, "", &body.to_string())).await;
    assert_eq!((status, &answer["outcome"]), (200, &json!("Started")), "{body}: {answer}");
    world.sandbox.gitlab.pipelines().remove(0)
}

/// A GITLAB message with these user inputs, and these members of its `invocationMethod`.
fn gitlab(inputs: &Value, method: &Value) -> Value {
    let mut message = message("r_1");
    message["payload"]["properties"] = inputs.clone();
    for (name, value) in method.as_object().unwrap() {
        message["payload"]["action"]["invocationMethod"][name] = value.clone();
    }
    message
}

async fn queued(message: &Value) -> World {
    let world = world(&Value::Null).await;
    let reply = world.handle(&sqs_event(&[&message.to_string()], 1)).await.unwrap();
    assert!(redelivered(&reply).is_empty(), "{message}: {reply}");
    world
}

/// The pipeline of a GITLAB message.
async fn started(message: &Value) -> Pipeline {
    let world = queued(message).await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1, "{message}: {:?}", world.run("r_1").summary);
    world.sandbox.gitlab.pipelines().remove(0)
}

/// The sentence with which a GITLAB message is refused.
async fn refused(message: &Value) -> String {
    let world = queued(message).await;
    assert!(world.sandbox.gitlab.pipelines().is_empty(), "{message}");
    let run = world.run("r_1");
    assert_eq!(run.status, "FAILURE", "{message}");
    run.summary.unwrap()
}

#[tokio::test]
async fn names_in_a_templated_body_belong_to_the_user() {
    let context = json!({ "runId": "r_1" });
    for (body, variables) in [
        (json!({ "action": "destroy", "ref": "release/1.4" }), json!({ "action": "destroy", "ref": "release/1.4" })),
        (json!({ "action": { "a": 1 }, "zone": "b" }), json!({ "action": "{\"a\":1}", "zone": "b" })),
        (json!({ "resourceType": "s3", "zone": "b" }), json!({ "resourceType": "s3", "zone": "b" })),
        (json!({ "diff": true, "zone": "b" }), json!({ "diff": "true", "zone": "b" })),
        (json!({ "changelogDestination": "x" }), json!({ "changelogDestination": "x" })),
        (json!({ "inputs": { "a": 1 }, "zone": "b" }), json!({ "inputs": "{\"a\":1}", "zone": "b" })),
        (json!({ "payload": { "a": 1 }, "zone": "b" }), json!({ "payload": "{\"a\":1}", "zone": "b" })),
        (
            json!({ "run": "nightly", "headers": "x", "glint": 1 }),
            json!({ "run": "nightly", "headers": "x", "glint": "1" }),
        ),
        (
            json!({ "approval_status": "approved", "deploy_run_id": null }),
            json!({ "approval_status": "approved", "deploy_run_id": "null" }),
        ),
    ] {
        let mut sent = body.clone();
        sent["port_context"] = context.clone();
        let pipeline = webhook(&sent).await;
        assert_eq!(json!(pipeline.variables), variables, "{body}");
        assert_eq!(pipeline.r#ref, body["ref"].as_str().unwrap_or("main"), "{body}");
    }
}

#[tokio::test]
async fn the_member_that_holds_the_run_id_is_no_variable() {
    for place in [
        json!({ "RUN_ID": "r_1" }),
        json!({ "port_run_id": "r_1" }),
        json!({ "runId": "r_1" }),
        json!({ "run_id": "r_1" }),
        json!({ "run": { "id": "r_1" } }),
        json!({ "port_context": { "run_id": "r_1" } }),
        json!({ "port_payload": { "runId": "r_1" } }),
    ] {
        let mut sent = place.clone();
        sent["account_name"] = json!("sandbox-7");
        assert_eq!(json!(webhook(&sent).await.variables), json!({ "account_name": "sandbox-7" }), "{place}");
    }
}

#[tokio::test]
async fn the_header_run_id_is_believed_where_glint_shows_that_it_sent_this_message() {
    let body = json!({ "service": "billing" });
    let other = json!({ "service": "ledger" });
    for (shown, url, named, status) in [
        (&body, URL, "r_1", 200),
        (&other, URL, "r_1", 400),
        (&body, "https://example.com/hook", "r_1", 400),
        (&Value::Null, URL, "r_1", 400),
        (&body, URL, "r_2", 400),
        (&body, URL, "../r_1", 400),
    ] {
        let world = world(&Value::Null).await;
        world.sandbox.glint.run("r_1").sent_to(url, shown.clone());
        let event = with_headers(webhook_to(&world, PATH, "", &body.to_string()), &[("RUN_ID", named)]);
        let (answered, answer) = ask(&world, &event).await;
        assert_eq!(answered, status, "{shown} {url} {named}: {answer}");
        assert_eq!(world.sandbox.gitlab.pipelines().len(), usize::from(status == 200), "{shown} {url} {named}");
        assert!(status == 200 || world.run("r_1").writes.is_empty(), "{shown} {url} {named}");
    }
}

#[tokio::test]
async fn a_ref_may_be_a_number_and_of_no_other_type() {
    for (input, default, expected) in [
        (json!(2024), json!("main"), "2024"),
        (Value::Null, json!(2024), "2024"),
        (json!(""), json!("release/2"), "release/2"),
        (Value::Null, Value::Null, "main"),
    ] {
        let pipeline = started(&gitlab(&json!({ "ref": input }), &json!({ "defaultRef": default }))).await;
        assert_eq!(pipeline.r#ref, expected, "{input} {default}");
    }
    for wrong in [json!(["dev"]), json!({ "name": "dev" }), json!(true), json!(false), json!([])] {
        let sentence = refused(&gitlab(&json!({ "ref": wrong }), &json!({}))).await;
        assert!(sentence.contains("the user input `ref` is a"), "{wrong}: {sentence}");
        let sentence = refused(&gitlab(&json!({}), &json!({ "defaultRef": wrong }))).await;
        assert!(sentence.contains("the action's `defaultRef` is a"), "{wrong}: {sentence}");
    }
}

#[tokio::test]
async fn pipeline_variables_are_an_object_or_a_list_of_keys_and_values() {
    let inputs = json!({ "service": "billing" });
    for (variables, expected) in [
        (json!([{ "key": "ENV", "value": "prod" }]), json!({ "ENV": "prod" })),
        (json!([{ "key": "A", "value": 1 }, { "key": "B", "value": null }]), json!({ "A": "1", "B": "null" })),
        (json!({ "ENV": "prod", "N": [1] }), json!({ "ENV": "prod", "N": "[1]" })),
        (json!([]), inputs.clone()),
        (json!({}), inputs.clone()),
    ] {
        let pipeline = started(&gitlab(&inputs, &json!({ "pipelineVariables": variables }))).await;
        assert_eq!(json!(pipeline.variables), expected, "{variables}");
    }
    for wrong in [
        json!(7),
        json!(true),
        json!("{\"ENV\":\"prod\"}"),
        json!(""),
        json!(["ENV"]),
        json!([{ "key": "ENV" }]),
        json!([{ "key": 1, "value": 2 }]),
        json!([{ "key": "A", "value": 1 }, { "key": "A", "value": 2 }]),
    ] {
        let sentence = refused(&gitlab(&inputs, &json!({ "pipelineVariables": wrong }))).await;
        assert!(sentence.contains("the action's `pipelineVariables`"), "{wrong}: {sentence}");
    }
    let sentence = refused(&gitlab(&inputs, &json!({ "pipelineVariables": { "LD_PRELOAD": "x" } }))).await;
    assert!(sentence.contains("`LD_PRELOAD` of the action's `pipelineVariables` is a reserved"), "{sentence}");
}

#[tokio::test]
async fn secret_inputs_that_were_left_empty_have_nothing_to_decrypt() {
    for (value, shown) in [(Value::Null, "null"), (json!(""), "")] {
        let mut message = gitlab(&json!({ "service": "a", "db_password": value }), &json!({}));
        message["payload"]["censoredProperties"] = json!(["db_password", "absent"]);
        let pipeline = started(&message).await;
        assert_eq!(json!(pipeline.variables), json!({ "service": "a", "db_password": shown }));
    }
}

#[tokio::test]
async fn everyday_names_that_only_look_reserved_pass() {
    let inputs = json!({ "bucket_name": "logs", "aws_region": "eu-west-1", "git_branch": "x", "docker_image": "y", "kubernetes_version": "1" });
    assert_eq!(json!(started(&gitlab(&inputs, &json!({}))).await.variables), inputs);
}

#[tokio::test]
async fn a_pipeline_that_reports_for_itself_is_told_so_in_its_payload() {
    for (flag, expected) in [(json!(false), json!(false)), (json!("false"), json!(false)), (json!(true), Value::Null)] {
        let pipeline = started(&gitlab(&json!({}), &json!({ "reportPipelineStatus": flag }))).await;
        let payload: Value = serde_json::from_str(&pipeline.trigger_payload).unwrap();
        assert_eq!(payload["glint"]["reportPipelineStatus"], expected, "{flag}: {payload}");
    }
}

#[tokio::test]
async fn a_project_of_a_wrong_type_never_becomes_another_one() {
    for method in [
        json!({ "groupName": 7 }),
        json!({ "groupName": ["acme"] }),
        json!({ "projectName": {} }),
        json!({ "projectName": true }),
    ] {
        let sentence = refused(&gitlab(&json!({}), &method)).await;
        let name = method.as_object().unwrap().keys().next().unwrap();
        assert!(sentence.contains(&format!("`{name}` is a")), "{method}: {sentence}");
    }
}

#[tokio::test]
async fn a_pasted_url_of_gitlabs_api_is_called_that() {
    for path in [
        "/api/v4/projects/100/ref/main/trigger/pipeline",
        "/api/v4/projects/acme%2Fshop/trigger/pipeline",
        "/gitlab/api/v4/projects/7",
    ] {
        let body = json!({ "port_context": { "runId": "r_1" } });
        let world = world(&body).await;
        world.sandbox.glint.run("r_1").sent_to(&format!("https://fn.example.com{path}"), body.clone());
        let (status, answer) = ask(&world, &webhook_to(&world, path, "", &body.to_string())).await;
        assert_eq!(status, 422, "{path}: {answer}");
        assert!(answer["reason"].as_str().unwrap().contains("GitLab's own API"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_workflows_node_is_told_that_it_is_none_of_ours() {
    let world = world(&Value::Null).await;
    let body = json!({ "context": { "runId": "wfnr_abc123" }, "service": "billing" });
    let (status, answer) = ask(&world, &webhook_to(&world, PATH, "", &body.to_string())).await;
    assert_eq!((status, &answer["outcome"]), (422, &json!("Invalid")), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("node of a workflow"), "{answer}");
}
