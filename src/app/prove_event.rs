//! Verifies which run a pipeline's event belongs to.

use std::borrow::Cow;

use secrecy::SecretString;

use super::client_secret::match_client_secret;
use super::context::Context;
use crate::gitlab::LookupError;
use crate::gitlab::types::{PipelineEvent, Project};
use crate::glint::run::RunId;
use crate::outcome::{Outcome, RetryLater};
use crate::verify;

/// An event whose pipeline proves the run that it is of.
pub struct Proven<'a> {
    pub run_id: RunId,
    pub event: Cow<'a, PipelineEvent>,
}

/// The event with the run that the pipeline's own payload proves. An event without that proof is a hint: with a read token the pipeline is
/// looked up, since whoever maintains any project can make GitLab send any body.
pub async fn prove_event<'a>(context: &Context, event: &'a PipelineEvent) -> Result<Option<Proven<'a>>, Outcome> {
    if let Some(run_id) = verify_run_proof(context, event).await? {
        return Ok(Some(Proven { run_id, event: Cow::Borrowed(event) }));
    }
    let Some(project) = event.pipeline.project_id.and_then(|id| Project::by_id(&id.to_string())) else {
        return Ok(None);
    };
    let Some(token) = context.read_token().await? else { return Ok(None) };
    match fetch_event(context, &project, event.pipeline.id, &token).await {
        Ok(FetchedEvent::Event(event)) => {
            let run_id = verify_run_proof(context, &event).await?;
            Ok(run_id.map(|run_id| Proven { run_id, event: Cow::Owned(*event) }))
        }
        Ok(FetchedEvent::BetweenStatuses) | Err(LookupError::Refused(_)) => Ok(None),
        Err(error) => Err(Outcome::Deferred(RetryLater::new(error))),
    }
}

/// The run that the event's token names, if its proof holds for the event's project: made with the client secret that is current, or with
/// the one before.
pub async fn verify_run_proof(context: &Context, event: &PipelineEvent) -> Result<Option<RunId>, Outcome> {
    let Some(token) = &event.run_proof else { return Ok(None) };
    let Some(id) = RunId::parse(&token.run_id) else { return Ok(None) };
    // An action may name its project by the number.
    let number = event.pipeline.project_id.map(|id| id.to_string());
    let names = [Some(event.project.clone()), number];
    let holds = |secret: &SecretString| {
        let mut names = names.iter().flatten().filter(|name| !name.is_empty());
        names.any(|name| verify::verify_run(secret, name, id.as_str(), &token.proof))
    };
    let is_proven = match_client_secret(context, None, |secret| holds(secret).then_some(()));
    Ok(is_proven.await.map_err(|error| Outcome::Deferred(RetryLater::new(error)))?.map(|()| id))
}

/// How a pipeline stands, with the run that its payload names, and its jobs where they are told of.
pub async fn fetch_event(
    context: &Context,
    project: &Project,
    pipeline_id: u64,
    token: &SecretString,
) -> Result<FetchedEvent, LookupError> {
    let gitlab = &context.app.gitlab;
    let found = context.lookup(gitlab.pipeline(project, pipeline_id, token, context.call_deadline())).await?;
    let Some(mut event) = found else { return Ok(FetchedEvent::BetweenStatuses) };
    event.run_proof = context.lookup(gitlab.run_proof(project, pipeline_id, token, context.call_deadline())).await?;
    if event.run_proof.is_some() {
        context.lookup(gitlab.add_jobs(&mut event, project, token, context.call_deadline())).await?;
    }
    Ok(FetchedEvent::Event(Box::new(event)))
}

/// What a look-up found.
pub enum FetchedEvent {
    Event(Box<PipelineEvent>),
    /// A status that moves no run.
    BetweenStatuses,
}
