//! What an event asks for, however deep its messages are wrapped.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// A run that a message of Glint asks for.
pub struct AskedRun {
    pub id: String,
    pub inputs: Value,
    pub project: Option<String>,
}

/// A pipeline that a hook of GitLab is about.
pub struct ToldPipeline {
    pub run: Option<String>,
    pub external_id: String,
    pub url: String,
}

/// Every run that the event asks for, once each.
pub fn runs(event: &Value) -> Vec<AskedRun> {
    let mut runs: Vec<AskedRun> = Vec::new();
    for message in objects(event) {
        let ids = [&message["context"]["runId"], &message["port_context"]["runId"], &message["run"]["id"]];
        let Some(id) = ids.into_iter().find_map(Value::as_str) else { continue };
        if runs.iter().any(|run| run.id == id) {
            continue;
        }
        let method = &message["payload"]["action"]["invocationMethod"];
        let project = method["groupName"].as_str().zip(method["projectName"].as_str());
        runs.push(AskedRun {
            id: id.to_owned(),
            inputs: message["payload"].get("properties").cloned().unwrap_or_else(|| json!({})),
            project: project.map(|(group, name)| format!("{group}/{name}")),
        });
    }
    runs
}

/// The project that a URL or a relay's attributes name.
pub fn named_projects(event: &Value) -> Vec<String> {
    let path = event["rawPath"].as_str().map(|path| path.trim_matches('/'));
    let path = path.filter(|path| path.contains('/') && !path.ends_with("-/hooks/gitlab"));
    let attributes =
        objects(event).into_iter().filter_map(|object| object["project"]["stringValue"].as_str().map(str::to_owned));
    path.map(str::to_owned).into_iter().chain(attributes).collect()
}

/// The pipeline of a hook.
pub fn pipeline(event: &Value) -> Option<ToldPipeline> {
    let hook = objects(event).into_iter().find(|object| object["object_kind"] == "pipeline")?;
    let facts = &hook["object_attributes"];
    let payload = facts["variables"].as_array().into_iter().flatten().find(|one| one["key"] == "TRIGGER_PAYLOAD");
    let payload: Option<Value> = payload.and_then(|one| serde_json::from_str(one["value"].as_str()?).ok());
    Some(ToldPipeline {
        run: payload.and_then(|payload| payload["glint"]["runId"].as_str().map(str::to_owned)),
        external_id: format!("gl_{}_{}", hook["project"]["id"], facts["id"]),
        url: facts["url"].as_str()?.to_owned(),
    })
}

/// Every object in `value`, also those inside JSON texts and base64.
fn objects(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) => {
            let inner = members.values().flat_map(objects);
            std::iter::once(value.clone()).chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(objects).collect(),
        Value::String(text) => decoded(text).iter().flat_map(objects).collect(),
        _ => Vec::new(),
    }
}

fn decoded(text: &str) -> Option<Value> {
    match text.bytes().next()? {
        b'{' => serde_json::from_str(text).ok(),
        b'e' => serde_json::from_slice(&BASE64_STANDARD.decode(text).ok()?).ok(),
        _ => None,
    }
}
