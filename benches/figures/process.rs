//! A program under measurement, and what the system says of it.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Outcome, cores};

/// It is killed when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts `program` in this environment and no other.
    pub fn start(program: &Path, variables: &[(String, String)]) -> Outcome<Self> {
        Self::spawn(Command::new(program), variables, false)
    }

    /// Starts `command`; with `talks`, its standard input and output are ours.
    pub fn spawn(mut command: Command, variables: &[(String, String)], talks: bool) -> Outcome<Self> {
        let pipe = || if talks { Stdio::piped() } else { Stdio::null() };
        command.env_clear().envs(variables.iter().cloned()).stdin(pipe()).stdout(pipe()).kill_on_drop(true);
        command.stderr(if talks { Stdio::inherit() } else { Stdio::null() });
        Ok(Self(cores::on_measured(|| command.spawn())??))
    }

    pub fn talk(&mut self) -> Outcome<(ChildStdin, ChildStdout)> {
        Ok((self.0.stdin.take().ok_or("no standard input")?, self.0.stdout.take().ok_or("no standard output")?))
    }

    pub async fn end(mut self) -> Outcome {
        Ok(self.0.kill().await?)
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> Outcome {
        Command::new("kill").args(["-TERM", &self.id()?]).status().await?;
        self.0.wait().await?;
        Ok(())
    }

    /// The time on a CPU of all its threads.
    pub fn cpu(&self) -> Outcome<Duration> {
        cpu(&self.id()?)
    }

    /// `VmRSS`, `VmHWM` and the like, in bytes.
    pub fn memory(&self, field: &str) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
        let kibibytes = line.trim_start_matches(':').split_whitespace().next().ok_or("no number")?;
        Ok(kibibytes.parse::<u64>()? * 1024)
    }

    fn id(&self) -> Outcome<String> {
        Ok(self.0.id().ok_or("it has ended")?.to_string())
    }
}

/// The time on a CPU of all threads of process `id`.
pub fn cpu(id: &str) -> Outcome<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += text.split_whitespace().next().ok_or("no number")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
