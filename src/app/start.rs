//! From a run to its pipeline: look, plan, claim, trigger, report.

use std::sync::atomic::Ordering;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::journey::Journey;
use super::prove::Task;
use super::session::Updated;
use super::settle::Trail;
use crate::event::{Door, Terms};
use crate::gitlab::TriggerError;
use crate::glint::GlintError;
use crate::outcome::{Deferral, Doubt, Outcome, Verdict};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Refusal, plan};
use crate::retry::retry;
use crate::run::{Backend, Run, Standing, Status, Update};
use crate::secrets::Kept;
use crate::telemetry::Metric;
use crate::{signature, words};

/// With less time left nothing is sent: a large CI file takes GitLab seconds to read.
const ENOUGH: Duration = Duration::from_secs(10);
/// The most that GitLab gets for one trigger.
const TRIGGER: Duration = Duration::from_secs(30);
/// A try with less is not worth the doubt that it may leave.
const SHORTEST: Duration = Duration::from_secs(1);
/// What has to be left for the report after it.
const REPORT: Duration = Duration::from_secs(3);

impl Journey {
    /// Does one task, whatever it is.
    pub async fn done(&self, task: Task, terms: &Terms) -> Verdict {
        if let Some(verdict) = self.handed_over(&task, terms).await {
            return verdict;
        }
        match task {
            Task::Start { run, .. } if terms.door == Door::DeadLetters => self.end_dead_run(&run, terms).await,
            Task::Start { run, text, .. } => {
                // Only a hand-over needs it, and a batch may hold megabytes of it.
                drop(text);
                let mut trail = Trail::default();
                let outcome = self.start(&run, terms, &mut trail).await.unwrap_or_else(|outcome| outcome);
                self.settled(&run, terms, outcome, &trail).await
            }
            Task::Follow(progress) => {
                let is_dead = terms.door == Door::DeadLetters;
                let is_last = is_dead || terms.redelivery.is_last(self.app.config.max_receives, self.utc());
                self.waiting(terms, self.follow(&progress, is_last).await).await
            }
            Task::Report(report) => self.waiting(terms, self.report(report).await).await,
        }
    }

    /// The outcome of `run`. Either side of the result is one: `Err` is the way out early.
    async fn start(&self, run: &Run, terms: &Terms, trail: &mut Trail) -> Result<Outcome, Outcome> {
        is_ours(run, terms)?;
        let standing = self.run(&run.id).await.map_err(of_glint)?;
        trail.see(run, &standing);
        let label = standing.label.as_deref().unwrap_or_default();
        let foreign = !words::is_open(label) && !words::is_claim(label);
        let claimed = words::is_claim(label) || (foreign && terms.redelivery.may_be_second());
        is_open(&standing)?;
        let (credentials, _) = self.credentials().await.map_err(|error| Outcome::Deferred(Deferral::new(error)))?;
        let planned = plan(run, &terms.aim, &self.app.policy, &credentials.client_secret);
        if claimed {
            let doubt = |why: String| Doubt {
                why,
                project_url: self.project_url(planned.as_ref().ok()),
                foreign_label: foreign,
                settled: self.is_settled(&standing),
            };
            let plan = planned.as_ref().map_err(|refusal| Outcome::Unconfirmed(doubt(refusal.what.clone())))?;
            if let Some(pipeline) =
                self.confirmed(run, plan, terms, &standing).await.map_err(|why| Outcome::Unconfirmed(doubt(why)))?
            {
                return Ok(self.reported(run, pipeline).await);
            }
        }
        let mut plan = planned.map_err(Outcome::Refused)?;
        let token = self.trigger_token(&plan).await?;
        if self.left() < ENOUGH {
            return Err(Outcome::Deferred(Deferral::new("too little time is left in the invocation")));
        }
        self.claim(run, trail).await?;
        let proof = signature::proof_of_run(&credentials.client_secret, &plan.project.path(), run.id.as_str());
        plan.name_run(run.id.as_str(), &proof);
        let pipeline = self.triggered(&plan, token).await?;
        if let Some(clicked_at) = run.clicked_at {
            self.metrics.time(Metric::ClickToPipeline, (self.utc() - clicked_at).to_std().unwrap_or_default());
        }
        Ok(self.reported(run, pipeline).await)
    }

