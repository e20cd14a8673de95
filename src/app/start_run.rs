//! From a run to its pipeline: look, plan, claim, trigger, report.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::authorize_url::{is_for_another_url, not_its_message};
use super::context::Context;
use super::report_outcome::LastKnown;
use super::verify_delivery::Task;
use crate::deadlines::{MIN_TIME_TO_START, MIN_TIME_TO_TRIGGER};
use crate::glint::GlintError;
use crate::glint::PatchResult;
use crate::glint::run::{Backend, RunPatch, RunRequest, RunState, RunStatus};
use crate::outcome::messages;
use crate::outcome::{Handled, Outcome, RetryLater, Unconfirmed};
use crate::source::{DeliveryMetadata, Source};
use crate::telemetry::Metric;
use crate::trigger::build_trigger_request;
use crate::verify::{self, VerifyError};

impl Context {
    /// Does one task, whatever it is.
    pub async fn done(&self, task: Task, metadata: &DeliveryMetadata) -> Handled {
        if let Task::Start { run, .. } = &task
            && is_for_another_url(run, metadata)
        {
            return Handled::new(Some(run.id.clone()), Outcome::Unauthenticated(VerifyError::OtherUrl));
        }
        if let Some(handled) = self.enqueue(&task, metadata).await {
            return handled;
        }
        match task {
            Task::Start { run, .. } if metadata.source.is_dead_letter_queue() => {
                self.end_dead_run(&run, metadata).await
            }
            Task::Start { run, .. } => {
                let mut last_known = LastKnown::default();
                let outcome = self.start(&run, metadata, &mut last_known).await.unwrap_or_else(|outcome| outcome);
                self.settled(&run, metadata, outcome, &last_known).await
            }
            Task::Follow(event) => {
                let is_dead = metadata.source.is_dead_letter_queue();
                let is_last = is_dead || metadata.source.is_final_attempt(self.app.config.max_receives, self.utc());
                self.waiting(metadata, self.follow(&event, is_last).await).await
            }
            Task::Report(report) => self.waiting(metadata, self.report(report).await).await,
        }
    }

    /// The outcome of `run`. Either side of the result is one: `Err` is the way out early.
    async fn start(
        &self,
        run: &RunRequest,
        metadata: &DeliveryMetadata,
        last_known: &mut LastKnown,
    ) -> Result<Outcome, Outcome> {
        ensure_ours(run, metadata)?;
        let state = match self.glint(self.app.glint.run(&run.id, self.freshness())).await {
            Err(GlintError::UnknownRun) if run.is_id_unsigned => return Err(not_its_message()),
            other => other.map_err(from_glint_error)?,
        };
        last_known.see(run, &state);
        let target = self.authorize_url(run, metadata, &state).await?;
        let label = state.label.as_deref().unwrap_or_default();
        let foreign_label = !messages::is_open(label) && !messages::is_claim(label);
        let claimed = messages::is_claim(label) || (foreign_label && metadata.source.may_be_redelivery());
        let settled = self.is_settled(&state);
        let unconfirmed = |why| {
            Outcome::Unconfirmed(Unconfirmed {
                why,
                project_url: self.project_page(run, metadata),
                foreign_label,
                settled,
            })
        };
        // Whatever keeps a claimed run from being looked up leaves the claim as it is.
        let doubted = |outcome| match outcome {
            Outcome::Deferred(retry_later) if claimed => unconfirmed(retry_later.why),
            Outcome::Invalid(refusal) if claimed => unconfirmed(refusal.what),
            other => other,
        };
        is_open(&state).map_err(doubted)?;
        let credentials = self.credentials().await.map_err(|error| doubted(Outcome::Deferred(RetryLater::new(error))));
        let credentials = credentials?.value;
        let planned = build_trigger_request(run, &target, &self.app.policy, &credentials.client_secret);
        let mut plan = planned.map_err(|refusal| doubted(Outcome::Invalid(refusal)))?;
        if claimed && let Some(pipeline) = self.confirmed(run, &plan, metadata, &state).await.map_err(unconfirmed)? {
            return Ok(self.reported(run, pipeline).await);
        }
        let token = self.trigger_token(&plan).await?;
        self.ensure_time_left(MIN_TIME_TO_START)?;
        self.claim(run, last_known).await?;
        self.ensure_time_left(MIN_TIME_TO_TRIGGER)?;
        let proof = verify::sign_run(&credentials.client_secret, &plan.project.path(), run.id.as_str());
        plan.set_run_token(run.id.as_str(), &proof);
        let pipeline = self.send_trigger(run, metadata, &plan, token).await?;
        if let Some(clicked_at) = run.clicked_at {
            self.metrics.time(Metric::ClickToPipeline, (self.utc() - clicked_at).to_std().unwrap_or_default());
        }
        Ok(self.reported(run, pipeline).await)
    }

