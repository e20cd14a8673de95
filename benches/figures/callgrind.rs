//! CPU instructions of one warm run: the same on every machine, and from one measurement to the next.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::Outcome;
use super::build::Programs;
use super::process::Process;
use super::replay::Replay;
use super::stage::Stage;
use super::table::Table;
use sandbox::Authority;

/// The difference between a few runs and some more is theirs alone.
const FEW: usize = 20;
const MORE: usize = 220;

pub async fn instructions(programs: &Programs, authority: &Authority, table: &mut Table) -> Outcome {
    const NAME: &str = "CPU instructions of a warm run";
    if Command::new("valgrind").arg("--version").output().await.is_err() {
        table.figure(NAME, "left out: there is no `valgrind`");
        return Ok(());
    }
    let (few, few_bare) = (function(programs, authority, FEW).await?, bare(programs, authority, FEW).await?);
    let (more, more_bare) = (function(programs, authority, MORE).await?, bare(programs, authority, MORE).await?);
    let runs = (MORE - FEW) as f64;
    let (ours, theirs) = ((more - few) as f64 / runs, (more_bare - few_bare) as f64 / runs);
    let value = format!(
        "{:.0} thousand; the bare loop's: {:.0} thousand; ratio {:.2}",
        ours / 1e3,
        theirs / 1e3,
        ours / theirs
    );
    table.figure(NAME, value);
    Ok(())
}

async fn function(programs: &Programs, authority: &Authority, runs: usize) -> Outcome<u64> {
    let mut stage = Stage::new(authority)?;
    let (mut command, counted) = valgrind("function");
    command.arg(&programs.function);
    let function = Process::spawn(command, &stage.sandbox.env(), false)?;
    stage.send_each(runs).await?;
    function.terminate().await?;
    total(&counted)
}

async fn bare(programs: &Programs, authority: &Authority, runs: usize) -> Outcome<u64> {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    stage.send(1).await?;
    let (command, counted) = valgrind("bare");
    let mut bare = Replay::start(&mut stage, Some(command)).await?;
    function.end().await?;
    bare.send(runs).await?;
    bare.process.terminate().await?;
    total(&counted)
}

pub fn valgrind(name: &str) -> (Command, PathBuf) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}"));
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
    (command, file)
}

pub fn total(file: &Path) -> Outcome<u64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("valgrind counted nothing")?;
    Ok(number.parse()?)
}
