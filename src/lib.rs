//! Turns action runs of Glint into GitLab pipelines, and reports each run to its end.
//!
//! # Modules, in the order in which a delivery meets them
//!
//! - [`source`]: one file per event source; each parses its event into deliveries and builds its response.
//! - [`verify`]: signatures of Glint's messages and of GitLab's hooks, and the token that ties a pipeline to its run.
//! - [`trigger`]: turns a run request into a trigger request, or a validation error. Pure: no clock, no IO.
//! - [`gitlab`]: client, look-up, webhook parser, responses and types.
//! - [`glint`]: client with its login, message parser, run types and responses.
//! - [`outcome`]: what happened; from it alone follows what Glint is told, what the source is told, what is logged and counted.
//! - [`aws`]: Secrets Manager (cached), SQS, and the adapter that lends them our HTTP client.
//! - [`app`]: handles one invocation, from event to response.
//!
//! [`config`] reads the settings, [`telemetry`] logs, counts and redacts, [`http`] sends requests, [`retry`] repeats what may be
//! repeated, [`json`] keeps JSON as it was sent. `main` builds the [`app::App`] and hands it to the runtime.
//!
//! A webhook is a request of Glint; a hook is a request of GitLab.
//!
//! # What is deliberately absent
//!
//! There is no database: the queue is the timer, and Glint is the memory. There are no traits for the upstreams: their base URLs are the
//! seams, and the sandbox of the tests listens at the other end of them.

pub mod app;
pub mod aws;
pub mod config;
pub mod deadlines;
pub mod gitlab;
pub mod glint;
pub mod http;
pub mod json;
pub mod outcome;
pub mod retry;
pub mod source;
pub mod telemetry;
pub mod trigger;
pub mod verify;
