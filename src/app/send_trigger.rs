//! Sends the trigger, once, and turns GitLab's response into an outcome.

use secrecy::{ExposeSecret as _, SecretString};

use super::context::Context;
use crate::aws::secrets::{Cached, Refresh, SecretError};
use crate::deadlines::{MIN_TIME_TO_START, MIN_TRIGGER_TIMEOUT, REPORT_RESERVE, TRIGGER_TIMEOUT};
use crate::gitlab::TriggerError;
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus, Project};
use crate::outcome::{Outcome, RetryLater, Unconfirmed};
use crate::retry::retry;
use crate::source::DeliveryMetadata;
use crate::telemetry::Metric;
use crate::trigger::{TriggerRequest, ValidationError};

/// The token of the request's project.
pub async fn trigger_token(context: &Context, request: &TriggerRequest<'_>) -> Result<Cached<SecretString>, Outcome> {
    let project = &request.project;
    match context.app.secrets.trigger_token(project, context.call_limits()).await {
        Ok(Some(token)) => Ok(token),
        // Any user may name a project that nobody set up: that is no fault of the set-up.
        Ok(None) => Err(Outcome::Invalid(ValidationError::new(
            format!("there is no trigger token for the project `{project}`"),
            format!("add one for it to the secret `{}`", context.app.config.tokens_secret_id),
        ))),
        Err(error) => Err(token_outcome(context, project, &error)),
    }
}

fn token_outcome(context: &Context, project: &Project, error: &SecretError) -> Outcome {
    context.count_secret_fault(error.is_transient());
    if error.is_transient() {
        return Outcome::Deferred(RetryLater::new(error));
    }
    let what = format!("there is no usable trigger token for `{project}`: {error}");
    Outcome::Invalid(ValidationError::new(what, error.hint("GITLAB_TOKENS_SECRET_ID")))
}

/// Sends the trigger, once, and once more only if nothing was created and the token has changed. `page` is the project's, for a person.
pub async fn send_trigger(
    context: &Context,
    request: &TriggerRequest<'_>,
    metadata: &DeliveryMetadata,
    token: Cached<SecretString>,
    page: &str,
) -> Result<Pipeline, Outcome> {
    let outcome = |error| trigger_outcome(context, error, request, page);
    let refused = match send(context, request, &token.value).await {
        Err(refused @ TriggerError::TokenRefused(_)) => refused,
        other => return other.map_err(outcome),
    };
    // Perhaps the token was rotated since it was read.
    let project = &request.project;
    let newer = match context.app.secrets.refresh_trigger_token(project, &token.version, context.call_limits()).await {
        Ok(Refresh::Changed(Some(newer))) if newer.value.expose_secret() != token.value.expose_secret() => newer,
        Ok(Refresh::Changed(_) | Refresh::Unchanged) => return Err(outcome(refused)),
        // Read since this run was asked for: that proves as much.
        Ok(Refresh::NotDue { read_at }) if metadata.sent_at.is_some_and(|sent_at| sent_at <= read_at.into()) => {
            return Err(outcome(refused));
        }
        Ok(Refresh::NotDue { .. }) => {
            return Err(Outcome::Deferred(RetryLater::new(format!(
                "GitLab refused the trigger token of `{project}`, and its secret was read less than half a minute ago"
            ))));
        }
        Err(error) => return Err(token_outcome(context, project, &error)),
    };
    context.ensure_time_left(MIN_TIME_TO_START)?;
    send(context, request, &newer.value).await.map_err(outcome)
}

async fn send(context: &Context, request: &TriggerRequest<'_>, token: &SecretString) -> Result<Pipeline, TriggerError> {
    let pipeline = retry(context.deadline, || async {
        let limit = context.time_left().saturating_sub(REPORT_RESERVE).min(TRIGGER_TIMEOUT);
        if limit < MIN_TRIGGER_TIMEOUT {
            return Err(TriggerError::NotSent("no time left".to_owned()));
        }
        context.app.gitlab.trigger(&request.project, token, &request.body, &request.secrets, limit).await
    });
    context.timed(Metric::GitLabLatency, pipeline).await
}

fn trigger_outcome(context: &Context, error: TriggerError, request: &TriggerRequest<'_>, page: &str) -> Outcome {
    match error {
        TriggerError::TokenRefused(words) => Outcome::Rejected(format!(
            "GitLab has no project `{}` for this token: {words}\nhint: check the action's project name, and that the trigger token in the secret `{}` belongs to it",
            request.project, context.app.config.tokens_secret_id
        )),
        TriggerError::Rejected(words) => {
            Outcome::Rejected(format!("`{}` on `{}`: {words}", request.project, request.git_ref.as_str()))
        }
        TriggerError::Failed(pipeline) => {
            let event = PipelineEvent::new(pipeline, request.project.path(), PipelineStatus::Failed);
            Outcome::Finished(Box::new(event))
        }
        TriggerError::Throttled(wait) => Outcome::Deferred(RetryLater { why: error.to_string(), wait }),
        TriggerError::NotSent(_) => {
            context.metrics.count(Metric::GitLabFaults);
            Outcome::Deferred(RetryLater::new(error))
        }
        TriggerError::Unknown(why) => {
            context.metrics.count(Metric::GitLabFaults);
            let project_url = page.to_owned();
            Outcome::Unconfirmed(Unconfirmed { why: format!("GitLab's answer was lost: {why}"), project_url })
        }
    }
}
