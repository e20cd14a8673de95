//! By schedule: runs whose pipeline ended unheard, because its hook was lost or switched off, end as it did.

use futures_util::{StreamExt as _, stream};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::Instant;

use super::context::Context;
use super::log_outcome::{LogFields, log_outcome};
use crate::deadlines::MIN_TIME_TO_SWEEP;
use crate::gitlab::types::Pipeline;
use crate::glint::run::{RunState, RunStatus};
use crate::outcome::{Handled, Outcome};

/// Runs looked at side by side: gentle to both APIs.
const AT_ONCE: usize = 4;

/// What a sweep did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
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

impl Context {
    /// Compares every run in progress that carries our external id with its pipeline.
    pub async fn sweep(&self) -> SweepReport {
        let token = match self.app.secrets.read_token(self.freshness()).await {
            Ok(Some(token)) => token,
            Ok(None) => match &self.app.config.read_secret_id {
                Some(id) => return nothing(&format!("a sweep needs a read token, and nothing is stored in `{id}`")),
                None => return nothing("a sweep needs `GITLAB_READ_SECRET_ID`, which is not set"),
            },
            Err(error) => return nothing(&error.to_string()),
        };
        let runs = match self.glint(self.app.glint.active_runs(self.freshness())).await {
            Ok(runs) => runs,
            Err(error) => return nothing(&error.to_string()),
        };
        let linked: Vec<(RunState, (u64, u64))> = runs
            .into_iter()
            .filter(|run| run.status == RunStatus::InProgress)
            .filter_map(|run| Some((Pipeline::parse_external_id(run.external_id.as_deref()?)?, run)))
            .map(|(ids, run)| (run, ids))
            .collect();
        let looks: Vec<Look> = stream::iter(&linked)
            .map(|(run, ids)| self.look(run, *ids, &token))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let count = |wanted: fn(&Look) -> bool| looks.iter().filter(|look| wanted(look)).count();
        let report = SweepReport {
            runs: linked.len(),
            ended: count(|look| matches!(look, Look::Ended)),
            left: count(|look| matches!(look, Look::Left)),
            reason: None,
        };
        tracing::info!(
            runs = report.runs,
            ended = report.ended,
            left = report.left,
            "the sweep ended {} of {} runs in progress, {} are left for the next",
            report.ended,
            report.runs,
            report.left
        );
        report
    }

    async fn look(&self, run: &RunState, (project_id, pipeline_id): (u64, u64), token: &SecretString) -> Look {
        if self.left() < MIN_TIME_TO_SWEEP {
            return Look::Left;
        }
        let event = match self.app.gitlab.event(project_id, pipeline_id, token, self.call_deadline()).await {
            Ok(Some(event)) if event.status.is_final() => event,
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
        // As at a final attempt: an entity that Glint does not take holds nothing up.
        match self.follow(&event, true).await {
            handled @ Handled { outcome: Outcome::Finished(_), .. } => {
                log_outcome(self, handled, started, &LogFields::default());
                Look::Ended
            }
            handled if handled.should_redeliver() => Look::Left,
            _ => Look::StillRunning,
        }
    }
}

fn nothing(reason: &str) -> SweepReport {
    tracing::warn!("nothing was swept: {reason}");
    SweepReport { reason: Some(reason.to_owned()), ..SweepReport::default() }
}
