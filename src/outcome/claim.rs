//! Reads from `externalRunId` whether a run is claimed or linked, and builds the patches that set it. Pure.
//!
//! | `externalRunId` | means |
//! |---|---|
//! | `gl_claim_<run id>` | a trigger may have been sent: the claim |
//! | `gl_open_<run id>` | a claim taken back: nothing was created |
//! | `gl_<project id>_<pipeline id>` | linked |
//!
//! Labels and links are set by pipelines and automations too. They decide only where Glint shows no `externalRunId`.

use chrono::{DateTime, Utc};

use super::messages;
use crate::deadlines::CLAIM_TTL;
use crate::gitlab::types::Pipeline;
use crate::glint::run::{RunId, RunPatch, RunState};

/// What the state of a run says about its pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// The run has its pipeline.
    Linked,
    /// A trigger may have been sent.
    Claimed,
    /// No trigger was sent, or provably nothing was created.
    Open,
    /// Somebody else set the label or the link, and no `externalRunId` is shown: only a search for the claim can tell.
    Unclear,
}

/// The `externalRunId` of a claimed run.
pub fn claim_external_id(run: &RunId) -> String {
    format!("gl_claim_{run}")
}

/// The `externalRunId` of a run whose claim was taken back.
pub fn open_external_id(run: &RunId) -> String {
    format!("gl_open_{run}")
}

/// The patch that claims the run, before its trigger is sent.
pub fn claim_patch(run: &RunId) -> RunPatch {
    RunPatch { external_run_id: Some(claim_external_id(run)), ..RunPatch::label(messages::TRIGGERING) }
}

/// The patch that takes a claim back. It must not arrive behind a later claim.
pub fn take_back_patch(run: &RunId) -> RunPatch {
    RunPatch { external_run_id: Some(open_external_id(run)), ..RunPatch::label(messages::WAITING_TO_RETRY) }
}

/// Reads the state of a run. `is_pipeline_page` tells the page of a pipeline of its project from other links.
///
/// A link of ours is looked at before the claim: a claim whose answer was lost may arrive after the link.
pub fn claim_state(run: &RunState, is_pipeline_page: impl Fn(&str) -> bool) -> ClaimState {
    let external_id = run.external_id.as_deref();
    let is_agents = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if external_id.is_some_and(|id| Pipeline::parse_external_id(id).is_some() || is_agents(id))
        || run.links.iter().any(|link| is_pipeline_page(link))
    {
        return ClaimState::Linked;
    }
    if has_claim_id(run) {
        return ClaimState::Claimed;
    }
    if external_id == Some(&open_external_id(&run.id)) {
        return ClaimState::Open;
    }
    let label = run.label.as_deref().unwrap_or_default();
    if messages::is_claim(label) {
        ClaimState::Claimed
    } else if messages::is_progress(label) {
        ClaimState::Linked
    } else if messages::is_open(label) && run.links.is_empty() {
        ClaimState::Open
    } else {
        ClaimState::Unclear
    }
}

/// Whether the claim is so old that its trigger has come to whatever end it came to.
pub fn is_claim_old(run: &RunState, now: DateTime<Utc>) -> bool {
    run.updated_at.is_some_and(|updated_at| now - updated_at >= CLAIM_TTL)
}

/// Whether the run's `externalRunId` is the claim.
pub fn has_claim_id(run: &RunState) -> bool {
    run.external_id.as_ref().is_some_and(|id| *id == claim_external_id(&run.id))
}

/// The links of a run with `ours` before the others, each once.
pub fn links_with<'a>(ours: &str, others: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut links = vec![ours.to_owned()];
    for link in others {
        if !links.contains(link) {
            links.push(link.clone());
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glint::run::RunStatus;

    fn run(external_id: Option<&str>, label: Option<&str>, links: &[&str]) -> RunState {
        RunState {
            id: RunId::parse("r_1").unwrap(),
            status: RunStatus::InProgress,
            has_succeeded: false,
            label: label.map(str::to_owned),
            links: links.iter().map(|link| (*link).to_owned()).collect(),
            external_id: external_id.map(str::to_owned),
            created_at: None,
            updated_at: None,
            ended_at: None,
            inputs: None,
            started_by: None,
            synchronized: false,
            action_url: None,
            action_body: None,
        }
    }

    #[test]
    fn the_external_id_decides_and_label_and_link_only_where_it_is_not_shown() {
        const PAGE: &str = "https://gitlab.example.com/g/p/-/pipelines/7";
        for (external_id, label, links, expected) in [
            (Some("gl_1_2"), None, &[][..], ClaimState::Linked),
            (Some("257"), None, &[], ClaimState::Linked),
            (Some("gl_claim_r_1"), Some("Rolling out"), &["https://preview"], ClaimState::Claimed),
            (Some("gl_claim_r_1"), None, &["https://preview", PAGE], ClaimState::Linked),
            (Some("gl_open_r_1"), Some("Rolling out"), &["https://preview"], ClaimState::Open),
            (Some("gl_open_r_1"), Some(messages::TRIGGERING), &[], ClaimState::Open),
            (Some("gl_claim_r_2"), None, &[], ClaimState::Open),
            (Some("somebody's"), Some("Rolling out"), &[], ClaimState::Unclear),
            (None, None, &[], ClaimState::Open),
            (None, Some(messages::WAITING_TO_RETRY), &[], ClaimState::Open),
            (None, Some(messages::TRIGGERING), &["https://preview"], ClaimState::Claimed),
            (None, Some(messages::WAITING_TO_CONFIRM), &[], ClaimState::Claimed),
            (None, Some("GitLab pipeline running"), &[], ClaimState::Linked),
            (None, Some("Rolling out"), &[], ClaimState::Unclear),
            (None, None, &["https://preview"], ClaimState::Unclear),
        ] {
            let state = run(external_id, label, links);
            assert_eq!(claim_state(&state, |link| link == PAGE), expected, "{state:?}");
        }
    }

    #[test]
    fn our_link_comes_first_and_the_others_stay() {
        let links = ["https://a".to_owned(), "https://ours".to_owned()];
        assert_eq!(links_with("https://ours", &links), ["https://ours", "https://a"]);
    }
}
