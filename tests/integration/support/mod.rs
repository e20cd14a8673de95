//! The world a test starts in, and the verbs it uses.

mod client;
mod function;
pub mod signing;

pub use client::plain_client;
pub use function::{Function, invoke};

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::app::{App, Clock, Failure, Invocation};
use glint_gitlab_trigger::config::Config;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use sandbox::{Run, Sandbox};

pub const CLIENT_SECRET: &str = "glint-sandbox-client-secret-0123456789";
pub const TOKEN: &str = "glptt-0123456789abcdef0123456789abcdef01234567";
pub const PROJECT: &str = "acme/backend/billing";

/// A sandbox with one project, and the function in this very process.
pub struct World {
    pub sandbox: Sandbox,
    pub app: Arc<App>,
    /// What an invocation is given.
    pub time: Duration,
}

impl World {
    /// With the settings that the sandbox needs, and no others.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With further settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        Self::of(sandbox, settings)
    }

    /// Around a sandbox that a test has furnished itself.
    pub fn of(sandbox: Sandbox, settings: &[(&str, &str)]) -> Self {
        let app = app(&sandbox, settings);
        Self { sandbox, app, time: Duration::from_secs(45) }
    }

    /// The same sandbox, and a function that has just been started.
    pub fn restart(&mut self, settings: &[(&str, &str)]) {
        self.app = app(&self.sandbox, settings);
    }

    pub async fn handle(&self, event: &Value) -> Result<Value, Failure> {
        let payload: Box<RawValue> = serde_json::value::to_raw_value(event).unwrap();
        self.handle_text(payload.get()).await
    }

    /// Hands over an event byte for byte.
    pub async fn handle_text(&self, event: &str) -> Result<Value, Failure> {
        let payload: &RawValue = serde_json::from_str(event).unwrap();
        let deadline = SystemTime::from(self.sandbox.clock.now()) + self.time;
        let answer = self.app.handle(payload, Invocation { deadline }).await?;
        Ok(serde_json::from_str(answer.get()).unwrap())
    }

    /// Hands over SQS messages with these bodies, at their first receive, and tells which of them must come again.
    pub async fn queue(&self, bodies: &[&str]) -> Vec<usize> {
        let reply = self.handle(&sqs_event(bodies, 1)).await.unwrap();
        again(&reply)
    }

    pub fn run(&self, id: &str) -> Run {
        self.sandbox.glint.run_state(id)
    }
}

/// The project, its token and Glint's credentials, all where the default settings look for them.
pub fn furnish(sandbox: &Sandbox) {
    sandbox.glint.credentials("client-id", CLIENT_SECRET);
    sandbox
        .secrets
        .put("glint/credentials", json!({ "clientId": "client-id", "clientSecret": CLIENT_SECRET }).to_string());
    sandbox.secrets.put("glint/gitlab-trigger-tokens", json!({ PROJECT: TOKEN }).to_string());
    sandbox.gitlab.project(PROJECT).token(TOKEN).branch("main").branch("release/1.4");
}

pub fn app(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Arc<App> {
    let mut variables = sandbox.env();
    variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config =
        Config::read(|name| variables.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone()));
    let wall = sandbox.clock.clone();
    let clock: Clock = Arc::new(move || wall.now().into());
    App::new(config.unwrap(), clock).unwrap()
}

/// A run message of a GITLAB action, as Glint sends it.
pub fn message(run: &str) -> Value {
    json!({
        "action": "deploy_service", "resourceType": "run", "status": "TRIGGERED",
        "trigger": { "by": { "orgId": "org_1", "userId": "auth0|1" }, "origin": "UI", "at": "2026-01-05T09:12:03.120Z" },
        "context": { "entity": null, "blueprint": "deployment", "runId": run },
        "payload": {
            "entity": null,
            "action": {
                "identifier": "deploy_service",
                "invocationMethod": { "type": "GITLAB", "projectName": "billing", "groupName": "acme/backend", "defaultRef": "main", "agent": true },
                "trigger": "CREATE"
            },
            "properties": { "service": "billing", "environment": "staging" },
            "censoredProperties": []
        }
    })
}

/// An SQS event with messages of these bodies; message `n` has the id `m<n>`.
pub fn sqs_event(bodies: &[&str], receives: u32) -> Value {
    let records: Vec<Value> = bodies.iter().enumerate().map(|(index, body)| json!({
        "messageId": format!("m{index}"), "receiptHandle": format!("h{index}"), "body": body,
        "attributes": { "ApproximateReceiveCount": receives.to_string(), "SentTimestamp": "1767604323120", "MessageGroupId": format!("g{index}") },
        "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:runs.fifo", "awsRegion": "eu-west-1"
    })).collect();
    json!({ "Records": records })
}

/// The places of the messages that a reply to SQS lists.
pub fn again(reply: &Value) -> Vec<usize> {
    let failures = reply["batchItemFailures"].as_array().expect("a reply to SQS lists failures");
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()[1..].parse().unwrap()).collect()
}
