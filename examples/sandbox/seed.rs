//! Projects, runs, secrets and faults as JSON, put into the sandbox.

use sandbox::{Call, Fault, Sandbox};
use serde_json::Value;
use std::time::Duration;

/// Everything a seed file holds; each part may be missing.
pub fn sow(sandbox: &Sandbox, seed: &Value) -> Result<(), String> {
    if let (Some(id), Some(secret)) = (text(&seed["glint"], "client_id"), text(&seed["glint"], "client_secret")) {
        sandbox.glint.credentials(&id, &secret);
    }
    for given in list(&seed["projects"]) {
        project(sandbox, given)?;
    }
    for given in list(&seed["runs"]) {
        run(sandbox, given)?;
    }
    for token in texts(&seed["read_tokens"]) {
        sandbox.gitlab.read_token(&token);
    }
    if let Some(token) = text(&seed["hook"], "token") {
        sandbox.gitlab.hook_token(&token);
    }
    if let Some(token) = text(&seed["hook"], "signing_token") {
        sandbox.gitlab.sign_hooks_with(&token);
    }
    secrets(sandbox, &seed["secrets"]);
    Ok(())
}

/// A secret is a text, or anything else as the JSON text of it.
pub fn secrets(sandbox: &Sandbox, given: &Value) {
    for (name, value) in given.as_object().into_iter().flatten() {
        sandbox.secrets.put(name, secret_text(value));
    }
}

pub fn secret_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub fn project(sandbox: &Sandbox, given: &Value) -> Result<(), String> {
    let path = text(given, "path").ok_or("a project needs `path`")?;
    let mut project = sandbox.gitlab.project(&path);
    for token in texts(&given["tokens"]) {
        project = project.token(&token);
    }
    for branch in texts(&given["branches"]) {
        project = project.branch(&branch);
    }
    for tag in texts(&given["tags"]) {
        project = project.tag(&tag);
    }
    if let Some(owner) = text(given, "owner") {
        project = project.owner(&owner);
    }
    if let Some(limit) = given["per_minute"].as_u64() {
        project = project.throttle(u32::try_from(limit).unwrap_or(u32::MAX));
    }
    if !given["inputs"].is_null() {
        let names = texts(&given["inputs"]);
        project = project.inputs(names.iter().map(String::as_str));
    }
    if given["restrict_variables"] == true {
        project = project.restrict_variables();
    }
    match text(given, "ci").as_deref() {
        None | Some("valid") => {}
        Some("missing") => drop(project.no_ci_file()),
        Some("filtered") => drop(project.workflow_filters()),
        Some("broken") => drop(project.yaml_error()),
        Some(other) => return Err(format!("`ci` cannot be `{other}`")),
    }
    Ok(())
}

pub fn run(sandbox: &Sandbox, given: &Value) -> Result<(), String> {
    let id = text(given, "id").ok_or("a run needs `id`")?;
    let mut run = sandbox.glint.run(&id);
    if let Some(status) = text(given, "status") {
        run = run.status(&status);
    }
    if let Some(label) = text(given, "status_label") {
        run = run.label(&label);
    }
    if let Some(link) = text(given, "link") {
        run = run.link(&link);
    }
    if let Some(external) = text(given, "external_run_id") {
        run = run.external_id(&external);
    }
    if given["properties"].is_object() {
        run = run.properties(given["properties"].clone());
    }
    if given["synchronized"] == true {
        run = run.synchronized();
    }
    if given["older_shape"] == true {
        run.older_shape();
    }
    Ok(())
}

/// `{"call": "Trigger", "nth": 1, "fault": "DropAfter"}`, with `"first": n` or `"every": true` in place of `nth`, and
/// in place of `fault` one of `"status": 503` (with `body`, `retry_after`, `applied`), `"redirect": "https://..."`,
/// `"delay_ms": 500`.
pub fn fault(sandbox: &Sandbox, given: &Value) -> Result<(), String> {
    let call = text(given, "call").as_deref().and_then(Call::named);
    let call = call.ok_or_else(|| format!("`call` must be one of {:?}", Call::ALL))?;
    let count = |key: &str| given[key].as_u64().and_then(|count| usize::try_from(count).ok());
    let mut rule = sandbox.fail(call);
    if let Some(count) = count("first") {
        rule = rule.first(count);
    } else if given["every"] == true {
        rule = rule.every();
    } else if let Some(number) = count("nth") {
        rule = rule.nth(number);
    }
    rule.with(kind(given)?);
    Ok(())
}

fn kind(given: &Value) -> Result<Fault, String> {
    if let Some(code) = status(given) {
        return Ok(Fault::Status {
            code,
            body: text(given, "body").unwrap_or_default(),
            retry_after: text(given, "retry_after"),
            applied: given["applied"] == true,
        });
    }
    if let Some(location) = text(given, "redirect") {
        return Ok(Fault::Redirect { status: 302, location });
    }
    if let Some(time) = given["delay_ms"].as_u64() {
        return Ok(Fault::Delay(Duration::from_millis(time)));
    }
    let named = match text(given, "fault").unwrap_or_default().as_str() {
        "DropBefore" => Fault::DropBefore,
        "DropAfter" => Fault::DropAfter,
        "ResetBefore" => Fault::ResetBefore,
        "ResetAfter" => Fault::ResetAfter,
        "StallBefore" => Fault::StallBefore,
        "StallAfter" => Fault::StallAfter,
        "SlowBody" => Fault::SlowBody,
        "ResetInBody" => Fault::ResetInBody,
        "Garbage" => Fault::Garbage,
        "EmptyBody" => Fault::EmptyBody,
        "WrongTypes" => Fault::WrongTypes,
        "HugeBody" => Fault::HugeBody,
        "GzipBomb" => Fault::GzipBomb,
        other => return Err(format!("`{other}` is no fault")),
    };
    Ok(named)
}

/// A `status` that HTTP allows in a final answer.
pub fn status(given: &Value) -> Option<u16> {
    let status = given["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (200..600).contains(status))
}

pub fn text(given: &Value, key: &str) -> Option<String> {
    given[key].as_str().map(str::to_owned)
}

fn list(given: &Value) -> &[Value] {
    given.as_array().map_or(&[], Vec::as_slice)
}

fn texts(given: &Value) -> Vec<String> {
    list(given).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
