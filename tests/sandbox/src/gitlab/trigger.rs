//! `POST /projects/:id/trigger/pipeline`, in the order in which GitLab checks.

use super::params::{TriggerParams, trigger_params};
use super::project::Configuration;
use super::{GitLab, Pipeline, Project, State, base, message};
use crate::http::{Answer, Request};
use chrono::{DateTime, Utc};
use serde_json::json;

impl GitLab {
    pub(super) fn trigger(&self, id: &str, ref_in_url: Option<String>, request: &Request) -> Answer {
        let params = match trigger_params(id, ref_in_url, request) {
            Ok(params) => params,
            Err(refusal) => return refusal,
        };
        let mut params = params;
        let now = self.now();
        let mut state = self.lock();
        let project = state.project(id).filter(|project| project.accepts(&params.token, now));
        let Some(project) = project.cloned() else {
            return message(404, "404 Not Found");
        };
        let is_tag = match project.resolve(&params.r#ref) {
            Ok((name, is_tag)) => {
                params.r#ref = name;
                is_tag
            }
            Err(words) => return refusal_of_variables(&project, &params).unwrap_or_else(|| base(400, words)),
        };
        if let Some(refusal) = refusal(&project, &params, &mut state, now) {
            return refusal;
        }
        let older = state.older_bodies;
        let failure = failure(&project, &params);
        let status = if failure.is_some() { "failed" } else { "created" };
        let is_created = project.configuration == Configuration::BrokenButCreated;
        let pipeline = self.create(&mut state, project, params, is_tag, now);
        match failure {
            Some(words) if !is_created => pipeline.fail_at_creation(&words, now),
            failure => {
                pipeline.yaml_errors = failure;
                pipeline.reach(status, now);
                return Answer::json(201, &pipeline.full(&self.url, older));
            }
        }
        base(422, pipeline.yaml_errors.as_deref().unwrap_or_default())
    }

    fn create<'a>(
        &self,
        state: &'a mut State,
        project: Project,
        params: TriggerParams,
        is_tag: bool,
        now: DateTime<Utc>,
    ) -> &'a mut Pipeline {
        let id = 1001 + state.pipelines.len() as u64;
        let siblings = state.pipelines.iter().filter(|one| one.project_id == project.id);
        let pipeline = Pipeline {
            id,
            iid: 1 + siblings.count() as u64,
            project_id: project.id,
            sha: project.head(&params.r#ref),
            tag: is_tag,
            r#ref: params.r#ref,
            status: "created".to_owned(),
            source: "trigger".to_owned(),
            variables: params.variables,
            inputs: params.inputs,
            trigger_payload: params.payload,
            web_url: format!("{}/{}/-/pipelines/{id}", self.url, project.path),
            project: project.path,
            owner: project.owner,
            yaml_errors: None,
            jobs: Vec::new(),
            created_at: now,
            updated_at: now,
            finished_at: None,
            deleted: false,
        };
        state.pipelines.push(pipeline);
        state.pipelines.last_mut().expect("one was pushed")
    }
}

fn refusal_of_variables(project: &Project, params: &TriggerParams) -> Option<Answer> {
    let restricted = project.variables_restricted && !params.variables.is_empty();
    let refused = restricted || project.payload_restricted;
    refused.then(|| base(400, "Insufficient permissions to set pipeline variables"))
}

/// Why no pipeline is created at all.
fn refusal(project: &Project, params: &TriggerParams, state: &mut State, now: DateTime<Utc>) -> Option<Answer> {
    if let Some(refusal) = refusal_of_variables(project, params) {
        return Some(refusal);
    }
    if let Some(limit) = project.per_minute {
        let minute = now.timestamp().div_euclid(60);
        let scope = (project.id, project.owner.clone(), project.head(&params.r#ref), minute);
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
        Configuration::Valid | Configuration::Broken | Configuration::BrokenButCreated => {}
    }
    if let Some(name) = params.inputs.keys().find(|name| !project.inputs.contains(name)) {
        return Some(base(400, &format!("unknown input arguments: {name}")));
    }
    let is_key = |key: &str| {
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (1..=255).contains(&key.len()) && plain
    };
    if params.variables.keys().any(|key| !is_key(key.trim())) {
        let words = "can contain only letters, digits and '_'.";
        let body = json!({ "message": { "base": ["Failed to build the pipeline!"], "variables.key": [words] } });
        return Some(Answer::json(400, &body));
    }
    None
}

/// Why a pipeline is created that has failed from the start.
fn failure(project: &Project, params: &TriggerParams) -> Option<String> {
    if params.variables.contains_key("TRIGGER_PAYLOAD") {
        return Some("Duplicate variable name: TRIGGER_PAYLOAD".to_owned());
    }
    let broken = matches!(project.configuration, Configuration::Broken | Configuration::BrokenButCreated);
    broken.then(|| "jobs config should contain at least one visible job".to_owned())
}
