//! Warm runs, one after the other, each in an event of its own.

use std::time::Duration;

use super::build::Programs;
use super::replay::Replay;
use super::sandbox::Authority;
use super::stage::Stage;
use super::table::{Table, median, ms, percentile, ratio};
use super::{Effort, Outcome};

const THROUGHPUT: f64 = 0.75;
const CPU: f64 = 1.4;
/// What a warm run may take beside its round trips.
const WORK: Duration = Duration::from_millis(3);

/// Tells throughput and CPU against the bare loop's; gives back the CPU time of one run.
pub async fn without_delay(
    programs: &Programs,
    authority: &Authority,
    effort: Effort,
    table: &mut Table,
) -> Outcome<Duration> {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    stage.send_each(effort.runs_a_round).await?;
    let mut bare = Replay::start(&mut stage, None).await?;
    bare.send(effort.runs_a_round).await?;
    let runs = u32::try_from(effort.runs_a_round)?;
    let (mut ours, mut ours_cpu, mut theirs, mut theirs_cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut each = Vec::new();
    for _ in 0..effort.rounds {
        let cpu = function.cpu()?;
        let round = stage.send_each(effort.runs_a_round).await?;
        ours_cpu.push((function.cpu()? - cpu) / runs);
        ours.push(round.iter().sum::<Duration>() / runs);
        each.extend(round);
        let (took, cpu) = bare.send(effort.runs_a_round).await?;
        theirs.push(took / runs);
        theirs_cpu.push(cpu / runs);
        stage.sandbox.journal.clear();
    }
    let rate = |times: &[Duration]| 1.0 / median(times).as_secs_f64();
    let told = format!("{:.0} a second, p50 {}, p99 {}", rate(&ours), ms(median(&each)), ms(percentile(&each, 99)));
    table.figure("warm runs without delay, one after the other", told);
    table.figure("the bare loop's", format!("{:.0} a second", rate(&theirs)));
    let share = rate(&ours) / rate(&theirs);
    let bar = format!("at least {THROUGHPUT:.2}");
    table.barred("throughput over the bare loop's", format!("{share:.2}"), bar, share >= THROUGHPUT);
    let (ours, theirs) = (median(&ours_cpu), median(&theirs_cpu));
    table.figure("CPU of a warm run; of the bare loop's", format!("{}; {}", ms(ours), ms(theirs)));
    let over = ratio(ours, theirs);
    table.barred("CPU over the bare loop's", format!("{over:.2}"), format!("at most {CPU:.1}"), over <= CPU);
    Ok(ours)
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
    let value = format!("{} (run, claim, trigger, report beside the log)", ms(median(&chains)));
    table.figure("of that, its chain of round trips as the upstreams held them", value);
    table.barred("and its own work", ms(median(&work)), "at most 3 ms", median(&work) <= WORK);
    Ok(median(&each))
}
