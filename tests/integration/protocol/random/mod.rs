//! Random histories of one run: whatever fails, whoever else writes, in whatever order.

mod history;
mod invocation;
mod player;
mod promises;
mod shape;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use history::{History, SetUp, Source, history};
use player::Player;
use promises::{End, broken, end};

/// How many tries are spent on a shorter history that breaks the same promise.
const MAX_SHRINKS: usize = 400;

/// Plays one history from its seed. Returns how it ended, or the shortest history found that breaks a promise.
fn play_seed(source: Source, seed: u64) -> (History, Result<End, String>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = source as u8;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut tree = history(source).new_tree(&mut runner).expect("a history can be drawn");
    let first = tree.current();
    let mut found = match play(&first) {
        Ok(end) => return (first, Ok(end)),
        Err(found) => found,
    };
    let mut shortest = first.clone();
    let mut tries = 0;
    let mut goes_on = tree.simplify();
    while goes_on && tries < MAX_SHRINKS {
        tries += 1;
        let candidate = tree.current();
        goes_on = match play(&candidate) {
            Err(broken) => {
                (found, shortest) = (broken, candidate);
                tree.simplify()
            }
            Ok(_) => tree.complicate(),
        };
    }
    let report = format!("{source:?}, seed {seed}: {found}\n  shortest history found: {shortest:#?}");
    (first, Err(report))
}

/// Plays a history; a panic in it counts as a broken promise, so that it is shortened too.
fn play(history: &History) -> Result<End, String> {
    let play = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let player = Player::play(history).await;
            let broken = broken(&player);
            if broken.is_empty() { Ok(end(&player)) } else { Err(broken.join("; ")) }
        })
    };
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        Err(format!("no panic: {text}"))
    })
}

/// Plays so many histories of one source, and prints how the runs ended by what Glint shows and whether pipelines can be looked up.
///
/// `FIRST_SEED=409 HISTORIES=1` plays the history of one seed alone.
fn play_seeds(source: Source, count: u64) {
    let mut figures: BTreeMap<String, BTreeMap<End, usize>> = BTreeMap::new();
    let mut reports = Vec::new();
    let number =
        |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().unwrap_or_else(|_| panic!("`{name}` is no number")));
    let (first, count) = (number("FIRST_SEED").unwrap_or(0), number("HISTORIES").unwrap_or(count));
    for seed in first..first + count {
        let (history, result) = play_seed(source, seed);
        let SetUp { glint, read_token, .. } = history.set_up;
        match result {
            Ok(end) => {
                let name = format!("{source:?}, Glint shows {glint:?}, read token: {read_token}");
                *figures.entry(name).or_default().entry(end).or_default() += 1;
            }
            Err(report) => reports.push(report),
        }
    }
    for (set_up, ends) in &figures {
        println!("{set_up}: {ends:?}");
    }
    println!("{source:?}: {count} histories, {} of them broke a promise", reports.len());
    assert!(reports.is_empty(), "{}", reports.join("\n\n"));
}

#[test]
fn no_promise_breaks_in_random_histories_on_a_fifo_queue() {
    play_seeds(Source::Fifo, 120);
}

#[test]
fn no_promise_breaks_in_random_histories_of_webhooks_that_are_queued() {
    play_seeds(Source::UrlToQueue, 60);
}

#[test]
fn no_promise_breaks_in_random_histories_on_a_standard_queue() {
    play_seeds(Source::Standard, 60);
}

#[test]
fn no_promise_breaks_in_random_histories_of_webhooks_that_are_handled_in_place() {
    play_seeds(Source::Url, 60);
}

#[test]
#[ignore = "takes minutes: 4,000 histories"]
fn no_promise_breaks_in_thousands_of_random_histories_on_a_fifo_queue() {
    play_seeds(Source::Fifo, 4000);
}

#[test]
#[ignore = "takes minutes: 2,000 histories"]
fn no_promise_breaks_in_thousands_of_random_histories_of_webhooks_that_are_queued() {
    play_seeds(Source::UrlToQueue, 2000);
}

#[test]
#[ignore = "takes minutes: 2,000 histories"]
fn no_promise_breaks_in_thousands_of_random_histories_on_a_standard_queue() {
    play_seeds(Source::Standard, 2000);
}

#[test]
#[ignore = "takes minutes: 2,000 histories"]
fn no_promise_breaks_in_thousands_of_random_histories_of_webhooks_that_are_handled_in_place() {
    play_seeds(Source::Url, 2000);
}