    /// Writes our claim into the run, so that a later receive knows that a trigger may have been sent.
    async fn claim(&self, run: &RunRequest, last_known: &mut LastKnown) -> Result<(), Outcome> {
        // A claim whose answer is lost may stand all the same: whoever gives up from here on has to take it back.
        last_known.label = Some(messages::TRIGGERING.to_owned());
        match self.glint(self.app.glint.patch(&run.id, &RunPatch::label(messages::TRIGGERING), self.freshness())).await
        {
            Ok(PatchResult::AlreadyEnded) => Err(Outcome::Duplicate),
            Ok(PatchResult::Applied(sanitize_line)) => {
                if sanitize_line.has_label(messages::TRIGGERING) == Some(false) {
                    self.metrics.count(Metric::ClaimsNotKept);
                    if !self.app.labels_lost.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "this Glint does not keep a run's label: until a run is linked, another delivery of it may start a second pipeline"
                        );
                    }
                }
                Ok(())
            }
            Err(error) => Err(from_glint_error(error)),
        }
    }

    /// Whether so much time is left in the invocation.
    pub fn ensure_time_left(&self, enough: Duration) -> Result<(), Outcome> {
        let too_late = || Outcome::Deferred(RetryLater::new("too little time is left in the invocation"));
        if self.left() < enough { Err(too_late()) } else { Ok(()) }
    }

    /// The page of the run's project, for a person who has to look.
    pub fn project_page(&self, run: &RunRequest, metadata: &DeliveryMetadata) -> String {
        let project = run.project_path().or_else(|| metadata.target.project.clone());
        project.map_or_else(|| "the project".to_owned(), |path| self.app.gitlab.project_url(&path))
    }
}

/// Whether the run is for this function at all.
pub fn ensure_ours(run: &RunRequest, metadata: &DeliveryMetadata) -> Result<(), Outcome> {
    match &run.backend {
        Backend::Other(_) => Err(Outcome::Ignored("the action's backend is not GitLab")),
        // At the URL itself the sender waits for an answer, and its operator can mend the URL: that is refused, with the plan.
        Backend::Webhook if metadata.target.project.is_none() && !matches!(metadata.source, Source::Http) => {
            Err(Outcome::Ignored("the webhook's message names no project"))
        }
        // Glint's topic carries the runs of every backend, and a templated message need not say whose it is.
        Backend::Unnamed if matches!(metadata.source, Source::Kafka { .. }) => {
            Err(Outcome::Ignored("the message names no GitLab project"))
        }
        Backend::Webhook | Backend::GitLab | Backend::Unnamed => Ok(()),
    }
}

/// Whether the run may still be started.
fn is_open(state: &RunState) -> Result<(), Outcome> {
    match &state.status {
        RunStatus::Ended => Err(Outcome::Duplicate),
        _ if state.is_linked() => Err(Outcome::Duplicate),
        RunStatus::InProgress => Ok(()),
        RunStatus::WaitingForApproval => Err(Outcome::Deferred(RetryLater::new("the run waits for approval in Glint"))),
        RunStatus::Unknown(word) => {
            Err(Outcome::Deferred(RetryLater::new(format!("Glint says the run is `{word}`, which is not known here"))))
        }
    }
}

/// What a call to Glint that failed before anything was sent means for the run.
pub fn from_glint_error(error: GlintError) -> Outcome {
    match error {
        GlintError::UnknownRun => Outcome::Ignored("Glint knows no such run"),
        GlintError::Unavailable { after, .. } => Outcome::Deferred(RetryLater { why: error.to_string(), wait: after }),
        GlintError::LoginExpired
        | GlintError::CredentialsRefused
        | GlintError::NoCredentials(_)
        | GlintError::Refused { .. } => Outcome::Deferred(RetryLater::new(error)),
    }
}
