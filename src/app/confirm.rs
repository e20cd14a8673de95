//! A run that bears a claim: was its pipeline created or not? Never a second trigger on a guess.

use chrono::TimeDelta;

use super::journey::Journey;
use crate::event::Terms;
use crate::hook;
use crate::pipeline::Pipeline;
use crate::plan::Plan;
use crate::run::{Run, Standing};

/// GitLab gives up a request of its own after a minute: what is not there by now will not come any more.
const SETTLED: TimeDelta = TimeDelta::seconds(90);
/// Clocks differ.
const EARLIER: TimeDelta = TimeDelta::minutes(1);

impl Journey {
    /// The run's pipeline, or `None` where it is proven that there is none. An error says why neither is known yet.
    pub async fn confirmed(
        &self,
        run: &Run,
        plan: &Plan<'_>,
        terms: &Terms,
        standing: &Standing,
    ) -> Result<Option<Pipeline>, String> {
        let token = match self.app.secrets.read_token(self.when()).await {
            Ok(Some(token)) => token,
            Ok(None) => return Err("an earlier trigger of this run was not confirmed".to_owned()),
            Err(error) => {
                return Err(format!(
                    "an earlier trigger of this run was not confirmed, and cannot be looked up: {error}"
                ));
            }
        };
        let sent_at = [run.clicked_at, terms.sent_at]
            .into_iter()
            .flatten()
            .min()
            .or(standing.updated_at)
            .unwrap_or_else(|| self.utc());
        let by = self.last_call();
        let candidates = self
            .app
            .gitlab
            .triggered(&plan.project, &plan.git_ref, sent_at - EARLIER, &token, by)
            .await
            .map_err(|error| error.to_string())?;
        for pipeline in candidates {
            let variables =
                self.app.gitlab.variables(&pipeline, &token, by).await.map_err(|error| error.to_string())?;
            if variables
                .iter()
                .any(|variable| names_run(&variable.key, variable.value.as_deref().unwrap_or_default(), run))
            {
                return Ok(Some(pipeline));
            }
        }
        if self.is_settled(standing) { Ok(None) } else { Err("no pipeline of this run is there yet".to_owned()) }
    }

    /// Whether the run's claim is so old that its trigger has come to whatever end it came to.
    pub fn is_settled(&self, standing: &Standing) -> bool {
        standing.updated_at.is_some_and(|updated_at| self.utc() - updated_at >= SETTLED)
    }
}

/// Whether a pipeline's variable carries the run id: `TRIGGER_PAYLOAD` in its own member, or another as its value.
fn names_run(key: &str, value: &str, run: &Run) -> bool {
    let id = run.id.as_str();
    if key != "TRIGGER_PAYLOAD" {
        return value == id;
    }
    hook::claim(value).is_some_and(|claim| claim.run_id == id)
}
