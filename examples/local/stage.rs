//! Sets the stage: every project, run and pipeline that an event names is there, and its signature is young.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use glint_gitlab_trigger::gitlab::types::PipelineEvent;
use glint_gitlab_trigger::gitlab::webhook;
use glint_gitlab_trigger::glint::message::{self, Message};
use glint_gitlab_trigger::glint::run::RunRequest;
use glint_gitlab_trigger::source::{self, Event, Payload, SourceSettings};
use glint_gitlab_trigger::trigger;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::Sha256;

use sandbox::Sandbox;

const CLIENT_ID: &str = "sandbox-client-id";
/// The files in `events/` are signed with it, and their secret inputs encrypted.
pub const CLIENT_SECRET: &str = "glint-sandbox-client-secret-0123456789";
const HOOK_TOKEN: &str = "sandbox-hook-token";
const SIGNING_KEY: &[u8] = b"sandbox-hook-signing-key-0123456";

/// Furnishes the sandbox for the event in `text`, and gives back the event to hand over.
pub fn set(sandbox: &Sandbox, text: &str) -> Result<String, Box<dyn std::error::Error>> {
    sandbox.glint.credentials(CLIENT_ID, CLIENT_SECRET);
    let credentials = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET });
    sandbox.secrets.put("glint/credentials", credentials.to_string());
    let signing_token = format!("whsec_{}", BASE64_STANDARD.encode(SIGNING_KEY));
    let hook = json!({ "signingToken": signing_token, "token": HOOK_TOKEN });
    sandbox.secrets.put("glint/gitlab-hook", hook.to_string());
    sandbox.secrets.put("glint/gitlab-read", "glpat-sandbox-reader");
    sandbox.gitlab.read_token("glpat-sandbox-reader");
    let event = signed_afresh(sandbox, serde_json::from_str(text)?).unwrap_or_else(|| text.to_owned());
    let payload: &RawValue = serde_json::from_str(&event)?;
    let doors = SourceSettings { dead_letter_queue_arn: None, max_message_bytes: trigger::MAX_PAYLOAD_BYTES };
    let mut projects = vec!["acme/backend/billing".to_owned()];
    if let Ok(Event::Deliveries(deliveries, _)) = source::parse(payload, &doors) {
        for delivery in deliveries {
            projects.extend(delivery.metadata.target.project.clone());
            match delivery.payload {
                Payload::Message(body) => {
                    let body = body.into_unverified();
                    projects.extend(add_run(sandbox, &String::from_utf8_lossy(&body)));
                }
                Payload::Hook { body, .. } => add_pipeline(sandbox, &body),
                _ => {}
            }
        }
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
    let doors = SourceSettings { dead_letter_queue_arn: None, max_message_bytes: trigger::MAX_PAYLOAD_BYTES };
    let payload = serde_json::from_str::<&RawValue>(event);
    payload.is_ok_and(|payload| matches!(source::parse(payload, &doors), Ok(Event::Sweep)))
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

/// Creates the run that a message names, and tells its project.
fn add_run(sandbox: &Sandbox, text: &str) -> Option<String> {
    let Ok(Message::Run(run)) = message::parse(text.to_owned(), None) else { return None };
    let RunRequest { id, spec, .. } = *run;
    let spec = spec.ok()?;
    let inputs = spec.inputs.iter().map(|(name, value)| Some((name.clone(), serde_json::from_str(value.get()).ok()?)));
    let inputs: serde_json::Map<String, Value> = inputs.collect::<Option<_>>()?;
    sandbox.glint.run(id.as_str()).properties(Value::from(inputs));
    Some(format!("{}/{}", spec.group?, spec.project?))
}

/// Creates the run whose pipeline a hook tells of, already linked with it.
fn add_pipeline(sandbox: &Sandbox, body: &str) {
    let Ok(webhook::Hook::PipelineEvent(event)) = webhook::parse(body, &sandbox.gitlab.url()) else { return };
    let PipelineEvent { pipeline, run_token, .. } = *event;
    let id = run_token.map_or_else(|| "r_sandbox".to_owned(), |token| token.run_id);
    let inputs = json!({ "service": "billing", "environment": "staging", "imageTag": "1.4.0" });
    sandbox
        .glint
        .run(&id)
        .link(&pipeline.url)
        .external_id(&pipeline.external_id().unwrap_or_default())
        .properties(inputs);
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
        let signature = sign(SIGNING_KEY, &[format!("{id}.{now}.").as_bytes(), &body]);
        headers.insert("webhook-signature".to_owned(), json!(signature));
    } else if !headers.contains_key("x-gitlab-event") {
        headers.retain(|name, _| !name.starts_with("x-port-") && !name.starts_with("x-glint-"));
        headers.insert("x-glint-timestamp".to_owned(), json!(now.to_string()));
        let signature = sign(CLIENT_SECRET.as_bytes(), &[format!("{now}.").as_bytes(), &body]);
        headers.insert("x-glint-signature".to_owned(), json!(signature));
    }
    Some(event.to_string())
}

fn sign(key: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    parts.iter().for_each(|part| mac.update(part));
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}
