//! Turns action runs of Glint into GitLab pipelines, and reports each run to its end.
//!
//! # Modules, in the order in which a delivery meets them
//!
//! - `source`: one file per event source; each parses its event into deliveries and builds its response.
//! - `verify`: signatures of Glint's messages and of GitLab's hooks, and the token that ties a pipeline to its run.
//! - `trigger`: turns a run request into a trigger request, or a validation error. Pure: no clock, no IO.
//! - `gitlab`: client, look-up, webhook parser, responses and types.
//! - `glint`: client with its login, message parser, run types and responses.
//! - `outcome`: what happened; from it alone follows what Glint is told, what the source is told, what is logged and counted.
//! - `aws`: Secrets Manager (cached), SQS, and the adapter that lends them our HTTP client.
//! - `app`: handles one invocation, from event to response.
//!
//! `config` reads the settings, `telemetry` logs, counts and redacts, `http` sends requests, `retry` repeats what may be
//! repeated, `deadlines` holds every limit in time, `json` keeps JSON as it was sent. `fuzzing` is what the fuzz targets call, and part of
//! no release. `main` builds the [`App`] and hands it to the runtime.
//!
//! A webhook is a request of Glint; a hook is a request of GitLab.
//!
//! # What is deliberately absent
//!
//! There is no database: the queue is the timer, and Glint is the memory. There are no traits for the upstreams: their base URLs are the
//! seams, and the sandbox of the tests listens at the other end of them.
//!
//! # From an event to its response
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, SystemTime};
//!
//! use glint_gitlab_trigger::{App, Config, Invocation};
//! use serde_json::value::RawValue;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::read(|name| (name == "GITLAB_URL").then(|| "https://gitlab.example.com".to_owned()))?;
//! let app = App::new(config, Arc::new(SystemTime::now))?;
//!
//! // A browser opens the function URL.
//! let event = r#"{"rawPath": "/", "requestContext": {"http": {"method": "GET"}}}"#;
//! let event: &RawValue = serde_json::from_str(event)?;
//! let invocation = Invocation { deadline: SystemTime::now() + Duration::from_secs(45) };
//! let response = app.handle(event, invocation).await?;
//! assert!(response.get().contains(r#""statusCode":405"#), "{response}");
//! # Ok(())
//! # }
//! ```

mod app;
mod aws;
mod config;
mod deadlines;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gitlab;
mod glint;
mod http;
mod json;
mod outcome;
mod retry;
mod source;
mod telemetry;
mod trigger;
mod verify;

pub use app::{App, Clock, Failure, Invocation};
pub use aws::report_init_error;
pub use config::{Config, Faults, LogFormat, LogLevel, UserInputsAs, VARIABLES};
pub use telemetry::{init as init_logging, print_error, print_fatal, report_panics};
pub use verify::url_key;

// The figures send what the function sent through it, to tell what of an invocation's time its transport takes.
#[doc(hidden)]
pub use http::Http;
