//! The loop closes: a pipeline's event becomes its run's.

use super::context::Context;
use super::start_run::from_glint_error;
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus, RunToken};
use crate::glint::GlintError;
use crate::glint::PatchResult;
use crate::glint::run::{RunId, RunPatch, RunState, RunStatus};
use crate::outcome::deployment;
use crate::outcome::{Handled, Outcome, RetryLater};
use crate::verify;

impl Context {
    /// Moves or ends the run that `event` belongs to. At the last try nothing but the run itself can hold that up.
    pub async fn follow(&self, event: &PipelineEvent, is_last: bool) -> Handled {
        match self.find_run(event).await {
            Ok(Some(state)) => {
                let outcome = self.apply(&state, event, is_last).await.unwrap_or_else(from_glint_error);
                Handled::new(Some(state.id), outcome)
            }
            Ok(None) => Handled::new(None, Outcome::Ignored("no run in progress belongs to the pipeline")),
            Err(outcome) => Handled::new(None, outcome),
        }
    }

    /// The run in progress that carries the pipeline's id, or else that the pipeline itself proves to be of.
    async fn find_run(&self, event: &PipelineEvent) -> Result<Option<RunState>, Outcome> {
        let found = self
            .glint(self.app.glint.runs_by_external_id(&event.pipeline.external_id(), self.freshness()))
            .await
            .map_err(from_glint_error)?;
        let linked: Vec<RunState> = found.into_iter().filter(|run| is_of(run, &event.pipeline)).collect();
        if !linked.is_empty() {
            return Ok(linked.into_iter().find(|run| run.status == RunStatus::InProgress));
        }
        let Some(run_token) = &event.run_token else { return Ok(None) };
        let Some(id) = self.verify_run_token(run_token, event).await? else { return Ok(None) };
        match self.glint(self.app.glint.run(&id, self.freshness())).await {
            Ok(state) => {
                Ok(Some(state).filter(|run| run.status == RunStatus::InProgress && may_be_of(run, &event.pipeline)))
            }
            Err(GlintError::UnknownRun) => Ok(None),
            Err(error) => Err(from_glint_error(error)),
        }
    }

    /// The run id that a pipeline claims, if the proof in its payload holds for its project: made with the client secret that is current, or
    /// with the one before.
    async fn verify_run_token(&self, run_token: &RunToken, event: &PipelineEvent) -> Result<Option<RunId>, Outcome> {
        let Some(id) = RunId::parse(&run_token.run_id) else { return Ok(None) };
        let deferred = |error| Outcome::Deferred(RetryLater::new(error));
        let kept = self.credentials().await.map_err(deferred)?;
        // An action may name its project by the number.
        let names = [event.project.clone(), event.pipeline.project_id.to_string()];
        let proves = |secret, name: &String| verify::verify_run(secret, name, id.as_str(), &run_token.proof);
        let holds = |secret| names.iter().any(|name| proves(secret, name));
        if holds(&kept.value.client_secret) {
            return Ok(Some(id));
        }
        let others = self.app.secrets.other_glint_versions(&kept, self.freshness()).await.map_err(deferred)?;
        Ok(others.iter().any(|other| holds(&other.value.client_secret)).then_some(id))
    }

    async fn apply(&self, run: &RunState, event: &PipelineEvent, is_last: bool) -> Result<Outcome, GlintError> {
        let outcome = if event.status.is_final() {
            Outcome::Finished(Box::new(event.clone()))
        } else {
            Outcome::Progressed(Box::new(event.clone()))
        };
        let Some(mut report) = outcome.report(false) else { return Ok(outcome) };
        link(&mut report.update, run, &event.pipeline);
        if !event.status.is_final() && run.label == report.update.status_label && report.update.links.is_empty() {
            return Ok(Outcome::Duplicate);
        }
        if let Some(log) = report.log.take() {
            drop(self.glint(self.app.glint.log(&run.id, &log, self.freshness())).await);
        }
        if event.status == PipelineStatus::Success {
            self.upsert_deployment(run, event, is_last).await?;
        }
        if run.synchronized {
            report.update.status = None;
        }
        match self.glint(self.app.glint.patch(&run.id, &report.update, self.freshness())).await? {
            PatchResult::Applied(_) => Ok(outcome),
            PatchResult::AlreadyEnded => Ok(Outcome::Duplicate),
        }
    }

    /// Writes the deployment entity, where one is wanted. What Glint will not take is said in the run's log and holds nothing up.
    async fn upsert_deployment(&self, run: &RunState, event: &PipelineEvent, is_last: bool) -> Result<(), GlintError> {
        let Some(deployment) = &self.app.config.deployment else { return Ok(()) };
        let trouble = match deployment::entity(deployment, run, event) {
            Ok(entity) => match self.glint(self.app.glint.upsert(&entity, &run.id, self.freshness())).await {
                Ok(()) => return Ok(()),
                Err(error @ GlintError::Unavailable { .. }) if !is_last => return Err(error),
                Err(GlintError::UnknownRun) => "Glint knows no such blueprint".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(missing) => missing,
        };
        tracing::warn!(
            run_id = run.id.as_str(),
            "no `{}` entity was written for run `{}`: {trouble}",
            deployment.blueprint,
            run.id
        );
        drop(
            self.glint(self.app.glint.log(
                &run.id,
                &format!("No {} entity was written: {trouble}", deployment.blueprint),
                self.freshness(),
            ))
            .await,
        );
        Ok(())
    }
}

/// Whether the run is linked to this pipeline. A Glint that does not know the filter would list other runs.
fn is_of(run: &RunState, pipeline: &Pipeline) -> bool {
    match (&run.external_id, run.links.first()) {
        (Some(id), _) => *id == pipeline.external_id(),
        (None, Some(link)) => *link == pipeline.url,
        (None, None) => false,
    }
}

/// Whether the run is linked to this pipeline, or to none yet.
fn may_be_of(run: &RunState, pipeline: &Pipeline) -> bool {
    let link = run.links.first().is_none_or(|link| *link == pipeline.url);
    let external_id = run.external_id.as_ref().is_none_or(|id| *id == pipeline.external_id());
    link && external_id
}

/// Links a run whose report has not arrived.
fn link(update: &mut RunPatch, run: &RunState, pipeline: &Pipeline) {
    if run.external_id.is_none() {
        update.links = vec![pipeline.url.clone()];
        update.external_run_id = Some(pipeline.external_id());
    }
}
