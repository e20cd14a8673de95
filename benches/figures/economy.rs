//! What many runs use: requests, connections, secrets, memory.

use std::collections::HashSet;
use std::time::Duration;

use super::build::Programs;
use super::stage::Stage;
use super::table::{Table, ms, ratio};
use super::{Effort, Outcome};
use sandbox::{Authority, Upstream};

const UPSTREAMS: [Upstream; 3] = [Upstream::Glint, Upstream::GitLab, Upstream::SecretsManager];
const PEAK: u64 = 16_000_000;
/// How much more than the first thousand runs the last may use, of CPU and of memory.
const FLAT: f64 = 1.10;

/// A cold start and a thousand runs.
pub async fn of_a_thousand(programs: &Programs, authority: &Authority, table: &mut Table) -> Outcome {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    let mut used = HashSet::new();
    for _ in 0..1000 {
        stage.send(1).await?;
        // Before they are forgotten.
        used.extend(stage.sandbox.journal.exchanges().iter().map(|one| (one.upstream, one.connection)));
    }
    function.end().await?;
    // Exchanges are numbered in the order in which they came.
    let requests = stage.sandbox.journal.exchanges().last().map_or(0, |last| last.number);
    let connections: u64 = UPSTREAMS.iter().map(|upstream| stage.sandbox.connections(*upstream)).sum();
    let handshakes = stage.sandbox.handshakes();
    let reads: usize = stage.sandbox.secrets.all_reads().values().sum();
    let value = format!(
        "{requests} requests, {connections} connections ({} of them not used), {} TLS handshakes ({} of them resumed), {reads} secret reads",
        connections.saturating_sub(used.iter().filter(|(upstream, _)| UPSTREAMS.contains(upstream)).count() as u64),
        handshakes.full + handshakes.resumed,
        handshakes.resumed
    );
    table.figure("a cold start and 1,000 runs", value);
    Ok(())
}

/// Whether memory and cost stay what they are.
pub async fn of_many(programs: &Programs, authority: &Authority, effort: Effort, table: &mut Table) -> Outcome {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    let mut thousands: Vec<(Duration, u64)> = Vec::new();
    while thousands.len() < effort.long / 1000 {
        let cpu = function.cpu()?;
        stage.send_each(1000).await?;
        thousands.push(((function.cpu()? - cpu) / 1000, function.memory("VmRSS")?));
    }
    let peak = function.memory("VmHWM")?;
    function.end().await?;
    let megabytes = |bytes: u64| format!("{:.2} MB", bytes as f64 / 1e6);
    let name = format!("peak memory after {} runs", effort.long);
    table.barred(&name, megabytes(peak), "at most 16 MB", peak <= PEAK);
    let ((_, first_memory), (_, last_memory)) = (thousands[0], thousands[thousands.len() - 1]);
    let value = format!("{}, {}", megabytes(first_memory), megabytes(last_memory));
    let is_flat = last_memory as f64 <= first_memory as f64 * FLAT;
    table.barred("memory after the first 1,000 runs, and after the last", value, "flat", is_flat);
    // The least of each half: what a busy machine adds is no growth.
    let (first, last) = thousands.split_at(thousands.len().div_ceil(2));
    let least = |half: &[(Duration, u64)]| half.iter().map(|(cpu, _)| *cpu).min().unwrap_or_default();
    let (first, last) = (least(first), if last.is_empty() { least(first) } else { least(last) });
    let is_flat = ratio(last, first) <= FLAT;
    let value = format!("{}, {}", ms(first), ms(last));
    table.barred("CPU of a run in the first half, and in the last", value, "does not grow", is_flat);
    Ok(())
}
