//! A pipeline.

use super::Job;
use crate::clock::stamp;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Pipeline {
    pub id: u64,
    pub iid: u64,
    pub project_id: u64,
    /// The project's path.
    pub project: String,
    pub r#ref: String,
    pub tag: bool,
    pub sha: String,
    pub status: String,
    pub source: String,
    /// What was sent as `variables`.
    pub variables: BTreeMap<String, String>,
    /// What was sent as `inputs`.
    pub inputs: Map<String, Value>,
    /// The file variable `TRIGGER_PAYLOAD`: the request less its token, plus `id`, keys in the order received.
    pub trigger_payload: String,
    pub owner: String,
    pub web_url: String,
    pub yaml_errors: Option<String>,
    pub jobs: Vec<Job>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// GitLab does not know it any more.
    pub deleted: bool,
}

impl Pipeline {
    pub(super) fn reach(&mut self, status: &str, now: DateTime<Utc>) {
        let is_final = matches!(status, "success" | "failed" | "canceled" | "skipped");
        self.status = status.to_owned();
        self.updated_at = now;
        self.finished_at = is_final.then_some(now);
    }

    /// The row is there, and none of its variables were saved.
    pub(super) fn fail_at_creation(&mut self, why: &str, now: DateTime<Utc>) {
        self.yaml_errors = Some(why.to_owned());
        self.variables.clear();
        self.trigger_payload.clear();
        self.reach("failed", now);
    }

    pub(super) fn seconds(&self) -> Option<i64> {
        let finished = self.finished_at?;
        Some((finished - self.created_at).num_seconds())
    }

    /// What a list of pipelines shows; `older`: as GitLab 13, without the project's id.
    pub(super) fn brief(&self, older: bool) -> Value {
        let mut brief = json!({
            "id": self.id, "iid": self.iid, "project_id": self.project_id, "sha": self.sha, "ref": self.r#ref,
            "status": self.status, "source": self.source, "web_url": self.web_url, "name": null,
            "created_at": stamp(self.created_at), "updated_at": stamp(self.updated_at),
        });
        if older {
            brief.as_object_mut().expect("an object").remove("project_id");
        }
        brief
    }

    /// What a trigger and a look at one pipeline show.
    pub(super) fn full(&self, gitlab: &str, older: bool) -> Value {
        let path = self.web_url.strip_prefix(gitlab).unwrap_or_default();
        let mut full = self.brief(older);
        let more = json!({
            "before_sha": "0".repeat(40), "tag": self.tag, "yaml_errors": self.yaml_errors,
            "user": {
                "id": 1, "username": self.owner, "name": "Administrator", "state": "active", "locked": false,
                "avatar_url": format!("{gitlab}/uploads/avatar.png"), "web_url": format!("{gitlab}/{}", self.owner),
            },
            "started_at": null, "finished_at": self.finished_at.map(stamp), "committed_at": null,
            "duration": self.seconds(), "queued_duration": null, "coverage": null, "archived": false,
            "detailed_status": {
                "icon": format!("status_{}", self.status), "text": self.status, "label": self.status,
                "group": self.status, "tooltip": self.status, "has_details": true, "details_path": path,
                "illustration": null, "favicon": format!("/assets/ci_favicons/favicon_status_{}.png", self.status),
            },
        });
        if let (Value::Object(full), Value::Object(more)) = (&mut full, more) {
            full.remove("name");
            full.extend(more);
        }
        full
    }
}
