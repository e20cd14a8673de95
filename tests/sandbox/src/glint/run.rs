//! An action run, as tests set it up and look at it.

use super::{Glint, Shape};
use crate::clock::stamp;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: String,
    pub status: String,
    pub status_label: Option<String>,
    /// A text or an array of texts, as it was written.
    pub link: Option<Value>,
    pub external_run_id: Option<String>,
    pub summary: Option<String>,
    pub logs: Vec<Log>,
    /// The user inputs.
    pub properties: Value,
    pub synchronized: bool,
    pub created_at: DateTime<Utc>,
    /// Moves with every PATCH that is accepted, and with nothing else.
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Every PATCH body that was accepted.
    pub writes: Vec<Value>,
    /// How often somebody tried to write to it after its end.
    pub refused_writes: usize,
    /// What the run's answers show as its `payload`.
    pub payload: Value,
    pub(super) older_shape: bool,
    /// How it was before each recent write, and when that write came; kept only while answers lag.
    pub(super) past: Vec<(DateTime<Utc>, Box<Run>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub message: String,
    pub termination_status: Option<String>,
    pub status_label: Option<String>,
    pub at: DateTime<Utc>,
}

impl Run {
    pub(super) fn new(id: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: id.to_owned(),
            status: "IN_PROGRESS".to_owned(),
            status_label: None,
            link: None,
            external_run_id: None,
            summary: None,
            logs: Vec::new(),
            properties: json!({}),
            synchronized: false,
            created_at: now,
            updated_at: now,
            ended_at: None,
            writes: Vec::new(),
            refused_writes: 0,
            payload: json!({ "type": "GITLAB" }),
            older_shape: false,
            past: Vec::new(),
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "SUCCESS" | "FAILURE" | "DECLINED")
    }

    /// Whether anything was ever written to it, or said in its log.
    pub fn was_written(&self) -> bool {
        !self.writes.is_empty() || !self.logs.is_empty()
    }

    /// The links as texts, whether one or a list was written.
    pub fn links(&self) -> Vec<String> {
        let text = |link: &Value| link.as_str().map(str::to_owned);
        match &self.link {
            Some(Value::Array(links)) => links.iter().filter_map(text).collect(),
            link => link.iter().filter_map(text).collect(),
        }
    }

    /// Takes the members of a PATCH, whose last write wins.
    pub(super) fn write(&mut self, patch: &Map<String, Value>, now: DateTime<Utc>, shape: &Shape) {
        self.remember(now, shape.stale_reads.max(shape.stale_lists));
        let text = |key: &str| patch.get(key).and_then(Value::as_str).map(str::to_owned);
        self.status_label = text("statusLabel").or(self.status_label.take());
        self.summary = text("summary").or(self.summary.take());
        self.external_run_id = text("externalRunId").or(self.external_run_id.take());
        self.link = patch.get("link").cloned().or(self.link.take());
        if let Some(status) = text("status") {
            self.end(&status, now);
        }
        self.updated_at = now;
    }

    /// Keeps how the run stands now, for answers that lag behind by as much as this.
    fn remember(&mut self, now: DateTime<Utc>, lag: Duration) {
        self.past.retain(|(at, _)| *at + lag > now);
        if !lag.is_zero() {
            let before = Self { past: Vec::new(), ..self.clone() };
            self.past.push((now, Box::new(before)));
        }
    }

    /// How the run stood so long ago, as far as it is remembered.
    pub(super) fn as_of(&self, now: DateTime<Utc>, lag: Duration) -> &Self {
        let since = now - lag;
        self.past.iter().find(|(at, _)| *at > since).map_or(self, |(_, before)| before)
    }

    pub(super) fn end(&mut self, status: &str, now: DateTime<Utc>) {
        self.status = status.to_owned();
        self.ended_at = Some(now);
    }

    /// The `run` member of an answer.
    pub(super) fn shown(&self, version: Option<&str>, shape: &Shape) -> Value {
        let newer = version == Some("v2") && !self.older_shape;
        let mut run = if newer { self.newer() } else { self.older() };
        let shown = [
            ("externalRunId", shape.shows_external_id),
            ("statusLabel", shape.shows_label),
            ("link", shape.shows_link),
        ];
        for (key, _) in shown.iter().filter(|(_, shown)| !shown) {
            run.as_object_mut().expect("a run is shown as an object").remove(*key);
        }
        run
    }

    /// As Glint documents it: no label and no external id; a link where one is set.
    fn older(&self) -> Value {
        let mut run = json!({
            "id": self.id, "status": self.status, "action": "deploy_service", "source": "UI",
            "blueprint": { "identifier": "deployment", "title": "Deployment" },
            "endedAt": self.ended_at.map(stamp), "properties": self.properties,
            "relatedEntityExists": false, "relatedBlueprintExists": true,
            "createdAt": stamp(self.created_at), "updatedAt": stamp(self.updated_at),
            "createdBy": "auth0|sandbox", "updatedBy": "auth0|sandbox",
        });
        if let Some(link) = &self.link {
            run["link"] = link.clone();
        }
        run
    }

    fn newer(&self) -> Value {
        let mut run = json!({
            "id": self.id, "status": self.status, "source": "UI", "requiredApproval": false,
            "action": { "identifier": "deploy_service", "title": "Deploy service", "deleted": false },
            "blueprint": { "identifier": "deployment", "title": "Deployment", "deleted": false },
            "properties": self.properties, "endedAt": self.ended_at.map(stamp),
            "payload": self.shown_payload(),
            "createdAt": stamp(self.created_at), "updatedAt": stamp(self.updated_at),
            "createdBy": "auth0|sandbox", "updatedBy": "auth0|sandbox",
        });
        let optional = [
            ("statusLabel", self.status_label.as_ref().map(|text| json!(text))),
            ("link", self.link.clone()),
            ("externalRunId", self.external_run_id.as_ref().map(|text| json!(text))),
            ("summary", self.summary.as_ref().map(|text| json!(text))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                run[key] = value;
            }
        }
        run
    }

    fn shown_payload(&self) -> Value {
        let mut payload = self.payload.clone();
        payload["synchronized"] = json!(self.synchronized);
        payload
    }
}

