//! An action run of Glint becomes a GitLab pipeline, and the pipeline's end becomes the run's end.
//!
//! # The way through the house
//!
//! A delivery meets the modules in this order:
//!
//! - [`event`] recognises which source called, splits its payload into deliveries, and at the end answers that source;
//! - [`signature`] proves that a delivery is genuine, over its raw bytes;
//! - [`message`] reads Glint's message into a [`run`], [`hook`] GitLab's hook into the progress of a [`pipeline`]: the two nouns;
//! - [`plan`] decides which trigger to send, or refuses: pure, no clock, no IO;
//! - [`gitlab`] sends it, with the token that [`secrets`] keeps;
//! - [`outcome`] says what happened, and from that alone what Glint is told, what the source is told, and what is counted;
//! - [`glint`] is told, in the sentences of [`words`];
//! - [`queue`] takes what has to wait;
//! - [`app`] is that journey in order, and `main` only builds it.
//!
//! Beside the way: [`config`] reads the settings, [`telemetry`] prints, [`retry`] repeats what may be repeated, [`redact`] keeps secrets out
//! of foreign words, [`json`] keeps JSON as it was sent, [`entity`] draws up the deployment entity.
//!
//! # What is deliberately absent
//!
//! There is no database: the queue is the timer, and Glint is the memory. There are no traits for the upstreams: their base URLs are the
//! seams, and `tests/sandbox` stands at the other end of them.

pub mod event;

pub mod signature;

pub mod hook;
pub mod message;
pub mod pipeline;
pub mod run;

pub mod plan;

pub mod gitlab;
pub mod secrets;

pub mod glint;
pub mod outcome;
pub mod words;

pub mod queue;

pub mod app;

pub mod config;
pub mod credentials;
pub mod entity;
pub mod json;
pub mod redact;
pub mod retry;
pub mod telemetry;

mod aws;
mod http;
mod percent;
