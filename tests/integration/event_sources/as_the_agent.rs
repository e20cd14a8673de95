//! What GitLab is sent, compared with what Glint's agent would send for the same message. The differences are those of `docs/migrating.md`.

use serde_json::{Map, Value, json};

use super::secret_inputs::sealed;
use crate::support::{CLIENT_SECRET, PROJECT, TOKEN, World, message};
use sandbox::{Call, Exchange};

const DOCUMENT: &str = include_str!("../../../docs/migrating.md");
const TABLE: &str = "### What is sent differently";
/// The row that holds for each message.
const EVERY: &str = "every message";

/// A message, and the row of the document that says why it is sent differently; none where it is not.
type Case = (Option<&'static str>, Value);

/// What the agent's mapping of GITLAB actions makes of a message.
fn of_agent(message: &Value) -> Value {
    let method = &message["payload"]["action"]["invocationMethod"];
    let inputs = message["payload"]["properties"].as_object().cloned().unwrap_or_default();
    let is_there = |value: &&Value| !matches!(value, Value::Null | Value::Bool(false));
    let given = inputs.get("ref").filter(is_there).or_else(|| Some(&method["defaultRef"]).filter(is_there));
    let project =
        format!("{}/{}", method["groupName"].as_str().unwrap_or(""), method["projectName"].as_str().unwrap_or(""));
    let variables: Map<String, Value> = inputs.iter().map(|(name, value)| (name.clone(), to_string(value))).collect();
    let mut payload = message.clone();
    payload.as_object_mut().unwrap().remove("headers");
    json!({
        "ref": given.cloned().unwrap_or(json!("main")),
        "token": if project == PROJECT { json!(TOKEN) } else { json!(null) },
        "variables": if method["omitUserInputs"] == true { json!({}) } else if variables.is_empty() { json!(null) } else { json!(variables) },
        "port_payload": if method["omitPayload"] == true { json!({}) } else { payload },
    })
}

/// jq's `tostring`, whose numbers are doubles.
fn to_string(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text),
        Value::Number(number) => json!(number.as_f64().unwrap_or_default().to_string()),
        other => json!(other.to_string()),
    }
}

/// What this function sends; nothing where it refuses the run.
async fn of_function(message: &Value) -> Option<Value> {
    let world = World::builder().run("r_1").branches(&["2024", "dev", "12"]).start().await;
    assert!(world.queue(&[&message.to_string()]).await.is_empty(), "{message}");
    let sent = world.sandbox.journal.of(Call::Trigger).first().map(Exchange::json);
    assert_eq!(world.run("r_1").status == "FAILURE", sent.is_none(), "{message}");
    sent
}

fn with(properties: Value, method: &Value) -> Value {
    let mut message = message("r_1");
    message["payload"]["properties"] = properties;
    for (name, value) in method.as_object().unwrap() {
        message["payload"]["action"]["invocationMethod"][name] = value.clone();
    }
    message
}

fn cases() -> Vec<Case> {
    let inputs = || json!({ "service": "billing" });
    let plain = json!({});
    let mut secret = with(json!({ "password": sealed("hunter2", CLIENT_SECRET) }), &plain);
    secret["payload"]["censoredProperties"] = json!(["password"]);
    let mut with_others = with(inputs(), &plain);
    with_others["anything"] = json!({ "a": [1, null, { "b": "é" }] });
    vec![
        (None, message("r_1")),
        (None, with_others),
        (None, with(json!({ "text": " é $X ", "number": 3, "yes": true, "no": false, "nothing": null }), &plain)),
        (None, with(json!({ "list": [1, "a", null], "object": { "a": { "b": [] } }, "empty": "" }), &plain)),
        (None, with(json!({ "ref": "dev", "service": "billing" }), &plain)),
        (None, with(json!({ "ref": null }), &json!({ "defaultRef": "dev" }))),
        (None, with(inputs(), &json!({ "defaultRef": "dev" }))),
        (None, with(inputs(), &json!({ "defaultRef": null }))),
        (None, with(inputs(), &json!({ "omitPayload": true }))),
        (None, with(inputs(), &json!({ "omitUserInputs": true }))),
        (None, with(json!({}), &json!({ "omitUserInputs": true, "omitPayload": true }))),
        (None, with(inputs(), &json!({ "groupName": "acme", "projectName": "backend/billing" }))),
        (Some("no user inputs"), with(json!({}), &plain)),
        (Some("no user inputs"), with(json!(null), &plain)),
        (Some("`ref` is an empty string"), with(json!({ "ref": "" }), &plain)),
        (Some("`ref` is a number"), with(json!({ "ref": 2024 }), &plain)),
        (Some("`ref` is a number"), with(inputs(), &json!({ "defaultRef": 12 }))),
        (Some("`ref` is `false`"), with(json!({ "ref": false }), &plain)),
        (
            Some("a number that a double spells otherwise"),
            with(json!({ "size": 12_345_678_901_234_567_890_u64 }), &plain),
        ),
        (Some("a number that a double spells otherwise"), with(json!({ "size": 1.0 }), &plain)),
        (Some("no trigger token"), with(inputs(), &json!({ "projectName": "other" }))),
        (Some("no group or project"), with(inputs(), &json!({ "groupName": null }))),
        (Some("no group or project"), with(inputs(), &json!({ "projectName": "" }))),
        (Some("a reserved variable name"), with(json!({ "LD_PRELOAD": "x.so" }), &plain)),
        (Some("a secret input"), secret),
        (Some("`pipelineVariables`"), with(inputs(), &json!({ "pipelineVariables": { "STAGE": "prod" } }))),
    ]
}

/// The first cells of the document's table.
fn rows() -> Vec<&'static str> {
    let table = DOCUMENT.split_once(TABLE).expect("the document has the table").1;
    let lines = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.trim_start_matches('|').split(" | ").next().unwrap().trim()).collect()
}

#[tokio::test]
async fn a_message_is_sent_as_the_agent_sends_it_but_for_the_documented_differences() {
    for (row, message) in cases() {
        let sent = of_function(&message).await.map(|mut body| {
            let glint = body.as_object_mut().unwrap().remove("glint").expect("each trigger names its run");
            assert_eq!(glint["runId"], "r_1", "{message}");
            body
        });
        assert_eq!(sent != Some(of_agent(&message)), row.is_some(), "{row:?}: {message}: {sent:?}");
    }
}

#[test]
fn the_documented_differences_are_those_that_are_compared() {
    let mut compared: Vec<&str> = cases().into_iter().filter_map(|(row, _)| row).collect();
    compared.push(EVERY);
    compared.dedup();
    assert_eq!(rows(), compared);
}
