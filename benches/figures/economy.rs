//! What many runs use: requests, connections, secrets, memory.

use std::time::Duration;

use super::build::Programs;
use super::sandbox::{Authority, Upstream};
use super::stage::Stage;
use super::table::{Table, ms, ratio};
use super::{Effort, Outcome};

const UPSTREAMS: [Upstream; 3] = [Upstream::Glint, Upstream::GitLab, Upstream::SecretsManager];
const PEAK: u64 = 16_000_000;
/// How much more than the first thousand runs the last may use, of CPU and of memory.
const FLAT: f64 = 1.10;

/// A cold start and a thousand runs.
pub async fn of_a_thousand(programs: &Programs, authority: &Authority, table: &mut Table) -> Outcome {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    stage.send_each(1000).await?;
    function.end().await?;
    // Exchanges are numbered in the order in which they came.
    let requests = stage.sandbox.journal.exchanges().last().map_or(0, |last| last.number);
    let connections: u64 = UPSTREAMS.iter().map(|upstream| stage.sandbox.connections(*upstream)).sum();
    let handshakes = stage.sandbox.handshakes();
    let reads: usize = stage.sandbox.secrets.all_reads().values().sum();
    let value = format!(
        "{requests} requests, {connections} connections, {} TLS handshakes ({} of them resumed), {reads} secret reads",
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
    let ((first_cpu, first_memory), (last_cpu, last_memory)) = (thousands[0], thousands[thousands.len() - 1]);
    let value = format!("{}, {}", megabytes(first_memory), megabytes(last_memory));
    let is_flat = last_memory as f64 <= first_memory as f64 * FLAT;
    table.barred("memory after the first 1,000 runs, and after the last", value, "flat", is_flat);
    let value = format!("{}, {}", ms(first_cpu), ms(last_cpu));
    let is_flat = ratio(last_cpu, first_cpu) <= FLAT;
    table.barred("CPU of a run among the first 1,000, and among the last", value, "does not grow", is_flat);
    Ok(())
}
