//! From a pipeline's event to the run that it proves to be of.

use std::borrow::Cow;

use secrecy::SecretString;

use super::context::Context;
use crate::gitlab::LookupError;
use crate::gitlab::types::{PipelineEvent, Project};
use crate::glint::run::RunId;
use crate::outcome::{Handled, Outcome, RetryLater};
use crate::telemetry::Metric;
use crate::verify;

const UNPROVEN: &str = "nothing proves which run the pipeline is of";

/// An event whose pipeline proves the run that it is of.
pub struct Proven<'a> {
    pub run_id: RunId,
    pub event: Cow<'a, PipelineEvent>,
}

impl Context {
    /// Moves or ends the run that `event` belongs to. At the last attempt nothing but the run itself can hold that up.
    pub async fn follow(&self, event: &PipelineEvent, is_last: bool) -> Handled {
        match self.prove(event).await {
            Ok(Some(proven)) => {
                let outcome = self.move_run(&proven, is_last).await.unwrap_or_else(|outcome| outcome);
                Handled::new(Some(proven.run_id), outcome)
            }
            Ok(None) => Handled::new(None, Outcome::Ignored(UNPROVEN)),
            Err(outcome) => Handled::new(None, outcome),
        }
    }

    /// The event with the run that the pipeline's own payload proves. An event without that proof is a hint: with a read token the pipeline is
    /// looked up, since whoever maintains any project can make GitLab send any body.
    async fn prove<'a>(&self, event: &'a PipelineEvent) -> Result<Option<Proven<'a>>, Outcome> {
        if let Some(run_id) = self.proven_run(event).await? {
            return Ok(Some(Proven { run_id, event: Cow::Borrowed(event) }));
        }
        let Some(project) = event.pipeline.project_id.and_then(|id| Project::by_id(&id.to_string())) else {
            return Ok(None);
        };
        let Some(token) = self.read_token().await? else { return Ok(None) };
        match self.look_up(&project, event.pipeline.id, &token).await {
            Ok(LookedUp::Event(event)) => {
                let run_id = self.proven_run(&event).await?;
                Ok(run_id.map(|run_id| Proven { run_id, event: Cow::Owned(*event) }))
            }
            Ok(LookedUp::BetweenStatuses) | Err(LookupError::Refused(_)) => Ok(None),
            Err(error) => Err(Outcome::Deferred(RetryLater::new(error))),
        }
    }

    /// The run that the event's token names, if its proof holds for the event's project: made with the client secret that is current, or with
    /// the one before.
    pub async fn proven_run(&self, event: &PipelineEvent) -> Result<Option<RunId>, Outcome> {
        let Some(token) = &event.run_token else { return Ok(None) };
        let Some(id) = RunId::parse(&token.run_id) else { return Ok(None) };
        let deferred = |error| Outcome::Deferred(RetryLater::new(error));
        let current = self.credentials().await.map_err(deferred)?;
        // An action may name its project by the number.
        let number = event.pipeline.project_id.map(|id| id.to_string());
        let names = [Some(event.project.clone()), number];
        let holds = |secret: &SecretString| {
            let mut names = names.iter().flatten().filter(|name| !name.is_empty());
            names.any(|name| verify::verify_run(secret, name, id.as_str(), &token.proof))
        };
        if holds(&current.value.client_secret) {
            return Ok(Some(id));
        }
        let others = self.app.secrets.other_glint_versions(&current, self.freshness()).await.map_err(deferred)?;
        Ok(others.iter().any(|other| holds(&other.value.client_secret)).then_some(id))
    }

    /// The read token; `None` where none is set, or it cannot be used until its operator mends it.
    pub async fn read_token(&self) -> Result<Option<std::sync::Arc<SecretString>>, Outcome> {
        match self.app.secrets.read_token(self.freshness()).await {
            Ok(token) => Ok(token),
            Err(error) if error.is_transient() => {
                self.metrics.count(Metric::SecretsManagerFaults);
                Err(Outcome::Deferred(RetryLater::new(error)))
            }
            Err(error) => {
                self.metrics.count(Metric::OperatorFaults);
                tracing::warn!("no pipeline can be looked up: {error}");
                Ok(None)
            }
        }
    }

    /// How a pipeline stands, with the run that its payload names, and its jobs where they are told of.
    pub async fn look_up(
        &self,
        project: &Project,
        pipeline_id: u64,
        token: &SecretString,
    ) -> Result<LookedUp, LookupError> {
        let gitlab = &self.app.gitlab;
        let found = self.lookup(gitlab.pipeline(project, pipeline_id, token, self.call_deadline())).await?;
        let Some(mut event) = found else { return Ok(LookedUp::BetweenStatuses) };
        event.run_token = self.lookup(gitlab.run_token(project, pipeline_id, token, self.call_deadline())).await?;
        if event.run_token.is_some() {
            self.lookup(gitlab.add_jobs(&mut event, project, token, self.call_deadline())).await?;
        }
        Ok(LookedUp::Event(Box::new(event)))
    }

    /// Awaits a look-up, and counts what only the operator can mend: a read token that is refused.
    pub async fn lookup<T>(&self, call: impl Future<Output = Result<T, LookupError>>) -> Result<T, LookupError> {
        let result = self.timed(Metric::GitLabLatency, call).await;
        match &result {
            Err(error) if error.is_token_refused() => self.metrics.count(Metric::OperatorFaults),
            Err(LookupError::Unavailable(_)) => self.metrics.count(Metric::GitLabFaults),
            _ => {}
        }
        result
    }
}

/// What a look-up found.
pub enum LookedUp {
    Event(Box<PipelineEvent>),
    /// A status that moves no run.
    BetweenStatuses,
}
