//! Glint's API: credentials and tokens, action runs, their logs, entities.

mod entities;
mod run;
mod runs;
mod shape;
mod tokens;

pub use entities::Entity;
pub use run::{Log, Run, RunBuilder};
pub use shape::{ExternalId, Lists, Shape};

use crate::clock::Clock;
use crate::http::{Answer, Request, percent_decode};
use crate::journal::{Call, Upstream};
use crate::service::Service;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tokens::Tokens;

/// The credentials of a new sandbox.
pub const CLIENT_ID: &str = "sandbox-client-id";
pub const CLIENT_SECRET: &str = "glint-test-client-secret-0123456789abcdef";

/// Glint's own: anything longer is 413.
const BODY_LIMIT: usize = 1 << 20;

#[derive(Clone)]
pub struct Glint {
    state: Arc<Mutex<State>>,
    clock: Clock,
    url: String,
}

struct State {
    tokens: Tokens,
    runs: Vec<Run>,
    entities: Vec<Entity>,
    shape: Shape,
    blueprints: BTreeSet<String>,
    denies_entities: bool,
    refuses: Option<u16>,
    logs: u64,
    remaining: u64,
}

impl Glint {
    pub fn new(clock: Clock, url: String) -> Self {
        let state = State {
            tokens: Tokens::new(CLIENT_ID, CLIENT_SECRET),
            runs: Vec::new(),
            entities: Vec::new(),
            shape: Shape::default(),
            blueprints: shape::default_blueprints(),
            denies_entities: false,
            refuses: None,
            logs: 0,
            remaining: 15_000,
        };
        Self { state: Arc::new(Mutex::new(state)), clock, url }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// A run in progress; the builder's verbs change it in place.
    pub fn run(&self, id: &str) -> RunBuilder {
        let mut state = self.lock();
        if !state.runs.iter().any(|run| run.id == id) {
            state.runs.push(Run::new(id, self.clock.now()));
        }
        drop(state);
        RunBuilder::new(self.clone(), id)
    }

    pub fn runs(&self) -> Vec<Run> {
        let mut runs = self.lock().runs.clone();
        runs.iter_mut().for_each(|run| run.past.clear());
        runs
    }

    /// The run as it stands now; it must exist.
    pub fn run_state(&self, id: &str) -> Run {
        let found = self.runs().into_iter().find(|run| run.id == id);
        found.unwrap_or_else(|| panic!("the sandbox has no run `{id}`"))
    }

    /// Somebody else writes to the run: an automation, a pipeline, a person. `patch` is the body of a PATCH; it is false
    /// where the run has ended and took nothing.
    pub fn others_write(&self, id: &str, patch: Value) -> bool {
        let Value::Object(patch) = patch else { panic!("a patch is an object") };
        let now = self.clock.now();
        let mut state = self.lock();
        let shape = state.shape.clone();
        let run = state.run_mut(id).unwrap_or_else(|| panic!("the sandbox has no run `{id}`"));
        let takes = !run.has_ended();
        if takes {
            run.write(&patch, now, &shape);
        }
        takes
    }

    pub fn entities(&self) -> Vec<Entity> {
        self.lock().entities.clone()
    }

    /// From now on labels are accepted and not kept.
    pub fn forget_labels(&self) {
        self.shape(|shape| shape.keeps_label = false);
    }

    pub fn credentials(&self, id: &str, secret: &str) {
        self.lock().tokens.credentials(id, secret);
    }

    /// Logins need the new client secret; tokens that were given out stay good.
    pub fn rotate_secret(&self, new: &str) {
        self.lock().tokens.rotate(new);
    }

    /// How long a token that is given out from now on lives.
    pub fn token_ttl(&self, seconds: u64) {
        self.lock().tokens.ttl(seconds);
    }

    /// Every token given out so far is refused.
    pub fn expire_tokens(&self) {
        self.lock().tokens.expire();
    }

    /// Answers this status to everything, until told `None`.
    pub fn refuse_all(&self, status: Option<u16>) {
        self.lock().refuses = status;
    }

    pub(crate) fn service(&self) -> Service {
        let glint = self.clone();
        Service {
            upstream: Upstream::Glint,
            classify,
            answer: Arc::new(move |call, request| glint.answer(call, request)),
        }
    }

    fn answer(&self, call: Call, request: &Request) -> Answer {
        let mut state = self.lock();
        state.remaining = state.remaining.saturating_sub(1);
        let remaining = state.remaining;
        let refused = state.refuses;
        drop(state);
        let answer = match refused {
            Some(status) => error(status, "refused", "refused by the sandbox"),
            None => self.handle(call, request),
        };
        answer
            .with("x-trace-id", format!("sandbox-{remaining}"))
            .with("x-ratelimit-period", 300)
            .with("x-ratelimit-limit", 15_000)
            .with("x-ratelimit-remaining", remaining)
            .with("x-ratelimit-reset", self.clock.now().timestamp() + 300)
    }

    fn handle(&self, call: Call, request: &Request) -> Answer {
        if call == Call::Other {
            return not_found("Route not found").stray();
        }
        if request.body.len() > BODY_LIMIT {
            return error(413, "request_too_long", "Request body is too large");
        }
        let now = self.clock.now();
        if call == Call::Login {
            return self.lock().tokens.login(request, now);
        }
        if !self.lock().tokens.accept(request.bearer(), now) {
            return error(401, "unauthorized", "Invalid or expired token");
        }
        let (_, route) = request.route();
        let name = route.get(3).and_then(|segment| percent_decode(segment));
        let name = name.unwrap_or_default();
        match call {
            Call::GetRun => self.get_run(&name, request),
            Call::FindRuns => self.find_runs(request),
            Call::PatchRun => self.patch_run(&name, request),
            Call::PostLog => self.post_log(&name, request),
            _ => {
                let blueprint = route.get(2).and_then(|segment| percent_decode(segment));
                self.post_entity(&blueprint.unwrap_or_default(), request)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of Glint's state panics")
    }
}

impl State {
    fn run_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.id == id)
    }
}

fn classify(request: &Request) -> Call {
    let (method, route) = request.route();
    match (method, route.as_slice()) {
        ("POST", ["v1", "auth", "access_token"]) => Call::Login,
        ("GET", ["v1", "actions", "runs"]) => Call::FindRuns,
        ("GET", ["v1", "actions", "runs", id]) if !id.is_empty() => Call::GetRun,
        ("PATCH", ["v1", "actions", "runs", id]) if !id.is_empty() => Call::PatchRun,
        ("POST", ["v1", "actions", "runs", id, "logs"]) if !id.is_empty() => Call::PostLog,
        ("POST", ["v1", "blueprints", id, "entities"]) if !id.is_empty() => Call::UpsertEntity,
        _ => Call::Other,
    }
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "ok": false, "error": code, "message": message }))
}

fn not_found(message: &str) -> Answer {
    error(404, "not_found", message)
}

/// The body as an object with no other keys than these, or the 422 that says what is wrong.
fn strict_object(request: &Request, allowed: &[&str]) -> Result<serde_json::Map<String, Value>, Answer> {
    let refuse = |message: String| error(422, "invalid_request", &message);
    if !request.is_json() {
        return Err(refuse("Content-Type must be application/json".to_owned()));
    }
    let Some(Value::Object(body)) = request.json() else {
        return Err(refuse("json does not match the route's schema: body must be object".to_owned()));
    };
    match body.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(refuse(format!("json does not match the route's schema: body must not have `{key}`"))),
        None => Ok(body),
    }
}
