//! How far it goes: bursts and long days through the FIFO queue, the maximum concurrency, and the limits of Glint and GitLab.
//!
//!     cargo bench --bench scale
//!
//! A simulation of discrete events: no clock, no network, the same table every time.

mod limits;
mod simulation;
mod world;

use limits::{MINUTE, SECOND, Time};
use world::{ADDRESS, Allowance, DEFAULT, GLINT, Load, Settings};

const DAY: Time = 24 * 60 * MINUTE;

const fn burst(projects: u32) -> Load {
    Load { runs: 10_000, over: MINUTE, projects, hooks: false }
}

const fn day(runs: u32, hooks: bool) -> Load {
    Load { runs, over: DAY, projects: 400, hooks }
}

const USUAL: Allowance = Allowance { glint: GLINT, address: None };
const ONE_ADDRESS: Allowance = Allowance { address: Some(ADDRESS), ..USUAL };
const TRIPLED: Allowance = Allowance { glint: 3 * GLINT, ..USUAL };

fn main() {
    println!(
        "| load | settings | started | drained after, median wait | deferrals | given up | dead letters | invocations | cost |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let set = |maximum_concurrency, max_receives| Settings { maximum_concurrency, max_receives };
    for (name, load, settings, allowance) in [
        ("10,000 in a minute, 400 projects", burst(400), DEFAULT, USUAL),
        ("the same", burst(400), set(4, 20), USUAL),
        ("the same from one address", burst(400), DEFAULT, ONE_ADDRESS),
        ("the same from one address", burst(400), set(4, 100), ONE_ADDRESS),
        ("10,000 in a minute, 40 projects", burst(40), DEFAULT, USUAL),
        ("the same", burst(40), set(4, 20), USUAL),
        ("10,000 in a minute, one project", burst(1), DEFAULT, USUAL),
        ("the same", burst(1), set(2, 1000), USUAL),
        ("1,000,000 a day, 400 projects", day(1_000_000, false), DEFAULT, USUAL),
        ("350,000 a day, with hooks", day(350_000, true), DEFAULT, USUAL),
        ("1,000,000 a day, with hooks, Glint's limit tripled", day(1_000_000, true), DEFAULT, TRIPLED),
        ("the same", day(1_000_000, true), set(20, 20), TRIPLED),
    ] {
        row(name, load, settings, allowance);
    }
}

fn row(name: &str, load: Load, settings: Settings, allowance: Allowance) {
    let tally = simulation::simulate(load, settings, allowance);
    let Settings { maximum_concurrency, max_receives } = settings;
    println!(
        "| {name} | {maximum_concurrency} at once, {max_receives} receives | {} | {}, {} | {} | {} | {} | {} | {:.2} dollars |",
        grouped(tally.started.into()),
        words(tally.last_start),
        words(tally.median_wait()),
        grouped(tally.deferrals),
        grouped(tally.given_up.into()),
        grouped(tally.dead_letters.into()),
        grouped(tally.invocations),
        tally.cost()
    );
}

fn words(time: Time) -> String {
    match time {
        ..120_000 => format!("{:.1} s", time as f64 / SECOND as f64),
        120_000..7_200_000 => format!("{:.0} min", time as f64 / MINUTE as f64),
        _ => format!("{:.1} h", time as f64 / (60 * MINUTE) as f64),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
