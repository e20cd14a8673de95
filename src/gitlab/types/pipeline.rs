//! A pipeline, its status and its events.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A pipeline that GitLab created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    pub id: u64,
    /// `None` where GitLab does not tell it, as GitLab 13 does not.
    pub project_id: Option<u64>,
    /// The page to look at.
    pub url: String,
}

impl Pipeline {
    /// What the run carries in Glint as `externalRunId`, the form that Glint's own GitLab integration uses.
    pub fn external_id(&self) -> Option<String> {
        Some(format!("gl_{}_{}", self.project_id?, self.id))
    }

    /// The project id and pipeline id of an `externalRunId` of ours.
    pub fn parse_external_id(text: &str) -> Option<(u64, u64)> {
        let (project, pipeline) = text.strip_prefix("gl_")?.split_once('_')?;
        let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
        Some((number(project)?, number(pipeline)?))
    }

    /// The page of one of its jobs.
    pub fn job_url(&self, job: u64) -> String {
        let project = self.url.rsplit_once(PIPELINES).map_or(self.url.as_str(), |(project, _)| project);
        format!("{project}{JOBS}{job}")
    }
}

const PIPELINES: &str = "/-/pipelines/";
const JOBS: &str = "/-/jobs/";

const MAX_URL_BYTES: usize = 2048;

/// The page of pipeline `id`: `given` if it is one, else the page that `base`, GitLab's own URL, has for it.
///
/// `project` is the project's path, or empty where only its number is known. A URL that somebody else wrote is shown only if it is http or
/// https and ends as the page that it should be.
pub fn pipeline_page(given: &str, base: &str, project: &str, id: u64) -> String {
    let end = if project.is_empty() { format!("{PIPELINES}{id}") } else { format!("/{project}{PIPELINES}{id}") };
    if is_page(given, &end) { given.to_owned() } else { format!("{}{end}", base.trim_end_matches('/')) }
}

/// Whether `url` is a plain http or https URL without a user, query or fragment, whose path ends in `end`, in any letter case.
fn is_page(url: &str, end: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@' | b'\\' | b'<' | b'>' | b'"');
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some((host, path)) = rest.and_then(|rest| rest.split_at_checked(rest.find('/')?)) else { return false };
    let ends = path.len().checked_sub(end.len()).and_then(|start| path.get(start..));
    url.len() <= MAX_URL_BYTES
        && url.bytes().all(is_plain)
        && !host.is_empty()
        && ends.is_some_and(|ending| ending.eq_ignore_ascii_case(end))
}

/// The project's path and the pipeline's id, if `link` is a pipeline's page below `base`, GitLab's own URL.
pub fn parse_pipeline_page<'a>(link: &'a str, base: &str) -> Option<(&'a str, u64)> {
    let base = base.trim_end_matches('/');
    let path = link.get(base.len()..)?.strip_prefix('/').filter(|_| link[..base.len()].eq_ignore_ascii_case(base))?;
    let (project, id) = path.split_once(PIPELINES)?;
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    Some((project, id.parse().ok().filter(|_| is_number)?))
}

/// The pipeline's id, if `link` is the page of a pipeline of `project`, whatever host it names: GitLab's public URL may be another than ours.
pub fn pipeline_in(link: &str, project: &str) -> Option<u64> {
    let (_, id) = link.rsplit_once(PIPELINES)?;
    let id = id.parse().ok()?;
    is_page(link, &format!("/{project}{PIPELINES}{id}")).then_some(id)
}

/// Where a pipeline stands, as far as a run has to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineStatus {
    Pending,
    Running,
    /// It waits for somebody to start a job.
    Manual,
    Success,
    Failed,
    Canceled,
    Skipped,
    /// GitLab no longer has it. No word of GitLab says so: a look-up finds it gone while its project can be read.
    Deleted,
}

impl PipelineStatus {
    /// GitLab's word for it; `None` for the words that move no run, such as `created` or `canceling`.
    pub fn parse(status: &str) -> Option<Self> {
        Some(match status {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "manual" => Self::Manual,
            "success" => Self::Success,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "skipped" => Self::Skipped,
            _ => return None,
        })
    }

    /// GitLab's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Manual => "manual",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Deleted => "deleted",
        }
    }

    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Manual)
    }

    /// A pipeline of nothing but optional manual jobs is `skipped` until somebody starts one of them.
    pub fn with_manual_jobs(self, has_manual_jobs: bool) -> Self {
        if self == Self::Skipped && has_manual_jobs { Self::Manual } else { self }
    }
}

