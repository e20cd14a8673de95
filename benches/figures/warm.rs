//! Warm runs, one after the other, each in an event of its own.

use std::time::Duration;

use super::build::Programs;
use super::replay::{self, Replay};
use super::stage::Stage;
use super::table::{Table, median, ms, percentile, ratio};
use super::{Effort, Outcome};
use sandbox::Authority;

const THROUGHPUT: f64 = 0.75;
const CPU: f64 = 1.4;
/// What a warm run may take beside its round trips.
const WORK: Duration = Duration::from_millis(3);

/// What rounds of one kind came to, by run.
#[derive(Default)]
struct Rounds {
    took: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Rounds {
    fn add(&mut self, runs: usize, took: Duration, cpu: Duration) {
        let runs = runs as f64;
        self.took.push(took.div_f64(runs));
        self.cpu.push(cpu.div_f64(runs));
    }

    fn told(&self) -> String {
        format!("{:.0} a second, {} of CPU each", 1.0 / median(&self.took).as_secs_f64(), ms(median(&self.cpu)))
    }
}

/// The function, and what it is held against.
#[derive(Default)]
struct Three {
    function: Rounds,
    bare_function: Rounds,
    bare_loop: Rounds,
    /// How long each run of the function took.
    each: Vec<Duration>,
}

/// Tells throughput and CPU against the bare loop's, alone and as a function; gives back the CPU time of one run.
pub async fn without_delay(
    programs: &Programs,
    authority: &Authority,
    effort: Effort,
    table: &mut Table,
) -> Outcome<Duration> {
    let mut three = Three::default();
    for _ in 0..effort.sets {
        three.add(programs, authority, effort).await?;
    }
    let latency = format!("p50 {}, p99 {}", ms(median(&three.each)), ms(percentile(&three.each, 99)));
    table.figure("warm runs without delay, one after the other", format!("{}, {latency}", three.function.told()));
    table.figure("the bare loop as a function, which sends the same seven requests", three.bare_function.told());
    table.figure("the bare loop alone, which sends only the five to Glint and GitLab", three.bare_loop.told());
    three.compare(table);
    Ok(median(&three.function.cpu))
}

impl Three {
    /// Starts all three, and lets them run in turns. One process may be a few percent faster than the next of the same program.
    async fn add(&mut self, programs: &Programs, authority: &Authority, effort: Effort) -> Outcome {
        let runs = effort.runs_a_round;
        let (mut stage, mut bare_stage) = (Stage::new(authority)?, Stage::new(authority)?);
        let function = stage.function(programs).await?;
        stage.send_each(runs).await?;
        let mut bare = Replay::start(&mut stage, None).await?;
        bare.send(runs).await?;
        let bare_function = bare_stage.function(programs).await?;
        bare_stage.send(1).await?;
        let bare_function = replay::in_place_of(bare_function, &mut bare_stage).await?;
        for round in 0..=effort.rounds {
            let cpu = function.cpu()?;
            let took = stage.send_each(runs).await?;
            let cpu = function.cpu()? - cpu;
            let bare_cpu = bare_function.cpu()?;
            let mut bare_took = Duration::ZERO;
            for _ in 0..runs {
                bare_took += bare_stage.invoke().await?;
            }
            let bare_cpu = bare_function.cpu()? - bare_cpu;
            let (alone_took, alone_cpu) = bare.send(runs).await?;
            stage.sandbox.journal.clear();
            bare_stage.sandbox.journal.clear();
            // The first round warms all three up.
            if round > 0 {
                self.function.add(runs, took.iter().sum(), cpu);
                self.bare_function.add(runs, bare_took, bare_cpu);
                self.bare_loop.add(runs, alone_took, alone_cpu);
                self.each.extend(took);
            }
        }
        Ok(())
    }

    fn compare(&self, table: &mut Table) {
        let share = |of: &Rounds| paired(&of.took, &self.function.took);
        let (over_function, over_loop) = (share(&self.bare_function), share(&self.bare_loop));
        let (value, bar) = (format!("{over_function:.2}; {over_loop:.2}"), format!("at least {THROUGHPUT:.2}"));
        let name = "throughput over the bare function's; over the bare loop's";
        table.barred(name, value, bar, over_function >= THROUGHPUT);
        let over = |of: &Rounds| paired(&self.function.cpu, &of.cpu);
        let (over_function, over_loop) = (over(&self.bare_function), over(&self.bare_loop));
        let (value, bar) = (format!("{over_function:.2}; {over_loop:.2}"), format!("at most {CPU:.1}"));
        table.barred("CPU over the bare function's; over the bare loop's", value, bar, over_function <= CPU);
    }
}

/// The median of the ratios within a round, since a machine changes its speed from one to the next.
fn paired(what: &[Duration], of: &[Duration]) -> f64 {
    let mut ratios: Vec<f64> = what.iter().zip(of).map(|(what, of)| ratio(*what, *of)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Tells how long a run takes when the upstreams do, and gives it back.
pub async fn with_delays(
    programs: &Programs,
    authority: &Authority,
    effort: Effort,
    table: &mut Table,
) -> Outcome<Duration> {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    stage.send(1).await?;
    stage.delay();
    let (mut each, mut chains, mut work) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.delayed {
        let took = stage.send(1).await?;
        let chain = stage.chain();
        each.push(took);
        chains.push(chain);
        work.push(took.saturating_sub(chain));
    }
    function.end().await?;
    let value = format!("p50 {}, p99 {}", ms(median(&each)), ms(percentile(&each, 99)));
    table.figure("warm run at 20 ms to Glint and 100 ms to GitLab", value);
    let value = format!("{} (run, claim, trigger, link, log)", ms(median(&chains)));
    table.figure("of that, its chain of round trips as the upstreams held them", value);
    table.barred("and its own work", ms(median(&work)), "at most 3 ms", median(&work) <= WORK);
    Ok(median(&each))
}
