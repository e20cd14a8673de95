//! What the files of `events/` need to be there: credentials, projects, runs and pipelines, and signatures that are young.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::Sandbox;

const CLIENT_ID: &str = "sandbox-client-id";
/// Signs the files of `events/`, and encrypts their secret inputs.
pub const CLIENT_SECRET: &str = "glint-sandbox-client-secret-0123456789";
const SIGNING_KEY: &[u8] = b"sandbox-hook-signing-key-0123456";
const READ_TOKEN: &str = "glpat-sandbox-reader";

/// The settings that the secrets of [`furnish`] make possible.
pub const SETTINGS: [(&str, &str); 3] = [
    ("GITLAB_HOOK_SECRET_ID", "glint/gitlab-hook"),
    ("GITLAB_READ_SECRET_ID", "glint/gitlab-read"),
    ("DEPLOYMENT_BLUEPRINT", "deployment"),
];

/// A message of Glint in an event: who ran which action, with which inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunMessage {
    pub run_id: String,
    pub person: String,
    pub action: String,
    pub inputs: Value,
    /// `group/sub/project`, as far as the message or its URL says.
    pub project: Option<String>,
}

/// A hook of GitLab in an event.
#[derive(Clone, Debug, PartialEq)]
pub struct HookMessage {
    pub run_id: Option<String>,
    pub project: String,
    pub pipeline: u64,
    pub page: String,
    pub status: String,
}

/// All that an event holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub runs: Vec<RunMessage>,
    pub hooks: Vec<HookMessage>,
}

impl Contents {
    /// Finds the messages of `event`, in whatever envelope they lie.
    pub fn of(event: &Value) -> Self {
        let mut contents = Self::default();
        contents.search(event, event["rawPath"].as_str());
        contents
    }

