//! The reply to SQS lists exactly the deliveries that must come again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::{App, Clock, Config, Invocation};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};

use crate::support::{World, furnish, message, redelivered, sqs_event};
use rstest::rstest;
use sandbox::{Call, Fault, Sandbox};

/// What becomes of one message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Starts,
    IsRefused,
    HasToWait,
    IsUnreadable,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Starts, Self::IsRefused, Self::HasToWait, Self::IsUnreadable];

    fn is_redelivered(self) -> bool {
        matches!(self, Self::HasToWait | Self::IsUnreadable)
    }

    /// A message of a new run that will fare so.
    fn message(self, sandbox: &Sandbox, run: &str) -> String {
        let glint = sandbox.glint.run(run);
        let mut message = message(run);
        match self {
            Self::Starts => {}
            Self::IsRefused => message["payload"]["action"]["invocationMethod"]["projectName"] = json!("../elsewhere"),
            Self::HasToWait => drop(glint.status("WAITING_FOR_APPROVAL")),
            Self::IsUnreadable => message["context"]["runId"] = json!("no run id"),
        }
        message.to_string()
    }
}

/// The `number`th vector of `length` kinds.
fn vector(length: u32, number: usize) -> Vec<Kind> {
    (0..length).map(|place| Kind::ALL[number / 4_usize.pow(place) % 4]).collect()
}

/// All vectors of one length whose first kind is given.
#[rstest]
#[tokio::test(start_paused = true)]
async fn every_mixture_of_outcomes_is_answered_with_exactly_its_retryable_ids(
    #[values(1, 2, 3, 4, 5)] length: u32,
    #[values(0, 1, 2, 3)] first: usize,
) {
    let world = World::new().await;
    let mut count = 0;
    for number in (first..4_usize.pow(length)).step_by(4) {
        let kinds = vector(length, number);
        let run = |place: usize| format!("r_{length}_{number}_{place}");
        let bodies: Vec<String> =
            kinds.iter().enumerate().map(|(place, kind)| kind.message(&world.sandbox, &run(place))).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let expected: Vec<usize> = (0..kinds.len()).filter(|place| kinds[*place].is_redelivered()).collect();
        assert_eq!(world.queue(&bodies).await, expected, "{kinds:?}");
        for (place, kind) in kinds.iter().enumerate() {
            let state = world.run(&run(place));
            assert_eq!(!state.links().is_empty(), *kind == Kind::Starts, "{kinds:?}");
            assert_eq!(state.has_ended(), *kind == Kind::IsRefused, "{kinds:?}");
            world.sandbox.glint.run(&run(place)).forget();
        }
        world.sandbox.journal.clear();
        count += 1;
    }
    println!("{count} vectors of outcomes");
    assert_eq!(count, 4_usize.pow(length - 1));
}

/// Deliveries of a few runs, mixed; and for each run the delivery, if any, at which Glint does not answer.
#[derive(Clone, Debug)]
struct Batch {
    runs: Vec<usize>,
    fails_at: [Option<usize>; 3],
    unreadable: Vec<bool>,
}

impl Batch {
    fn any() -> impl Strategy<Value = Batch> {
        let fails_at = || prop_oneof![Just(None), (0_usize..4).prop_map(Some)];
        let deliveries = proptest::collection::vec((0_usize..3, proptest::bool::weighted(0.1)), 1..=10);
        (deliveries, [fails_at(), fails_at(), fails_at()], any::<bool>()).prop_map(|(deliveries, fails_at, some)| {
            let (runs, unreadable): (Vec<usize>, Vec<bool>) = deliveries.into_iter().unzip();
            let unreadable = unreadable.into_iter().map(|bad| bad && some).collect();
            Batch { runs, fails_at, unreadable }
        })
    }

    /// What must come again: all that cannot be read, and of each run everything from its first failure on.
    fn redelivered(&self) -> Vec<usize> {
        let mut seen = [0; 3];
        let mut ids = Vec::new();
        for (place, run) in self.runs.iter().enumerate() {
            if self.unreadable[place] {
                ids.push(place);
                continue;
            }
            if self.fails_at[*run].is_some_and(|fails_at| seen[*run] >= fails_at) {
                ids.push(place);
            }
            seen[*run] += 1;
        }
        ids
    }

