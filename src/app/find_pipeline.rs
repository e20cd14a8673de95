//! A run that has_label a claim: was its pipeline created or not? Never a second trigger on a guess.

use chrono::TimeDelta;

use super::context::Context;
use crate::deadlines::CLAIM_TTL;
use crate::gitlab::types::Pipeline;
use crate::gitlab::webhook;
use crate::glint::run::{RunRequest, RunState};
use crate::source::DeliveryMetadata;
use crate::trigger::TriggerRequest;

/// Clocks differ.
const EARLIER: TimeDelta = TimeDelta::minutes(1);

impl Context {
    /// The run's pipeline, or `None` where it is proven that there is none. An error says why neither is known yet.
    pub async fn confirmed(
        &self,
        run: &RunRequest,
        plan: &TriggerRequest<'_>,
        metadata: &DeliveryMetadata,
        state: &RunState,
    ) -> Result<Option<Pipeline>, String> {
        let token = match self.app.secrets.read_token(self.freshness()).await {
            Ok(Some(token)) => token,
            Ok(None) => return Err("an earlier trigger of this run was not confirmed".to_owned()),
            Err(error) => {
                return Err(format!(
                    "an earlier trigger of this run was not confirmed, and cannot be looked up: {error}"
                ));
            }
        };
        let sent_at = [run.clicked_at, metadata.sent_at]
            .into_iter()
            .flatten()
            .min()
            .or(state.updated_at)
            .unwrap_or_else(|| self.utc());
        let by = self.call_deadline();
        let candidates = self
            .app
            .gitlab
            .send_trigger(&plan.project, &plan.git_ref, sent_at - EARLIER, &token, by)
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
        if self.is_settled(state) { Ok(None) } else { Err("no pipeline of this run is there yet".to_owned()) }
    }

    /// Whether the run's claim is so old that its trigger has come to whatever end it came to.
    pub fn is_settled(&self, state: &RunState) -> bool {
        state.updated_at.is_some_and(|updated_at| self.utc() - updated_at >= CLAIM_TTL)
    }
}

/// Whether a pipeline's variable carries the run id: `TRIGGER_PAYLOAD` in its own member, or another as its value.
fn names_run(key: &str, value: &str, run: &RunRequest) -> bool {
    let id = run.id.as_str();
    if key != "TRIGGER_PAYLOAD" {
        return value == id;
    }
    webhook::run_token(value).is_some_and(|token| token.run_id == id)
}