    async fn trigger_token(&self, plan: &Plan) -> Result<Kept<SecretString>, Outcome> {
        let project = &plan.project;
        match self.app.secrets.trigger_token(project, self.when()).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(self.operator_fault(
                format!("there is no trigger token for the project `{project}`"),
                "let the function's operator add one to the secret of trigger tokens",
            )),
            Err(error) => {
                self.metrics.count(Metric::SecretsManagerFaults);
                if error.is_transient() {
                    return Err(Outcome::Deferred(Deferral::new(error)));
                }
                Err(self.operator_fault(
                    format!("the trigger token of `{project}` cannot be read: {error}"),
                    "let the function's operator mend the secret or the function's permission",
                ))
            }
        }
    }

    fn operator_fault(&self, what: String, hint: &str) -> Outcome {
        self.metrics.count(Metric::OperatorFaults);
        Outcome::Refused(Refusal::of_operator(what, hint))
    }

    /// Writes our claim into the run, so that a later receive knows that a trigger may have been sent.
    async fn claim(&self, run: &Run, trail: &mut Trail) -> Result<(), Outcome> {
        // A claim whose answer is lost may stand all the same: whoever gives up from here on has to take it back.
        trail.label = Some(words::TRIGGERING.to_owned());
        match self.update(&run.id, &Update::label(words::TRIGGERING)).await {
            Ok(Updated::AlreadyEnded) => Err(Outcome::Duplicate),
            Ok(Updated::Yes(kept)) => {
                if kept.label == Some(false) {
                    self.metrics.count(Metric::ClaimsNotKept);
                    if !self.app.labels_lost.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "this Glint does not keep a run's label: until a run is linked, another delivery of it may start a second pipeline"
                        );
                    }
                }
                Ok(())
            }
            Err(error) => Err(of_glint(error)),
        }
    }

    /// Sends the trigger, once, and once more only if nothing was created and something has changed.
    async fn triggered(&self, plan: &Plan, token: Kept<SecretString>) -> Result<Pipeline, Outcome> {
        let send = |token: SecretString| self.sent(plan, token);
        let refused = match send(token.value.clone()).await {
            Err(TriggerError::TokenRefused(words)) => words,
            other => return other.map_err(|error| self.of_gitlab(error, plan)),
        };
        // Perhaps the token was rotated since it was read.
        let newer =
            self.app.secrets.trigger_token_after(&plan.project, &token.version, self.when()).await.ok().flatten();
        match newer.filter(|newer| newer.value.expose_secret() != token.value.expose_secret()) {
            Some(newer) if self.left() >= ENOUGH => {
                send(newer.value).await.map_err(|error| self.of_gitlab(error, plan))
            }
            _ => Err(self.of_gitlab(TriggerError::TokenRefused(refused), plan)),
        }
    }

    async fn sent(&self, plan: &Plan, token: SecretString) -> Result<Pipeline, TriggerError> {
        let pipeline = retry(self.deadline, || async {
            let limit = self.left().saturating_sub(REPORT).min(TRIGGER);
            if limit < SHORTEST {
                return Err(TriggerError::NotSent("no time left".to_owned()));
            }
            self.app.gitlab.trigger(&plan.project, &token, &plan.body, &plan.secrets, limit).await
        });
        self.timed(Metric::GitLabLatency, pipeline).await
    }

    fn of_gitlab(&self, error: TriggerError, plan: &Plan) -> Outcome {
        match error {
            TriggerError::TokenRefused(words) => Outcome::Rejected(format!(
                "GitLab has no project `{}` for this token: {words}\nhint: check the action's project name, and that the trigger token belongs to it",
                plan.project
            )),
            TriggerError::Rejected(words) => Outcome::Rejected(words),
            TriggerError::Throttled(wait) => Outcome::Deferred(Deferral { why: error.to_string(), wait }),
            TriggerError::NotSent(_) => {
                self.metrics.count(Metric::GitLabFaults);
                Outcome::Deferred(Deferral::new(error))
            }
            TriggerError::Unknown(why) => {
                self.metrics.count(Metric::GitLabFaults);
                Outcome::Unconfirmed(Doubt {
                    why: format!("GitLab's answer was lost: {why}"),
                    project_url: self.project_url(Some(plan)),
                    foreign_label: false,
                    settled: true,
                })
            }
        }
    }

    fn project_url(&self, plan: Option<&Plan>) -> String {
        plan.map(|plan| self.app.gitlab.project_url(&plan.project.path())).unwrap_or_else(|| "the project".to_owned())
    }
}

/// Whether the run is for this function at all.
pub fn is_ours(run: &Run, terms: &Terms) -> Result<(), Outcome> {
    match &run.backend {
        Backend::Other(_) => Err(Outcome::Ignored("the action's backend is not GitLab")),
        // At the URL itself the sender waits for an answer, and its operator can mend the URL: that is refused, with the plan.
        Backend::Webhook if terms.aim.project.is_none() && terms.door != Door::Web => {
            Err(Outcome::Ignored("the webhook's message names no project"))
        }
        Backend::Webhook | Backend::GitLab | Backend::Unnamed => Ok(()),
    }
}

/// Whether the run may still be started.
fn is_open(standing: &Standing) -> Result<(), Outcome> {
    match &standing.status {
        Status::Ended => Err(Outcome::Duplicate),
        _ if standing.is_linked() => Err(Outcome::Duplicate),
        Status::InProgress => Ok(()),
        Status::WaitingForApproval => Err(Outcome::Deferred(Deferral::new("the run waits for approval in Glint"))),
        Status::Unknown(word) => {
            Err(Outcome::Deferred(Deferral::new(format!("Glint says the run is `{word}`, which is not known here"))))
        }
    }
}

/// What a call to Glint that failed before anything was sent means for the run.
pub fn of_glint(error: GlintError) -> Outcome {
    match error {
        GlintError::UnknownRun => Outcome::Ignored("Glint knows no such run"),
        GlintError::Unavailable { after, .. } => Outcome::Deferred(Deferral { why: error.to_string(), wait: after }),
        GlintError::LoginExpired | GlintError::CredentialsRefused | GlintError::Refused { .. } => {
            Outcome::Deferred(Deferral::new(error))
        }
    }
}
