//! Jobs of a pipeline, and the files they leave.

use super::{Answer, GitLab, Pipeline, State, error, message};
use crate::clock::stamp;
use crate::http::{Request, percent_decode};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What `scope` of a list of jobs may be.
const SCOPES: [&str; 12] = [
    "created",
    "waiting_for_resource",
    "preparing",
    "pending",
    "running",
    "success",
    "failed",
    "canceling",
    "canceled",
    "skipped",
    "manual",
    "scheduled",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: u64,
    pub name: String,
    pub stage: String,
    pub status: String,
    pub failure_reason: Option<String>,
    pub allow_failure: bool,
    pub web_url: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Another job has taken its place; lists leave it out.
    pub retried: bool,
    /// The files of its archive, those of `paths:`; an artifact under `reports:` alone is none of them.
    pub artifacts: BTreeMap<String, Vec<u8>>,
}

impl Job {
    pub(super) fn shown(&self, pipeline: &Pipeline) -> Value {
        let mut job = json!({
            "id": self.id, "name": self.name, "stage": self.stage, "status": self.status, "ref": pipeline.r#ref,
            "tag": pipeline.tag, "allow_failure": self.allow_failure, "web_url": self.web_url,
            "created_at": stamp(self.created_at), "started_at": stamp(self.created_at),
            "finished_at": self.finished_at.map(stamp), "duration": pipeline.seconds(),
            "pipeline": { "id": pipeline.id, "project_id": pipeline.project_id, "status": pipeline.status },
        });
        if let Some(reason) = &self.failure_reason {
            job["failure_reason"] = json!(reason);
        }
        if !self.artifacts.is_empty() {
            job["artifacts_file"] = self.artifacts_file();
        }
        job
    }

    pub(super) fn artifacts_file(&self) -> Value {
        match self.artifacts.values().map(Vec::len).sum::<usize>() {
            0 => json!({ "filename": null, "size": null }),
            size => json!({ "filename": "artifacts.zip", "size": size }),
        }
    }
}

impl GitLab {
    /// Adds a job to a pipeline, and returns its id.
    pub fn add_job(&self, pipeline: u64, name: &str, status: &str, failure_reason: Option<&str>) -> u64 {
        let now = self.now();
        let mut state = self.lock();
        state.jobs += 1;
        let id = state.jobs + 9000;
        drop(state);
        self.change_pipeline(pipeline, |pipeline| {
            let project = pipeline.web_url.split("/-/").next().unwrap_or_default();
            pipeline.jobs.push(Job {
                id,
                name: name.to_owned(),
                stage: "deploy".to_owned(),
                status: status.to_owned(),
                failure_reason: failure_reason.map(str::to_owned),
                allow_failure: false,
                web_url: format!("{project}/-/jobs/{id}"),
                created_at: now,
                finished_at: is_final(status).then_some(now),
                retried: false,
                artifacts: BTreeMap::new(),
            });
        });
        id
    }

    /// The job reaches this status: a manual one is played, a running one ends.
    pub fn finish_job(&self, job: u64, status: &str) {
        let now = self.now();
        self.change_job(job, |job| {
            job.status = status.to_owned();
            job.finished_at = is_final(status).then_some(now);
        });
    }

    /// Puts a file into the archive of the job's artifacts.
    pub fn artifact(&self, job: u64, path: &str, content: impl Into<Vec<u8>>) {
        let content = content.into();
        self.change_job(job, |job| drop(job.artifacts.insert(path.to_owned(), content)));
    }

    /// The pipeline's failed and canceled jobs run again as new ones, and so does it.
    pub fn retry(&self, pipeline: u64) {
        let is_retryable = |job: &&Job| matches!(job.status.as_str(), "failed" | "canceled") && !job.retried;
        let names: Vec<String> =
            self.pipeline(pipeline).jobs.iter().filter(is_retryable).map(|job| job.name.clone()).collect();
        self.change_pipeline(pipeline, |pipeline| {
            let jobs = pipeline.jobs.iter_mut();
            jobs.filter(|job| names.contains(&job.name)).for_each(|job| job.retried = true);
        });
        for name in names {
            self.add_job(pipeline, &name, "running", None);
        }
        self.finish(pipeline, "running");
    }

    fn change_job(&self, id: u64, how: impl FnOnce(&mut Job)) {
        let mut state = self.lock();
        let mut jobs = state.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.jobs);
        how(jobs.find(|job| job.id == id).unwrap_or_else(|| panic!("the sandbox has no job {id}")));
    }
}

fn is_final(status: &str) -> bool {
    matches!(status, "success" | "failed" | "canceled" | "skipped")
}

/// The pipeline's jobs of the scopes that are asked for, newest first.
pub(super) fn list(pipeline: &Pipeline, request: &Request) -> Result<Vec<Value>, Answer> {
    let params = request.params().into_iter();
    let scopes: Vec<String> =
        params.filter(|(name, _)| matches!(name.as_str(), "scope" | "scope[]")).map(|(_, scope)| scope).collect();
    if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(error(400, "scope does not have a valid value"));
    }
    let retried = request.flag("include_retried");
    let mut jobs: Vec<&Job> = pipeline.jobs.iter().collect();
    jobs.retain(|job| (scopes.is_empty() || scopes.contains(&job.status)) && (retried || !job.retried));
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    Ok(jobs.into_iter().map(|job| job.shown(pipeline)).collect())
}

/// `GET /projects/:id/jobs/:job_id/artifacts/*path`: one file of the job's archive, streamed.
pub(super) fn artifact(state: &State, project: u64, request: &Request) -> Answer {
    let (_, route) = request.route();
    let job: Option<u64> = route.get(5).and_then(|id| id.parse().ok());
    let path = percent_decode(&route.get(7..).unwrap_or_default().join("/")).unwrap_or_default();
    let pipelines = state.pipelines.iter().filter(|pipeline| pipeline.project_id == project && !pipeline.deleted);
    let mut jobs = pipelines.flat_map(|pipeline| &pipeline.jobs);
    let Some(content) = jobs.find(|one| Some(one.id) == job).and_then(|job| job.artifacts.get(&path)) else {
        return message(404, "404 Not Found");
    };
    Answer::new(200, "application/octet-stream", content.clone()).with("content-disposition", "attachment").streamed()
}
