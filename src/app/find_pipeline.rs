//! Finds out whether a run has its pipeline: from what Glint shows of the run, and from GitLab. Starts nothing.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::client_secret::match_client_secret;
use super::context::Context;
use crate::deadlines::{MAX_CLOCK_SKEW, MAX_MESSAGE_AGE, MAX_READ_LAG};
use crate::gitlab::types::{GitRef, Pipeline, Project, RunProof};
use crate::glint::GlintError;
use crate::glint::run::{RunId, RunRequest, RunState, RunStatus, UrlTarget};
use crate::outcome::claim::{self, ClaimState};
use crate::outcome::{Outcome, RetryLater, messages};
use crate::source::{DeliveryMetadata, Source};
use crate::trigger::{TriggerRequest, build_trigger_request};
use crate::verify;

/// Where the pipeline of a run would be.
#[derive(Clone, Debug)]
pub struct PipelineQuery {
    pub run_id: RunId,
    pub project: Project,
    pub git_ref: GitRef,
    /// When Glint created the run, where it says so.
    pub created_at: Option<DateTime<Utc>>,
}

impl PipelineQuery {
    pub fn new(run: &RunRequest, request: &TriggerRequest<'_>, state: &RunState) -> Self {
        Self {
            run_id: run.id.clone(),
            project: request.project.clone(),
            git_ref: request.git_ref.clone(),
            created_at: state.created_at.or(run.clicked_at),
        }
    }
}

/// What a look at GitLab's pipelines says.
#[derive(Debug)]
pub enum PipelineSearch {
    Found(Pipeline),
    /// Every candidate was read, and none is of this run. Counts only where the claim is old.
    Absent,
    /// No read token is set.
    NoToken,
    /// It could not be carried out, for this reason.
    Failed(String),
}

/// Reads the run. A run that Glint does not know may have been created just now, as long as its message is young.
pub async fn read_run(context: &Context, run: &RunRequest, metadata: &DeliveryMetadata) -> Result<RunState, Outcome> {
    context.run_state(&run.id).await.map_err(|error| outcome_of_glint_error(context, run, metadata, error))
}

/// The outcome of a call to Glint that failed. While the message of a run is young, `Glint knows no such run` may be a lag of Glint's reads.
pub fn outcome_of_glint_error(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    error: GlintError,
) -> Outcome {
    let time = metadata.sent_at.or(run.clicked_at);
    let is_young =
        time.map_or(matches!(metadata.source, Source::Http), |time| (context.utc() - time).abs() < MAX_READ_LAG);
    match error {
        // What only a header names is not waited for: anybody can name a run there.
        GlintError::UnknownRun if is_young && !run.is_id_unsigned => {
            Outcome::Deferred(RetryLater::new("Glint does not know the run yet"))
        }
        error => error.into(),
    }
}

/// What the state of the run says about its pipeline, and where that is unclear, Glint's search for the claim. Never [`ClaimState::Unclear`].
pub async fn claim_state_of(
    context: &Context,
    run: &RunRequest,
    metadata: &DeliveryMetadata,
    state: &RunState,
) -> Result<ClaimState, Outcome> {
    let shows = &context.app.glint_visibility;
    if state.external_id.is_some() {
        shows.external_id.store(true, Ordering::Relaxed);
    }
    let project = run.requested_project_path().or_else(|| metadata.target.project.clone());
    let project = project.as_deref().filter(|path| Project::by_id(path).is_none());
    let claim_state = claim::claim_state(state, |link| context.app.gitlab.is_pipeline_page(link, project));
    let shows_external_id = shows.external_id.load(Ordering::Relaxed);
    // A Glint that shows nothing of a claim may still find it.
    let is_blank = state.label.is_none() && state.links.is_empty() && state.external_id.is_none();
    let hides_claims = shows.no_claim.load(Ordering::Relaxed);
    let is_repeated = metadata.source.attempt() > 1;
    let may_be_hidden = is_blank && !shows_external_id && (is_repeated || hides_claims);
    if claim_state != ClaimState::Unclear && !may_be_hidden {
        return Ok(claim_state);
    }
    if search_claim(context, &run.id).await? {
        return Ok(ClaimState::Claimed);
    }
    // Where somebody set the label, a Glint that keeps or shows no `externalRunId` may hide that the run is claimed or linked; one that shows
    // nothing always may.
    let is_label_foreign = state.label.as_deref().is_some_and(|label| !messages::is_open(label));
    let may_be_started = is_repeated && !shows_external_id && (is_label_foreign || (is_blank && hides_claims));
    let can_look = context.app.config.read_secret_id.is_some();
    Ok(if may_be_started && can_look { ClaimState::Claimed } else { ClaimState::Open })
}

