//! Decides whether path and query of a webhook's URL are trusted, and whether the run that only a header names sent the message.
//!
//! Both wait for the run that is read anyway, so they cost no request.

use serde_json::Value;
use serde_json::value::RawValue;

use super::context::Context;
use crate::glint::message::Unreadable;
use crate::glint::run::{RunRequest, RunState, UrlTarget};
use crate::outcome::Outcome;
use crate::source::DeliveryMetadata;
use crate::trigger::{ValidationError, project_of_url};
use crate::verify::{RequestUrl, VerifyError};

/// Who says where Glint sends the action's webhooks.
enum ActionUrl {
    /// It ends in the request's path and query.
    Same,
    Other,
    Unknown,
}

/// What the URL says, or the message attributes that a relay set in its place: nothing where the message names its project itself. An error
/// where it is not trusted.
pub async fn authorize_url(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    state: &RunState,
) -> Result<UrlTarget, Outcome> {
    let url = metadata.url.as_deref().map(RequestUrl::parse);
    if run.is_id_unsigned {
        ensure_same_message(run, metadata, state)?;
    }
    if run.names_project() {
        return Ok(UrlTarget::default());
    }
    let Some(url) = url else { return Ok(metadata.target.clone()) };
    let action = match action_url(&url, metadata, run.action_url.as_deref()) {
        ActionUrl::Unknown => action_url(&url, metadata, state.action_url.as_deref()),
        known => known,
    };
    if matches!(action, ActionUrl::Same) || verify_url_key(context, &url, metadata).await? {
        return Ok(metadata.target.clone());
    }
    match action {
        ActionUrl::Other => Err(Outcome::Unauthenticated(VerifyError::OtherUrl)),
        // The URL says nothing. What is missing is reported where the trigger request is built.
        _ if metadata.target == UrlTarget::default() => Ok(UrlTarget::default()),
        _ => Err(Outcome::Invalid(unproven_url(metadata))),
    }
}

/// Whether the URL carries the key of its project.
async fn verify_url_key(context: &Context, url: &RequestUrl, metadata: &DeliveryMetadata) -> Result<bool, Outcome> {
    let UrlTarget { key: Some(key), project: Some(path), .. } = &metadata.target else { return Ok(false) };
    let Ok(project) = project_of_url(path) else { return Ok(false) };
    match context.app.secrets.trigger_token(&project, context.call_limits()).await {
        Ok(token) => Ok(token.is_some_and(|token| url.is_proven_by(key, &token.value))),
        Err(error) if error.is_transient() => Err(context.cannot_verify(&error)),
        Err(_) => Ok(false),
    }
}

/// Whether the signed message itself shows that it was sent to another URL, so that Glint need not be asked. A key in the URL may still prove it.
pub fn is_for_another_url(run: &RunRequest, metadata: &DeliveryMetadata) -> bool {
    let Some(url) = metadata.url.as_deref().filter(|_| !run.names_project()) else { return false };
    metadata.target.key.is_none()
        && matches!(action_url(&RequestUrl::parse(url), metadata, run.action_url.as_deref()), ActionUrl::Other)
}

/// Compares the request's URL with the action's.
fn action_url(url: &RequestUrl, metadata: &DeliveryMetadata, action_url: Option<&str>) -> ActionUrl {
    match action_url.and_then(|action_url| url.matches_end_of(action_url, metadata.host.as_deref())) {
        Some(true) => ActionUrl::Same,
        Some(false) => ActionUrl::Other,
        None => ActionUrl::Unknown,
    }
}

fn unproven_url(metadata: &DeliveryMetadata) -> ValidationError {
    let path = metadata.target.project.as_deref().unwrap_or_default();
    if let Err(fault) = project_of_url(path) {
        return fault;
    }
    let what = if metadata.target.key.is_some() {
        "the `key` of the action's URL does not belong to its path and query"
    } else {
        "nothing proves path and query of the action's URL: neither the message nor Glint tells it"
    };
    ValidationError::new(
        what,
        "add `key=...` to the action's URL: the function's check, `{\"check\": true}`, prints it for each project",
    )
}

/// A header is not signed: it names the run only where Glint sent this very message to this URL for it.
fn ensure_same_message(run: &RunRequest, metadata: &DeliveryMetadata, state: &RunState) -> Result<(), Outcome> {
    let url = metadata.url.as_deref().map(RequestUrl::parse);
    let is_same_url =
        url.is_some_and(|url| matches!(action_url(&url, metadata, state.action_url.as_deref()), ActionUrl::Same));
    let is_same_body = || state.action_body.as_deref().is_some_and(|body| is_same_json(body, &run.text));
    if is_same_url && is_same_body() { Ok(()) } else { Err(not_its_message()) }
}

/// The outcome of a message whose run only a header names, where Glint does not confirm it.
pub fn not_its_message() -> Outcome {
    let what = "the message names no run: `context.runId` is missing, and Glint does not show that the run of the header `RUN_ID` sent it";
    Outcome::Unreadable { why: Unreadable::message(what), too_large: false }
}

/// Whether `text` is the same JSON as `body`, which may be kept as a string of it.
fn is_same_json(body: &RawValue, text: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let kept = match parse(body.get()) {
        Some(Value::String(inner)) => parse(&inner),
        kept => kept,
    };
    kept.is_some() && kept == parse(text)
}
