//! Starts the pipeline of a run: reads the run, builds the trigger request, claims, triggers, links.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use secrecy::SecretString;

use super::attempt::{AttemptResult, Claim, LastKnown};
use super::authorize_url::{authorize_url, not_its_message};
use super::context::Context;
use super::find_pipeline::{
    PipelineQuery, PipelineSearch, claim_state_of, ensure_in_progress, find_pipeline, outcome_of_glint_error,
    search_claim,
};
use super::report_run::link_pipeline;
use super::send_trigger::{send_trigger, trigger_token};
use crate::deadlines::{MIN_TIME_TO_START, MIN_TIME_TO_TRIGGER};
use crate::glint::credentials::Credentials;
use crate::glint::run::{RunRequest, UrlTarget};
use crate::glint::{GlintError, PatchResult, VisibleFields};
use crate::outcome::claim::{self, ClaimState, claim_patch};
use crate::outcome::{Outcome, RetryLater, Unconfirmed, messages};
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;
use crate::trigger::{TriggerRequest, build_trigger_request};
use crate::verify;

/// Makes one attempt to give the run its pipeline.
pub async fn start_run(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> AttemptResult {
    let known = LastKnown::new(run, context.app.glint.lost_answers());
    let mut start = Start { context, run, metadata, known };
    let outcome = match start.run().await {
        Ok(outcome) | Err(outcome) => outcome,
    };
    AttemptResult { outcome, known: start.known }
}

/// An attempt in progress.
struct Start<'a> {
    context: &'a Context,
    run: &'a RunRequest,
    metadata: &'a DeliveryMetadata,
    known: LastKnown,
}

impl<'a> Start<'a> {
    /// Either side of the result is the outcome: an error is the way out early.
    async fn run(&mut self) -> Result<Outcome, Outcome> {
        let context = self.context;
        let state = match context.run_state(&self.run.id).await {
            Err(GlintError::UnknownRun) if self.run.is_id_unsigned => return Err(not_its_message()),
            state => state.map_err(|error| outcome_of_glint_error(context, self.run, self.metadata, error))?,
        };
        let target = match authorize_url(context, self.run, self.metadata, &state).await {
            Err(outcome) if outcome.is_unproven() => return Err(outcome),
            target => target,
        };
        self.known.record_state(&state);
        self.known.is_claim_old = claim::is_claim_old(&state, context.utc());
        let in_progress = ensure_in_progress(&state);
        if matches!(in_progress, Err(Outcome::Duplicate)) {
            return Ok(Outcome::Duplicate);
        }
        let claim_state = claim_state_of(context, self.run, self.metadata, &state).await?;
        self.known.is_seen = true;
        if claim_state == ClaimState::Linked {
            return Ok(Outcome::Duplicate);
        }
        let is_claimed = claim_state == ClaimState::Claimed;
        // Whatever keeps a claimed run from being looked up leaves the claim as it is.
        let keep_claim = |outcome| if is_claimed { self.keep_unconfirmed(outcome) } else { outcome };
        in_progress.map_err(keep_claim)?;
        let credentials =
            context.credentials().await.map_err(|error| keep_claim(Outcome::Deferred(RetryLater::new(error))))?;
        let target = target.map_err(keep_claim)?;
        let request = self.trigger_request(&target, &credentials.value).map_err(keep_claim)?;
        let query = PipelineQuery::new(self.run, &request, &state);
        self.known.query = Some(query.clone());
        if is_claimed {
            if let Some(outcome) = self.confirm(&query).await? {
                return Ok(outcome);
            }
            self.known.claim = Claim::Written;
        }
        self.claim_and_trigger(request, &credentials.value.client_secret).await
    }

