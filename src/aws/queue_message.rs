//! What this function puts on its queue: types of their own with a version, since messages wait there across upgrades.
//!
//! Unknown members are ignored and a missing optional member is absent, so that a message of the version before or after is read where it can be.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::gitlab::types::{self, Pipeline, PipelineEvent, PipelineStatus, RunProof};
use crate::glint::run::{RunId, RunPatch, RunReport, TerminalStatus};
use crate::json;

const VERSION: u32 = 1;

/// The message attribute that says what the body is, of a message that this function wrote itself: [`HOOK`] or [`REPORT`].
pub const KIND: &str = "x-glint-kind";
pub const HOOK: &str = "hook";
pub const REPORT: &str = "report";
/// The message attribute that proves kind and body: whoever may send to the queue can send runs, and nothing else.
pub const MAC: &str = "x-glint-mac";
/// The message attribute of a run with its version. A run's body is the message of Glint as it came.
pub const RUN_VERSION: &str = "x-glint-v";
/// The message attribute of a run with path and query of the URL that it came to, which are not proven yet.
pub const RUN_URL: &str = "x-glint-url";
/// The message attribute of a run with the header `RUN_ID`, which is not proven either.
pub const RUN_ID_HEADER: &str = "x-glint-run-id";

/// What of a run's message is not in its body, as message attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunAttributes {
    pub url: Option<String>,
    pub run_id_header: Option<String>,
}

impl RunAttributes {
    pub fn to_attributes(&self) -> Vec<(&'static str, String)> {
        // SQS refuses an empty attribute, which says nothing either.
        let members = [(RUN_URL, &self.url), (RUN_ID_HEADER, &self.run_id_header)];
        let is_said = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let mut attributes: Vec<_> =
            members.into_iter().filter_map(|(name, value)| Some((name, is_said(value)?))).collect();
        if !attributes.is_empty() {
            attributes.push((RUN_VERSION, VERSION.to_string()));
        }
        attributes
    }

    /// Reads them through `attribute`; `None` where this function set none.
    pub fn read<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        attribute(RUN_VERSION)?;
        let text = |name| attribute(name).map(str::to_owned);
        Some(Self { url: text(RUN_URL), run_id_header: text(RUN_ID_HEADER) })
    }
}

/// Why a queued message cannot be read: it was written by this function, in another version of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queued {kind} of version {version} cannot be read by version {VERSION}: {why}")]
pub struct UnreadableMessage {
    kind: &'static str,
    version: u64,
    why: String,
}

/// The facts of a pipeline hook that are needed to move its run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HookMessage {
    #[serde(default)]
    v: u32,
    pipeline_id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_id: Option<u64>,
    url: String,
    project: String,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manual_job_has_started: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed_jobs: Vec<Job>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    manual_jobs: Vec<Job>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_token: Option<Token>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    id: u64,
    name: String,
    #[serde(default)]
    stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    run_id: String,
    proof: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report_pipeline_status: Option<bool>,
}

/// What Glint could not be told of a run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportMessage {
    #[serde(default)]
    v: u32,
    run_id: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<TerminalStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_label: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queued_at: Option<DateTime<Utc>>,
}

/// A report as it waited on the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct QueuedReport {
    pub run_id: RunId,
    pub report: RunReport,
    /// When it was queued: a run that was claimed later has an attempt that the report knows nothing of.
    pub queued_at: Option<DateTime<Utc>>,
}

/// The body of a queued hook.
pub fn write_hook(event: &PipelineEvent) -> String {
    json::to_text(&HookMessage::from(event))
}

pub fn read_hook(body: &str) -> Result<PipelineEvent, UnreadableMessage> {
    read::<HookMessage, _>(HOOK, body)
}

