//! The Lambda bootstrap: builds the [`App`] from the environment and gives it to the runtime.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::{
    App, Clock, Config, Failure, Invocation, LogLevel, init_logging, print_fatal, report_init_error, report_panics,
};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::sync::SetOnce;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let level = LogLevel::parse(variable("AWS_LAMBDA_LOG_LEVEL").as_deref());
    report_panics(level, SystemTime::now);
    let config = match Config::read(variable) {
        Ok(config) => config,
        Err(faults) => return refuse_to_start(&faults, level).await,
    };
    init_logging(level, config.log_format);
    let app = Arc::new(SetOnce::new());
    let building = tokio::spawn(build(config, Arc::clone(&app)));
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let app = Arc::clone(&app);
        async move {
            let invocation = Invocation { deadline: event.context.deadline() };
            Box::pin(app.wait().await.handle(&event.payload, invocation)).await.map_err(diagnostic)
        }
    });
    tokio::select! {
        ended = lambda_runtime::run(handler) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("the runtime ended: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(Err(fault)) = building => refuse_to_start(&fault, level).await,
    }
}

/// Builds the function and warms it up while the runtime waits for the first event.
async fn build(config: Config, built: Arc<SetOnce<Arc<App>>>) -> Result<(), String> {
    /// Until then the request for the first event is out: nothing here should hold it up.
    const HEAD_START: Duration = Duration::from_millis(1);
    tokio::time::sleep(HEAD_START).await;
    let clock: Clock = Arc::new(SystemTime::now);
    let app = App::new(config, clock)?;
    // Nobody else sets it.
    drop(built.set(Arc::clone(&app)));
    app.warm_up().await;
    Ok(())
}

/// Ends the cold start. The log says why, and so does Lambda's own report of the invocation that waits for it.
async fn refuse_to_start(why: &(dyn std::fmt::Display + Sync), level: LogLevel) -> ExitCode {
    let why = why.to_string();
    print_fatal(&why, level, SystemTime::now());
    if let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") {
        report_init_error(&api, &why).await;
    }
    ExitCode::FAILURE
}

fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic { error_type: failure.kind.to_owned(), error_message: failure.message }
}
