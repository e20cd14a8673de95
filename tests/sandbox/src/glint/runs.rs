//! Reading runs, and writing to those that have not ended.

use super::run::{Log, Run};
use super::{ExternalId, Glint, Lists, Shape, State, error, not_found, strict_object};
use crate::clock::stamp;
use crate::http::{Answer, Request};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

const PATCH_KEYS: [&str; 6] = ["status", "statusLabel", "link", "summary", "externalRunId", "message"];
const LOG_KEYS: [&str; 3] = ["message", "terminationStatus", "statusLabel"];

impl Glint {
    pub(super) fn get_run(&self, id: &str, request: &Request) -> Answer {
        let (state, now) = (self.lock(), self.clock.now());
        match state.known(id, now) {
            Some(run) => shown(run.as_of(now, state.shape.stale_reads), request, &state.shape),
            None => unknown(id),
        }
    }

    pub(super) fn find_runs(&self, request: &Request) -> Answer {
        let limit = request.param("limit").map(|limit| limit.parse::<usize>());
        let limit = match limit.unwrap_or(Ok(100)) {
            Ok(limit @ 1..=1000) => limit,
            _ => return error(422, "invalid_request", "limit must be between 1 and 1000"),
        };
        let (state, now) = (self.lock(), self.clock.now());
        let external = request.param("external_run_id").filter(|_| state.shape.filters_external_id);
        let known = state.runs.iter().rev().filter(|run| state.is_known(run, now));
        let found = known.map(|run| run.as_of(now, state.shape.stale_lists)).filter(|run| {
            let matches = external.is_none() || run.external_run_id == external;
            matches && (!request.flag("active") || !run.has_ended())
        });
        let version = request.param("version");
        let runs = found.map(|run| (run.id.clone(), run.shown(version.as_deref(), &state.shape))).collect();
        match &state.shape.lists {
            Lists::Whole => listed(runs, limit, None),
            Lists::Paged(sizes) => page(runs, sizes, limit, request),
        }
    }

    pub(super) fn patch_run(&self, id: &str, request: &Request) -> Answer {
        let mut body = match strict_object(request, &PATCH_KEYS).and_then(checked_patch) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let shape = state.shape.clone();
        match shape.external_id {
            ExternalId::Refused if body.contains_key("externalRunId") => {
                let words = "json does not match the route's schema: body must not have `externalRunId`";
                return error(422, "invalid_request", words);
            }
            ExternalId::Dropped => drop(body.remove("externalRunId")),
            _ => {}
        }
        let Some(run) = state.known_mut(id, now) else {
            return unknown(id);
        };
        if run.has_ended() {
            return ended(run, shape.ended);
        }
        if run.synchronized && body.contains_key("status") {
            let words = "The status of a synchronized run cannot be set";
            return error(422, "run_synchronized_error", words);
        }
        let label = run.status_label.clone();
        run.write(&body, now, &shape);
        if !shape.keeps_label {
            run.status_label = label;
        }
        run.writes.push(Value::Object(body));
        shown(run, request, &shape)
    }

    pub(super) fn post_log(&self, id: &str, request: &Request) -> Answer {
        let body = match strict_object(request, &LOG_KEYS).and_then(checked_log) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let (number, shape) = (state.logs + 1, state.shape.clone());
        let Some(run) = state.known_mut(id, now) else {
            return unknown(id);
        };
        if run.has_ended() {
            return ended(run, shape.ended);
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let log = Log {
            message: text("message").unwrap_or_default(),
            termination_status: text("terminationStatus"),
            status_label: text("statusLabel"),
            at: now,
        };
        if log.termination_status.is_some() || log.status_label.is_some() {
            let patch = json!({ "status": log.termination_status, "statusLabel": log.status_label });
            run.write(patch.as_object().expect("an object"), now, &shape);
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

impl State {
    fn is_known(&self, run: &Run, now: DateTime<Utc>) -> bool {
        run.created_at + self.shape.new_run_lag <= now
    }

    fn known(&self, id: &str, now: DateTime<Utc>) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id && self.is_known(run, now))
    }

    fn known_mut(&mut self, id: &str, now: DateTime<Utc>) -> Option<&mut Run> {
        let lag = self.shape.new_run_lag;
        self.run_mut(id).filter(|run| run.created_at + lag <= now)
    }
}

fn shown(run: &Run, request: &Request, shape: &Shape) -> Answer {
    let version = request.param("version");
    Answer::json(200, &json!({ "ok": true, "run": run.shown(version.as_deref(), shape) }))
}

/// The page behind the request's `next`, which is the number of the page and the last run before it.
fn page(runs: Vec<(String, Value)>, sizes: &[usize], limit: usize, request: &Request) -> Answer {
    let token = request.param("next");
    let (number, last) = match token.as_deref().map(|token| token.split_once('.')) {
        None => (0, ""),
        Some(Some((number, last))) => (number.parse().unwrap_or(0), last),
        Some(None) => return error(422, "invalid_request", "next is not a token of this list"),
    };
    let start = runs.iter().position(|(id, _)| id == last).map_or(0, |place| place + 1);
    let size = sizes.get(number % sizes.len().max(1)).copied().unwrap_or(limit).min(limit);
    let end = runs.len().min(start + size);
    let next = (end < runs.len()).then(|| {
        let last = if end > start { runs[end - 1].0.as_str() } else { last };
        format!("{}.{last}", number + 1)
    });
    listed(runs.into_iter().skip(start).collect(), size, next)
}

fn listed(runs: Vec<(String, Value)>, most: usize, next: Option<String>) -> Answer {
    let runs: Vec<Value> = runs.into_iter().take(most).map(|(_, run)| run).collect();
    let mut body = json!({ "ok": true, "runs": runs });
    if let Some(next) = next {
        body["next"] = json!(next);
    }
    Answer::json(200, &body)
}

fn unknown(id: &str) -> Answer {
    not_found(&format!("Run with id \"{id}\" was not found"))
}

fn ended(run: &mut Run, status: u16) -> Answer {
    run.refused_writes += 1;
    let words = format!("Run {} has ended and cannot be changed", run.id);
    error(status, "run_already_ended", &words)
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
