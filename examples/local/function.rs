//! The function in a process of its own, as in Lambda: its log and metrics are its output.

use std::error::Error;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::{App, Config, Invocation, init_logging};
use sandbox::{Sandbox, scene};
use serde_json::value::RawValue;
use tokio::process::Command;

/// Names the file with the event; where it is set, this process is the function.
pub const EVENT: &str = "LOCAL_EXAMPLE_EVENT";
/// What the template gives an invocation.
const TIMEOUT: Duration = Duration::from_secs(45);

/// What came of one event.
pub struct Invoked {
    /// What the function printed: its log lines and its metrics.
    pub log: String,
    /// Its response, or why the invocation failed.
    pub response: Result<String, String>,
}

/// Runs the function once, in a new process.
pub async fn invoke(sandbox: &Sandbox, event: &str) -> Result<Invoked, Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("glint-gitlab-trigger-{}.json", std::process::id()));
    std::fs::write(&file, event)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env_clear().envs(sandbox.env()).envs(scene::SETTINGS).env(EVENT, &file);
    command.env("AWS_LAMBDA_LOG_FORMAT", "Text").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await;
    drop(std::fs::remove_file(&file));
    let output = output?;
    let response = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Invoked { log, response: if output.status.success() { Ok(response) } else { Err(response) } })
}

/// The function's side: handles the event, and prints the response on standard error.
pub async fn handle_event() -> ExitCode {
    match handle().await {
        Ok(response) => {
            eprintln!("{}", response.get());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn handle() -> Result<Box<RawValue>, Box<dyn Error>> {
    let event = std::fs::read_to_string(std::env::var(EVENT)?)?;
    let config = Config::read(|name| std::env::var(name).ok())?;
    init_logging(config.log_level, config.log_format);
    let app = App::new(config, Arc::new(SystemTime::now))?;
    let payload: &RawValue = serde_json::from_str(&event)?;
    let invocation = Invocation { deadline: SystemTime::now() + TIMEOUT };
    Ok(app.handle(payload, invocation).await?)
}
