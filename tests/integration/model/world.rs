//! Everything that can happen next, whoever does it, and the promises that hold all the while.

use super::attempt::{Attempt, Result};
use super::checker::Model;
use super::glint::{self, Answer, Standing};
use super::state::{At, ExternalRunId, Hook, Next, Pipeline, Queue, Setup, Shows, State, Status, Write};

#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// An attempt begins with the message of this number.
    Receive(usize),
    /// The message of this number was received too often, and is moved to the dead letters.
    SetAside(usize),
    Step(usize, Next, Result),
    Kill(usize, Next),
    SecondMessageSent,
    Redriven(usize),
    LateWriteLands(Write),
    LateWriteVanishes(Write),
    LateTriggerCreates,
    LateTriggerVanishes,
    ClaimGetsOld,
    DayPasses,
    PipelineEnds,
    Hook(Answer),
    HookLost,
    Report(Answer),
    QueuedEnd(Answer),
    Sweep,
    SomebodySetsLabel,
    SomebodySetsLink,
    SomebodySetsBoth,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Receive(number) => write!(f, "message {number} is received"),
            Self::SetAside(number) => write!(f, "message {number} is moved to the dead letters"),
            Self::Step(number, next, result) => write!(f, "message {number}: {next:?} -> {result:?}"),
            Self::Kill(number, next) => write!(f, "message {number}: the function is killed before {next:?}"),
            Self::Redriven(number) => write!(f, "message {number} is put back from the dead letters"),
            Self::LateWriteLands(write) => write!(f, "a write whose answer was lost lands: {write:?}"),
            Self::LateWriteVanishes(write) => write!(f, "a write whose answer was lost never lands: {write:?}"),
            Self::Hook(answer) => write!(f, "the hook of the pipeline's end is handled: {answer:?}"),
            Self::QueuedEnd(answer) => write!(f, "the queued end is handled: {answer:?}"),
            Self::Report(answer) => write!(f, "the queued report is handled: {answer:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl Model for Setup {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State::initial(self)
    }

    fn successors(&self, state: &State, next: &mut Vec<(Action, State)>) {
        if self.is_excused(state) {
            return;
        }
        for number in 0..state.messages.len() {
            self.message_moves(state, number, next);
        }
        self.glint_moves(state, next);
        self.gitlab_moves(state, next);
        self.time_passes(state, next);
        self.report_moves(state, next);
        self.others_write(state, next);
        if self.sweep {
            next.extend(self.sweep(state).map(|state| (Action::Sweep, state)));
        }
    }

    fn broken_promise(&self, state: &State) -> Option<&'static str> {
        if self.is_excused(state) {
            return None;
        }
        let run = &state.run;
        let is_running = state.pipelines > 0 || state.trigger_under_way;
        if state.pipelines > 1 {
            return Some("never two pipelines");
        }
        if run.external_run_id == ExternalRunId::LinkedToStranger {
            return Some("the link shown is a pipeline of that run");
        }
        if run.our_link && state.pipelines == 0 {
            return Some("the link shown is a pipeline that exists");
        }
        match run.status {
            Status::InProgress => None,
            Status::Succeeded => (state.pipeline != Pipeline::Ended).then_some("ends as the pipeline ended"),
            Status::NotStarted => is_running.then_some("never said to be not started while its pipeline runs"),
            Status::Expired => (is_running && self.can_always_tell() && !state.claimed_late)
                .then_some("no claim is left to the sweep but one that landed late"),
            Status::NotConfirmed if state.ended_before_report => Some("a queued report is waited for"),
            Status::NotConfirmed if state.messages.iter().any(|message| message.next == Next::Trigger) => {
                Some("no run is ended while its trigger is sent")
            }
            Status::NotConfirmed => (is_running && self.can_always_tell())
                .then_some("ends as the pipeline ended, since the look-up can tell"),
        }
    }

    fn is_expected(&self, action: &Action) -> bool {
        match action {
            Action::Step(_, _, result) => *result == Result::Ok,
            Action::Hook(answer) | Action::Report(answer) | Action::QueuedEnd(answer) => *answer == Answer::Ok,
            Action::Receive(_)
            | Action::SetAside(_)
            | Action::LateWriteLands(_)
            | Action::LateWriteVanishes(_)
            | Action::LateTriggerCreates
            | Action::LateTriggerVanishes
            | Action::ClaimGetsOld
            | Action::DayPasses
            | Action::PipelineEnds
            | Action::Sweep => true,
            Action::Kill(..)
            | Action::SecondMessageSent
            | Action::Redriven(_)
            | Action::HookLost
            | Action::SomebodySetsLabel
            | Action::SomebodySetsLink
            | Action::SomebodySetsBoth => false,
        }
    }

    /// The run ended; or its pipeline did, and nothing is left that could tell the function so.
    fn is_end(&self, state: &State) -> bool {
        let nobody_tells = state.pipeline == Pipeline::Ended && state.hook == Hook::Gone && !self.sweep_looks_up();
        let is_linked = glint::standing(&state.run, self) == Standing::Linked;
        state.run.status != Status::InProgress || (nobody_tells && is_linked) || self.is_excused(state)
    }
}

