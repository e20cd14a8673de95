//! Moves or ends the run that a pipeline's event belongs to.

use super::context::Context;
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus, RunToken};
use crate::glint::GlintError;
use crate::glint::PatchResult;
use crate::glint::run::{RunId, RunPatch, RunReport, RunState, RunStatus};
use crate::outcome::memory::links_with;
use crate::outcome::{Handled, Outcome, RetryLater, deployment, messages};
use crate::verify;

impl Context {
    /// Moves or ends the run that `event` belongs to. At the last try nothing but the run itself can hold that up.
    pub async fn follow(&self, event: &PipelineEvent, is_last: bool) -> Handled {
        match self.find_run(event).await {
            Ok(Some(state)) => {
                let outcome = self.apply(&state, event, is_last).await.unwrap_or_else(Outcome::from);
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
            .map_err(Outcome::from)?;
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
            Err(error) => Err(Outcome::from(error)),
        }
    }

    /// The run id that a pipeline claims, if the proof in its payload holds for its project: made with the client secret that is current, or
    /// with the one before.
    async fn verify_run_token(&self, run_token: &RunToken, event: &PipelineEvent) -> Result<Option<RunId>, Outcome> {
        let Some(id) = RunId::parse(&run_token.run_id) else { return Ok(None) };
        let deferred = |error| Outcome::Deferred(RetryLater::new(error));
        let kept = self.credentials().await.map_err(deferred)?;
        // An action may name its project by the number.
        let names = [event.project.to_lowercase(), event.pipeline.project_id.to_string()];
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
        let Some(mut report) = outcome.report() else { return Ok(outcome) };
        link(&mut report.update, run, &event.pipeline);
        if event.status.is_final() {
            return self
                .end_run(run, event, is_last, report)
                .await
                .map(|is_ended| if is_ended { outcome } else { Outcome::Duplicate });
        }
        report.update.status_label = report
            .update
            .status_label
            .filter(|label| run.label.as_ref() != Some(label) && messages::may_replace(run.label.as_deref(), label));
        if report.update == RunPatch::default() {
            return Ok(Outcome::Duplicate);
        }
        match self.patch(&run.id, &report.update).await? {
            PatchResult::Applied(_) => {}
            PatchResult::AlreadyEnded => return Ok(Outcome::Duplicate),
        }
        if let Some(log) = report.log {
            drop(self.log(&run.id, &log).await);
        }
        Ok(outcome)
    }

    /// Writes the entity, then the log line, then the patch that ends the run. Whether it was this that ended it.
    async fn end_run(
        &self,
        run: &RunState,
        event: &PipelineEvent,
        is_last: bool,
        mut report: RunReport,
    ) -> Result<bool, GlintError> {
        if event.status == PipelineStatus::Success {
            self.upsert_deployment(run, event, is_last).await?;
        }
        if let Some(log) = report.log.take() {
            drop(self.log(&run.id, &log).await);
        }
        if run.synchronized {
            report.update.status = None;
        }
        match self.patch(&run.id, &report.update).await {
            Ok(PatchResult::Applied(_)) => Ok(true),
            Ok(PatchResult::AlreadyEnded) | Err(GlintError::UnknownRun) => Ok(false),
            Err(error) => Err(error),
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
        drop(self.log(&run.id, &format!("No {} entity was written: {trouble}", deployment.blueprint)).await);
        Ok(())
    }
}

/// Whether the run is linked to this pipeline. A Glint that does not know the filter would list other runs.
fn is_of(run: &RunState, pipeline: &Pipeline) -> bool {
    run.external_id.as_ref() == Some(&pipeline.external_id())
        || (run.external_id.is_none() && run.links.contains(&pipeline.url))
}

/// Whether the run is linked to this pipeline, or to none yet. Links of others do not count.
fn may_be_of(run: &RunState, pipeline: &Pipeline) -> bool {
    match run.external_id.as_deref() {
        Some(id) if Pipeline::parse_external_id(id).is_some() => id == pipeline.external_id(),
        _ => {
            let pages = pipeline.url.rsplit_once('/').map_or("", |(pages, _)| pages);
            let mut of_project = run.links.iter().filter(|link| {
                link.get(..pages.len()).is_some_and(|start| !pages.is_empty() && start.eq_ignore_ascii_case(pages))
            });
            run.links.contains(&pipeline.url) || of_project.next().is_none()
        }
    }
}

/// Adds the link and the external id where the run lacks them.
fn link(update: &mut RunPatch, run: &RunState, pipeline: &Pipeline) {
    if !run.links.contains(&pipeline.url) {
        update.links = links_with(&pipeline.url, &run.links);
    }
    if run.external_id.as_ref() != Some(&pipeline.external_id()) {
        update.external_run_id = Some(pipeline.external_id());
    }
}
