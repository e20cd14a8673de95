//! The main line, the rules of the house, and whether the documents tell the truth.

#[path = "../sandbox/mod.rs"]
mod sandbox;
#[path = "../support/mod.rs"]
mod support;

mod documents;
mod house_rules;
mod metrics_tell_all;
mod minimum_rust;
mod runs_become_pipelines;
mod sandbox_keeps_its_word;
mod settings;
