//! By schedule: runs whose pipeline ended unheard, because its hook was lost or switched off, end as it did.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::Instant;

use super::journey::Journey;
use super::note::Subject;
use crate::outcome::{Outcome, Verdict};
use crate::pipeline::Pipeline;
use crate::run::{Standing, Status};

/// Runs looked at side by side: gentle to both APIs.
const AT_ONCE: usize = 4;
/// No look-up starts with less time left: the next sweep goes on.
const ENOUGH: Duration = Duration::from_secs(8);

/// What a sweep did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Runs in progress that carry our external id.
    pub runs: usize,
    /// Of those, the ones that were ended.
    pub ended: usize,
    /// Of those, the ones that could not be looked at now.
    pub left: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How the look at one run came out.
enum Look {
    Ended,
    StillRunning,
    Left,
}

impl Journey {
    /// Compares every run in progress that carries our external id with its pipeline.
    pub async fn sweep(&self) -> Swept {
        let token = match self.app.secrets.read_token(self.when()).await {
            Ok(Some(token)) => token,
            Ok(None) => return nothing("a sweep needs `GITLAB_READ_SECRET_ID`, which is not set"),
            Err(error) => return nothing(&error.to_string()),
        };
        let runs = match self.active_runs().await {
            Ok(runs) => runs,
            Err(error) => return nothing(&error.to_string()),
        };
        let linked: Vec<(Standing, (u64, u64))> = runs
            .into_iter()
            .filter(|run| run.status == Status::InProgress)
            .filter_map(|run| Some((Pipeline::parse_external_id(run.external_id.as_deref()?)?, run)))
            .map(|(ids, run)| (run, ids))
            .collect();
        let looks: Vec<Look> = stream::iter(&linked)
            .map(|(run, ids)| self.look(run, *ids, &token))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let count = |wanted: fn(&Look) -> bool| looks.iter().filter(|look| wanted(look)).count();
        let swept = Swept {
            runs: linked.len(),
            ended: count(|look| matches!(look, Look::Ended)),
            left: count(|look| matches!(look, Look::Left)),
            reason: None,
        };
        tracing::info!(
            runs = swept.runs,
            ended = swept.ended,
            left = swept.left,
            "the sweep ended {} of {} runs in progress, {} are left for the next",
            swept.ended,
            swept.runs,
            swept.left
        );
        swept
    }

    async fn look(&self, run: &Standing, (project_id, pipeline_id): (u64, u64), token: &SecretString) -> Look {
        if self.left() < ENOUGH {
            return Look::Left;
        }
        let progress = match self.app.gitlab.progress(project_id, pipeline_id, token, self.last_call()).await {
            Ok(Some(progress)) if progress.phase.is_final() => progress,
            Ok(_) => return Look::StillRunning,
            Err(error) => {
                tracing::warn!(
                    run_id = run.id.as_str(),
                    "the pipeline of run `{}` cannot be looked up: {error}",
                    run.id
                );
                return Look::Left;
            }
        };
        let started = Instant::now();
        // Not for the last time: the next sweep tries what Glint could not take now.
        match self.follow(&progress, false).await {
            verdict @ Verdict { outcome: Outcome::Finished(_), .. } => {
                self.noted(verdict, started, &Subject::message(&None));
                Look::Ended
            }
            verdict if verdict.again() => Look::Left,
            _ => Look::StillRunning,
        }
    }
}

fn nothing(reason: &str) -> Swept {
    tracing::warn!("nothing was swept: {reason}");
    Swept { reason: Some(reason.to_owned()), ..Swept::default() }
}
