//! Finds the artifact of a pipeline's job that holds its outputs.

use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::Instant;

use super::GitLab;
use super::lookup::{LookupError, PER_PAGE};
use super::outputs::MAX_OUTPUTS_BYTES;
use super::text::{Lenient, Number, Text, parse_time};
use crate::gitlab::types::Project;
use crate::http::percent_encode;

/// More jobs than these are not looked through.
const MAX_PAGES: usize = 5;
/// The most jobs that are asked for the file.
const MAX_TRIES: usize = 10;
/// A file that is longer than is allowed is told from one that cannot be read.
const MAX_READ_BYTES: usize = 4 * MAX_OUTPUTS_BYTES;

/// A job of a list, as far as it decides where the file is.
#[derive(Deserialize)]
struct ArtifactJob {
    #[serde(default)]
    id: Number,
    #[serde(default)]
    status: Text<64>,
    #[serde(default)]
    finished_at: Text<64>,
    #[serde(default)]
    artifacts_file: Lenient<File>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    filename: Text<255>,
}

impl ArtifactJob {
    fn has_ended(&self) -> bool {
        !self.finished_at.is_empty() || matches!(&*self.status, "success" | "failed" | "canceled")
    }

    /// Whether it has an archive, in which alone single files are found.
    fn has_archive(&self) -> bool {
        self.artifacts_file.0.as_ref().is_some_and(|file| !file.filename.is_empty())
    }
}

impl GitLab {
    /// The file `path` from the newest finished job of the pipeline that has it. `None` where none has.
    ///
    /// GitLab streams a single file by itself: an answer that leads elsewhere is refused.
    pub async fn artifact(
        &self,
        project: &Project,
        pipeline_id: u64,
        path: &str,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, LookupError> {
        let path: Vec<String> = path.split('/').map(percent_encode).collect();
        let path = path.join("/");
        for job in self.jobs_with_files(project, pipeline_id, token, deadline).await? {
            let file = format!("projects/{}/jobs/{job}/artifacts/{path}", project.segment());
            match self.read(&file, MAX_READ_BYTES, token, deadline).await {
                Ok(answer) => return Ok(Some(answer.body)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The pipeline's finished jobs that have files, newest first.
    async fn jobs_with_files(
        &self,
        project: &Project,
        pipeline_id: u64,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<Vec<u64>, LookupError> {
        let mut found = Vec::new();
        for page in 1..=MAX_PAGES {
            let path =
                format!("projects/{}/pipelines/{pipeline_id}/jobs?per_page={PER_PAGE}&page={page}", project.segment());
            let jobs: Vec<ArtifactJob> = self.get(&path, token, deadline).await?;
            let is_last = jobs.len() < PER_PAGE;
            let finished = jobs.into_iter().filter(|job| job.has_ended() && job.has_archive());
            found.extend(finished.filter_map(|job| Some((parse_time(&job.finished_at), job.id.0?))));
            if is_last {
                break;
            }
        }
        found.sort_by(|one, other| other.cmp(one));
        Ok(found.into_iter().map(|(_, id)| id).take(MAX_TRIES).collect())
    }
}