/// What a hook or a look-up says of a pipeline: all that is needed to move its run, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineEvent {
    pub pipeline: Pipeline,
    /// `group/sub/project`, as GitLab says.
    pub project: String,
    pub status: PipelineStatus,
    pub sha: Option<String>,
    /// When it ended, by GitLab's clock.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// When GitLab last saw one of its jobs start or end, by its own clock.
    #[serde(default)]
    pub moved_at: Option<DateTime<Utc>>,
    /// Whether a job that has to be started by hand was, or is not reached yet; `None` where neither is told.
    #[serde(default)]
    pub manual_job_has_started: Option<bool>,
    /// The jobs that made it fail: allowed failures are not among them.
    pub failed_jobs: Vec<Job>,
    /// The jobs that somebody has to start, those that block the pipeline first.
    #[serde(default)]
    pub manual_jobs: Vec<Job>,
    /// The run that `TRIGGER_PAYLOAD` names, with the proof that it came from here.
    pub run_proof: Option<RunProof>,
}

impl PipelineEvent {
    /// That `pipeline` is in `status`, and nothing else.
    pub fn new(pipeline: Pipeline, project: String, status: PipelineStatus) -> Self {
        Self {
            pipeline,
            project,
            status,
            sha: None,
            finished_at: None,
            moved_at: None,
            manual_job_has_started: None,
            failed_jobs: Vec::new(),
            manual_jobs: Vec::new(),
            run_proof: None,
        }
    }
}

/// A job of a pipeline. Its page is [`Pipeline::job_url`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: u64,
    pub name: String,
    pub stage: String,
    /// GitLab's `failure_reason`, such as `script_failure`.
    pub reason: Option<String>,
}

/// A pipeline's word that it belongs to a run: worth something only with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunProof {
    pub run_id: String,
    pub proof: String,
    /// Whether the pipeline's end ends the run.
    #[serde(default = "yes")]
    pub report_pipeline_status: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pipeline_s_own_page_is_shown() {
        let built = "https://git.example.com/g/p/-/pipelines/7";
        let page = |given| pipeline_page(given, "https://git.example.com/", "g/p", 7);
        for given in [
            "https://other.example.com/g/p/-/pipelines/7",
            "http://[::1]:80/sub/G/P/-/pipelines/7",
            "https://git.example.com/g/p/-/pipelines/7",
        ] {
            assert_eq!(page(given), given);
        }
        for given in [
            "",
            "javascript:alert(1)//g/p/-/pipelines/7",
            "https://evil.example.com/x",
            "https://evil.example.com/g/p/-/pipelines/77",
            "https://evil.example.com/?/g/p/-/pipelines/7",
            "https://evil.example.com/#/g/p/-/pipelines/7",
            "https://user@evil.example.com/g/p/-/pipelines/7",
            "https://evil.example.com/ /g/p/-/pipelines/7",
            "https:///g/p/-/pipelines/7",
            "ftp://git.example.com/g/p/-/pipelines/7",
            "https://git.example.com/other/p/-/pipelines/7\n",
        ] {
            assert_eq!(page(given), built, "{given}");
        }
        assert_eq!(page(&format!("https://e.com/{}/g/p/-/pipelines/7", "x".repeat(MAX_URL_BYTES))), built);
        assert_eq!(
            Pipeline { id: 7, project_id: None, url: built.to_owned() }.job_url(9),
            built.replace("pipelines/7", "jobs/9")
        );
    }

    #[test]
    fn links_to_pipelines_of_gitlab_are_told_from_others() {
        let parse = |link| parse_pipeline_page(link, "https://git.example.com/sub");
        assert_eq!(parse("https://git.example.com/sub/g/p/-/pipelines/7"), Some(("g/p", 7)));
        for link in [
            "https://git.example.com/g/p/-/pipelines/7",
            "https://git.example.com.evil/sub/g/p/-/pipelines/7",
            "https://git.example.com/sub/g/p/-/pipelines/7/jobs",
            "https://git.example.com/sub/g/p/-/pipelines/",
            "https://git.example.com/sub/g/p/-/pipelines/+7",
            "https://git.example.com/sub",
            "",
        ] {
            assert_eq!(parse(link), None, "{link}");
        }
        for id in ["gl_1", "gl_a_b", "gl_1_2_3", "GL_1_2", "gl_-1_2", "gl_+1_2", "gl_1_", "gl_claim_1"] {
            assert_eq!(Pipeline::parse_external_id(id), None, "{id}");
        }
    }
}
