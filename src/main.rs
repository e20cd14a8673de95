//! The Lambda bootstrap: builds the [`App`] from the environment and gives it to the runtime.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use glint_gitlab_trigger::{
    App, Clock, Config, Failure, Invocation, LogLevel, init_logging, print_error, print_fatal, report_init_error,
    report_panics,
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, LambdaInvocation, Runtime, Service, service_fn};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{PooledClient, build_request};
use serde_json::value::RawValue;
use tokio::sync::SetOnce;
use tower_layer::layer_fn;

const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let level = LogLevel::parse(variable("AWS_LAMBDA_LOG_LEVEL").as_deref());
    report_panics(level, SystemTime::now);
    let has_runtime = std::env::var_os(RUNTIME_API).is_some();
    if !has_runtime {
        print_error(&format!(
            "error: this is a Lambda bootstrap, and `{RUNTIME_API}` names no Runtime API to take events from\n  \
             hint: `cargo run --example local` handles an event here, and `docs/deploy.md` says how to deploy"
        ));
    }
    let config = match Config::read(variable) {
        Ok(config) => config,
        Err(faults) => return refuse_to_start(&faults, level).await,
    };
    if !has_runtime {
        return ExitCode::FAILURE;
    }
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
        Err(error) = serve_invocations(Runtime::new(handler).layer(TracingLayer::new())) => {
            tracing::error!("the runtime ended: {error}");
            ExitCode::FAILURE
        }
        Ok(Err(fault)) = building => refuse_to_start(&fault, level).await,
    }
}

/// Builds the function and warms it up while the runtime waits for the first event.
async fn build(config: Config, built: Arc<SetOnce<Arc<App>>>) -> Result<(), String> {
    /// Lets the runtime request its first event before the clients are built.
    const HEAD_START: Duration = Duration::from_millis(1);
    tokio::time::sleep(HEAD_START).await;
    let clock: Clock = Arc::new(SystemTime::now);
    let app = App::new(config, clock)?;
    // Nobody else sets it.
    drop(built.set(Arc::clone(&app)));
    app.warm_up().await;
    Ok(())
}

/// Takes each invocation from the Runtime API and hands it to the layers of `runtime`.
///
/// [`Runtime::run`] ends the process where the client context or the Cognito identity that a caller sends is not of the shape that mobile
/// apps send. Neither is used here, so both are left out.
async fn serve_invocations<S: Service<LambdaInvocation, Response = (), Error = Error>>(
    runtime: Runtime<S>,
) -> Result<Infallible, Error> {
    const NEXT: &str = "/2018-06-01/runtime/invocation/next";
    const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
    const UNUSED: [&str; 2] = ["lambda-runtime-client-context", "lambda-runtime-cognito-identity"];
    // The runtime gives its service to a layer, and to nobody else.
    let taken = Cell::new(None);
    drop(runtime.layer(layer_fn(|service| {
        taken.set(Some(service));
        service_fn(|_: LambdaInvocation| ready(Ok::<(), Error>(())))
    })));
    let mut service = taken.take().expect("the layer was given the service");
    let api = PooledClient::builder().build();
    let config = Arc::new(lambda_runtime::Config::from_env());
    loop {
        let next = api.call(build_request().uri(NEXT).body(Body::empty())?).await?;
        let (mut parts, body) = next.into_parts();
        // An emulator that has no event yet.
        if parts.status == 204 {
            continue;
        }
        for name in UNUSED {
            parts.headers.remove(name);
        }
        let body = read(body).await?;
        let request_id = parts.headers.get(REQUEST_ID).ok_or("the Runtime API sent an event without a request id")?;
        let context = lambda_runtime::Context::new(request_id.to_str()?, Arc::clone(&config), &parts.headers)?;
        poll_fn(|waker| service.poll_ready(waker)).await?;
        service.call(LambdaInvocation { parts, body, context }).await?;
    }
}

/// The whole event, in memory of just its size: kept in pieces first, the largest would take twice as much.
async fn read(mut body: Incoming) -> Result<Bytes, Error> {
    const MAX_EXPECTED_BYTES: usize = 8 * 1024 * 1024;
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(MAX_EXPECTED_BYTES);
    let mut bytes = BytesMut::with_capacity(length.min(MAX_EXPECTED_BYTES));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// Ends the cold start. The log says why, and so does Lambda's response to the invocation that waits for it.
async fn refuse_to_start(why: &(dyn std::fmt::Display + Sync), level: LogLevel) -> ExitCode {
    let why = why.to_string();
    print_fatal(&why, level, SystemTime::now());
    if let Ok(api) = std::env::var(RUNTIME_API) {
        report_init_error(&api, &why).await;
    }
    ExitCode::FAILURE
}

fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic { error_type: failure.kind.to_owned(), error_message: failure.message }
}