/// Whether Glint's search for the claim lists this run and nothing else: a Glint that ignores the filter lists everything.
pub async fn search_claim(context: &Context, run: &RunId) -> Result<bool, Outcome> {
    let claim = claim::claim_external_id(run);
    match context.glint(context.app.glint.runs_by_external_id(&claim, context.call_limits())).await {
        Ok(runs) => Ok(runs.len() == 1 && runs[0].id == *run),
        Err(GlintError::UnknownRun | GlintError::Refused { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the run may still be started.
pub fn ensure_in_progress(state: &RunState) -> Result<(), Outcome> {
    match &state.status {
        RunStatus::Ended => Err(Outcome::Duplicate),
        RunStatus::InProgress => Ok(()),
        RunStatus::WaitingForApproval => Err(Outcome::Deferred(RetryLater::new("the run waits for approval in Glint"))),
        RunStatus::Unknown(word) => {
            Err(Outcome::Deferred(RetryLater::new(format!("Glint says the run is `{word}`, which is not known here"))))
        }
    }
}

/// Where the run's pipeline would be; `None` where its message asks for none that can be.
pub async fn pipeline_query(
    context: &Context,
    run: &RunRequest,
    url_target: &UrlTarget,
    state: &RunState,
) -> Result<Option<PipelineQuery>, Outcome> {
    let credentials = context.credentials().await.map_err(|error| Outcome::Deferred(RetryLater::new(error)))?;
    let secret = &credentials.value.client_secret;
    let request = build_trigger_request(run, url_target, &context.app.trigger_options, secret).ok();
    Ok(request.map(|request| PipelineQuery::new(run, &request, state)))
}

/// Looks for the pipeline whose payload names the run with a proof that holds.
pub async fn find_pipeline(context: &Context, query: &PipelineQuery) -> PipelineSearch {
    let token = match context.app.secrets.read_token(context.call_limits()).await {
        Ok(Some(token)) => token,
        Ok(None) => return PipelineSearch::NoToken,
        Err(error) => return PipelineSearch::Failed(error.to_string()),
    };
    let created_at = query.created_at.unwrap_or_else(|| context.utc() - MAX_MESSAGE_AGE);
    let deadline = context.call_deadline();
    let gitlab = &context.app.gitlab;
    let candidates =
        gitlab.list_triggered(&query.project, &query.git_ref, created_at - MAX_CLOCK_SKEW, &token, deadline).await;
    let candidates = match candidates {
        Ok(candidates) => candidates,
        Err(error) => return PipelineSearch::Failed(error.to_string()),
    };
    let mut failure = None;
    for pipeline in candidates {
        match gitlab.run_proof(&query.project, pipeline.id, &token, deadline).await {
            Ok(named) => match proves_run(context, query, &pipeline, named).await {
                Ok(true) => return PipelineSearch::Found(pipeline),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            },
            Err(error) => failure = Some(error.to_string()),
        }
    }
    failure.map_or(PipelineSearch::Absent, PipelineSearch::Failed)
}

/// Whether a pipeline's payload names the run with a proof that holds for its project.
async fn proves_run(
    context: &Context,
    query: &PipelineQuery,
    pipeline: &Pipeline,
    named: Option<RunProof>,
) -> Result<bool, String> {
    let id = query.run_id.as_str();
    let Some(token) = named.filter(|token| token.run_id == id) else {
        return Ok(false);
    };
    // An action may name its project by the number.
    let names: Vec<String> =
        [Some(query.project.path()), pipeline.project_id.map(|id| id.to_string())].into_iter().flatten().collect();
    let holds = |secret: &SecretString| names.iter().any(|name| verify::verify_run(secret, name, id, &token.proof));
    let is_proven = match_client_secret(context, None, |secret| holds(secret).then_some(()));
    Ok(is_proven.await.map_err(|error| error.to_string())?.is_some())
}
