//! Every fault at every step, once, thrice or always.

use crate::history::{End, Fate, Setup, Step, answers, drain, enqueue, fate, hold};
use crate::sandbox::Fault;

/// How often a step meets its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Often {
    Once,
    /// Whatever one receive tries.
    Thrice,
    Always,
}

async fn history(setup: Setup, step: Step, fault: Fault, often: Often) -> End {
    let world = setup.world().await;
    let rule = step.rule(&world.sandbox);
    match often {
        Often::Once => rule.nth(1).with(fault),
        Often::Thrice => rule.first(3).with(fault),
        Often::Always => rule.every().with(fault),
    }
    enqueue(&world.sandbox, "r_1");
    let replies = drain(&world).await;
    hold(&world.sandbox, "r_1", &replies)
}

/// Every fault at every step once, and where each of these runs must end.
async fn every_fault_once(setup: Setup) {
    let mut ends = [0; 3];
    let mut wrong: Vec<String> = Vec::new();
    for step in Step::ALL {
        for named in answers("http://127.0.0.1:1") {
            let expected = match fate(step, &named.fault, setup) {
                Fate::Linked => End::Linked,
                Fate::Rejected => End::NotStarted,
                Fate::NotConfirmed => End::NotConfirmed,
            };
            let end = history(setup, step, named.fault.clone(), Often::Once).await;
            if end != expected {
                wrong.push(format!("{step:?} {named:?}: {end:?}, not {expected:?}"));
            }
            ends[expected as usize] += 1;
        }
    }
    let [linked, not_started, not_confirmed] = ends;
    let count = linked + not_started + not_confirmed;
    println!("{setup:?}: {count} single faults: {linked} linked, {not_started} not started, {not_confirmed} not confirmed");
    assert!(wrong.is_empty(), "{setup:?}:\n{}", wrong.join("\n"));
    assert!(count >= 224);
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault() {
    every_fault_once(Setup::ALL[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault_with_the_runs_queue() {
    every_fault_once(Setup::ALL[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault_with_a_read_token() {
    every_fault_once(Setup::ALL[2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault_with_both() {
    every_fault_once(Setup::ALL[3]).await;
}
