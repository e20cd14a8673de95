//! Looks pipelines up with a `read_api` token: one whose creation was not confirmed, or whose end was not heard.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::GitLab;
use crate::deadlines::LOOKUP_TIMEOUT;
use crate::gitlab::types::{FailedJob, Pipeline, PipelineEvent, PipelineStatus, Project, Ref};
use crate::http::SendError;
use crate::http::percent_encode;
use crate::retry::{Retry, retry};
use tokio::time::Instant;

const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
const PER_PAGE: usize = 100;
/// More candidates than this for one run are not read: the lookup then proves nothing.
const MAX_PAGES: usize = 5;

/// Why a lookup says nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The token may not, or the thing is not there: the same again next time.
    #[error("GitLab's lookup answered {0}")]
    Refused(u16),
    #[error("GitLab's lookup failed: {0}")]
    Unavailable(String),
}

impl Retry for LookupError {
    fn after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable(_)).then_some(Duration::ZERO)
    }

    fn out_of_time() -> Self {
        Self::Unavailable("no time left".to_owned())
    }
}

/// One variable of a pipeline.
#[derive(Deserialize)]
pub struct Variable {
    pub key: String,
    pub value: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
    project_id: u64,
    #[serde(default)]
    web_url: String,
}

impl GitLab {
    /// The project's pipelines that a trigger started on `git_ref` since `since`, newest first.
    pub async fn send_trigger(
        &self,
        project: &Project,
        git_ref: &Ref,
        since: DateTime<Utc>,
        token: &SecretString,
        by: Instant,
    ) -> Result<Vec<Pipeline>, LookupError> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let git_ref = percent_encode(git_ref.as_str());
        let mut pipelines = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!(
                "projects/{}/pipelines?source=trigger&ref={git_ref}&created_after={}&order_by=id&sort=desc&per_page={PER_PAGE}&page={page}",
                project.segment(),
                percent_encode(&since)
            );
            let found: Vec<Found> = self.get(&path, token, by).await?;
            let is_last = found.len() < PER_PAGE;
            pipelines.extend(found.into_iter().map(|found| Pipeline {
                id: found.id,
                project_id: found.project_id,
                url: found.web_url,
            }));
            if is_last {
                return Ok(pipelines);
            }
        }
        Err(LookupError::Unavailable("there are too many pipelines to look through".to_owned()))
    }

    /// The variables a pipeline was started with, `TRIGGER_PAYLOAD` among them.
    pub async fn variables(
        &self,
        pipeline: &Pipeline,
        token: &SecretString,
        by: Instant,
    ) -> Result<Vec<Variable>, LookupError> {
        self.get(&format!("projects/{}/pipelines/{}/variables", pipeline.project_id, pipeline.id), token, by).await
    }

    /// How a pipeline stands, with its failed jobs where it failed. `None` while it is between the statuses that move a run.
    pub async fn event(
        &self,
        project_id: u64,
        pipeline_id: u64,
        token: &SecretString,
        by: Instant,
    ) -> Result<Option<PipelineEvent>, LookupError> {
        #[derive(Deserialize)]
        struct Detail {
            status: String,
            #[serde(default)]
            web_url: String,
            sha: Option<String>,
        }
        let path = format!("projects/{project_id}/pipelines/{pipeline_id}");
        let detail: Detail = self.get(&path, token, by).await?;
        let Some(status) = PipelineStatus::parse(&detail.status) else { return Ok(None) };
        let failed_jobs =
            if status == PipelineStatus::Failed { self.failed_jobs(&path, token, by).await? } else { Vec::new() };
        let project = project_of(&detail.web_url).to_owned();
        let pipeline = Pipeline { id: pipeline_id, project_id, url: detail.web_url };
        Ok(Some(PipelineEvent { pipeline, project, status, sha: detail.sha, failed_jobs, run_token: None }))
    }

    async fn failed_jobs(
        &self,
        pipeline: &str,
        token: &SecretString,
        by: Instant,
    ) -> Result<Vec<FailedJob>, LookupError> {
        #[derive(Deserialize)]
        struct Job {
            id: u64,
            name: String,
            #[serde(default)]
            stage: String,
            #[serde(default)]
            web_url: String,
            failure_reason: Option<String>,
            #[serde(default)]
            allow_failure: bool,
        }
        let mut jobs: Vec<Job> =
            self.get(&format!("{pipeline}/jobs?scope%5B%5D=failed&per_page={PER_PAGE}"), token, by).await?;
        jobs.sort_by_key(|job| job.id);
        let failed = jobs.into_iter().filter(|job| !job.allow_failure);
        Ok(failed
            .map(|job| FailedJob { name: job.name, stage: job.stage, url: job.web_url, reason: job.failure_reason })
            .collect())
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &SecretString,
        by: Instant,
    ) -> Result<T, LookupError> {
        retry(by, || async {
            let mut request = self.request(Method::GET, path).map_err(LookupError::Unavailable)?;
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| LookupError::Refused(401))?;
            value.set_sensitive(true);
            request.headers_mut().insert("private-token", value);
            let answer =
                self.http.send(request, MAX_RESPONSE_BYTES, LOOKUP_TIMEOUT).await.map_err(|failure| match failure {
                    SendError::NotSent(why) | SendError::ResponseLost(why) => LookupError::Unavailable(why),
                })?;
            match answer.status {
                200 => serde_json::from_slice(&answer.body)
                    .map_err(|_| LookupError::Unavailable("the answer cannot be read".to_owned())),
                status @ (400 | 401 | 403 | 404) => Err(LookupError::Refused(status)),
                status => Err(LookupError::Unavailable(format!("status {status}"))),
            }
        })
        .await
    }
}

/// `https://host/group/project/-/pipelines/1` → `group/project`, as far as a sub-path of GitLab lets it be seen.
fn project_of(web_url: &str) -> &str {
    let path = web_url.splitn(4, '/').nth(3).unwrap_or_default();
    path.split("/-/").next().unwrap_or_default()
}