/// The body of a queued report.
pub fn write_report(run_id: &RunId, report: &RunReport, now: DateTime<Utc>) -> String {
    let RunPatch { status, status_label, links, summary, external_run_id } = report.update.clone();
    let run_id = run_id.clone();
    let log = report.log.clone();
    let queued_at = Some(now);
    json::to_text(&ReportMessage {
        v: VERSION,
        run_id,
        log,
        status,
        status_label,
        links,
        summary,
        external_run_id,
        queued_at,
    })
}

pub fn read_report(body: &str) -> Result<QueuedReport, UnreadableMessage> {
    read::<ReportMessage, _>(REPORT, body)
}

fn read<'a, M: Deserialize<'a>, T>(kind: &'static str, body: &'a str) -> Result<T, UnreadableMessage>
where
    T: TryFrom<M>,
    T::Error: std::fmt::Display,
{
    #[derive(Deserialize)]
    struct Versioned {
        v: u64,
    }
    let unreadable = |why: String| {
        let version = serde_json::from_str::<Versioned>(body).map_or(0, |message| message.v);
        UnreadableMessage { kind, version, why }
    };
    // The parser's words quote what they are about, however long it is.
    let message: M = serde_json::from_str(body).map_err(|error| unreadable(json::excerpt(&error.to_string())))?;
    T::try_from(message).map_err(|why| unreadable(why.to_string()))
}

impl From<&PipelineEvent> for HookMessage {
    fn from(event: &PipelineEvent) -> Self {
        let PipelineEvent {
            pipeline,
            project,
            status,
            sha,
            finished_at,
            moved_at,
            manual_job_has_started,
            failed_jobs,
            manual_jobs,
            run_proof: run_token,
        } = event.clone();
        Self {
            v: VERSION,
            pipeline_id: pipeline.id,
            project_id: pipeline.project_id,
            url: pipeline.url,
            project,
            status: status.as_str().to_owned(),
            sha,
            finished_at,
            moved_at,
            manual_job_has_started,
            failed_jobs: failed_jobs.into_iter().map(Job::from).collect(),
            manual_jobs: manual_jobs.into_iter().map(Job::from).collect(),
            run_token: run_token.map(|token| Token {
                run_id: token.run_id,
                proof: token.proof,
                report_pipeline_status: Some(token.report_pipeline_status),
            }),
        }
    }
}

impl TryFrom<HookMessage> for PipelineEvent {
    type Error = &'static str;

    fn try_from(message: HookMessage) -> Result<Self, Self::Error> {
        Ok(Self {
            pipeline: Pipeline {
                id: message.pipeline_id,
                project_id: Some(message.project_id.ok_or("it has no `projectId`")?),
                url: message.url,
            },
            project: message.project,
            status: PipelineStatus::parse(&message.status).ok_or("it has an unknown `status`")?,
            sha: message.sha,
            finished_at: message.finished_at,
            moved_at: message.moved_at,
            manual_job_has_started: message.manual_job_has_started,
            failed_jobs: message.failed_jobs.into_iter().map(types::Job::from).collect(),
            manual_jobs: message.manual_jobs.into_iter().map(types::Job::from).collect(),
            run_proof: message.run_token.map(|token| RunProof {
                run_id: token.run_id,
                proof: token.proof,
                report_pipeline_status: token.report_pipeline_status.unwrap_or(true),
            }),
        })
    }
}

impl From<types::Job> for Job {
    fn from(types::Job { id, name, stage, reason }: types::Job) -> Self {
        Self { id, name, stage, reason }
    }
}

impl From<Job> for types::Job {
    fn from(Job { id, name, stage, reason }: Job) -> Self {
        Self { id, name, stage, reason }
    }
}

impl From<ReportMessage> for QueuedReport {
    fn from(message: ReportMessage) -> Self {
        let ReportMessage { v: _, run_id, log, status, status_label, links, summary, external_run_id, queued_at } =
            message;
        let update = RunPatch { status, status_label, links, summary, external_run_id };
        Self { run_id, report: RunReport { log, update }, queued_at }
    }
}

#[cfg(test)]
mod tests;