impl Setup {
    /// Whether the state lies behind the known window, whose consequences are looked at by themselves.
    fn is_excused(&self, state: &State) -> bool {
        state.overlapped && !self.counts_overlaps
    }

    fn sweep_looks_up(&self) -> bool {
        self.sweep && self.read_token
    }

    /// Whether every attempt that ends a claimed run could see its pipeline first.
    fn can_always_tell(&self) -> bool {
        self.read_token && self.dead_letter_consumer && self.glint != Shows::OnlyLink
    }

    fn message_moves(&self, state: &State, number: usize, next: &mut Vec<(Action, State)>) {
        let message = state.messages[number];
        if message.next != Next::Idle {
            let attempt = Attempt { setup: self, state: *state, number };
            let mut results = Vec::with_capacity(5);
            attempt.results(&mut results);
            next.extend(results.into_iter().map(|(result, state)| (Action::Step(number, message.next, result), state)));
            if self.kills && state.faults > 0 && message.next != Next::ReadRun {
                let killed = State { faults: state.faults - 1, ..attempt.killed() };
                next.push((Action::Kill(number, message.next), killed));
            }
            return;
        }
        if self.is_receivable(state, number) {
            let mut state = *state;
            let message = &mut state.messages[number];
            if message.receives == self.max_receives {
                (message.at, message.receives) = (At::DeadLetters, 0);
                next.push((Action::SetAside(number), state));
            } else {
                message.next = Next::ReadRun;
                message.receives += u8::from(message.at == At::Queue);
                next.push((Action::Receive(number), state));
            }
        }
        if message.at == At::NotSent && self.second_message {
            let mut state = *state;
            state.messages[number].at = At::Queue;
            next.push((Action::SecondMessageSent, state));
        }
        if message.at == At::DeadLetters && state.redrives > 0 {
            let mut state = *state;
            state.redrives -= 1;
            state.messages[number].at = At::Queue;
            next.push((Action::Redriven(number), state));
        }
    }

    fn is_receivable(&self, state: &State, number: usize) -> bool {
        let message = state.messages[number];
        let other = state.messages[1 - number];
        let waits = message.at == At::Queue || (message.at == At::DeadLetters && self.dead_letter_consumer);
        let is_hidden = message.hidden_in_full && (state.has_late_writes() || state.trigger_under_way);
        // One group: the message before it, or the one that is being worked on, keeps it back.
        let is_behind = other.at == message.at && (number == 1 || other.next != Next::Idle);
        waits && !is_hidden && !(self.queue == Queue::Fifo && is_behind)
    }
}
