//! What happens outside of the delivery attempts: late writes, GitLab, time, reports, the sweep, and somebody else.

use super::glint::{self, Answer, Standing};
use super::state::{Age, At, Hook, Label, Message, Next, Pipeline, Queue, Report, Setup, State, Status, Step, Write};
use super::world::Action;

impl Setup {
    pub fn glint_moves(&self, state: &State, next: &mut Vec<(Action, State)>) {
        for (slot, late) in state.late.iter().enumerate() {
            let Some(write) = *late else { continue };
            let mut vanished = *state;
            vanished.late[slot] = None;
            vanished.late.sort_unstable();
            next.push((Action::LateWriteVanishes(write), vanished));
            let mut landed = vanished;
            landed.claimed_late |= write == Write::Claim && state.pipelines > 0;
            glint::land(&mut landed, self.glint, write);
            next.push((Action::LateWriteLands(write), landed));
        }
    }

    pub fn gitlab_moves(&self, state: &State, next: &mut Vec<(Action, State)>) {
        if state.trigger_under_way {
            let vanished = State { trigger_under_way: false, ..*state };
            next.push((Action::LateTriggerVanishes, vanished));
            let created = State { pipelines: state.pipelines + 1, pipeline: Pipeline::Running, ..vanished };
            next.push((Action::LateTriggerCreates, created));
        }
        if state.pipeline == Pipeline::Running {
            let hook = if self.hooks { Hook::OnItsWay } else { Hook::Gone };
            next.push((Action::PipelineEnds, State { pipeline: Pipeline::Ended, hook, ..*state }));
        }
        if state.hook != Hook::OnItsWay {
            return;
        }
        if state.faults > 0 {
            next.push((Action::HookLost, State { hook: Hook::Gone, faults: state.faults - 1, ..*state }));
        }
        let mut written = Vec::with_capacity(4);
        glint::write(state, self, Write::End(Status::Succeeded), &mut written);
        for (answer, state) in written {
            let hook = if answer == Answer::Ok { Hook::Gone } else { Hook::OnItsWay };
            next.push((Action::Hook(answer), State { hook, ..state }));
        }
    }

    pub fn time_passes(&self, state: &State, next: &mut Vec<(Action, State)>) {
        let is_sending = |message: &Message| {
            message.at == At::Queue && !matches!(message.next, Next::Idle | Next::ReadRun | Next::LookUp { .. })
        };
        // Messages are through with their receives long before.
        let is_at_rest = state.messages.iter().all(|message| matches!(message.at, At::NotSent | At::Done))
            && state.report == Report::None
            && !state.has_late_writes();
        let is_settled = !(state.trigger_under_way || self.lands_within_age && state.has_late_writes());
        match state.age {
            Age::Fresh if is_settled && !state.messages.iter().any(is_sending) => {
                next.push((Action::ClaimGetsOld, State { age: Age::Old, ..*state }));
            }
            Age::Old if is_at_rest => next.push((Action::DayPasses, State { age: Age::Day, ..*state })),
            _ => {}
        }
    }

    /// The report waits in the run's group, behind the message that it comes from.
    pub fn report_moves(&self, state: &State, next: &mut Vec<(Action, State)>) {
        let is_behind = state.messages[0].at == At::Queue
            || state.messages.iter().any(|message| message.at == At::Queue && message.next != Next::Idle);
        if is_behind && self.queue == Queue::Fifo {
            return;
        }
        self.queued_end_moves(state, next);
        if state.report == Report::None {
            return;
        }
        let link = Write::Link { keep_foreign: state.run.foreign_link, stranger: false };
        let mut written = Vec::with_capacity(4);
        match glint::standing(&state.run, self) {
            Standing::Ended | Standing::Linked => written.push((Answer::Ok, *state)),
            _ => glint::write(state, self, link, &mut written),
        }
        for (answer, state) in written {
            let report = if answer == Answer::Ok { Report::None } else { Report::Tried };
            next.push((Action::Report(answer), State { report, ..state }));
        }
    }

    fn queued_end_moves(&self, state: &State, next: &mut Vec<(Action, State)>) {
        let Some(status) = state.queued_end else { return };
        let yields = state.claimed_since && self.without != Some(Step::QueuedEndYieldsToNewerClaim);
        let mut written = Vec::with_capacity(4);
        match glint::standing(&state.run, self) {
            Standing::Ended | Standing::Linked => written.push((Answer::Ok, *state)),
            _ if yields => written.push((Answer::Ok, *state)),
            _ => glint::write(state, self, Write::End(status), &mut written),
        }
        for (answer, state) in written {
            let queued_end = state.queued_end.filter(|_| answer != Answer::Ok);
            next.push((Action::QueuedEnd(answer), State { queued_end, ..state }));
        }
    }

    pub fn others_write(&self, state: &State, next: &mut Vec<(Action, State)>) {
        if state.foreign_writes == 0 || state.run.status != Status::InProgress {
            return;
        }
        let mut label = State { foreign_writes: state.foreign_writes - 1, age: Age::Fresh, ..*state };
        let mut link = label;
        label.run.label = Label::Foreign;
        link.run.our_link = false;
        link.run.foreign_link = true;
        let mut both = link;
        both.run.label = Label::Foreign;
        next.push((Action::SomebodySetsLabel, label));
        next.push((Action::SomebodySetsLink, link));
        next.extend(self.overwrites_both.then_some((Action::SomebodySetsBoth, both)));
    }

    pub fn sweep(&self, state: &State) -> Option<State> {
        let mut swept = *state;
        let write = match glint::standing(&state.run, self) {
            Standing::Linked => {
                (self.read_token && state.pipeline == Pipeline::Ended).then_some(Write::End(Status::Succeeded))
            }
            Standing::Claimed if state.age == Age::Day && self.without != Some(Step::OldClaimsSwept) => {
                Some(Write::End(Status::Expired))
            }
            _ => None,
        }?;
        glint::land(&mut swept, self.glint, write);
        Some(swept)
    }
}
