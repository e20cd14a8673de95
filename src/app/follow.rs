//! The loop closes: a pipeline's progress becomes its run's.

use super::journey::Journey;
use super::session::Updated;
use super::start::of_glint;
use crate::glint::GlintError;
use crate::outcome::{Deferral, Outcome, Verdict};
use crate::pipeline::{Phase, Pipeline, Progress, RunClaim};
use crate::run::{RunId, Standing, Status, Update};
use crate::{entity, signature};

impl Journey {
    /// Moves or ends the run that `progress` belongs to. At the last try nothing but the run itself can hold that up.
    pub async fn follow(&self, progress: &Progress, is_last: bool) -> Verdict {
        match self.run_behind(progress).await {
            Ok(Some(standing)) => {
                let outcome = self.moved(&standing, progress, is_last).await.unwrap_or_else(of_glint);
                Verdict::new(Some(standing.id), outcome)
            }
            Ok(None) => Verdict::new(None, Outcome::Ignored("no run in progress belongs to the pipeline")),
            Err(outcome) => Verdict::new(None, outcome),
        }
    }

    /// The run in progress that carries the pipeline's id, or else that the pipeline itself proves to be of.
    async fn run_behind(&self, progress: &Progress) -> Result<Option<Standing>, Outcome> {
        let found = self.runs_of(&progress.pipeline).await.map_err(of_glint)?;
        let linked: Vec<Standing> = found.into_iter().filter(|run| is_of(run, &progress.pipeline)).collect();
        if !linked.is_empty() {
            return Ok(linked.into_iter().find(|run| run.status == Status::InProgress));
        }
        let Some(claim) = &progress.claim else { return Ok(None) };
        let Some(id) = self.believed(claim, progress).await? else { return Ok(None) };
        match self.run(&id).await {
            Ok(standing) => {
                Ok(Some(standing).filter(|run| run.status == Status::InProgress && may_be_of(run, &progress.pipeline)))
            }
            Err(GlintError::UnknownRun) => Ok(None),
            Err(error) => Err(of_glint(error)),
        }
    }

    /// The run id that a pipeline claims, if the proof in its payload holds for its project: made with the client secret that is current, or
    /// with the one before.
    async fn believed(&self, claim: &RunClaim, progress: &Progress) -> Result<Option<RunId>, Outcome> {
        let Some(id) = RunId::parse(&claim.run_id) else { return Ok(None) };
        let deferred = |error| Outcome::Deferred(Deferral::new(error));
        let kept = self.credentials().await.map_err(deferred)?;
        // An action may name its project by the number.
        let names = [progress.project.clone(), progress.pipeline.project_id.to_string()];
        let proves = |secret, name: &String| signature::proves_run(secret, name, id.as_str(), &claim.proof);
        let holds = |secret| names.iter().any(|name| proves(secret, name));
        if holds(&kept.value.client_secret) {
            return Ok(Some(id));
        }
        let others = self.app.secrets.rotated_client_secrets(&kept.version, self.when()).await.map_err(deferred)?;
        Ok(others.iter().any(holds).then_some(id))
    }

    async fn moved(&self, run: &Standing, progress: &Progress, is_last: bool) -> Result<Outcome, GlintError> {
        let outcome = if progress.phase.is_final() {
            Outcome::Finished(Box::new(progress.clone()))
        } else {
            Outcome::Followed(Box::new(progress.clone()))
        };
        let Some(mut telling) = outcome.telling(false) else { return Ok(outcome) };
        link(&mut telling.update, run, &progress.pipeline);
        if !progress.phase.is_final() && run.label == telling.update.status_label && telling.update.link.is_none() {
            return Ok(Outcome::Duplicate);
        }
        if let Some(log) = telling.log.take() {
            drop(self.log(&run.id, &log).await);
        }
        if progress.phase == Phase::Success {
            self.deployed(run, progress, is_last).await?;
        }
        if run.synchronized {
            telling.update.status = None;
        }
        match self.update(&run.id, &telling.update).await? {
            Updated::Yes(_) => Ok(outcome),
            Updated::AlreadyEnded => Ok(Outcome::Duplicate),
        }
    }

    /// Writes the deployment entity, where one is wanted. What Glint will not take is said in the run's log and holds nothing up.
    async fn deployed(&self, run: &Standing, progress: &Progress, is_last: bool) -> Result<(), GlintError> {
        let Some(deployment) = &self.app.config.deployment else { return Ok(()) };
        let trouble = match entity::of(deployment, run, progress) {
            Ok(entity) => match self.upsert(&entity, &run.id).await {
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
fn is_of(run: &Standing, pipeline: &Pipeline) -> bool {
    match (&run.external_id, &run.link) {
        (Some(id), _) => *id == pipeline.external_id(),
        (None, Some(link)) => *link == pipeline.url,
        (None, None) => false,
    }
}

/// Whether the run is linked to this pipeline, or to none yet.
fn may_be_of(run: &Standing, pipeline: &Pipeline) -> bool {
    let link = run.link.as_ref().is_none_or(|link| *link == pipeline.url);
    let external_id = run.external_id.as_ref().is_none_or(|id| *id == pipeline.external_id());
    link && external_id
}

/// Links a run whose report has not arrived.
fn link(update: &mut Update, run: &Standing, pipeline: &Pipeline) {
    if run.external_id.is_none() {
        update.link = Some(pipeline.url.clone());
        update.external_run_id = Some(pipeline.external_id());
    }
}
