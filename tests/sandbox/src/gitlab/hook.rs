//! Pipeline hooks as GitLab sends them.

use super::{GitLab, Job, Pipeline, Project};
use crate::clock::hook_stamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

impl GitLab {
    /// Hooks carry this text as `X-Gitlab-Token`.
    pub fn hook_token(&self, token: &str) {
        self.lock().hook_token = Some(token.to_owned());
    }

    /// Hooks are signed with this `whsec_<base64>` key, as GitLab 19.0 does.
    pub fn sign_hooks_with(&self, token: &str) {
        let key = token.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        self.lock().signing_key = Some(key.expect("a signing token is `whsec_` and base64"));
    }

    /// A hook about the pipeline as it stands now, under an id of its own; sending the same again is GitLab's resend.
    pub fn hook(&self, pipeline: u64) -> (Vec<(String, String)>, Vec<u8>) {
        let pipeline = self.pipeline(pipeline);
        let projects = self.projects();
        let project = projects.iter().find(|one| one.id == pipeline.project_id);
        let project = project.expect("a pipeline has a project");
        let body = self.hook_body(&pipeline, project).to_string().into_bytes();
        (self.hook_headers(&body), body)
    }

    fn hook_headers(&self, body: &[u8]) -> Vec<(String, String)> {
        let now = self.now();
        let mut state = self.lock();
        state.hooks += 1;
        let id = format!("5a0db0c5-0000-4000-8000-{:012}", state.hooks);
        let mut headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", "GitLab/19.1.0".to_owned()),
            ("Idempotency-Key", id.clone()),
            ("X-Gitlab-Event", "Pipeline Hook".to_owned()),
            ("X-Gitlab-Webhook-UUID", id.replace("5a0db0c5", "0e5b1dfa")),
            ("X-Gitlab-Instance", self.url.clone()),
            ("X-Gitlab-Event-UUID", id.replace("5a0db0c5", "c3b1a2d4")),
        ];
        if let Some(token) = &state.hook_token {
            headers.push(("X-Gitlab-Token", token.clone()));
        }
        if let Some(key) = &state.signing_key {
            let time = now.timestamp();
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length will do");
            mac.update(format!("{id}.{time}.").as_bytes());
            mac.update(body);
            let signature = STANDARD.encode(mac.finalize().into_bytes());
            headers.push(("webhook-id", id));
            headers.push(("webhook-timestamp", time.to_string()));
            headers.push(("webhook-signature", format!("v1,{signature}")));
        }
        let owned = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    }

    fn hook_body(&self, pipeline: &Pipeline, project: &Project) -> Value {
        let url = format!("{}/{}", self.url, project.path);
        let user = json!({
            "id": 1, "name": "Administrator", "username": pipeline.owner,
            "avatar_url": format!("{}/uploads/avatar.png", self.url), "email": "[REDACTED]",
        });
        let builds: Vec<_> =
            pipeline.jobs.iter().filter(|job| !job.retried).map(|job| build(job, pipeline, &user)).collect();
        json!({
            "object_kind": "pipeline",
            "object_attributes": attributes(pipeline),
            "merge_request": null,
            "user": user,
            "project": {
                "id": project.id, "name": project.name(), "description": null, "web_url": url, "avatar_url": null,
                "git_ssh_url": format!("git@gitlab.example.com:{}.git", project.path),
                "git_http_url": format!("{url}.git"), "namespace": project.namespace(), "visibility_level": 0,
                "path_with_namespace": project.path, "default_branch": project.branches.first(), "ci_config_path": null,
            },
            "commit": {
                "id": pipeline.sha, "message": "change the service\n", "title": "change the service",
                "timestamp": "2026-01-05T10:00:00+00:00", "url": format!("{url}/-/commit/{}", pipeline.sha),
                "author": { "name": "Dana Roe", "email": "[REDACTED]" },
            },
            "builds": builds,
        })
    }
}

fn attributes(pipeline: &Pipeline) -> Value {
    let variable = |(key, value): (&String, &String)| json!({ "key": key, "value": value });
    let mut variables: Vec<_> = pipeline.variables.iter().map(variable).collect();
    if !pipeline.trigger_payload.is_empty() {
        variables.push(json!({ "key": "TRIGGER_PAYLOAD", "value": pipeline.trigger_payload }));
    }
    let label = if pipeline.status == "success" { "passed" } else { &pipeline.status };
    json!({
        "id": pipeline.id, "iid": pipeline.iid, "name": null, "ref": pipeline.r#ref, "tag": pipeline.tag,
        "sha": pipeline.sha, "before_sha": "0".repeat(40), "source": pipeline.source, "status": pipeline.status,
        "detailed_status": label, "stages": ["deploy"], "created_at": hook_stamp(pipeline.created_at),
        "finished_at": pipeline.finished_at.map(hook_stamp), "duration": pipeline.seconds(), "queued_duration": 1,
        "protected_ref": true, "variables": variables, "url": pipeline.web_url,
    })
}

fn build(job: &Job, pipeline: &Pipeline, user: &Value) -> Value {
    let is_manual = job.status == "manual";
    json!({
        "id": job.id, "stage": job.stage, "name": job.name, "status": job.status,
        "created_at": hook_stamp(job.created_at), "started_at": hook_stamp(job.created_at),
        "finished_at": job.finished_at.map(hook_stamp), "duration": pipeline.seconds(), "queued_duration": 1.0,
        "failure_reason": job.failure_reason, "when": if is_manual { "manual" } else { "on_success" }, "manual": is_manual,
        "allow_failure": job.allow_failure, "user": user, "runner": null,
        "artifacts_file": job.artifacts_file(), "environment": null,
    })
}