/// Changes a run in place; none of this counts as a write, and answers show it at once.
#[derive(Clone)]
pub struct RunBuilder {
    glint: Glint,
    id: String,
}

impl RunBuilder {
    pub(super) fn new(glint: Glint, id: &str) -> Self {
        let id = id.to_owned();
        Self { glint, id }
    }

    /// Glint ends it by itself from the reply to its delivery.
    pub fn synchronized(self) -> Self {
        self.change(|run| run.synchronized = true)
    }

    pub fn status(self, status: &str) -> Self {
        let now = self.glint.clock.now();
        self.change(|run| {
            run.status = status.to_owned();
            run.ended_at = run.has_ended().then_some(now);
        })
    }

    pub fn label(self, label: &str) -> Self {
        self.change(|run| run.status_label = Some(label.to_owned()))
    }

    pub fn link(self, link: &str) -> Self {
        self.change(|run| run.link = Some(json!(link)))
    }

    pub fn external_id(self, id: &str) -> Self {
        self.change(|run| run.external_run_id = Some(id.to_owned()))
    }

    pub fn properties(self, properties: Value) -> Self {
        self.change(|run| run.properties = properties)
    }

    pub fn created_at(self, time: DateTime<Utc>) -> Self {
        self.change(|run| run.created_at = time)
    }

    /// Glint sent the action's webhook there, with this body.
    pub fn sent_to(self, url: &str, body: Value) -> Self {
        self.payload(
            json!({ "type": "WEBHOOK", "url": url, "agent": false, "method": "POST", "headers": {}, "body": body }),
        )
    }

    /// What Glint sends for the run: `type`, `url`, `method`, `body` and the like.
    pub fn payload(self, payload: Value) -> Self {
        self.change(|run| run.payload = payload)
    }

    pub fn updated_at(self, time: DateTime<Utc>) -> Self {
        self.change(|run| run.updated_at = time)
    }

    /// Shown in the shape of before `version=v2`, whatever is asked for.
    pub fn older_shape(self) -> Self {
        self.change(|run| run.older_shape = true)
    }

    /// Takes the run away: Glint no longer knows it.
    pub fn forget(self) {
        self.glint.lock().runs.retain(|run| run.id != self.id);
    }

    fn change(self, how: impl FnOnce(&mut Run)) -> Self {
        if let Some(run) = self.glint.lock().run_mut(&self.id) {
            how(run);
        }
        self
    }
}
