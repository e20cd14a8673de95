//! The loop closes: what GitLab says of a pipeline becomes what Glint shows of its run.

mod deaths;
mod entities;
mod failures;
mod large;
mod matching;
mod old_claims;
mod outputs;
mod overlaps;
mod proofs;
mod races;
mod silence;
mod state_matrix;
mod statuses;
mod sweep_rules;
mod sweeps;
mod waiting;
