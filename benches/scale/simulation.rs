//! The queue, the event source mapping and the function, one event after the other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::limits::{MINUTE, SECOND, Time};
use super::world::{Allowance, BATCH, GITLAB_TAKES, GLINT_TAKES, HOOKS, Load, Settings, Tally, Upstreams};

/// A message on the queue, in a group of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    sent_at: Time,
    number: u32,
    receives: u32,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Run {
        project: u32,
    },
    /// A hook, or a report that Glint did not take at once: so many requests to Glint.
    Report {
        requests: u32,
    },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// It can be received from now on.
    Visible(Message),
    /// An invocation has ended.
    Free,
}

/// What a delivery leaves to do.
enum Left {
    Nothing,
    /// It is hidden until then.
    Again(Time),
}

pub struct Simulation {
    settings: Settings,
    hooks: bool,
    upstreams: Upstreams,
    events: BinaryHeap<Reverse<(Time, Event)>>,
    ready: VecDeque<Message>,
    running: usize,
    tally: Tally,
}

/// Sends `load` through, to the last message.
pub fn simulate(load: Load, settings: Settings, allowance: Allowance) -> Tally {
    let arrival = |number: u32| {
        let sent_at = u64::from(number) * load.over / u64::from(load.runs);
        let what = What::Run { project: number % load.projects };
        Reverse((sent_at, Event::Visible(Message { sent_at, number, receives: 0, what })))
    };
    let mut simulation = Simulation {
        settings,
        hooks: load.hooks,
        upstreams: Upstreams::new(allowance),
        events: (0..load.runs).map(arrival).collect(),
        ready: VecDeque::new(),
        running: 0,
        tally: Tally { messages: load.runs.into(), ..Tally::default() },
    };
    while let Some(Reverse((now, event))) = simulation.events.pop() {
        match event {
            Event::Visible(message) => simulation.ready.push_back(message),
            Event::Free => simulation.running -= 1,
        }
        while simulation.running < settings.maximum_concurrency && !simulation.ready.is_empty() {
            simulation.invoke(now);
        }
    }
    simulation.tally
}

impl Simulation {
    fn invoke(&mut self, now: Time) {
        let batch: Vec<Message> = (0..BATCH).map_while(|_| self.ready.pop_front()).collect();
        let mut end = now;
        for mut message in batch {
            message.receives += 1;
            if message.receives > self.settings.max_receives {
                self.tally.dead_letters += 1;
                continue;
            }
            let (left, done) = self.deliver(message, now);
            end = end.max(done);
            if let Left::Again(at) = left {
                self.tally.deferrals += 1;
                self.events.push(Reverse((at.max(done), Event::Visible(message))));
            }
        }
        self.running += 1;
        self.tally.invocations += 1;
        self.tally.busy += end - now;
        self.events.push(Reverse((end, Event::Free)));
    }

    /// One delivery, and when it ends.
    fn deliver(&mut self, message: Message, now: Time) -> (Left, Time) {
        match message.what {
            What::Run { project } => self.start(message, project, now),
            What::Report { requests } => match self.ask_glint(requests, now) {
                Ok(done) => (Left::Nothing, done),
                Err((reset, done)) => (Left::Again(reset), done),
            },
        }
    }

    /// Look, claim, trigger, report.
    fn start(&mut self, message: Message, project: u32, now: Time) -> (Left, Time) {
        let claimed = match self.ask_glint(2, now) {
            Ok(claimed) => claimed,
            Err((reset, done)) => return self.deferred(message, reset, done),
        };
        let done = claimed + GITLAB_TAKES;
        if let Err(reset) = self.upstreams.address.take(0, claimed) {
            return self.deferred(message, reset, claimed + GLINT_TAKES);
        }
        if self.upstreams.pipelines.take(project, claimed).is_err() {
            let spread = (u64::from(message.number) * 7 + u64::from(message.receives) * 13) % 61;
            return self.deferred(message, done + MINUTE + spread * SECOND, done);
        }
        self.tally.started += 1;
        self.tally.last_start = self.tally.last_start.max(done);
        self.tally.waits.push(done - message.sent_at);
        if self.hooks {
            for (after, requests) in HOOKS {
                self.send(message, requests, done + after);
            }
        }
        // The link and the log line go side by side.
        match self.ask_glint(2, done) {
            Ok(_) => (Left::Nothing, done + GLINT_TAKES),
            Err((reset, _)) => {
                self.send(message, 2, reset);
                (Left::Nothing, done + GLINT_TAKES)
            }
        }
    }

    /// The label says so if Glint takes it; at the last receive the run is failed, if Glint takes that.
    fn deferred(&mut self, message: Message, until: Time, now: Time) -> (Left, Time) {
        let is_last = message.receives == self.settings.max_receives;
        let told = self.ask_glint(if is_last { 2 } else { 1 }, now);
        let done = told.unwrap_or_else(|(_, done)| done);
        if is_last && told.is_ok() {
            self.tally.given_up += 1;
            return (Left::Nothing, done);
        }
        (Left::Again(until), done)
    }

    /// So many requests, one after the other: when the last is answered, or when Glint will take more.
    fn ask_glint(&mut self, requests: u32, now: Time) -> Result<Time, (Time, Time)> {
        let mut done = now;
        for _ in 0..requests {
            let taken = self.upstreams.glint.take(0, done);
            done += GLINT_TAKES;
            taken.map_err(|reset| (reset, done))?;
        }
        Ok(done)
    }

    fn send(&mut self, of: Message, requests: u32, at: Time) {
        self.tally.messages += 1;
        let what = What::Report { requests };
        self.events.push(Reverse((at, Event::Visible(Message { sent_at: at, receives: 0, what, ..of }))));
    }
}
