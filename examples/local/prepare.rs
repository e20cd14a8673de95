//! Prepares the sandbox for an event: every project, run and pipeline that it names is there, and its signature is young.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sandbox::Sandbox;
use sandbox::signing::code;
use serde_json::{Value, json};

use crate::messages;

const CLIENT_ID: &str = "sandbox-client-id";
/// The files in `events/` are signed with it, and their secret inputs encrypted.
pub const CLIENT_SECRET: &str = "glint-sandbox-client-secret-0123456789";
const HOOK_TOKEN: &str = "sandbox-hook-token";
const SIGNING_KEY: &[u8] = b"sandbox-hook-signing-key-0123456";

/// Prepares the sandbox for the event in `text`; returns the event to hand over.
pub fn prepare(sandbox: &Sandbox, text: &str) -> Result<String, Box<dyn std::error::Error>> {
    sandbox.glint.credentials(CLIENT_ID, CLIENT_SECRET);
    let credentials = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET });
    sandbox.secrets.put("glint/credentials", credentials.to_string());
    let signing_token = format!("whsec_{}", BASE64_STANDARD.encode(SIGNING_KEY));
    let hook = json!({ "signingToken": signing_token, "token": HOOK_TOKEN });
    sandbox.secrets.put("glint/gitlab-hook", hook.to_string());
    sandbox.secrets.put("glint/gitlab-read", "glpat-sandbox-reader");
    sandbox.gitlab.read_token("glpat-sandbox-reader");
    let event = signed_afresh(sandbox, serde_json::from_str(text)?).unwrap_or_else(|| text.to_owned());
    let facts: Value = serde_json::from_str(&event)?;
    let mut projects = vec!["acme/backend/billing".to_owned()];
    projects.extend(messages::named_projects(&facts));
    for run in messages::runs(&facts) {
        sandbox.glint.run(&run.id).properties(run.inputs);
        projects.extend(run.project);
    }
    if let Some(pipeline) = messages::pipeline(&facts) {
        let inputs = json!({ "service": "billing", "environment": "staging", "imageTag": "1.4.0" });
        let run = sandbox.glint.run(pipeline.run.as_deref().unwrap_or("r_sandbox"));
        run.link(&pipeline.url).external_id(&pipeline.external_id).properties(inputs);
    }
    let tokens: serde_json::Map<String, Value> =
        projects.iter().map(|path| (path.clone(), json!(token(path)))).collect();
    sandbox.secrets.put("glint/gitlab-trigger-tokens", Value::from(tokens).to_string());
    for path in &projects {
        sandbox.gitlab.project(path).token(&token(path)).branch("main").branch("release/1.4");
    }
    Ok(event)
}

/// Whether the event asks for a sweep.
pub fn is_sweep(event: &str) -> bool {
    serde_json::from_str::<Value>(event).is_ok_and(|event| event["sweep"] == json!(true))
}

/// The environment that the function is started with.
pub fn environment(sandbox: &Sandbox) -> Vec<(String, String)> {
    let mut variables = sandbox.env();
    for (name, value) in
        [("GITLAB_HOOK_SECRET_ID", "glint/gitlab-hook"), ("GITLAB_READ_SECRET_ID", "glint/gitlab-read")]
    {
        variables.push((name.to_owned(), value.to_owned()));
    }
    variables.push(("DEPLOYMENT_BLUEPRINT".to_owned(), "deployment".to_owned()));
    variables
}

fn token(project: &str) -> String {
    format!("glptt-sandbox-{}", project.replace('/', "-"))
}

/// The HTTP event with its signature made now; `None` where it is no HTTP event.
fn signed_afresh(sandbox: &Sandbox, mut event: Value) -> Option<String> {
    event.get("requestContext")?;
    let body = match event["body"].as_str()? {
        text if event["isBase64Encoded"] == json!(true) => BASE64_STANDARD.decode(text).ok()?,
        text => text.as_bytes().to_vec(),
    };
    let headers = event["headers"].as_object_mut()?;
    let now = sandbox.now().timestamp();
    if let Some(id) = headers.get("webhook-id").and_then(Value::as_str).map(str::to_owned) {
        headers.insert("webhook-timestamp".to_owned(), json!(now.to_string()));
        let signature = code(SIGNING_KEY, &[format!("{id}.{now}.").as_bytes(), &body]);
        headers.insert("webhook-signature".to_owned(), json!(signature));
    } else if !headers.contains_key("x-gitlab-event") {
        headers.retain(|name, _| !name.starts_with("x-port-") && !name.starts_with("x-glint-"));
        headers.insert("x-glint-timestamp".to_owned(), json!(now.to_string()));
        let signature = code(CLIENT_SECRET.as_bytes(), &[format!("{now}.").as_bytes(), &body]);
        headers.insert("x-glint-signature".to_owned(), json!(signature));
    }
    Some(event.to_string())
}