    async fn holds(&self) {
        let world = World::new().await;
        let name = |run: usize| format!("r_{run}");
        for (run, fails_at) in self.fails_at.iter().enumerate() {
            world.sandbox.glint.run(&name(run));
            if let Some(fails_at) = fails_at {
                let path = format!("/{}?", name(run));
                let rule = world.sandbox.fail(Call::GetRun).of(move |one| one.path_and_query.contains(&path));
                // A refusal is not asked again in the same delivery.
                rule.nth(fails_at + 1).with(Fault::status(422));
            }
        }
        let text = |(run, bad): (&usize, &bool)| if *bad { "{".to_owned() } else { message(&name(*run)).to_string() };
        let bodies: Vec<String> = self.runs.iter().zip(&self.unreadable).map(text).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        assert_eq!(world.queue(&bodies).await, self.redelivered());
        for run in 0..3 {
            let first = self.runs.iter().zip(&self.unreadable).any(|(one, bad)| *one == run && !bad);
            let started = first && self.fails_at[run] != Some(0);
            assert_eq!(world.run(&name(run)).links().len(), usize::from(started));
        }
        let started = (0..3).filter(|run| !world.run(&name(*run)).links().is_empty()).count();
        assert_eq!(world.sandbox.gitlab.pipelines().len(), started, "a run was started twice");
    }
}

#[test]
fn the_deliveries_of_one_run_stop_at_its_first_failure() {
    const CASES: u32 = 400;
    let mut runner = TestRunner::new(Cases { cases: CASES, failure_persistence: None, ..Cases::default() });
    let tried = runner.run(&Batch::any(), |batch| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(batch.holds());
        Ok(())
    });
    tried.unwrap();
    println!("{CASES} random batches with several deliveries of one run");
}

#[tokio::test]
async fn a_message_without_an_id_that_must_come_again_fails_the_whole_batch() {
    let world = World::new().await;
    for id in [json!(""), Value::Null] {
        world.sandbox.glint.run("r_waits").status("WAITING_FOR_APPROVAL");
        let mut event = sqs_event(&[&message("r_waits").to_string()], 1);
        event["Records"][0]["messageId"] = id;
        assert!(world.handle(&event).await.is_err());
    }
}

/// A clock that panics at its `at`th reading: no upstream can make the function panic, so its own time has to.
fn failing_clock(sandbox: &Sandbox, at: usize) -> (Clock, Arc<AtomicUsize>) {
    let readings = Arc::new(AtomicUsize::new(0));
    let (wall, count) = (sandbox.clock.clone(), readings.clone());
    let clock = Arc::new(move || {
        assert_ne!(count.fetch_add(1, Ordering::Relaxed) + 1, at, "the clock broke, as it was meant to");
        SystemTime::from(wall.now())
    });
    (clock, readings)
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_delivery_fails_that_delivery_alone() {
    let runs = ["r_1", "r_2", "r_3"];
    let mut panicked = 0;
    for at in 2.. {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        let variables = Mutex::new(sandbox.env());
        let variable = |name: &str| variables.lock().unwrap().iter().find(|(key, _)| key == name).cloned();
        let config = Config::read(|name| variable(name).map(|(_, value)| value)).unwrap();
        let (clock, readings) = failing_clock(&sandbox, at);
        let app = App::new(config, clock).unwrap();
        let bodies = runs.map(|run| {
            sandbox.glint.run(run);
            message(run).to_string()
        });
        let event = sqs_event(&bodies.each_ref().map(String::as_str), 1);
        let payload = serde_json::value::to_raw_value(&event).unwrap();
        let deadline = SystemTime::from(sandbox.now()) + Duration::from_secs(45);
        let reply = app.handle(&payload, Invocation { deadline }).await.unwrap();
        let ids = redelivered(&serde_json::from_str(reply.get()).unwrap());
        if readings.load(Ordering::Relaxed) < at {
            assert!(ids.is_empty());
            break;
        }
        panicked += 1;
        assert_eq!(ids.len(), 1, "a panic at reading {at} of the clock");
        for (place, run) in runs.iter().enumerate().filter(|(place, _)| !ids.contains(place)) {
            assert_eq!(sandbox.glint.run_state(run).links().len(), 1, "delivery {place}");
        }
    }
    println!("{panicked} panics, each in one delivery of three");
    assert!(panicked >= 6);
}
