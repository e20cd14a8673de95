//! Glint, logged in: a login that has expired or a client secret that was rotated is healed here, once, and no caller sees it.

use std::time::SystemTime;

use super::context::Context;
use crate::aws::secrets::{Cached, SecretError};
use crate::gitlab::types::Pipeline;
use crate::glint::credentials::Credentials;
use crate::glint::run::{Entity, RunId, RunPatch, RunState, RunStatus};
use crate::glint::{Bearer, GlintError, PatchResponse};
use crate::telemetry::Metric;

/// What an update came to.
pub enum PatchResult {
    Applied(PatchResponse),
    /// The run had ended, or is gone: nothing was written, and nothing needs to be.
    AlreadyEnded,
}

impl Context {
    /// Logs in, if that is not done.
    pub async fn log_in(&self) -> Result<(), GlintError> {
        self.bearer().await.map(drop)
    }

    /// Glint's client id and secret.
    pub async fn credentials(&self) -> Result<Cached<Credentials>, SecretError> {
        let kept = self.app.secrets.glint(self.freshness()).await;
        if kept.is_err() {
            self.metrics.count(Metric::SecretsManagerFaults);
        }
        kept
    }

    pub async fn run(&self, id: &RunId) -> Result<RunState, GlintError> {
        self.ask(|bearer| async move { self.app.glint.run(id, &bearer, self.call_deadline()).await }).await
    }

    pub async fn runs_of(&self, pipeline: &Pipeline) -> Result<Vec<RunState>, GlintError> {
        let id = &pipeline.external_id();
        self.ask(|bearer| async move { self.app.glint.runs_by_external_id(id, &bearer, self.call_deadline()).await })
            .await
    }

    pub async fn active_runs(&self) -> Result<Vec<RunState>, GlintError> {
        self.ask(|bearer| async move { self.app.glint.active_runs(&bearer, self.call_deadline()).await }).await
    }

    pub async fn glint_clock(&self) -> Result<Option<SystemTime>, GlintError> {
        self.ask(|bearer| async move { self.app.glint.clock(&bearer, self.call_deadline()).await }).await
    }

    pub async fn log(&self, id: &RunId, message: &str) -> Result<(), GlintError> {
        self.ask(|bearer| async move { self.app.glint.log(id, message, &bearer, self.call_deadline()).await }).await
    }

    pub async fn upsert(&self, entity: &Entity, run: &RunId) -> Result<(), GlintError> {
        self.ask(|bearer| async move { self.app.glint.upsert(entity, run, &bearer, self.call_deadline()).await }).await
    }

    /// Changes the run. What Glint refuses of a run that has ended is no failure; a status it refuses of a synchronized run is left out.
    pub async fn update(&self, id: &RunId, update: &RunPatch) -> Result<PatchResult, GlintError> {
        let mut result = self.patch(id, update).await;
        if matches!(&result, Err(GlintError::Refused { code, .. }) if code == "run_synchronized_error") {
            result = self.patch(id, &RunPatch { status: None, ..update.clone() }).await;
        }
        let refused = match result {
            Ok(sanitize_line) => return Ok(PatchResult::Applied(sanitize_line)),
            Err(GlintError::UnknownRun) => return Ok(PatchResult::AlreadyEnded),
            Err(error @ GlintError::Refused { .. }) => error,
            Err(error) => return Err(error),
        };
        // Glint does not say which refusal means an ended run: its state does.
        match self.run(id).await {
            Ok(state) if state.status == RunStatus::Ended => Ok(PatchResult::AlreadyEnded),
            _ => Err(refused),
        }
    }

    async fn patch(&self, id: &RunId, update: &RunPatch) -> Result<PatchResponse, GlintError> {
        self.ask(|bearer| async move { self.app.glint.update(id, update, &bearer, self.call_deadline()).await }).await
    }

    async fn ask<T, F: Future<Output = Result<T, GlintError>>>(
        &self,
        call: impl Fn(Bearer) -> F,
    ) -> Result<T, GlintError> {
        let result = self.timed(Metric::GlintLatency, async {
            let bearer = self.bearer().await?;
            match call(bearer.clone()).await {
                Err(GlintError::LoginExpired) => {
                    self.app.glint.forget(&bearer).await;
                    call(self.bearer().await?).await
                }
                other => other,
            }
        });
        let result = result.await;
        if matches!(
            result,
            Err(GlintError::Unavailable { .. } | GlintError::LoginExpired | GlintError::CredentialsRefused)
        ) {
            self.metrics.count(Metric::GlintFaults);
        }
        result
    }

    async fn bearer(&self) -> Result<Bearer, GlintError> {
        let unavailable = |error: SecretError| GlintError::Unavailable { why: error.to_string(), after: None };
        let kept = self.credentials().await.map_err(unavailable)?;
        match self.app.glint.bearer(&kept.value, self.now(), self.call_deadline()).await {
            Err(GlintError::CredentialsRefused) => {}
            other => return other,
        }
        // Perhaps the secret was rotated since it was read: one read out of turn, and one more login only if it was.
        match self.app.secrets.glint_after(&kept.version, self.freshness()).await.map_err(unavailable)? {
            Some(newer) => self.app.glint.bearer(&newer.value, self.now(), self.call_deadline()).await,
            None => Err(GlintError::CredentialsRefused),
        }
    }
}