    fn search(&mut self, value: &Value, path: Option<&str>) {
        match value {
            Value::Object(object) => {
                if value["context"]["runId"].is_string() {
                    self.runs.push(run_message(value, path));
                } else if value["object_kind"] == "pipeline" {
                    self.hooks.push(hook_message(value));
                } else {
                    object.values().for_each(|member| self.search(member, path));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.search(item, path)),
            Value::String(text) => {
                let decoded = || String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok();
                let json = if text.trim_start().starts_with('{') { Some(text.clone()) } else { decoded() };
                if let Some(inner) = json.and_then(|json| serde_json::from_str(&json).ok()) {
                    self.search(&inner, path);
                }
            }
            _ => {}
        }
    }
}

fn run_message(message: &Value, path: Option<&str>) -> RunMessage {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let user = &message["trigger"]["by"]["user"];
    let name = [&user["firstName"], &user["lastName"]].into_iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let (action, by) = (&message["payload"]["action"], &message["trigger"]["by"]["userId"]);
    let method = &action["invocationMethod"];
    let named = method["groupName"].as_str().zip(method["projectName"].as_str());
    let of_url = || path.map(|path| path.trim_matches('/').to_owned()).filter(|path| !path.is_empty());
    RunMessage {
        run_id: text(&message["context"]["runId"]).unwrap_or_default(),
        person: if name.is_empty() { text(by).unwrap_or_default() } else { name.join(" ") },
        action: text(&action["title"]).or_else(|| text(&message["action"])).unwrap_or_default(),
        inputs: message["payload"]["properties"].clone(),
        project: named.map(|(group, project)| format!("{group}/{project}")).or_else(of_url),
    }
}

fn hook_message(body: &Value) -> HookMessage {
    let attributes = &body["object_attributes"];
    let variables = attributes["variables"].as_array().into_iter().flatten();
    let payload = variables.filter(|one| one["key"] == "TRIGGER_PAYLOAD").find_map(|one| one["value"].as_str());
    let payload: Value = payload.and_then(|payload| serde_json::from_str(payload).ok()).unwrap_or_default();
    HookMessage {
        run_id: payload["glint"]["runId"].as_str().map(str::to_owned),
        project: body["project"]["path_with_namespace"].as_str().unwrap_or_default().to_owned(),
        pipeline: attributes["id"].as_u64().unwrap_or_default(),
        page: attributes["url"].as_str().unwrap_or_default().to_owned(),
        status: attributes["status"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Puts Glint's credentials, the hook's keys and the read token where the settings of [`SETTINGS`] look for them.
pub fn furnish(sandbox: &Sandbox) {
    sandbox.glint.credentials(CLIENT_ID, CLIENT_SECRET);
    let credentials = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET });
    sandbox.secrets.put("glint/credentials", credentials.to_string());
    let signing_token = format!("whsec_{}", BASE64_STANDARD.encode(SIGNING_KEY));
    sandbox.secrets.put("glint/gitlab-hook", json!({ "signingToken": signing_token }).to_string());
    sandbox.gitlab.sign_hooks_with(&signing_token);
    sandbox.secrets.put("glint/gitlab-read", READ_TOKEN);
    sandbox.gitlab.read_token(READ_TOKEN);
    add_projects(sandbox, ["acme/backend/billing"]);
}

/// Creates what the event names: its runs, and the projects that they are for. A hook's run is there, and linked to its pipeline.
pub fn prepare(sandbox: &Sandbox, event: &Value) -> Contents {
    let contents = Contents::of(event);
    let projects = contents.runs.iter().filter_map(|run| run.project.as_deref());
    add_projects(sandbox, projects.chain(contents.hooks.iter().map(|hook| hook.project.as_str())));
    for run in &contents.runs {
        sandbox.glint.run(&run.run_id).properties(run.inputs.clone());
    }
    for hook in &contents.hooks {
        let inputs = json!({ "service": "billing", "environment": "staging", "imageTag": "1.4.0" });
        if let Some(id) = &hook.run_id {
            sandbox.glint.run(id).link(&hook.page).properties(inputs).label("GitLab pipeline running");
        }
    }
    contents
}

/// Gives each project a branch and a trigger token, and adds that to the secret of trigger tokens.
fn add_projects<'a>(sandbox: &Sandbox, paths: impl IntoIterator<Item = &'a str>) {
    for path in paths {
        let token = format!("glptt-sandbox-{}", path.replace('/', "-"));
        sandbox.gitlab.project(path).token(&token).branch("main").branch("release/1.4");
    }
    let tokens = sandbox.gitlab.projects().into_iter().map(|project| {
        let token = format!("glptt-sandbox-{}", project.path.replace('/', "-"));
        (project.path, json!(token))
    });
    let tokens: Map<String, Value> = tokens.collect();
    sandbox.secrets.put("glint/gitlab-trigger-tokens", Value::from(tokens).to_string());
}

/// The event with its signature made at `seconds` since the epoch: a webhook's holds for 300 seconds. Other events stay as they are.
pub fn sign(mut event: Value, seconds: i64) -> Value {
    let body = match event["body"].as_str() {
        Some(text) if event["isBase64Encoded"] == true => BASE64_STANDARD.decode(text).unwrap_or_default(),
        Some(text) => text.as_bytes().to_vec(),
        None => return event,
    };
    let Some(headers) = event["headers"].as_object_mut().filter(|headers| headers.contains_key("host")) else {
        return event;
    };
    if headers.contains_key("x-gitlab-event") {
        let id = headers.get("webhook-id").or(headers.get("idempotency-key")).and_then(Value::as_str);
        let id = id.unwrap_or("sandbox").to_owned();
        let signature = mac(SIGNING_KEY, &[format!("{id}.{seconds}.").as_bytes(), &body]);
        headers.remove("x-gitlab-token");
        headers.insert("webhook-id".to_owned(), json!(id));
        headers.insert("webhook-timestamp".to_owned(), json!(seconds.to_string()));
        headers.insert("webhook-signature".to_owned(), json!(signature));
    } else {
        headers.retain(|name, _| !name.starts_with("x-port-") && !name.starts_with("x-glint-"));
        let signature = mac(CLIENT_SECRET.as_bytes(), &[format!("{seconds}.").as_bytes(), &body]);
        headers.insert("x-glint-timestamp".to_owned(), json!(seconds.to_string()));
        headers.insert("x-glint-signature".to_owned(), json!(signature));
    }
    event
}

fn mac(key: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    parts.iter().for_each(|part| mac.update(part));
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}
