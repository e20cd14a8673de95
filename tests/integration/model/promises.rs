//! What is promised on a Glint that shows everything, and the window that is known.

use super::checker::{Counterexample, check};
use super::state::{Queue, Setup, Shows};

/// The stack as it is deployed: both copies of the run and whatever was put back by hand are in one group.
pub const FIFO: Setup = Setup {
    queue: Queue::Fifo,
    glint: Shows::Everything,
    read_token: true,
    hooks: true,
    sweep: true,
    dead_letter_consumer: true,
    max_receives: 2,
    faults: 2,
    kills: true,
    lands_within_age: false,
    foreign_writes: 1,
    overwrites_both: true,
    redrives: 1,
    second_message: true,
    queues_ends: true,
    counts_overlaps: false,
    without: None,
};

/// One message that nobody puts back, where a shorter search is enough.
pub const ONE_MESSAGE: Setup = Setup { faults: 3, redrives: 0, second_message: false, counts_overlaps: true, ..FIFO };

/// Two copies that may be worked on at the same time. Whatever is under way lands before a claim counts as old.
pub const STANDARD: Setup =
    Setup { queue: Queue::Standard, lands_within_age: true, queues_ends: false, redrives: 0, ..FIFO };

const MAX_STATES: usize = 30_000_000;

/// Searches every state of the set-up; the promises hold in each.
///
/// # Panics
///
/// With the shortest counterexample, if one does not.
pub fn holds(setup: Setup) {
    match check(&setup, MAX_STATES) {
        Ok(states) => println!("{states} states of {setup:?}"),
        Err(found) => panic!("{found}\n  set-up: {setup:?}"),
    }
}

/// Searches until the first broken promise, which must be this one.
pub fn breaks(setup: Setup, promise: &str) -> Counterexample {
    let found = check(&setup, MAX_STATES).expect_err("a broken promise");
    println!("{found}");
    assert_eq!(found.promise, promise, "{found}");
    found
}

#[test]
fn one_message_on_a_fifo_queue_keeps_every_promise_within_three_faults() {
    holds(ONE_MESSAGE);
}

#[test]
fn one_message_keeps_every_promise_without_a_read_token() {
    holds(Setup { read_token: false, ..ONE_MESSAGE });
}

#[test]
fn one_message_keeps_every_promise_without_hooks() {
    holds(Setup { hooks: false, ..ONE_MESSAGE });
}

#[test]
fn two_messages_of_a_run_on_a_fifo_queue_keep_every_promise_within_three_faults() {
    holds(Setup { faults: 3, ..FIFO });
}

#[test]
fn two_messages_of_a_run_keep_every_promise_without_a_read_token() {
    holds(Setup { faults: 3, read_token: false, ..FIFO });
}

#[test]
fn two_copies_on_a_standard_queue_keep_every_promise_but_for_the_known_window() {
    holds(STANDARD);
}

#[test]
fn the_known_window_of_a_standard_queue_is_found() {
    let found = breaks(Setup { counts_overlaps: true, ..STANDARD }, "never two pipelines");
    assert!(!found.actions.iter().any(|action| action.contains("Lost")), "it takes no fault: {found}");
}

#[test]
fn a_second_message_while_the_first_one_is_ended_as_a_dead_letter_is_a_known_window_too() {
    breaks(Setup { counts_overlaps: true, ..FIFO }, "never said to be not started while its pipeline runs");
}

#[test]
#[ignore = "takes a minute: more faults, more receives, more writes of others"]
fn every_promise_holds_in_a_larger_world() {
    holds(Setup { faults: 4, max_receives: 3, foreign_writes: 2, ..ONE_MESSAGE });
    holds(Setup { faults: 4, max_receives: 3, foreign_writes: 2, read_token: false, ..ONE_MESSAGE });
    holds(Setup { faults: 3, max_receives: 3, foreign_writes: 2, ..FIFO });
    holds(Setup { redrives: 1, ..STANDARD });
}

#[test]
#[ignore = "takes a minute: three faults, and two copies in any order"]
fn a_standard_queue_bears_two_faults_and_not_a_third() {
    let found = breaks(Setup { faults: 3, ..STANDARD }, "never two pipelines");
    let lands_late = found.actions.iter().any(|action| action.ends_with("lands: TakeBack"));
    assert!(lands_late, "a claim that never arrived is taken back, and that lands on the other copy's claim: {found}");
}