    fn trigger_request(
        &self,
        target: &UrlTarget,
        credentials: &Arc<Credentials>,
    ) -> Result<TriggerRequest<'a>, Outcome> {
        let options = &self.context.app.trigger_options;
        build_trigger_request(self.run, target, options, &credentials.client_secret).map_err(Outcome::Invalid)
    }

    /// Looks for the pipeline of a claimed run. `None` where it is proven that there is none.
    async fn confirm(&mut self, query: &PipelineQuery) -> Result<Option<Outcome>, Outcome> {
        match find_pipeline(self.context, query).await {
            PipelineSearch::Found(pipeline) => {
                Ok(Some(link_pipeline(self.context, &self.run.id, pipeline, &self.known).await))
            }
            PipelineSearch::Absent if self.known.is_claim_old => Ok(None),
            PipelineSearch::Absent => Err(self.unconfirmed("no pipeline of this run is there yet".to_owned())),
            PipelineSearch::NoToken => {
                Err(self.unconfirmed("an earlier trigger of this run was not confirmed".to_owned()))
            }
            PipelineSearch::Failed(why) => Err(self.unconfirmed(format!(
                "an earlier trigger of this run was not confirmed, and its pipeline cannot be looked up: {why}"
            ))),
        }
    }

    /// Claims the run, sends its trigger, and links it.
    async fn claim_and_trigger(
        &mut self,
        mut request: TriggerRequest<'_>,
        client_secret: &SecretString,
    ) -> Result<Outcome, Outcome> {
        let context = self.context;
        let token = trigger_token(context, &request).await?;
        context.ensure_time_left(MIN_TIME_TO_START)?;
        self.claim().await?;
        context.ensure_time_left(MIN_TIME_TO_TRIGGER)?;
        let run_id = self.run.id.as_str();
        let proof = verify::sign_run(client_secret, &request.project.path().to_lowercase(), run_id);
        request.set_run_proof(run_id, &proof);
        self.known.is_trigger_sent = true;
        let page = context.project_page(self.run, self.metadata);
        let pipeline = send_trigger(context, &request, self.metadata, token, &page).await?;
        if let Some(clicked_at) = self.run.clicked_at {
            let took = (context.utc() - clicked_at).to_std().unwrap_or_default();
            context.metrics.time(Metric::ClickToPipeline, took);
        }
        Ok(link_pipeline(context, &self.run.id, pipeline, &self.known).await)
    }

    /// Writes the claim into the run, so that a later attempt knows that a trigger may have been sent.
    async fn claim(&mut self) -> Result<(), Outcome> {
        let doubtful_before = self.context.app.glint.doubtful_failures();
        match self.context.patch(&self.run.id, &claim_patch(&self.run.id)).await {
            Ok(PatchResult::AlreadyEnded) => Err(Outcome::Duplicate),
            Ok(PatchResult::Applied(answer)) => {
                self.known.claim = Claim::Written;
                self.known.label = Some(messages::TRIGGERING.to_owned());
                if let Some(visible) = answer.visible_fields() {
                    self.known.record_answer(&visible);
                    self.known.is_claim_hidden = self.detect_hidden_claim(&visible).await?;
                }
                Ok(())
            }
            Err(error) => {
                if self.context.app.glint.doubtful_failures() > doubtful_before {
                    self.known.claim = Claim::Possible;
                }
                Err(outcome_of_glint_error(self.context, self.run, self.metadata, error))
            }
        }
    }

    /// Whether this Glint shows no part of a claim that was just written, and does not find it either.
    async fn detect_hidden_claim(&self, visible: &VisibleFields) -> Result<bool, Outcome> {
        const BOTH: &str = "this Glint shows neither the label nor the `externalRunId` of a run: if the function is ended between trigger and link, \
                            another delivery of the run starts a second pipeline, and a run whose trigger is not answered is ended at once";
        const EXTERNAL_ID: &str = "this Glint shows no `externalRunId` of a run: where somebody else sets both its label and its link, another delivery \
                                   of the run may start a second pipeline unless `GITLAB_READ_SECRET_ID` is set";
        let shows = &self.context.app.glint_visibility;
        if visible.external_id.is_some() {
            shows.external_id.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        let is_blank = visible.label.as_deref() != Some(messages::TRIGGERING);
        let is_hidden = is_blank && !search_claim(self.context, &self.run.id).await?;
        if is_blank {
            shows.no_claim.store(true, Ordering::Relaxed);
        }
        if is_hidden {
            self.context.metrics.count(Metric::ClaimsNotKept);
        }
        if !shows.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!("{}", if is_hidden { BOTH } else { EXTERNAL_ID });
        }
        Ok(is_hidden)
    }

    fn keep_unconfirmed(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Deferred(retry_later) => self.unconfirmed(retry_later.why),
            Outcome::Invalid(error) => self.unconfirmed(error.what),
            other => other,
        }
    }

    fn unconfirmed(&self, why: String) -> Outcome {
        let project_url = self.context.project_page(self.run, self.metadata);
        Outcome::Unconfirmed(Unconfirmed { why, project_url })
    }
}
