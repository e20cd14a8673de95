//! What a `read_api` token can look up.

use super::{GitLab, Pipeline, Project, State, error, job, message};
use crate::http::{Answer, Request};
use crate::journal::Call;
use chrono::DateTime;
use serde_json::{Value, json};

/// The parameters of a list of pipelines that take only these values.
const ENUMERATED: [(&str, &[&str]); 4] = [
    (
        "source",
        &[
            "push",
            "web",
            "trigger",
            "schedule",
            "api",
            "external",
            "pipeline",
            "chat",
            "webide",
            "merge_request_event",
            "external_pull_request_event",
            "parent_pipeline",
            "ondemand_dast_scan",
            "ondemand_dast_validation",
            "security_orchestration_policy",
            "container_registry_push",
            "duo_workflow",
        ],
    ),
    (
        "status",
        &[
            "created",
            "waiting_for_resource",
            "preparing",
            "waiting_for_callback",
            "pending",
            "running",
            "success",
            "failed",
            "canceling",
            "canceled",
            "skipped",
            "manual",
            "scheduled",
        ],
    ),
    ("order_by", &["id", "status", "ref", "updated_at", "user_id"]),
    ("sort", &["asc", "desc"]),
];

impl GitLab {
    pub(super) fn read(&self, call: Call, project: &str, pipeline: Option<u64>, request: &Request) -> Answer {
        let state = self.lock();
        let sees_variables = match request.header("private-token").or(request.bearer()) {
            // The projects are private: without a token they do not exist.
            None => return message(404, "404 Project Not Found"),
            Some(token) => match state.read_tokens.iter().find(|(known, _)| known == token) {
                None => return message(401, "401 Unauthorized"),
                Some((_, sees_variables)) => *sees_variables,
            },
        };
        let Some(project) = state.project(project) else {
            return message(404, "404 Project Not Found");
        };
        match call {
            Call::Project => return Answer::json(200, &self.described(project)),
            Call::ListPipelines => return self.list(&state, project, request),
            Call::Artifact => return job::artifact(&state, project.id, request),
            _ => {}
        }
        let mut pipelines = state.pipelines.iter().filter(|one| !one.deleted);
        let found = pipelines.find(|one| one.project_id == project.id && Some(one.id) == pipeline);
        let Some(pipeline) = found else {
            return message(404, "404 Not found");
        };
        match call {
            Call::PipelineVariables if !sees_variables => message(403, "403 Forbidden"),
            Call::PipelineVariables => Answer::json(200, &variables(pipeline)),
            Call::PipelineJobs => match job::list(pipeline, request) {
                Ok(jobs) => paged(jobs, request),
                Err(refusal) => refusal,
            },
            _ => Answer::json(200, &pipeline.full(&self.url, state.older_bodies)),
        }
    }

    fn list(&self, state: &State, project: &Project, request: &Request) -> Answer {
        for (name, known) in ENUMERATED {
            if request.param(name).is_some_and(|value| !known.contains(&value.as_str())) {
                return error(400, &format!("{name} does not have a valid value"));
            }
        }
        let created_after = match request.param("created_after").map(|text| DateTime::parse_from_rfc3339(&text)) {
            Some(Err(_)) => {
                return error(400, "created_after is invalid");
            }
            Some(Ok(time)) => Some(time),
            None => None,
        };
        let wanted = ["source", "ref", "sha", "status"].map(|name| request.param(name));
        let fits = |one: &&Pipeline| {
            let facts = [&one.source, &one.r#ref, &one.sha, &one.status];
            let mut pairs = wanted.iter().zip(facts);
            let in_time = created_after.is_none_or(|time| one.created_at > time);
            one.project_id == project.id
                && !one.deleted
                && in_time
                && pairs.all(|(want, fact)| want.as_ref().is_none_or(|want| want == fact))
        };
        let mut found: Vec<_> = state.pipelines.iter().filter(fits).collect();
        if request.param("order_by").as_deref() == Some("updated_at") {
            found.sort_by_key(|one| one.updated_at);
        }
        if request.param("sort").as_deref() != Some("asc") {
            found.reverse();
        }
        paged(found.into_iter().map(|one| one.brief(state.older_bodies)).collect(), request)
    }

    fn described(&self, project: &Project) -> Value {
        json!({
            "id": project.id, "name": project.name(), "path": project.name(),
            "path_with_namespace": project.path, "default_branch": project.branches.first(),
            "web_url": format!("{}/{}", self.url, project.path), "visibility": "private", "archived": false,
            "namespace": { "full_path": project.namespace(), "kind": "group" },
        })
    }
}

fn variables(pipeline: &Pipeline) -> Value {
    let variable =
        |key: &str, value: &str, kind: &str| json!({ "key": key, "value": value, "variable_type": kind, "raw": false });
    let variables = pipeline.variables.iter();
    let variables = variables.map(|(key, value)| variable(key, value, "env_var"));
    let payload = variable("TRIGGER_PAYLOAD", &pipeline.trigger_payload, "file");
    variables.chain((!pipeline.trigger_payload.is_empty()).then_some(payload)).collect()
}

/// Pages from 1 with 20 entries, 100 at most.
fn paged(entries: Vec<Value>, request: &Request) -> Answer {
    let number = |name: &str, default: usize| match request.param(name).map(|text| text.parse()) {
        Some(Ok(number)) if number > 0 => Some(number),
        Some(_) => None,
        None => Some(default),
    };
    let (Some(page), Some(per_page)) = (number("page", 1), number("per_page", 20)) else {
        return error(400, "page is invalid");
    };
    let per_page = per_page.min(100);
    let total = entries.len();
    let pages = total.div_ceil(per_page).max(1);
    let next = if page < pages { (page + 1).to_string() } else { String::new() };
    let shown: Vec<_> = entries.into_iter().skip((page - 1) * per_page).take(per_page).collect();
    Answer::json(200, &Value::Array(shown))
        .with("x-page", page)
        .with("x-per-page", per_page)
        .with("x-next-page", next)
        .with("x-total", total)
        .with("x-total-pages", pages)
}
