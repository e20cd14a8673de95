//! The run in Glint: what a write leaves, what an answer shows, and what the function makes of it.

use super::state::{Age, ExternalRunId, Label, Run, Setup, Shows, State, Status, Step, Write};

/// How a call of Glint went, as the caller sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Ok,
    /// Provably nothing was written.
    Refused,
    Lost,
}

/// How the run stands, as the function reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Ended,
    Linked,
    Claimed,
    Open,
    /// Others overwrote label and link, no answer shows `externalRunId`, and the search for the claim finds nothing.
    Unknown,
}

/// Applies a write; a run that ended accepts none.
pub fn land(state: &mut State, shows: Shows, write: Write) {
    let run = &mut state.run;
    if run.status != Status::InProgress {
        return;
    }
    state.age = Age::Fresh;
    let keeps_id = matches!(shows, Shows::Everything | Shows::NoExternalRunId);
    let keeps_label = shows != Shows::OnlyLink;
    let (id, label) = match write {
        Write::Claim => {
            state.claimed_since = state.queued_end.is_some();
            (Some(ExternalRunId::Claim), Some(Label::Triggering))
        }
        Write::TakeBack => (Some(ExternalRunId::Open), Some(Label::WaitingToRetry)),
        Write::WaitToConfirm => (None, Some(Label::WaitingToConfirm)),
        Write::Link { keep_foreign, stranger } => {
            run.our_link = true;
            run.foreign_link = keep_foreign;
            let id = if stranger { ExternalRunId::LinkedToStranger } else { ExternalRunId::Linked };
            (Some(id), Some(Label::Created))
        }
        Write::End(status) => {
            run.status = status;
            (None, None)
        }
    };
    run.external_run_id = id.filter(|_| keeps_id).unwrap_or(run.external_run_id);
    run.label = label.filter(|_| keeps_label).unwrap_or(run.label);
}

/// Every way in which a PATCH can go.
pub fn write(state: &State, setup: &Setup, write: Write, results: &mut Vec<(Answer, State)>) {
    let mut applied = *state;
    land(&mut applied, setup.glint, write);
    results.push((Answer::Ok, applied));
    if state.faults == 0 {
        return;
    }
    let fault = State { faults: state.faults - 1, ..*state };
    results.push((Answer::Refused, fault));
    results.push((Answer::Lost, State { faults: fault.faults, ..applied }));
    if let Some(late) = with_late_write(&fault, write) {
        results.push((Answer::Lost, late));
    }
}

fn with_late_write(state: &State, write: Write) -> Option<State> {
    let mut late = *state;
    let free = late.late.iter_mut().find(|slot| slot.is_none())?;
    *free = Some(write);
    late.late.sort_unstable();
    Some(late)
}

/// What the function reads from Glint's answer, and from the search where the answer does not decide.
pub fn standing(run: &Run, setup: &Setup) -> Standing {
    let without = |step| setup.without == Some(step);
    if run.status != Status::InProgress {
        return Standing::Ended;
    }
    if run.our_link || (run.foreign_link && without(Step::ForeignLinkIsNotOurs)) {
        return Standing::Linked;
    }
    let claimed_by_label = matches!(run.label, Label::Triggering | Label::WaitingToConfirm);
    if without(Step::ExternalRunIdIsMemory) {
        return if claimed_by_label { Standing::Claimed } else { Standing::Open };
    }
    if setup.glint == Shows::Everything {
        return match run.external_run_id {
            ExternalRunId::Linked | ExternalRunId::LinkedToStranger => Standing::Linked,
            ExternalRunId::Claim => Standing::Claimed,
            ExternalRunId::Empty | ExternalRunId::Open => Standing::Open,
        };
    }
    let others_wrote = run.label == Label::Foreign || run.foreign_link;
    let found = run.external_run_id == ExternalRunId::Claim && others_wrote && !without(Step::SearchForClaim);
    match run.label {
        _ if claimed_by_label || found => Standing::Claimed,
        Label::Created => Standing::Linked,
        Label::Foreign => Standing::Unknown,
        _ => Standing::Open,
    }
}
