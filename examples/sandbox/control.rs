//! The control API: how a driver outside this process looks at the sandbox and changes it.
//!
//! | request | body | what it does |
//! |---|---|---|
//! | `GET /` | | how Glint and GitLab look, as text for a person |
//! | `GET /state` | | projects, pipelines, runs, entities, secret reads, queue, strays, exchanges without their bodies |
//! | `POST /runs`, `POST /projects` | one of a seed's `runs` or `projects` | creates it or changes it |
//! | `POST /secrets` | names and values | puts them, also where one was denied or deleted |
//! | `POST /secrets/rotate` | `{"name", "value"}` | makes a new current version |
//! | `POST /tokens/rotate` | `{"project", "token"}` | the project knows only this trigger token |
//! | `POST /pipelines/ID/finish` | `{"status", "jobs": [{"name", "status", "failure_reason", "artifacts": {path: text}}]}` | the pipeline and its jobs end |
//! | `GET /pipelines/ID/hook` | | `{"headers", "body"}` as GitLab would send them now |
//! | `POST /faults`, `DELETE /faults` | see `seed.rs` | plans a fault; forgets all that are planned |
//! | `POST /glint/refuse` | `{"status"}` | Glint answers this to everything, until told null |
//! | `POST /glint/expire` | | every token that Glint gave out is refused |

use crate::seed;
use chrono::{DateTime, Utc};
use sandbox::gitlab::Project;
use sandbox::http::{Answer, Request};
use sandbox::{Entity, Exchange, Job, Log, Message, Pipeline, Run, Sandbox, clock, view};
use serde_json::{Map, Value, json};

pub fn answer(sandbox: &Sandbox, request: &Request) -> Answer {
    if let ("GET", path) = request.route()
        && path == [""]
    {
        return Answer::text(200, &view::state(sandbox, str::to_owned));
    }
    match act(sandbox, request) {
        Ok(Some(value)) => Answer::json(200, &value),
        Ok(None) => Answer::json(404, &json!({ "error": "the control API has no such route" })),
        Err(words) => Answer::json(400, &json!({ "error": words })),
    }
}

fn act(sandbox: &Sandbox, request: &Request) -> Result<Option<Value>, String> {
    let given = if request.body.is_empty() { Some(json!({})) } else { request.json() };
    let given = given.ok_or("the body is not JSON")?;
    let need = |key: &str| seed::text(&given, key).ok_or_else(|| format!("`{key}` is missing"));
    match request.route() {
        ("GET", path) => return look(sandbox, &path),
        ("POST", path) => match path.as_slice() {
            ["runs"] => seed::run(sandbox, &given)?,
            ["projects"] => seed::project(sandbox, &given)?,
            ["faults"] => seed::fault(sandbox, &given)?,
            ["secrets"] => seed::secrets(sandbox, &given),
            ["secrets", "rotate"] => sandbox.secrets.rotate(&need("name")?, seed::secret_text(&given["value"])),
            ["tokens", "rotate"] => {
                let path = need("project")?;
                known_project(sandbox, &path)?;
                sandbox.gitlab.rotate_token(&path, &need("token")?);
            }
            ["pipelines", id, "finish"] => {
                finish(sandbox, pipeline(sandbox, id)?.id, &need("status")?, &given["jobs"])?;
            }
            ["glint", "refuse"] => sandbox.glint.refuse_all(refusal(&given)?),
            ["glint", "expire"] => sandbox.glint.expire_tokens(),
            _ => return Ok(None),
        },
        ("DELETE", path) if path == ["faults"] => sandbox.heal(),
        _ => return Ok(None),
    }
    Ok(Some(json!({ "ok": true })))
}

fn look(sandbox: &Sandbox, path: &[&str]) -> Result<Option<Value>, String> {
    Ok(match path {
        ["state"] => Some(state(sandbox)),
        ["pipelines", id, "hook"] => {
            let (headers, body) = sandbox.gitlab.hook(pipeline(sandbox, id)?.id);
            let headers = headers.into_iter().map(|(name, value)| (name, Value::String(value)));
            let body = String::from_utf8_lossy(&body);
            Some(json!({ "headers": headers.collect::<Map<_, _>>(), "body": body }))
        }
        _ => None,
    })
}

fn finish(sandbox: &Sandbox, id: u64, status: &str, jobs: &Value) -> Result<(), String> {
    for job in jobs.as_array().into_iter().flatten() {
        let name = seed::text(job, "name").ok_or("a job needs `name`")?;
        let end = seed::text(job, "status").unwrap_or_else(|| status.to_owned());
        let reason = seed::text(job, "failure_reason");
        let added = sandbox.gitlab.add_job(id, &name, &end, reason.as_deref());
        for (path, content) in job["artifacts"].as_object().into_iter().flatten() {
            sandbox.gitlab.artifact(added, path, content.as_str().unwrap_or_default());
        }
    }
    sandbox.gitlab.finish(id, status);
    Ok(())
}

