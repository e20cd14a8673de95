//! Patches runs: with retries, or without any once a response was lost.

use std::sync::atomic::Ordering;

use reqwest::Method;

use super::response::{self, VisibleFields};
use super::run::{RunId, RunPatch, RunStatus};
use super::{Glint, GlintError, path_of, request_body};
use crate::deadlines::CallLimits;

/// Glint's answer to a PATCH, read where somebody asks. No `Debug`: the run's inputs may stand in it.
pub struct PatchResponse(Vec<u8>);

impl PatchResponse {
    /// What the answer shows of the run; `None` where it shows no run.
    pub fn visible_fields(&self) -> Option<VisibleFields> {
        response::visible_fields(&self.0)
    }
}

/// What a PATCH came to.
pub enum PatchResult {
    Applied(PatchResponse),
    /// The run had ended: nothing was written, and nothing needs to be.
    AlreadyEnded,
}

/// Whether a request may be sent again after its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryMode {
    Freely,
    UnlessLost,
}

impl Glint {
    /// Patches the run, retried freely: the same values however often it is sent. What Glint refuses of a run that has ended is no failure; a status that
    /// it refuses of a synchronized run, or an `externalRunId`, is left out.
    pub async fn patch(&self, id: &RunId, patch: &RunPatch, limits: CallLimits) -> Result<PatchResult, GlintError> {
        match self.send_patch(id, patch, RetryMode::Freely, limits).await {
            Ok(response) => Ok(PatchResult::Applied(response)),
            Err(refused @ GlintError::Refused { .. }) => self.patch_after_refusal(id, patch, refused, limits).await,
            Err(error) => Err(error),
        }
    }

    /// Patches the run with what must not arrive behind a later patch: never repeated once an answer was lost.
    pub async fn patch_once(
        &self,
        id: &RunId,
        patch: &RunPatch,
        limits: CallLimits,
    ) -> Result<PatchResult, GlintError> {
        match self.send_patch(id, patch, RetryMode::UnlessLost, limits).await {
            Ok(response) => Ok(PatchResult::Applied(response)),
            Err(refused @ GlintError::Refused { .. }) if patch.external_run_id.is_some() => {
                let patch = RunPatch { external_run_id: None, ..patch.clone() };
                if patch == RunPatch::default() {
                    return Err(refused);
                }
                self.send_patch(id, &patch, RetryMode::UnlessLost, limits).await.map(PatchResult::Applied)
            }
            Err(error) => Err(error),
        }
    }

    /// Finds out why the patch was refused, and sends what Glint takes of it.
    async fn patch_after_refusal(
        &self,
        id: &RunId,
        patch: &RunPatch,
        refused: GlintError,
        limits: CallLimits,
    ) -> Result<PatchResult, GlintError> {
        let mut patch = patch.clone();
        let is_synchronized = matches!(&refused, GlintError::Refused { code, .. } if code == "run_synchronized_error");
        if is_synchronized && patch.status.take().is_some() {
            match self.send_patch(id, &patch, RetryMode::Freely, limits).await {
                Err(GlintError::Refused { .. }) => {}
                other => return other.map(PatchResult::Applied),
            }
        }
        // Glint does not say which refusal means an ended run: its state does.
        if matches!(self.run(id, limits).await, Ok(state) if state.status == RunStatus::Ended) {
            return Ok(PatchResult::AlreadyEnded);
        }
        if patch.external_run_id.take().is_none() {
            return Err(refused);
        }
        let response = self.send_patch(id, &patch, RetryMode::Freely, limits).await?;
        if !self.has_refused_external_id.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "this Glint refuses an `externalRunId`, so the label of a run is all that says that its trigger was sent: if the answer of GitLab is lost and \
                 somebody else changes the label, another delivery of the run may start a second pipeline ({refused})"
            );
        }
        Ok(PatchResult::Applied(response))
    }

    async fn send_patch(
        &self,
        id: &RunId,
        patch: &RunPatch,
        mode: RetryMode,
        limits: CallLimits,
    ) -> Result<PatchResponse, GlintError> {
        let path = &path_of(id);
        let answer = self.with_retries(limits, |bearer| async move {
            let summary = patch.summary.as_ref().map(|text| bearer.redactor().redact(text));
            let body = request_body(&RunPatch { summary, ..patch.clone() });
            let lost_before = self.lost_answers();
            match self.call(Method::PATCH, path, Some(body), &bearer).await {
                Err(GlintError::Unavailable { why, .. })
                    if mode == RetryMode::UnlessLost && self.lost_answers() > lost_before =>
                {
                    Err(GlintError::ResponseLost(why))
                }
                other => other,
            }
        });
        Ok(PatchResponse(answer.await?.body))
    }
}
