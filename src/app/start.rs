//! From a run to its pipeline: look, plan, claim, trigger, report.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::journey::Journey;
use super::prove::Task;
use super::session::Updated;
use super::settle::Trail;
use crate::event::{Door, Terms};
use crate::glint::GlintError;
use crate::outcome::{Deferral, Doubt, Outcome, Verdict};
use crate::plan::plan;
use crate::run::{Backend, Run, Standing, Status, Update};
use crate::telemetry::Metric;
use crate::{signature, words};

/// With less time left nothing is sent: a large CI file takes GitLab seconds to read.
pub const ENOUGH: Duration = Duration::from_secs(10);
/// What has to be left of it when the claim is written.
const STILL_ENOUGH: Duration = Duration::from_secs(7);

impl Journey {
    /// Does one task, whatever it is.
    pub async fn done(&self, task: Task, terms: &Terms) -> Verdict {
        if let Some(verdict) = self.handed_over(&task, terms).await {
            return verdict;
        }
        match task {
            Task::Start { run, .. } if terms.door == Door::DeadLetters => self.end_dead_run(&run, terms).await,
            Task::Start { run, .. } => {
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
        let foreign_label = !words::is_open(label) && !words::is_claim(label);
        let claimed = words::is_claim(label) || (foreign_label && terms.redelivery.may_be_second());
        let settled = self.is_settled(&standing);
        let doubt = |why| {
            Outcome::Unconfirmed(Doubt { why, project_url: self.project_page(run, terms), foreign_label, settled })
        };
        // Whatever keeps a claimed run from being looked up leaves the claim as it is.
        let doubted = |outcome| match outcome {
            Outcome::Deferred(deferral) if claimed => doubt(deferral.why),
            Outcome::Refused(refusal) if claimed => doubt(refusal.what),
            other => other,
        };
        is_open(&standing).map_err(doubted)?;
        let credentials = self.credentials().await.map_err(|error| doubted(Outcome::Deferred(Deferral::new(error))));
        let credentials = credentials?.value;
        let planned = plan(run, &terms.aim, &self.app.policy, &credentials.client_secret);
        let mut plan = planned.map_err(|refusal| doubted(Outcome::Refused(refusal)))?;
        if claimed && let Some(pipeline) = self.confirmed(run, &plan, terms, &standing).await.map_err(doubt)? {
            return Ok(self.reported(run, pipeline).await);
        }
        let token = self.trigger_token(&plan).await?;
        self.has_left(ENOUGH)?;
        self.claim(run, trail).await?;
        self.has_left(STILL_ENOUGH)?;
        let proof = signature::proof_of_run(&credentials.client_secret, &plan.project.path(), run.id.as_str());
        plan.name_run(run.id.as_str(), &proof);
        let pipeline = self.triggered(run, terms, &plan, token).await?;
        if let Some(clicked_at) = run.clicked_at {
            self.metrics.time(Metric::ClickToPipeline, (self.utc() - clicked_at).to_std().unwrap_or_default());
        }
        Ok(self.reported(run, pipeline).await)
    }

    /// Writes our claim into the run, so that a later receive knows that a trigger may have been sent.
    async fn claim(&self, run: &Run, trail: &mut Trail) -> Result<(), Outcome> {
        // A claim whose answer is lost may stand all the same: whoever gives up from here on has to take it back.
        trail.label = Some(words::TRIGGERING.to_owned());
        match self.update(&run.id, &Update::label(words::TRIGGERING)).await {
            Ok(Updated::AlreadyEnded) => Err(Outcome::Duplicate),
            Ok(Updated::Yes(shown)) => {
                if shown.bears(words::TRIGGERING) == Some(false) {
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

    /// Whether so much time is left in the invocation.
    pub fn has_left(&self, enough: Duration) -> Result<(), Outcome> {
        let too_late = || Outcome::Deferred(Deferral::new("too little time is left in the invocation"));
        if self.left() < enough { Err(too_late()) } else { Ok(()) }
    }

    /// The page of the run's project, for a person who has to look.
    pub fn project_page(&self, run: &Run, terms: &Terms) -> String {
        let project = run.project_path().or_else(|| terms.aim.project.clone());
        project.map_or_else(|| "the project".to_owned(), |path| self.app.gitlab.project_url(&path))
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
        // Glint's topic carries the runs of every backend, and a templated message need not say whose it is.
        Backend::Unnamed if terms.door == Door::Topic => Err(Outcome::Ignored("the message names no GitLab project")),
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
