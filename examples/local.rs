//! The function at work, on a real event, with nothing to install and no account:
//!
//!     cargo run --example local [-- events/FILE.json]
//!
//! GitLab, Glint and Secrets Manager are the sandbox of `tests/sandbox`, over real HTTP on loopback. The event is taken as it is, but for
//! signatures of webhooks, which have to be young and are made afresh. Every project that it names has a token, and every run is there.

#[path = "local/messages.rs"]
mod messages;
#[path = "local/prepare.rs"]
mod prepare;
#[path = "local/report.rs"]
mod report;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::app::{App, Clock, Failure, Invocation};
use glint_gitlab_trigger::config::{Config, LogFormat};
use glint_gitlab_trigger::telemetry;
use sandbox::Sandbox;
use serde_json::value::RawValue;

const FORGOTTEN: &str = include_str!("../events/direct.json");

/// What the template gives an invocation.
const TIME: Duration = Duration::from_secs(45);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "events/sqs.json".to_owned());
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("the event `{path}` cannot be read: {error}\n  hint: run this where `Cargo.toml` is, and name a file of `events/`")
    })?;
    let sandbox = Sandbox::start().await;
    let event =
        prepare::prepare(&sandbox, &text).map_err(|error| format!("the event `{path}` is not JSON: {error}"))?;
    let environment = prepare::environment(&sandbox);
    let config = Config::read(|name| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()))?;
    let clock: Clock = Arc::new(SystemTime::now);
    let app = App::new(config, clock)?;
    if prepare::is_sweep(&event) {
        // There must be something to sweep: a run whose pipeline ended, and whose hook never came.
        prepare::prepare(&sandbox, FORGOTTEN)?;
        handle(&app, FORGOTTEN).await?;
        sandbox.gitlab.finish(sandbox.gitlab.pipelines()[0].id, "success");
        sandbox.journal.clear();
    }
    report::print_header(&path, &sandbox);
    telemetry::init(telemetry::Level::Info, LogFormat::Text);
    let answer = handle(&app, &event).await;
    report::print_result(&sandbox, answer);
    Ok(())
}

async fn handle(app: &Arc<App>, event: &str) -> Result<Box<RawValue>, Failure> {
    let payload: &RawValue = serde_json::from_str(event).expect("the prepared event is JSON");
    app.handle(payload, Invocation { deadline: SystemTime::now() + TIME }).await
}
