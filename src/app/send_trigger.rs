//! The trigger itself: its token, its one try, and what GitLab's answer means for the run.

use secrecy::{ExposeSecret as _, SecretString};

use super::context::Context;
use crate::aws::secrets::{Cached, Refresh, SecretError};
use crate::deadlines::{MIN_TIME_TO_START, MIN_TRIGGER_TIMEOUT, REPORT_RESERVE, TRIGGER_TIMEOUT};
use crate::gitlab::TriggerError;
use crate::gitlab::types::{Pipeline, Project};
use crate::glint::run::RunRequest;
use crate::outcome::{Outcome, RetryLater, Unconfirmed};
use crate::retry::retry;
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;
use crate::trigger::{TriggerRequest, ValidationError};

impl Context {
    /// The token of the plan's project.
    pub async fn trigger_token(&self, plan: &TriggerRequest<'_>) -> Result<Cached<SecretString>, Outcome> {
        let project = &plan.project;
        match self.app.secrets.trigger_token(project, self.freshness()).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(self.operator_fault(
                format!("there is no trigger token for the project `{project}`"),
                &format!("add one for it to the secret `{}`", self.app.config.tokens_secret_id),
            )),
            Err(error) => Err(self.from_token_error(project, &error)),
        }
    }

    fn from_token_error(&self, project: &Project, error: &SecretError) -> Outcome {
        self.metrics.count(Metric::SecretsManagerFaults);
        if error.is_transient() {
            return Outcome::Deferred(RetryLater::new(error));
        }
        let hint = error.hint("GITLAB_TOKENS_SECRET_ID");
        self.operator_fault(format!("there is no usable trigger token for `{project}`: {error}"), &hint)
    }

    fn operator_fault(&self, what: String, hint: &str) -> Outcome {
        self.metrics.count(Metric::OperatorFaults);
        Outcome::Invalid(ValidationError::new(what, hint))
    }

    /// Sends the trigger, once, and once more only if nothing was created and something has changed.
    pub async fn send_trigger(
        &self,
        run: &RunRequest,
        metadata: &DeliveryMetadata,
        plan: &TriggerRequest<'_>,
        token: Cached<SecretString>,
    ) -> Result<Pipeline, Outcome> {
        let outcome = |error| self.from_trigger_error(error, plan, || self.project_page(run, metadata));
        let refused = match self.sent(plan, &token.value).await {
            Err(refused @ TriggerError::TokenRefused(_)) => refused,
            other => return other.map_err(outcome),
        };
        // Perhaps the token was rotated since it was read.
        let newer = match self.app.secrets.refresh_trigger_token(&plan.project, &token.version, self.freshness()).await
        {
            Ok(Refresh::Changed(Some(newer))) if newer.value.expose_secret() != token.value.expose_secret() => newer,
            Ok(Refresh::Changed(_) | Refresh::Unchanged) => return Err(outcome(refused)),
            // Read since this run was asked for: that proves as much.
            Ok(Refresh::NotDue { read_at }) if metadata.sent_at.is_some_and(|sent_at| sent_at <= read_at.into()) => {
                return Err(outcome(refused));
            }
            Ok(Refresh::NotDue { .. }) => {
                let why = format!(
                    "GitLab refused the trigger token of `{}`, and its secret was read less than half a minute ago",
                    plan.project
                );
                return Err(Outcome::Deferred(RetryLater::new(why)));
            }
            Err(error) => return Err(self.from_token_error(&plan.project, &error)),
        };
        self.ensure_time_left(MIN_TIME_TO_START)?;
        self.sent(plan, &newer.value).await.map_err(outcome)
    }

    async fn sent(&self, plan: &TriggerRequest<'_>, token: &SecretString) -> Result<Pipeline, TriggerError> {
        let pipeline = retry(self.deadline, || async {
            let limit = self.left().saturating_sub(REPORT_RESERVE).min(TRIGGER_TIMEOUT);
            if limit < MIN_TRIGGER_TIMEOUT {
                return Err(TriggerError::NotSent("no time left".to_owned()));
            }
            self.app.gitlab.trigger(&plan.project, token, &plan.body, &plan.secrets, limit).await
        });
        self.timed(Metric::GitLabLatency, pipeline).await
    }

    fn from_trigger_error(&self, error: TriggerError, plan: &TriggerRequest<'_>, page: impl Fn() -> String) -> Outcome {
        match error {
            TriggerError::TokenRefused(words) => Outcome::Rejected(format!(
                "GitLab has no project `{}` for this token: {words}\nhint: check the action's project name, and that the trigger token belongs to it",
                plan.project
            )),
            TriggerError::Rejected(words) => {
                Outcome::Rejected(format!("`{}` on `{}`: {words}", plan.project, plan.git_ref.as_str()))
            }
            TriggerError::Throttled(wait) => Outcome::Deferred(RetryLater { why: error.to_string(), wait }),
            TriggerError::NotSent(_) => {
                self.metrics.count(Metric::GitLabFaults);
                Outcome::Deferred(RetryLater::new(error))
            }
            TriggerError::Unknown(why) => {
                self.metrics.count(Metric::GitLabFaults);
                Outcome::Unconfirmed(Unconfirmed {
                    why: format!("GitLab's answer was lost: {why}"),
                    project_url: page(),
                    foreign_label: false,
                    settled: true,
                })
            }
        }
    }
}
