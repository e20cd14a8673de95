//! What a random history consists of, and how one is drawn.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sandbox::Call;

/// A set-up, everything that happens in it, and how its pipeline ends.
#[derive(Clone, Debug)]
pub struct History {
    pub set_up: SetUp,
    pub events: Vec<Event>,
    pub pipeline_succeeds: bool,
    /// GitLab's hook about the pipeline's end never arrives.
    pub last_hook_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetUp {
    pub source: Source,
    pub glint: Shape,
    pub read_token: bool,
    pub hooks: bool,
    /// How many seconds GitLab's clock goes ahead of everybody else's.
    pub gitlab_ahead: i64,
    /// A pipeline that succeeds is to write an entity, which Glint refuses.
    pub entity_refused: bool,
}

/// How runs come to the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Fifo,
    /// A webhook that is put on the FIFO queue.
    UrlToQueue,
    Standard,
    /// A webhook that is handled in place, and that nobody delivers again.
    Url,
}

/// What Glint keeps and shows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Everything,
    /// Shows a run for some seconds as it was before a write, and says 409 where it has ended.
    ReadsLag,
    NoLabel,
    NoLink,
    NoExternalRunId,
    RefusesExternalRunId,
    /// Keeps neither label nor `externalRunId`.
    OnlyLink,
    /// Keeps `externalRunId`, and shows nothing of it, the label or the link.
    Nothing,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// The source delivers what it has; without a fault where there is none.
    Deliver {
        trouble: Option<Trouble>,
        meanwhile: Option<Others>,
    },
    /// Two environments work on two copies of the run, this many milliseconds apart.
    DeliverTwice {
        gap: u16,
    },
    DeadLetters {
        trouble: Option<Trouble>,
    },
    /// The run is sent again, as a message of its own.
    SecondMessage,
    /// Every dead letter is put back on the queue by hand.
    Redrive,
    /// The pipeline moves on; GitLab's hook about it arrives, or is lost.
    Pipeline {
        running: bool,
        hook_lost: bool,
    },
    Others(Others),
    /// A pipeline of another run whose user input names this run.
    Stranger,
    Pass {
        seconds: u32,
    },
    Sweep,
}

/// What somebody else writes to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    Label,
    Link,
    Both,
}

/// What an invocation meets.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The function is killed at this request, before or after it is carried out.
    Kill { call: Call, nth: usize, applied: bool },
    /// The first so many of these requests fail.
    Fault { call: Call, first: usize, fault: Fault },
    /// A PATCH whose answer is lost, and that lands this many seconds later.
    LatePatch { nth: usize, seconds: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ClosedBefore,
    ClosedAfter,
    StalledAfter,
    Unavailable,
    UnavailableThoughApplied,
    Throttled,
    Garbage,
    Refused,
}

/// A history of runs that come from this source.
pub fn history(source: Source) -> impl Strategy<Value = History> {
    (set_up(source), vec(event(), 1..12), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(set_up, events, pipeline_fails, last_hook_lost)| History {
            set_up,
            events,
            pipeline_succeeds: !pipeline_fails,
            last_hook_lost,
        },
    )
}

fn set_up(source: Source) -> impl Strategy<Value = SetUp> {
    let mut shapes = vec![Shape::Everything; 7];
    shapes.extend([
        Shape::ReadsLag,
        Shape::NoLabel,
        Shape::NoLink,
        Shape::NoExternalRunId,
        Shape::RefusesExternalRunId,
    ]);
    shapes.extend([Shape::OnlyLink, Shape::Nothing]);
    let clocks = select(vec![0, 0, 0, 120, -120, 590, -590]);
    (select(shapes), any::<bool>(), any::<bool>(), clocks, prop::bool::weighted(0.2)).prop_map(
        move |(glint, read_token, hooks, gitlab_ahead, entity_refused)| SetUp {
            source,
            glint,
            read_token,
            hooks,
            gitlab_ahead,
            entity_refused,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (option::weighted(0.85, trouble()), option::weighted(0.2, others()))
            .prop_map(|(trouble, meanwhile)| Event::Deliver { trouble, meanwhile }),
        1 => (0u16..600).prop_map(|gap| Event::DeliverTwice { gap }),
        2 => option::weighted(0.5, trouble()).prop_map(|trouble| Event::DeadLetters { trouble }),
        1 => Just(Event::SecondMessage),
        1 => Just(Event::Redrive),
        2 => (any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(ended, hook_lost)| Event::Pipeline { running: !ended, hook_lost }),
        2 => others().prop_map(Event::Others),
        1 => Just(Event::Stranger),
        2 => select(vec![1, 10, 61, 95, 300, 4000]).prop_map(|seconds| Event::Pass { seconds }),
        1 => Just(Event::Sweep),
    ]
}

fn others() -> impl Strategy<Value = Others> + Clone {
    select(vec![Others::Label, Others::Link, Others::Both])
}

fn trouble() -> impl Strategy<Value = Trouble> + Clone {
    prop_oneof![
        5 => (select(CALLS.to_vec()), 1usize..4, any::<bool>())
            .prop_map(|(call, nth, applied)| Trouble::Kill { call, nth, applied }),
        6 => (select(CALLS.to_vec()), select(vec![1usize, 2, 3, 9]), select(FAULTS.to_vec()))
            .prop_map(|(call, first, fault)| Trouble::Fault { call, first, fault }),
        2 => (1usize..4, select(vec![5u8, 65, 120])).prop_map(|(nth, seconds)| Trouble::LatePatch { nth, seconds }),
    ]
}

/// Those that decide more come more often.
const CALLS: [Call; 14] = [
    Call::Trigger,
    Call::Trigger,
    Call::Trigger,
    Call::Trigger,
    Call::PatchRun,
    Call::PatchRun,
    Call::PatchRun,
    Call::GetRun,
    Call::GetRun,
    Call::PostLog,
    Call::ListPipelines,
    Call::PipelineVariables,
    Call::SendMessage,
    Call::FindRuns,
];

const FAULTS: [Fault; 8] = [
    Fault::ClosedBefore,
    Fault::ClosedAfter,
    Fault::StalledAfter,
    Fault::Unavailable,
    Fault::UnavailableThoughApplied,
    Fault::Throttled,
    Fault::Garbage,
    Fault::Refused,
];
