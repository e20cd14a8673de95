//! The parameters of a request, from its query, its form or its JSON, and what Grape says of them.

use super::{Answer, error, message};
use crate::http::{Request, form_pairs};
use crate::ordered::{Members, depth};
use crate::ruby_json::{self, rewrite};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// GitLab's JSON validation refuses what is nested deeper.
const MAX_NESTING: usize = 32;

/// A trigger request that says what it has to say; whether it may is another matter.
pub(super) struct TriggerParams {
    pub token: String,
    pub r#ref: String,
    pub variables: BTreeMap<String, String>,
    pub inputs: Map<String, Value>,
    /// What becomes `TRIGGER_PAYLOAD`.
    pub payload: String,
}

/// Reads the request, and refuses what GitLab refuses before it looks for the project.
pub(super) fn trigger_params(id: &str, ref_in_url: Option<String>, request: &Request) -> Result<TriggerParams, Answer> {
    let mut members = params(request)?;
    if let Some(name) = ref_in_url {
        members.set("ref", &json!(name).to_string());
    }
    let faults = faults(&members);
    if !faults.is_empty() {
        return Err(error(400, &faults.join(", ")));
    }
    if request.header("x-gitlab-event") == Some("Pipeline Hook") {
        return Err(message(403, "403 Forbidden"));
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
    members.set("id", &ruby_json::text(id));
    Ok(TriggerParams { token, r#ref: name, variables, inputs, payload: rewrite(&members.to_json()) })
}

/// Query and body together; the body wins.
fn params(request: &Request) -> Result<Members, Answer> {
    let mut members = Members::default();
    form(&mut members, request.params());
    let kind = request.header("content-type").unwrap_or_default();
    match kind.split(';').next().map(str::trim).unwrap_or_default() {
        "application/json" => {
            if depth(&request.body) > MAX_NESTING {
                return Err(error(400, "Parameters nested too deeply"));
            }
            let body = Members::parse(&request.body);
            let body = body.ok_or_else(|| error(400, "There was a problem in the JSON you submitted"))?;
            body.iter().for_each(|(key, value)| members.set(key, value));
        }
        "application/x-www-form-urlencoded" => form(&mut members, form_pairs(&String::from_utf8_lossy(&request.body))),
        "" if request.body.is_empty() => {}
        _ => return Err(error(415, &format!("The provided content-type '{kind}' is not supported."))),
    }
    Ok(members)
}

/// `variables[KEY]=value` is a member of an object; every value is a text.
fn form(members: &mut Members, pairs: Vec<(String, String)>) {
    for (name, value) in pairs {
        match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((object, key)) => {
                let mut inner = match members.value(object) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                inner.insert(key.to_owned(), json!(value));
                members.set(object, &Value::Object(inner).to_string());
            }
            None => members.set(&name, &json!(value).to_string()),
        }
    }
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
        if members.value(key).is_some_and(|value| !value.is_object() && !value.is_null()) {
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
