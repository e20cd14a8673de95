//! Reads the jobs of a pipeline that a report names.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::{Flag, Lenient, Number, Text, others_are_default, parse_time, passes_over_objects};
use crate::gitlab::types::Job;

/// One more than a person is told of, so that it can be said that there are more.
const MAX_JOBS: usize = 21;

/// What is told of a pipeline's jobs, read from a hook's `builds` or from GitLab's list of jobs.
#[derive(Default)]
pub struct Jobs {
    /// Those that made the pipeline fail.
    pub failed: FirstJobs,
    /// Those that somebody has to start, the ones that block the pipeline first.
    pub manual: FirstJobs,
    /// When one of them last started or ended.
    pub moved_at: Option<DateTime<Utc>>,
    /// Whether one that has to be started by hand was, or is not reached yet; `None` where neither is told.
    pub manual_job_has_started: Option<bool>,
}

/// The first jobs of a kind, in the order in which they were created: GitLab lists the latest first.
#[derive(Default)]
pub struct FirstJobs(BTreeMap<(bool, u64), Job>);

impl FirstJobs {
    fn insert(&mut self, comes_later: bool, job: Job) {
        self.0.insert((comes_later, job.id), job);
        if self.0.len() > MAX_JOBS {
            self.0.pop_last();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_jobs(self) -> Vec<Job> {
        self.0.into_values().collect()
    }
}

#[derive(Deserialize)]
struct Build {
    #[serde(default)]
    id: Number,
    #[serde(default)]
    name: Text<255>,
    #[serde(default)]
    stage: Text<255>,
    #[serde(default)]
    status: Text<64>,
    #[serde(default)]
    failure_reason: Text<255>,
    #[serde(default)]
    allow_failure: Flag,
    #[serde(default)]
    manual: Flag,
    #[serde(default)]
    started_at: Text<64>,
    #[serde(default)]
    finished_at: Text<64>,
}

impl Jobs {
    fn add(&mut self, build: Build) {
        let status = &*build.status;
        let moved_at = parse_time(&build.finished_at).or_else(|| parse_time(&build.started_at));
        self.moved_at = self.moved_at.max(moved_at);
        if build.manual.0 {
            match status {
                "created" => self.manual_job_has_started = self.manual_job_has_started.or(Some(false)),
                "manual" | "skipped" => {}
                _ => self.manual_job_has_started = Some(true),
            }
        }
        let (is_failed, is_manual) = (status == "failed" && !build.allow_failure.0, status == "manual");
        let Some(id) = build.id.0.filter(|_| is_failed || is_manual) else { return };
        let comes_later = is_manual && build.allow_failure.0;
        let job = Job {
            id,
            name: build.name.to_string(),
            stage: build.stage.to_string(),
            reason: build.failure_reason.into_option(),
        };
        if is_failed { self.failed.insert(false, job) } else { self.manual.insert(comes_later, job) }
    }
}

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Jobs;

            others_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
            passes_over_objects!();

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut jobs = Jobs::default();
                while let Some(build) = list.next_element::<Lenient<Build>>()? {
                    if let Some(build) = build.0 {
                        jobs.add(build);
                    }
                }
                Ok(jobs)
            }
        }

        deserializer.deserialize_any(List)
    }
}
