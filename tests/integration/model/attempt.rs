//! The steps of one delivery attempt, each of which can succeed, fail, or be the last one before a kill.

use super::glint::{self, Answer, Standing};
use super::state::{Age, At, Label, Message, Next, Pipeline, Report, Setup, Shows, State, Status, Step, Write};

/// How one step ended; everything but `Ok` is a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Result {
    Ok,
    Glint(Answer),
    Refused,
    Unreadable,
    CreatedButAnswerLost,
    UnderWayAndAnswerLost,
}

/// One attempt, seen from the message that it works on.
pub struct Attempt<'a> {
    pub setup: &'a Setup,
    pub state: State,
    pub number: usize,
}

type Results = Vec<(Result, State)>;

impl Attempt<'_> {
    fn message(&self) -> Message {
        self.state.messages[self.number]
    }

    fn is_without(&self, step: Step) -> bool {
        self.setup.without == Some(step)
    }

    fn is_dead_letter(&self) -> bool {
        self.message().at == At::DeadLetters
    }

    /// Whether no dead-letter consumer takes over after this attempt.
    fn must_end(&self) -> bool {
        !self.is_dead_letter() && self.is_final() && !self.setup.dead_letter_consumer
    }

    fn is_final(&self) -> bool {
        !self.is_dead_letter() && self.message().receives == self.setup.max_receives
    }

    /// Every way in which the next step can go.
    pub fn results(&self, results: &mut Results) {
        match self.message().next {
            Next::Idle => {}
            Next::ReadRun => self.read_run(results),
            Next::LookUp { is_old } => self.look_up(is_old, results),
            Next::Claim { is_repeat } => self.claim(is_repeat, results),
            Next::Trigger => self.trigger(results),
            Next::Link { is_repeat } => self.link(is_repeat, results),
            Next::QueueReport => self.queue_report(results),
            Next::TakeBack { is_repeat } => self.take_back(is_repeat, results),
            Next::WaitToConfirm => self.write(Write::WaitToConfirm, results, |attempt, state, answer| {
                attempt.redeliver(state, false, answer == Answer::Lost)
            }),
            Next::End(status) => self.write(Write::End(status), results, |attempt, state, answer| match answer {
                Answer::Ok => attempt.goto(state, Next::Answer),
                _ if attempt.setup.queues_ends => attempt.goto(state, Next::QueueEnd(status)),
                _ => attempt.redeliver(state, false, answer == Answer::Lost),
            }),
            Next::QueueEnd(status) => self.queue(results, State { queued_end: Some(status), ..self.state }),
            Next::Answer => results.push((Result::Ok, self.done(self.state))),
        }
    }

    /// The message as the kill of the function leaves it.
    pub fn killed(&self) -> State {
        self.redeliver(self.state, false, true)
    }

    fn read_run(&self, results: &mut Results) {
        if self.state.faults > 0 {
            let fault = State { faults: self.state.faults - 1, ..self.state };
            let state = if self.is_without(Step::ReadableRunBeforeTrigger) {
                self.goto(fault, Next::Claim { is_repeat: false })
            } else {
                self.redeliver(fault, true, true)
            };
            results.push((Result::Unreadable, state));
        }
        let mut state = self.state;
        state.messages[self.number].keep_foreign = state.run.foreign_link;
        let state = match glint::standing(&state.run, self.setup) {
            Standing::Ended | Standing::Linked => self.done(state),
            Standing::Open => self.start(state),
            Standing::Unknown if self.setup.read_token && !self.is_without(Step::LookUpWhereSearchIsSilent) => {
                self.goto(state, Next::LookUp { is_old: state.age >= Age::Old })
            }
            Standing::Unknown => self.start(state),
            Standing::Claimed => self.confirm(state),
        };
        results.push((Result::Ok, state));
    }

    fn start(&self, state: State) -> State {
        let next = if self.is_dead_letter() {
            Next::End(Status::NotStarted)
        } else if self.is_without(Step::Claim) {
            Next::Trigger
        } else {
            Next::Claim { is_repeat: false }
        };
        self.goto(state, next)
    }

    /// What follows once the run is known to be claimed.
    fn confirm(&self, mut state: State) -> State {
        let is_old = state.age >= Age::Old;
        let waits_for_report = state.report == Report::Waiting;
        if self.is_dead_letter() {
            if waits_for_report && !self.is_without(Step::DeadLetterWaitsForReport) {
                return self.redeliver(state, false, false);
            }
            if !is_old && !self.is_without(Step::DeadLetterWaitsForAge) {
                return self.redeliver(state, false, false);
            }
            state.ended_before_report = waits_for_report && !self.setup.read_token;
            let looks = self.setup.read_token && !self.is_without(Step::DeadLetterLooksFirst);
            let next = if looks { Next::LookUp { is_old } } else { Next::End(Status::NotConfirmed) };
            return self.goto(state, next);
        }
        if self.is_final() && self.is_without(Step::FinalAttemptLeavesClaim) {
            return self.goto(state, Next::End(Status::NotConfirmed));
        }
        if self.setup.read_token {
            return self.goto(state, Next::LookUp { is_old });
        }
        self.unconfirmed(state)
    }

    /// What follows a trigger that nobody knows the end of.
    fn unconfirmed(&self, state: State) -> State {
        let ends_at_once = self.setup.glint == Shows::OnlyLink && !self.is_without(Step::LostAnswerEndsRun);
        let next = if ends_at_once || self.must_end() {
            Next::End(Status::NotConfirmed)
        } else if state.run.label == Label::WaitingToConfirm {
            return self.redeliver(state, false, false);
        } else {
            Next::WaitToConfirm
        };
        self.goto(state, next)
    }

    fn look_up(&self, is_old: bool, results: &mut Results) {
        let finds_stranger = self.is_without(Step::ProofOfPayload);
        if self.state.faults > 0 {
            let fault = State { faults: self.state.faults - 1, ..self.state };
            let state =
                if self.is_without(Step::EveryCandidateRead) { self.absent(fault) } else { self.still_unknown(fault) };
            results.push((Result::Unreadable, state));
        }
        let mut state = self.state;
        let is_absence_proven = is_old || self.is_without(Step::AgeOfClaimBeforeAbsence);
        let after = if state.pipeline != Pipeline::None || finds_stranger {
            state.messages[self.number].stranger = finds_stranger;
            self.goto(state, Next::Link { is_repeat: false })
        } else if is_absence_proven {
            self.absent(state)
        } else {
            self.still_unknown(state)
        };
        results.push((Result::Ok, after));
    }

    fn absent(&self, state: State) -> State {
        let ends = self.is_dead_letter() && !self.is_without(Step::DeadLetterStartsNothing);
        self.goto(state, if ends { Next::End(Status::NotStarted) } else { Next::Claim { is_repeat: false } })
    }

    fn still_unknown(&self, state: State) -> State {
        if self.is_dead_letter() { self.redeliver(state, false, false) } else { self.unconfirmed(state) }
    }

    fn claim(&self, is_repeat: bool, results: &mut Results) {
        let other = self.state.messages[1 - self.number].next;
        let other_looked = matches!(
            other,
            Next::LookUp { .. } | Next::Claim { .. } | Next::TakeBack { .. } | Next::End(_) | Next::QueueEnd(_)
        ) || self.state.late.iter().any(|write| matches!(write, Some(Write::End(_))));
        self.write(Write::Claim, results, |attempt, mut state, answer| {
            state.overlapped |= other_looked && answer != Answer::Refused;
            match answer {
                Answer::Ok => attempt.goto(state, Next::Trigger),
                _ if attempt.is_without(Step::ClaimAnswered) => attempt.goto(state, Next::Trigger),
                Answer::Lost if !is_repeat => attempt.goto(state, Next::Claim { is_repeat: true }),
                Answer::Refused if !is_repeat && !attempt.is_final() => attempt.redeliver(state, true, false),
                Answer::Lost | Answer::Refused => attempt.deferred(state),
            }
        });
    }

    fn trigger(&self, results: &mut Results) {
        let created = |mut state: State| {
            state.pipelines += 1;
            state.pipeline = Pipeline::Running;
            state
        };
        results.push((Result::Ok, self.goto(created(self.state), Next::Link { is_repeat: false })));
        if self.state.faults == 0 {
            return;
        }
        let fault = State { faults: self.state.faults - 1, ..self.state };
        results.push((Result::Refused, self.deferred(fault)));
        results.push((Result::CreatedButAnswerLost, self.answer_lost(created(fault))));
        let under_way = State { trigger_under_way: true, ..fault };
        results.push((Result::UnderWayAndAnswerLost, self.answer_lost(under_way)));
    }

    fn answer_lost(&self, state: State) -> State {
        if self.is_without(Step::TriggerOnlyOnce) { self.goto(state, Next::Trigger) } else { self.unconfirmed(state) }
    }

    /// Nothing was created in this attempt: the claim is taken back, or the run is ended.
    fn deferred(&self, state: State) -> State {
        let next = if self.is_final() { Next::End(Status::NotStarted) } else { Next::TakeBack { is_repeat: false } };
        self.goto(state, next)
    }

    fn take_back(&self, is_repeat: bool, results: &mut Results) {
        self.write(Write::TakeBack, results, |attempt, state, answer| match answer {
            Answer::Lost if !is_repeat && attempt.is_without(Step::TakenBackOnlyOnce) => {
                attempt.goto(state, Next::TakeBack { is_repeat: true })
            }
            _ => attempt.redeliver(state, true, answer == Answer::Lost),
        });
    }

    fn link(&self, is_repeat: bool, results: &mut Results) {
        let Message { keep_foreign, stranger, .. } = self.message();
        self.write(Write::Link { keep_foreign, stranger }, results, |attempt, state, answer| match answer {
            Answer::Ok => attempt.goto(state, Next::Answer),
            _ if !is_repeat => attempt.goto(state, Next::Link { is_repeat: true }),
            _ => attempt.goto(state, Next::QueueReport),
        });
    }

    fn queue_report(&self, results: &mut Results) {
        let report = if self.state.report == Report::None { Report::Waiting } else { self.state.report };
        self.queue(results, State { report, ..self.state });
    }

    fn queue(&self, results: &mut Results, queued: State) {
        if self.state.faults > 0 {
            let fault = State { faults: self.state.faults - 1, ..self.state };
            results.push((Result::Refused, self.redeliver(fault, false, true)));
        }
        results.push((Result::Ok, self.goto(queued, Next::Answer)));
    }

    fn write(&self, write: Write, results: &mut Results, then: impl Fn(&Self, State, Answer) -> State) {
        if self.state.run.status != Status::InProgress {
            results.push((Result::Ok, self.done(self.state)));
            return;
        }
        let mut written = Vec::with_capacity(4);
        glint::write(&self.state, self.setup, write, &mut written);
        for (answer, mut state) in written {
            state.messages[self.number].answer_lost |= answer == Answer::Lost;
            let result = if answer == Answer::Ok { Result::Ok } else { Result::Glint(answer) };
            results.push((result, then(self, state, answer)));
        }
    }

    fn goto(&self, mut state: State, next: Next) -> State {
        state.messages[self.number].next = next;
        state
    }

    fn done(&self, state: State) -> State {
        self.leave(state, At::Done, false)
    }

    /// The message comes again once its visibility timeout is over.
    fn redeliver(&self, state: State, deferred: bool, answer_lost: bool) -> State {
        let lost = answer_lost || state.messages[self.number].answer_lost;
        let shortened = deferred && (!lost || self.is_without(Step::FullVisibilityAfterLostAnswer));
        self.leave(state, self.message().at, !shortened)
    }

    fn leave(&self, mut state: State, at: At, hidden_in_full: bool) -> State {
        let message = &mut state.messages[self.number];
        let receives = message.receives;
        *message = Message {
            at,
            receives: if at == At::Queue { receives } else { 0 },
            hidden_in_full: hidden_in_full && at != At::Done,
            next: Next::Idle,
            answer_lost: false,
            keep_foreign: false,
            stranger: false,
        };
        state
    }
}
