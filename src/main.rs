//! The Lambda bootstrap: builds the [`App`] from the environment and gives it to the runtime.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use glint_gitlab_trigger::app::{App, Clock, Failure, Invocation};
use glint_gitlab_trigger::config::Config;
use glint_gitlab_trigger::telemetry;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = Config::read(|name| std::env::var(name).ok());
    let config = match config {
        Ok(config) => config,
        Err(faults) => return refuse_to_start(&faults),
    };
    telemetry::init(config.log_level.as_deref(), config.log_format);
    let clock: Clock = Arc::new(SystemTime::now);
    let app = match App::new(config, clock) {
        Ok(app) => app,
        Err(fault) => return refuse_to_start(&fault),
    };
    let warm_up = Arc::clone(&app);
    tokio::spawn(async move { warm_up.warm_up().await });
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let app = Arc::clone(&app);
        async move {
            let invocation = Invocation { deadline: event.context.deadline() };
            Box::pin(app.handle(&event.payload, invocation)).await.map_err(diagnostic)
        }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the runtime ended: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the cold start: Lambda shows the message and the exit.
fn refuse_to_start(why: &dyn std::fmt::Display) -> ExitCode {
    telemetry::fatal(why);
    ExitCode::FAILURE
}

fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic { error_type: failure.kind.to_owned(), error_message: failure.words }
}
