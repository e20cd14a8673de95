//! An exhaustive model of the protocol that starts a run's pipeline once and brings the run to its end.
//!
//! It knows one run in Glint, one pipeline in GitLab, up to two messages, a report, a hook, the sweep and somebody else who writes to the run.
//! Every order of their steps is tried, with a kill or a fault at each. `docs/protocol.md` says what follows from it.

mod attempt;
mod checker;
mod glint;
mod left_out;
mod other_glints;
mod outside;
mod promises;
mod state;
mod world;
