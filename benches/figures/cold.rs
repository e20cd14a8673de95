//! Cold starts: until the runtime asks for its first event, and until the first pipeline is there.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::build::Programs;
use super::process::Process;
use super::stage::{Stage, held};
use super::table::{Table, median, millis, ms, percentile, ratio};
use super::{Effort, Outcome};
use sandbox::{Authority, Call, Exchange};

/// What the function may cost over a hello-world until it asks for its first event.
const OVER_HELLO: f64 = 1.25;
/// The work in a cold start, beside its round trips.
const WORK: Duration = Duration::from_millis(15);

pub async fn until_next(programs: &Programs, authority: &Authority, effort: Effort, table: &mut Table) -> Outcome {
    let (mut function, mut hello) = (Vec::new(), Vec::new());
    for _ in 0..effort.starts {
        hello.push(start(&programs.hello, authority).await?);
        function.push(start(&programs.function, authority).await?);
    }
    let told = |times: &[Duration]| format!("{}, p90 {}", ms(median(times)), ms(percentile(times, 90)));
    table.figure("cold start, exec to first `next`, hello-world", told(&hello));
    table.figure("cold start, exec to first `next`, function", told(&function));
    let over = ratio(median(&function), median(&hello));
    let bar = format!("at most {OVER_HELLO:.2}");
    table.barred("the same as a ratio", format!("{over:.2}"), bar, over <= OVER_HELLO);
    Ok(())
}

async fn start(program: &Path, authority: &Authority) -> Outcome<Duration> {
    let stage = Stage::new(authority)?;
    let start = Instant::now();
    let process = Process::start(program, &stage.sandbox.env())?;
    stage.sandbox.runtime.waiting_for_next().await;
    let took = start.elapsed();
    process.end().await?;
    Ok(took)
}

pub async fn until_pipeline(programs: &Programs, authority: &Authority, effort: Effort, table: &mut Table) -> Outcome {
    let (mut totals, mut chains, mut work) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.starts {
        let mut stage = Stage::new(authority)?;
        stage.delay();
        let start = Instant::now();
        let process = Process::start(&programs.function, &stage.sandbox.env())?;
        stage.send(1).await?;
        process.end().await?;
        let exchanges = stage.sandbox.journal.exchanges();
        let created = exchanges.iter().find(|exchange| exchange.call == Call::Trigger).and_then(|one| one.ended);
        let total = created.ok_or("there is no pipeline")?.duration_since(start);
        let chain = chain(&exchanges);
        totals.push(total);
        chains.push(chain);
        work.push(total.saturating_sub(chain));
    }
    let value = format!("{}, p90 {}", ms(median(&totals)), ms(percentile(&totals, 90)));
    table.figure("cold start, exec to first pipeline, at 20 ms to Glint and 100 ms to GitLab", value);
    let value = format!("{} (secret, login, run, claim, trigger)", ms(median(&chains)));
    table.figure("of that, its longest chain of round trips as the upstreams held them", value);
    let bar = format!("at most {:.0} ms", millis(WORK));
    table.barred("and its own work: process, TLS, signing, parsing", ms(median(&work)), bar, median(&work) <= WORK);
    Ok(())
}

/// The requests that wait for each other until the pipeline is there. The two secrets are read at once.
fn chain(exchanges: &[Exchange]) -> Duration {
    let longest = |call: Call| exchanges.iter().filter(|one| one.call == call).map(held).max().unwrap_or_default();
    let first = |call: Call| exchanges.iter().find(|one| one.call == call).map(held).unwrap_or_default();
    longest(Call::GetSecret) + first(Call::Login) + first(Call::GetRun) + first(Call::PatchRun) + first(Call::Trigger)
}
