//! Everything that needs nothing but Rust, in one binary: the sandbox stands at the other end of every connection.

#[path = "../sandbox/mod.rs"]
mod sandbox;

#[path = "../support/mod.rs"]
mod support;

mod runs_become_pipelines;
mod sandbox_keeps_its_word;
