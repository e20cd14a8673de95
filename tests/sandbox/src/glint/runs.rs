//! Reading runs, and writing to those that have not ended.

use super::run::{Log, Run};
use super::{Glint, error, not_found, strict_object};
use crate::clock::stamp;
use crate::http::{Answer, Request};
use serde_json::{Map, Value, json};

const PATCH_KEYS: [&str; 6] = ["status", "statusLabel", "link", "summary", "externalRunId", "message"];
const LOG_KEYS: [&str; 3] = ["message", "terminationStatus", "statusLabel"];

impl Glint {
    pub(super) fn get_run(&self, id: &str, request: &Request) -> Answer {
        match self.lock().run_mut(id) {
            Some(run) => shown(run, request),
            None => unknown(id),
        }
    }

    pub(super) fn find_runs(&self, request: &Request) -> Answer {
        let external = request.param("external_run_id");
        let limit = request.param("limit").map(|limit| limit.parse::<usize>());
        let limit = match limit.unwrap_or(Ok(100)) {
            Ok(limit @ 1..=1000) => limit,
            _ => return error(422, "invalid_request", "limit must be between 1 and 1000"),
        };
        let version = request.param("version");
        let state = self.lock();
        let found = state.runs.iter().rev().filter(|run| {
            let matches = external.is_none() || run.external_run_id == external;
            matches && (!request.flag("active") || !run.has_ended())
        });
        let runs: Vec<Value> = found.take(limit).map(|run| run.shown(version.as_deref())).collect();
        Answer::json(200, &json!({ "ok": true, "runs": runs }))
    }

    pub(super) fn patch_run(&self, id: &str, request: &Request) -> Answer {
        let body = match strict_object(request, &PATCH_KEYS).and_then(checked_patch) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let forgets_labels = state.forgets_labels;
        let Some(run) = state.run_mut(id) else {
            return unknown(id);
        };
        if run.has_ended() {
            return ended(run);
        }
        if run.synchronized && body.contains_key("status") {
            let words = "The status of a synchronized run cannot be set";
            return error(422, "run_synchronized_error", words);
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        if !forgets_labels {
            run.status_label = text("statusLabel").or(run.status_label.take());
        }
        run.summary = text("summary").or(run.summary.take());
        run.external_run_id = text("externalRunId").or(run.external_run_id.take());
        run.link = body.get("link").cloned().or(run.link.take());
        if let Some(status) = text("status") {
            run.end(&status, now);
        }
        run.updated_at = now;
        run.writes.push(Value::Object(body));
        shown(run, request)
    }

    pub(super) fn post_log(&self, id: &str, request: &Request) -> Answer {
        let body = match strict_object(request, &LOG_KEYS).and_then(checked_log) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let number = state.logs + 1;
        let Some(run) = state.run_mut(id) else {
            return unknown(id);
        };
        if run.has_ended() {
            return ended(run);
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let log = Log {
            message: text("message").unwrap_or_default(),
            termination_status: text("terminationStatus"),
            status_label: text("statusLabel"),
            at: now,
        };
        if let Some(status) = &log.termination_status {
            run.end(status, now);
        }
        let shown = json!({
            "id": format!("runLog_{number}"), "runId": id, "message": log.message,
            "createdBy": "sandbox", "createdAt": stamp(now),
        });
        run.logs.push(log);
        state.logs = number;
        Answer::json(201, &json!({ "ok": true, "runLog": shown }))
    }
}

fn shown(run: &Run, request: &Request) -> Answer {
    let version = request.param("version");
    Answer::json(200, &json!({ "ok": true, "run": run.shown(version.as_deref()) }))
}

fn unknown(id: &str) -> Answer {
    not_found(&format!("Run with id \"{id}\" was not found"))
}

fn ended(run: &mut Run) -> Answer {
    run.refused_writes += 1;
    let words = format!("Run {} has ended and cannot be changed", run.id);
    error(422, "run_already_ended", &words)
}

fn checked_patch(body: Map<String, Value>) -> Result<Map<String, Value>, Answer> {
    let fits = |(key, value): (&String, &Value)| match key.as_str() {
        "status" => is_end(value),
        "link" => value.is_string() || is_texts(value),
        "message" => value.is_object(),
        _ => value.is_string(),
    };
    checked(body, fits)
}

fn checked_log(body: Map<String, Value>) -> Result<Map<String, Value>, Answer> {
    if !body.contains_key("message") {
        return Err(error(422, "invalid_request", "body must have required property 'message'"));
    }
    checked(body, |(key, value)| match key.as_str() {
        "terminationStatus" => is_end(value),
        _ => value.is_string(),
    })
}

fn checked(body: Map<String, Value>, fits: impl Fn((&String, &Value)) -> bool) -> Result<Map<String, Value>, Answer> {
    match body.iter().find(|member| !fits(*member)) {
        Some((key, _)) => {
            let words = format!("json does not match the route's schema: `{key}`");
            Err(error(422, "invalid_request", &words))
        }
        None => Ok(body),
    }
}

fn is_end(value: &Value) -> bool {
    matches!(value.as_str(), Some("SUCCESS" | "FAILURE"))
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
}
