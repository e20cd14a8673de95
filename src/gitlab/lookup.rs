//! Looks pipelines up with a `read_api` token: where a creation was not confirmed, or an end was not reported.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::GitLab;
use super::jobs::Jobs;
use super::text::{Text, parse_time};
use super::webhook;
use crate::deadlines::LOOKUP_TIMEOUT;
use crate::gitlab::types::{GitRef, Pipeline, PipelineEvent, PipelineStatus, Project, RunProof, pipeline_page};
use crate::http::{Response, SendError, percent_encode};
use crate::retry::{Retry, retry};

const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
pub(super) const PER_PAGE: usize = 100;
/// More candidates than this for one run are not read: the look-up then proves nothing.
const MAX_PAGES: usize = 5;

/// Why a look-up says nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The token may not, or the thing is not there: the same again next time.
    #[error("GitLab's look-up answered {0}")]
    Refused(u16),
    #[error("GitLab's look-up failed: {0}")]
    Unavailable(String),
}

impl LookupError {
    /// Whether it is the read token that is refused: expired, revoked, or without the right to read.
    pub fn is_token_refused(&self) -> bool {
        matches!(self, Self::Refused(401 | 403))
    }

    /// Whether it is not there, or hidden from the token.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(404))
    }
}

impl Retry for LookupError {
    fn after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable(_)).then_some(Duration::ZERO)
    }

    fn out_of_time() -> Self {
        Self::Unavailable("no time left".to_owned())
    }
}

impl GitLab {
    /// The project's pipelines that a trigger started on `git_ref` since `since`, newest first.
    pub async fn list_triggered(
        &self,
        project: &Project,
        git_ref: &GitRef,
        since: DateTime<Utc>,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<Vec<Pipeline>, LookupError> {
        #[derive(Deserialize)]
        struct Listed {
            id: u64,
            project_id: Option<u64>,
            #[serde(default)]
            web_url: Text<2048>,
        }
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let git_ref = percent_encode(git_ref.short_name());
        let mut pipelines = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!(
                "projects/{}/pipelines?source=trigger&ref={git_ref}&created_after={}&order_by=id&sort=desc&per_page={PER_PAGE}&page={page}",
                project.segment(),
                percent_encode(&since)
            );
            let listed: Vec<Listed> = self.get(&path, token, deadline).await?;
            let is_last = listed.len() < PER_PAGE;
            pipelines.extend(listed.into_iter().map(|listed| Pipeline {
                id: listed.id,
                project_id: listed.project_id,
                url: self.page(project, &listed.web_url, listed.id),
            }));
            if is_last {
                return Ok(pipelines);
            }
        }
        Err(LookupError::Unavailable("there are too many pipelines to look through".to_owned()))
    }

