//! GitLab: projects with trigger tokens, the pipelines they start, and the hooks of those.

mod hook;
mod job;
mod params;
mod pipeline;
mod project;
mod read;
mod trigger;

pub use job::Job;
pub use pipeline::Pipeline;
pub use project::{Project, ProjectBuilder};

use crate::clock::Clock;
use crate::http::{Answer, Request, percent_decode};
use crate::journal::{Call, Upstream};
use crate::service::Service;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone)]
pub struct GitLab {
    state: Arc<Mutex<State>>,
    clock: Clock,
    /// How far GitLab's clock is ahead of the sandbox's, in milliseconds.
    ahead: Arc<AtomicI64>,
    url: String,
}

#[derive(Default)]
struct State {
    projects: Vec<Project>,
    pipelines: Vec<Pipeline>,
    /// Tokens that read, and whether they may read the variables of pipelines.
    read_tokens: Vec<(String, bool)>,
    older_bodies: bool,
    hook_token: Option<String>,
    signing_key: Option<Vec<u8>>,
    hooks: u64,
    jobs: u64,
    /// Pipelines by project, owner, commit and minute.
    created: BTreeMap<(u64, String, String, i64), u32>,
}

impl GitLab {
    pub fn new(clock: Clock, url: String) -> Self {
        Self { state: Arc::default(), clock, ahead: Arc::default(), url }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The project at this path, made where there is none: branch `main`, a CI file, no token yet.
    pub fn project(&self, path: &str) -> ProjectBuilder {
        let mut state = self.lock();
        if !state.projects.iter().any(|project| project.path == path) {
            let id = 101 + state.projects.len() as u64;
            state.projects.push(Project::new(id, path));
        }
        drop(state);
        ProjectBuilder::new(self.clone(), path)
    }

    pub fn projects(&self) -> Vec<Project> {
        self.lock().projects.clone()
    }

    /// All earlier tokens of the project are refused from now on.
    pub fn rotate_token(&self, path: &str, new: &str) {
        self.change(path, |project| project.tokens = vec![new.to_owned()]);
    }

    /// A token with `read_api` on every project.
    pub fn read_token(&self, token: &str) {
        self.lock().read_tokens.push((token.to_owned(), true));
    }

    /// A token that sees pipelines, and not their variables: 403.
    pub fn read_token_without_variables(&self, token: &str) {
        self.lock().read_tokens.push((token.to_owned(), false));
    }

    /// As GitLab 13: no answer about a pipeline names its project's id.
    pub fn older_bodies(&self) {
        self.lock().older_bodies = true;
    }

    /// GitLab's clock goes ahead of everybody else's by so many seconds, or behind.
    pub fn clock_ahead(&self, seconds: i64) {
        self.ahead.store(seconds * 1000, Ordering::Relaxed);
    }

    /// The time by GitLab's own clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::milliseconds(self.ahead.load(Ordering::Relaxed))
    }

    pub fn pipelines(&self) -> Vec<Pipeline> {
        self.lock().pipelines.clone()
    }

    /// The pipeline as it stands now; it must exist.
    pub fn pipeline(&self, id: u64) -> Pipeline {
        let found = self.pipelines().into_iter().find(|one| one.id == id);
        found.unwrap_or_else(|| panic!("the sandbox has no pipeline {id}"))
    }

    /// The pipeline reaches this status, final or not.
    pub fn finish(&self, id: u64, status: &str) {
        let now = self.now();
        self.change_pipeline(id, |pipeline| pipeline.reach(status, now));
    }

    /// The pipeline is gone from GitLab, and its jobs with it.
    pub fn delete_pipeline(&self, id: u64) {
        self.change_pipeline(id, |pipeline| pipeline.deleted = true);
    }

    pub(crate) fn service(&self) -> Service {
        let gitlab = self.clone();
        Service {
            upstream: Upstream::GitLab,
            classify,
            answer: Arc::new(move |call, request| gitlab.answer(call, request)),
        }
    }

    fn answer(&self, call: Call, request: &Request) -> Answer {
        let (_, route) = request.route();
        let project = route.get(3).and_then(|segment| percent_decode(segment));
        let Some(project) = project.filter(|_| call != Call::Other) else {
            return Answer::json(404, &json!({ "error": "404 Not Found" })).stray();
        };
        if call == Call::Trigger {
            let ref_in_url = match route.as_slice() {
                [.., "ref", name, "trigger", "pipeline"] => percent_decode(name),
                _ => None,
            };
            let answer = self.trigger(&project, ref_in_url, request);
            // Query strings are logged, so nothing of a trigger belongs there.
            return if request.query.is_some() { answer.stray() } else { answer };
        }
        let pipeline = route.get(5).and_then(|segment| segment.parse().ok());
        self.read(call, &project, pipeline, request)
    }

    fn change(&self, path: &str, how: impl FnOnce(&mut Project)) {
        let mut state = self.lock();
        let found = state.projects.iter_mut().find(|project| project.path == path);
        how(found.unwrap_or_else(|| panic!("the sandbox has no project `{path}`")));
    }

    fn change_pipeline(&self, id: u64, how: impl FnOnce(&mut Pipeline)) {
        let mut state = self.lock();
        let found = state.pipelines.iter_mut().find(|pipeline| pipeline.id == id);
        how(found.unwrap_or_else(|| panic!("the sandbox has no pipeline {id}")));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// By path, in any case of its letters, or by number, as `:id` allows.
    fn project(&self, id: &str) -> Option<&Project> {
        let mut projects = self.projects.iter();
        projects.find(|project| project.path.eq_ignore_ascii_case(id) || project.id.to_string() == id)
    }
}

fn classify(request: &Request) -> Call {
    let (method, route) = request.route();
    match (method, route.as_slice()) {
        (_, ["api", "v4", "projects", "", ..]) => Call::Other,
        ("POST", ["api", "v4", "projects", _, "trigger", "pipeline"]) => Call::Trigger,
        ("POST", ["api", "v4", "projects", _, "ref", _, "trigger", "pipeline"]) => Call::Trigger,
        ("GET", ["api", "v4", "projects", _, "jobs", _, "artifacts", _, ..]) => Call::Artifact,
        ("GET", ["api", "v4", "projects", _]) => Call::Project,
        ("GET", ["api", "v4", "projects", _, "pipelines"]) => Call::ListPipelines,
        ("GET", ["api", "v4", "projects", _, "pipelines", _]) => Call::GetPipeline,
        ("GET", ["api", "v4", "projects", _, "pipelines", _, "variables"]) => Call::PipelineVariables,
        ("GET", ["api", "v4", "projects", _, "pipelines", _, "jobs"]) => Call::PipelineJobs,
        _ => Call::Other,
    }
}

/// `{"message": {"base": [words]}}`, as GitLab words what keeps a pipeline from being created.
fn base(status: u16, words: &str) -> Answer {
    Answer::json(status, &json!({ "message": { "base": [words] } }))
}

fn error(status: u16, words: &str) -> Answer {
    Answer::json(status, &json!({ "error": words }))
}

fn message(status: u16, words: &str) -> Answer {
    Answer::json(status, &json!({ "message": words }))
}