fn refusal(given: &Value) -> Result<Option<u16>, String> {
    match seed::status(given) {
        None if !given["status"].is_null() => Err("`status` must be an HTTP status or null".to_owned()),
        status => Ok(status),
    }
}

fn pipeline(sandbox: &Sandbox, id: &str) -> Result<Pipeline, String> {
    let found = sandbox.gitlab.pipelines().into_iter().find(|one| one.id.to_string() == id);
    found.ok_or_else(|| format!("there is no pipeline `{id}`"))
}

fn known_project(sandbox: &Sandbox, path: &str) -> Result<(), String> {
    let known = sandbox.gitlab.projects().iter().any(|project| project.path == path);
    known.then_some(()).ok_or_else(|| format!("there is no project `{path}`"))
}

fn state(sandbox: &Sandbox) -> Value {
    let exchanges = sandbox.journal.exchanges();
    let strays = exchanges.iter().filter(|exchange| exchange.stray);
    json!({
        "projects": all(sandbox.gitlab.projects(), shown_project),
        "pipelines": all(sandbox.gitlab.pipelines(), shown_pipeline),
        "runs": all(sandbox.glint.runs(), shown_run),
        "entities": all(sandbox.glint.entities(), shown_entity),
        "secret_reads": sandbox.secrets.all_reads(),
        "queue": all(sandbox.queue.messages(), shown_message),
        "dead_letters": all(sandbox.queue.dead_letters(), shown_message),
        "strays": all(strays, shown_exchange),
        "exchanges": all(&exchanges, shown_exchange),
    })
}

fn all<T>(things: impl IntoIterator<Item = T>, shown: impl Fn(T) -> Value) -> Value {
    things.into_iter().map(shown).collect()
}

fn shown_project(project: Project) -> Value {
    json!({
        "id": project.id, "path": project.path, "owner": project.owner,
        "branches": project.branches, "tags": project.tags,
    })
}

fn shown_pipeline(one: Pipeline) -> Value {
    json!({
        "id": one.id, "iid": one.iid, "project_id": one.project_id, "project": one.project, "ref": one.r#ref,
        "sha": one.sha, "status": one.status, "variables": one.variables, "inputs": one.inputs,
        "trigger_payload": one.trigger_payload, "web_url": one.web_url, "jobs": all(one.jobs, shown_job),
        "created_at": clock::stamp(one.created_at), "finished_at": time(one.finished_at),
    })
}

fn shown_job(job: Job) -> Value {
    json!({
        "id": job.id, "name": job.name, "status": job.status,
        "failure_reason": job.failure_reason, "web_url": job.web_url,
    })
}

/// Links are always a list here, however they were written.
fn shown_run(run: Run) -> Value {
    json!({
        "id": run.id, "status": run.status, "status_label": run.status_label, "link": run.links(),
        "external_run_id": run.external_run_id, "summary": run.summary, "logs": all(run.logs, shown_log),
        "writes": run.writes, "refused_writes": run.refused_writes, "synchronized": run.synchronized,
        "updated_at": clock::stamp(run.updated_at), "ended_at": time(run.ended_at),
    })
}

fn shown_log(log: Log) -> Value {
    json!({ "message": log.message, "termination_status": log.termination_status, "at": clock::stamp(log.at) })
}

fn shown_entity(entity: Entity) -> Value {
    json!({
        "blueprint": entity.blueprint, "identifier": entity.identifier, "title": entity.title,
        "properties": entity.properties, "relations": entity.relations, "run_id": entity.run_id,
    })
}

fn shown_message(message: Message) -> Value {
    json!({
        "id": message.id, "body": message.body, "group": message.group, "deduplication": message.deduplication,
        "attributes": message.attributes, "receives": message.receives, "visible_at": clock::stamp(message.visible_at),
    })
}

fn shown_exchange(one: &Exchange) -> Value {
    json!({
        "number": one.number, "upstream": format!("{:?}", one.upstream), "call": format!("{:?}", one.call),
        "method": one.method, "path_and_query": one.path_and_query, "status": one.status, "applied": one.applied,
        "stray": one.stray, "token_in_url": one.token_in_url, "connection": one.connection,
        "milliseconds": one.ended.map(|ended| u64::try_from((ended - one.started).as_millis()).unwrap_or(u64::MAX)),
    })
}

fn time(time: Option<DateTime<Utc>>) -> Value {
    json!(time.map(clock::stamp))
}