    /// The run that the pipeline's own `TRIGGER_PAYLOAD` names. `None` where it has none, or one that was not made here.
    pub async fn run_proof(
        &self,
        project: &Project,
        pipeline_id: u64,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<Option<RunProof>, LookupError> {
        #[derive(Deserialize)]
        struct Variable {
            key: String,
            value: Option<String>,
        }
        let path = format!("projects/{}/pipelines/{pipeline_id}/variables", project.segment());
        let variables: Vec<Variable> = self.get(&path, token, deadline).await?;
        let payload = variables.into_iter().find(|variable| variable.key == "TRIGGER_PAYLOAD");
        Ok(payload.and_then(|payload| webhook::run_proof(&payload.value?)))
    }

    /// How a pipeline stands, without its jobs and its run. `None` while it is between the statuses that move a run.
    pub async fn pipeline(
        &self,
        project: &Project,
        pipeline_id: u64,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<Option<PipelineEvent>, LookupError> {
        #[derive(Deserialize)]
        struct Detail {
            project_id: Option<u64>,
            status: String,
            #[serde(default)]
            web_url: Text<2048>,
            #[serde(default)]
            sha: Text<64>,
            #[serde(default)]
            finished_at: Text<64>,
        }
        let path = format!("projects/{}/pipelines/{pipeline_id}", project.segment());
        let detail: Detail = self.get(&path, token, deadline).await?;
        let Some(status) = PipelineStatus::parse(&detail.status) else { return Ok(None) };
        let number = || project.is_numeric().then(|| project.path().parse().ok()).flatten();
        let url = self.page(project, &detail.web_url, pipeline_id);
        let path = if project.is_numeric() { self.path_in(&detail.web_url) } else { project.path() };
        let pipeline = Pipeline { id: pipeline_id, project_id: detail.project_id.or_else(number), url };
        Ok(Some(PipelineEvent {
            sha: detail.sha.into_option().filter(|sha| sha.bytes().all(|byte| byte.is_ascii_hexdigit())),
            finished_at: parse_time(&detail.finished_at),
            ..PipelineEvent::new(pipeline, path, status)
        }))
    }

    /// Adds the jobs that failed, or that somebody has to start, where the event's status is one of which they are told.
    pub async fn add_jobs(
        &self,
        event: &mut PipelineEvent,
        project: &Project,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<(), LookupError> {
        let scopes: &[&str] = match event.status {
            PipelineStatus::Failed => &["failed"],
            PipelineStatus::Manual => &["failed", "manual"],
            PipelineStatus::Skipped => &["manual"],
            _ => return Ok(()),
        };
        let scopes: String = scopes.iter().map(|scope| format!("scope%5B%5D={scope}&")).collect();
        let path =
            format!("projects/{}/pipelines/{}/jobs?{scopes}per_page={PER_PAGE}", project.segment(), event.pipeline.id);
        let Jobs { failed, manual, .. } = self.get(&path, token, deadline).await?;
        event.manual_jobs = manual.into_jobs();
        event.failed_jobs = failed.into_jobs();
        event.status = event.status.with_manual_jobs(!event.manual_jobs.is_empty());
        Ok(())
    }

    /// Whether the project can be read with the token.
    pub async fn has_project(
        &self,
        project: &Project,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<bool, LookupError> {
        let found: Result<serde::de::IgnoredAny, _> =
            self.get(&format!("projects/{}", project.segment()), token, deadline).await;
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The event of a pipeline that GitLab no longer has.
    pub fn deleted(&self, project: &Project, pipeline_id: u64, url: Option<&str>) -> PipelineEvent {
        let project_id = project.is_numeric().then(|| project.path().parse().ok()).flatten();
        let url = url.map_or_else(|| self.page(project, "", pipeline_id), str::to_owned);
        let path = if project.is_numeric() { String::new() } else { project.path() };
        PipelineEvent::new(Pipeline { id: pipeline_id, project_id, url }, path, PipelineStatus::Deleted)
    }

    fn page(&self, project: &Project, given: &str, pipeline_id: u64) -> String {
        let path = if project.is_numeric() { String::new() } else { project.path() };
        pipeline_page(given, self.base.as_str(), &path, pipeline_id)
    }

    /// `https://host/sub/group/project/-/pipelines/1` → `group/project`: what stands between GitLab's own path and `/-/`.
    fn path_in(&self, web_url: &str) -> String {
        let path = |url: &str| url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
        let (own, path) = (path(self.base.as_str()), path(web_url));
        let path = path.strip_prefix(&own).unwrap_or(&path);
        path.split("/-/").next().unwrap_or_default().trim_matches('/').to_owned()
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<T, LookupError> {
        let answer = self.read(path, MAX_RESPONSE_BYTES, token, deadline).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| LookupError::Unavailable("the answer cannot be read".to_owned()))
    }

    /// The 200 that `path` is answered with, of at most `max_bytes`.
    pub(super) async fn read(
        &self,
        path: &str,
        max_bytes: usize,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<Response, LookupError> {
        retry(deadline, || async {
            let mut request = self.request(Method::GET, path).map_err(LookupError::Unavailable)?;
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| LookupError::Refused(401))?;
            value.set_sensitive(true);
            request.headers_mut().insert("private-token", value);
            let answer = self.http.send(request, max_bytes, LOOKUP_TIMEOUT).await.map_err(|failure| match failure {
                SendError::NotSent(why) | SendError::ResponseLost(why) => LookupError::Unavailable(why),
            })?;
            match answer.status {
                200 => Ok(answer),
                status @ (300..=399 | 400 | 401 | 403 | 404) => Err(LookupError::Refused(status)),
                status => Err(LookupError::Unavailable(format!("status {status}"))),
            }
        })
        .await
    }
}
