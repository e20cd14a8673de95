//! What the function costs, measured on the built release binary and told in one table:
//!
//!     cargo bench --bench figures [-- [--quick | --long] [cold | distance | warm | batch | economy | instructions | forged]...]
//!
//! Without a name all is measured.
//!
//! The upstreams are the sandbox of `tests/sandbox` on loopback, with TLS on, and on a core of their own where there are two, which should be
//! idle otherwise. Machines differ, so what has a bar is compared within the run: with a hello-world of the same runtime and profile, with a
//! bare loop that sends the same requests through the same HTTP client, and with the delays as the sandbox kept them.

mod batch;
mod build;
mod callgrind;
mod cold;
mod cores;
mod cost;
mod distance;
mod economy;
mod forged;
mod process;
mod replay;
mod stage;
mod table;
mod warm;

use std::error::Error;
use std::path::Path;

use sandbox::Authority;
use table::Table;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Cold starts of each kind.
    starts: usize,
    /// Starts with the upstreams at a distance.
    distant_starts: usize,
    /// How often the function and the bare loops are started, to run in turns.
    sets: usize,
    /// The rounds of each set, and the runs in each.
    rounds: usize,
    runs_a_round: usize,
    /// Runs with delays.
    delayed: usize,
    /// Runs until the peak of memory is read.
    long: usize,
}

const NAMES: [&str; 7] = ["cold", "distance", "warm", "batch", "economy", "instructions", "forged"];

const USUAL: Effort =
    Effort { starts: 40, distant_starts: 9, sets: 10, rounds: 12, runs_a_round: 20, delayed: 200, long: 10_000 };
const QUICK: Effort =
    Effort { starts: 6, distant_starts: 3, sets: 2, rounds: 5, runs_a_round: 20, delayed: 12, long: 1_000 };
const LONG: Effort = Effort { long: 100_000, ..USUAL };

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    if std::env::var_os(replay::SCRIPT).is_some() {
        return replay::play().await;
    }
    let argument = |name: &str| std::env::args().any(|argument| argument == name);
    let effort = if argument("--quick") {
        QUICK
    } else if argument("--long") {
        LONG
    } else {
        USUAL
    };
    let programs = build::programs()?;
    if !cores::keep_off()? {
        eprintln!("what is measured has no core of its own: it shares the sandbox's");
    }
    let authority = Authority::new(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(format!("there are no figures of `{unknown}`\n  hint: name some of {}", NAMES.join(", ")).into());
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let mut table = Table::default();
    build::sizes(&programs, &mut table)?;
    if wanted("cold") {
        cold::until_next(&programs, &authority, effort, &mut table).await?;
        cold::until_pipeline(&programs, &authority, effort, &mut table).await?;
    }
    if wanted("distance") {
        distance::rows(&programs, &authority, effort, &mut table).await?;
    }
    if wanted("warm") {
        let cpu = warm::without_delay(&programs, &authority, effort, &mut table).await?;
        let duration = warm::with_delays(&programs, &authority, effort, &mut table).await?;
        cost::of_a_million(duration, cpu, &mut table);
    }
    if wanted("batch") {
        batch::sizes(&programs, &authority, effort, &mut table).await?;
    }
    if wanted("economy") {
        economy::of_a_thousand(&programs, &authority, &mut table).await?;
        economy::of_many(&programs, &authority, effort, &mut table).await?;
    }
    if wanted("instructions") {
        callgrind::instructions(&programs, &authority, &mut table).await?;
    }
    if wanted("forged") {
        forged::rows(&programs, &authority, &mut table).await?;
    }
    println!("\n{table}");
    Ok(())
}
