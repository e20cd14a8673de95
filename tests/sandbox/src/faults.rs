//! What can go wrong with a request, what happens beside it, and when.

use crate::hold::{Gate, Hold, HoldAt};
use crate::journal::{Call, Exchange};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection closes; nothing was applied.
    DropBefore,
    /// Applied; the connection closes without an answer.
    DropAfter,
    /// As the two above, with RST in place of FIN.
    ResetBefore,
    ResetAfter,
    /// No answer ever; nothing was applied.
    StallBefore,
    /// Applied; no answer ever.
    StallAfter,
    /// Applied; the answer's body comes one byte a second.
    SlowBody,
    /// Applied; the connection is reset in the middle of the answer's body.
    ResetInBody,
    /// Applied; the answer keeps its status, and its body is HTML.
    Garbage,
    /// Applied; the answer keeps its status, and has no body.
    EmptyBody,
    /// Applied; the answer is JSON of the right shape in which every value has the wrong type.
    WrongTypes,
    /// Applied; 10 MB of valid JSON.
    HugeBody,
    /// Applied; under 1 MB of gzip that becomes 128 MiB.
    GzipBomb,
    /// Not applied.
    Redirect {
        status: u16,
        location: String,
    },
    /// Another answer than the upstream's own.
    Status {
        code: u16,
        body: String,
        retry_after: Option<String>,
        applied: bool,
    },
    /// Waits first, then all is as usual.
    Delay(Duration),
    /// The connection closes at once; applied after this time, whatever has happened by then.
    AppliedLate(Duration),
}

impl Fault {
    /// A bare status with nothing applied.
    pub fn status(code: u16) -> Self {
        Self::Status { code, body: String::new(), retry_after: None, applied: false }
    }

    /// A bare status although the request was applied.
    pub fn status_after(code: u16) -> Self {
        Self::Status { code, body: String::new(), retry_after: None, applied: true }
    }

    /// A status with nothing applied and words of its own.
    pub fn status_with(code: u16, body: impl Into<String>) -> Self {
        Self::Status { code, body: body.into(), retry_after: None, applied: false }
    }

    /// 429 with `Retry-After`, nothing applied.
    pub fn throttled(retry_after: impl ToString) -> Self {
        Self::Status {
            code: 429,
            body: "Retry later\n".to_owned(),
            retry_after: Some(retry_after.to_string()),
            applied: false,
        }
    }

    /// Whether the upstream handles the request all the same.
    pub fn applies(&self) -> bool {
        match self {
            Self::DropBefore | Self::ResetBefore | Self::StallBefore | Self::Redirect { .. } => false,
            Self::Status { applied, .. } => *applied,
            _ => true,
        }
    }
}

/// The faults, actions and holds that still wait for their request.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Pending>>);

#[derive(Default)]
struct Pending {
    rules: Vec<Planned>,
    holds: Vec<(Call, HoldAt, Arc<Gate>)>,
}

/// What happens beside a request.
pub(crate) type Action = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// What a request meets.
#[derive(Default)]
pub(crate) struct Met {
    pub fault: Option<Fault>,
    pub hold: Option<(HoldAt, Arc<Gate>)>,
    pub before: Vec<Action>,
    pub after: Vec<Action>,
}

#[derive(Clone)]
enum Effect {
    Fault(Fault),
    Before(Action),
    After(Action),
}

type Condition = Box<dyn Fn(&Exchange) -> bool + Send>;

struct Planned {
    call: Call,
    condition: Option<Condition>,
    when: When,
    seen: usize,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum When {
    Nth(usize),
    First(usize),
    Every,
}

/// Requests that are chosen; counts those that come after it was made.
#[must_use = "a rule without a fault or an action changes nothing"]
pub struct Rule {
    faults: Faults,
    call: Call,
    condition: Option<Condition>,
    when: When,
}

impl Rule {
    /// Only the nth such request, from 1. This is what is meant when nothing is said, with 1.
    pub fn nth(mut self, number: usize) -> Self {
        self.when = When::Nth(number);
        self
    }

    /// The first so many.
    pub fn first(mut self, count: usize) -> Self {
        self.when = When::First(count);
        self
    }

    pub fn every(mut self) -> Self {
        self.when = When::Every;
        self
    }

    /// Counts only requests of which this holds.
    pub fn of(mut self, condition: impl Fn(&Exchange) -> bool + Send + 'static) -> Self {
        self.condition = Some(Box::new(condition));
        self
    }

    /// They meet this fault.
    pub fn with(self, fault: Fault) {
        self.plan(Effect::Fault(fault));
    }

    /// This happens before anything of them is applied.
    pub fn before(self, action: impl Fn(&Exchange) + Send + Sync + 'static) {
        self.plan(Effect::Before(Arc::new(action)));
    }

    /// This happens after they were applied, before they are answered.
    pub fn after(self, action: impl Fn(&Exchange) + Send + Sync + 'static) {
        self.plan(Effect::After(Arc::new(action)));
    }

    fn plan(self, effect: Effect) {
        let planned = Planned { call: self.call, condition: self.condition, when: self.when, seen: 0, effect };
        self.faults.lock().rules.push(planned);
    }
}

impl Faults {
    pub fn rule(&self, call: Call) -> Rule {
        Rule { faults: self.clone(), call, condition: None, when: When::Nth(1) }
    }

    pub fn hold(&self, call: Call, at: HoldAt) -> Hold {
        let gate = Arc::new(Gate::default());
        self.lock().holds.push((call, at, gate.clone()));
        Hold(gate)
    }

    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// What this request meets: every rule for it counts it; of several faults whose turn it is, the first decides.
    pub(crate) fn meet(&self, exchange: &Exchange) -> Met {
        let mut pending = self.lock();
        let mut met = Met::default();
        for rule in &mut pending.rules {
            let fits = rule.condition.as_ref().is_none_or(|fits| fits(exchange));
            if rule.call != exchange.call || !fits {
                continue;
            }
            rule.seen += 1;
            let due = match rule.when {
                When::Nth(number) => rule.seen == number,
                When::First(count) => rule.seen <= count,
                When::Every => true,
            };
            match &rule.effect {
                _ if !due => {}
                Effect::Fault(fault) => drop(met.fault.get_or_insert_with(|| fault.clone())),
                Effect::Before(action) => met.before.push(action.clone()),
                Effect::After(action) => met.after.push(action.clone()),
            }
        }
        let held = pending.holds.iter().position(|(call, ..)| *call == exchange.call);
        met.hold = held.map(|position| pending.holds.remove(position)).map(|(_, at, gate)| (at, gate));
        met
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().expect("no holder of the faults panics")
    }
}
