//! `POST /projects/:id/trigger/pipeline`, in the order in which GitLab checks. Of the content types that GitLab takes
//! only JSON is understood.

use super::project::Configuration;
use super::{GitLab, Pipeline, Project, State, base, message};
use crate::http::{Answer, Request};
use crate::ordered::{Members, depth};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// GitLab's JSON validation refuses what is nested deeper.
const DEEPEST: usize = 32;

/// A request that says what a trigger has to say; whether it may is another matter.
struct Order {
    token: String,
    r#ref: String,
    variables: BTreeMap<String, String>,
    inputs: Map<String, Value>,
    payload: String,
}

impl GitLab {
    pub(super) fn trigger(&self, id: &str, ref_in_url: Option<String>, request: &Request) -> Answer {
        let order = match order(id, ref_in_url, request) {
            Ok(order) => order,
            Err(refusal) => return refusal,
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let project = state.project(id).filter(|project| project.tokens.contains(&order.token));
        let Some(project) = project.cloned() else {
            return message(404, "404 Not Found");
        };
        if let Some(refusal) = refusal(&project, &order, &mut state, now) {
            return refusal;
        }
        let failure = failure(&project, &order);
        let status = if failure.is_some() { "failed" } else { "created" };
        let pipeline = self.create(&mut state, project, order, now);
        pipeline.yaml_errors.clone_from(&failure);
        pipeline.reach(status, now);
        match failure {
            Some(words) => base(422, &words),
            None => Answer::json(201, &pipeline.full(&self.url)),
        }
    }

    fn create<'a>(&self, state: &'a mut State, project: Project, order: Order, now: DateTime<Utc>) -> &'a mut Pipeline {
        let id = 1001 + state.pipelines.len() as u64;
        let siblings = state.pipelines.iter().filter(|one| one.project_id == project.id);
        let pipeline = Pipeline {
            id,
            iid: 1 + siblings.count() as u64,
            project_id: project.id,
            sha: project.head(&order.r#ref),
            tag: project.tags.contains(&order.r#ref),
            r#ref: order.r#ref,
            status: "created".to_owned(),
            source: "trigger".to_owned(),
            variables: order.variables,
            inputs: order.inputs,
            trigger_payload: order.payload,
            web_url: format!("{}/{}/-/pipelines/{id}", self.url, project.path),
            project: project.path,
            owner: project.owner,
            yaml_errors: None,
            jobs: Vec::new(),
            created_at: now,
            updated_at: now,
            finished_at: None,
        };
        state.pipelines.push(pipeline);
        state.pipelines.last_mut().expect("one was pushed")
    }
}

/// Reads the request, and refuses what GitLab refuses before it looks for the project.
fn order(id: &str, ref_in_url: Option<String>, request: &Request) -> Result<Order, Answer> {
    let error = |words: &str| Answer::json(400, &json!({ "error": words }));
    if !request.is_json() {
        let kind = request.header("content-type").unwrap_or_default();
        let words = format!("The provided content-type '{kind}' is not supported.");
        return Err(Answer::json(415, &json!({ "error": words })));
    }
    if depth(&request.body) > DEEPEST {
        return Err(error("Parameters nested too deeply"));
    }
    let Some(mut members) = Members::parse(&request.body) else {
        return Err(error("There was a problem in the JSON you submitted"));
    };
    if let Some(name) = ref_in_url {
        members.set("ref", &json!(name).to_string());
    }
    if request.header("x-gitlab-event").is_some() {
        return Err(message(403, "403 Forbidden"));
    }
    let faults = faults(&members);
    if !faults.is_empty() {
        return Err(error(&faults.join(", ")));
    }
    let text = |key: &str| members.value(key).and_then(|value| value.as_str().map(str::to_owned));
    let (token, name) = (text("token").unwrap_or_default(), text("ref").unwrap_or_default());
    let variables = strings(members.value("variables"))
        .ok_or_else(|| message(400, "variables needs to be a map of key-valued strings"))?;
    let inputs = match members.value("inputs") {
        Some(Value::Object(inputs)) => inputs,
        _ => Map::new(),
    };
    members.remove("token");
    if !members.contains("variables") {
        members.set("variables", "{}");
    }
    members.remove("id");
    members.set("id", &json!(id).to_string());
    Ok(Order { token, r#ref: name, variables, inputs, payload: members.to_json() })
}

/// What is wrong with the declared parameters, in GitLab's words.
fn faults(members: &Members) -> Vec<String> {
    let mut faults = Vec::new();
    for key in ["ref", "token"] {
        match members.value(key) {
            None => faults.push(format!("{key} is missing")),
            Some(Value::String(text)) if key == "ref" && text.trim().is_empty() => {
                faults.push("ref is empty".to_owned());
            }
            Some(Value::String(_)) => {}
            Some(_) => faults.push(format!("{key} is invalid")),
        }
    }
    for key in ["variables", "inputs"] {
        if members.value(key).is_some_and(|value| !value.is_object()) {
            faults.push(format!("{key} is invalid"));
        }
    }
    faults
}

fn strings(variables: Option<Value>) -> Option<BTreeMap<String, String>> {
    let Some(Value::Object(members)) = variables else {
        return Some(BTreeMap::new());
    };
    let members = members.into_iter();
    members
        .map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            _ => None,
        })
        .collect()
}

/// Why no pipeline is created at all.
fn refusal(project: &Project, order: &Order, state: &mut State, now: DateTime<Utc>) -> Option<Answer> {
    let restricted = project.variables_restricted && !order.variables.is_empty();
    if restricted || project.payload_restricted {
        return Some(base(400, "Insufficient permissions to set pipeline variables"));
    }
    if !project.has_ref(&order.r#ref) {
        return Some(base(400, "Reference not found"));
    }
    if let Some(limit) = project.per_minute {
        let minute = now.timestamp().div_euclid(60);
        let scope = (project.id, project.owner.clone(), project.head(&order.r#ref), minute);
        let created = state.created.entry(scope).or_default();
        *created += 1;
        if *created > limit {
            return Some(base(400, "Too many pipelines created in the last minute. Try again later."));
        }
    }
    match project.configuration {
        Configuration::Missing => return Some(base(400, "Missing CI config file")),
        Configuration::FilteredOut => {
            return Some(base(400, "Pipeline filtered out by workflow rules."));
        }
        Configuration::Valid | Configuration::Broken => {}
    }
    if let Some(name) = order.inputs.keys().find(|name| !project.inputs.contains(name)) {
        return Some(base(400, &format!("unknown input arguments: {name}")));
    }
    let is_key = |key: &str| {
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (1..=255).contains(&key.len()) && plain
    };
    if order.variables.keys().any(|key| !is_key(key.trim())) {
        let words = "can contain only letters, digits and '_'.";
        let body = json!({ "message": { "base": ["Failed to build the pipeline!"], "variables.key": [words] } });
        return Some(Answer::json(400, &body));
    }
    None
}

/// Why a pipeline is created that has failed from the start.
fn failure(project: &Project, order: &Order) -> Option<String> {
    if order.variables.contains_key("TRIGGER_PAYLOAD") {
        return Some("Duplicate variable name: TRIGGER_PAYLOAD".to_owned());
    }
    let broken = project.configuration == Configuration::Broken;
    broken.then(|| "jobs config should contain at least one visible job".to_owned())
}
