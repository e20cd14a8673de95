//! The whole function against the sandbox: what an event comes to at GitLab, in Glint, and for whoever sent it.

mod support;

mod abuse;
mod configuration;
mod event_sources;
mod examples;
mod hooks;
mod main_line;
mod metrics;
mod model;
mod protocol;
mod repository;
mod sandbox_behavior;
