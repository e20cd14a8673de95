//! The trigger itself: its token, its one try, and what GitLab's answer means for the run.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::journey::Journey;
use super::start::ENOUGH;
use crate::event::Terms;
use crate::gitlab::TriggerError;
use crate::outcome::{Deferral, Doubt, Outcome};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Refusal};
use crate::retry::retry;
use crate::run::Run;
use crate::secrets::Kept;
use crate::telemetry::Metric;

/// The most that GitLab gets for one trigger.
const TRIGGER: Duration = Duration::from_secs(30);
/// A try with less, which a slow connection alone could use up, is not worth the doubt that it may leave.
const SHORTEST: Duration = Duration::from_millis(2500);
/// What has to be left for the report after it.
const REPORT: Duration = Duration::from_secs(3);

impl Journey {
    /// The token of the plan's project.
    pub async fn trigger_token(&self, plan: &Plan<'_>) -> Result<Kept<SecretString>, Outcome> {
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
        Outcome::Refused(Refusal::new(what, hint))
    }

    /// Sends the trigger, once, and once more only if nothing was created and something has changed.
    pub async fn triggered(
        &self,
        run: &Run,
        terms: &Terms,
        plan: &Plan<'_>,
        token: Kept<SecretString>,
    ) -> Result<Pipeline, Outcome> {
        let outcome = |error| self.of_gitlab(error, plan, || self.project_page(run, terms));
        let refused = match self.sent(plan, &token.value).await {
            Err(refused @ TriggerError::TokenRefused(_)) => refused,
            other => return other.map_err(outcome),
        };
        // Perhaps the token was rotated since it was read.
        let newer =
            self.app.secrets.trigger_token_after(&plan.project, &token.version, self.when()).await.ok().flatten();
        let Some(newer) = newer.filter(|newer| newer.value.expose_secret() != token.value.expose_secret()) else {
            return Err(outcome(refused));
        };
        self.has_left(ENOUGH)?;
        self.sent(plan, &newer.value).await.map_err(outcome)
    }

    async fn sent(&self, plan: &Plan<'_>, token: &SecretString) -> Result<Pipeline, TriggerError> {
        let pipeline = retry(self.deadline, || async {
            let limit = self.left().saturating_sub(REPORT).min(TRIGGER);
            if limit < SHORTEST {
                return Err(TriggerError::NotSent("no time left".to_owned()));
            }
            self.app.gitlab.trigger(&plan.project, token, &plan.body, &plan.secrets, limit).await
        });
        self.timed(Metric::GitLabLatency, pipeline).await
    }

    fn of_gitlab(&self, error: TriggerError, plan: &Plan<'_>, page: impl Fn() -> String) -> Outcome {
        match error {
            TriggerError::TokenRefused(words) => Outcome::Rejected(format!(
                "GitLab has no project `{}` for this token: {words}\nhint: check the action's project name, and that the trigger token belongs to it",
                plan.project
            )),
            TriggerError::Rejected(words) => {
                Outcome::Rejected(format!("`{}` on `{}`: {words}", plan.project, plan.git_ref.as_str()))
            }
            TriggerError::Throttled(wait) => Outcome::Deferred(Deferral { why: error.to_string(), wait }),
            TriggerError::NotSent(_) => {
                self.metrics.count(Metric::GitLabFaults);
                Outcome::Deferred(Deferral::new(error))
            }
            TriggerError::Unknown(why) => {
                self.metrics.count(Metric::GitLabFaults);
                Outcome::Unconfirmed(Doubt {
                    why: format!("GitLab's answer was lost: {why}"),
                    project_url: page(),
                    foreign_label: false,
                    settled: true,
                })
            }
        }
    }
}
