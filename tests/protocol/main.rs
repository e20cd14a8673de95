//! No run lost, no pipeline twice: whatever fails, whenever it fails.

#[path = "../sandbox/mod.rs"]
mod sandbox;
#[path = "../support/mod.rs"]
mod support;

mod history;
mod many_faults;
mod single_faults;
