//! The loop closes: what GitLab says of a pipeline becomes what Glint shows of its run.

mod deaths;
mod entities;
mod failures;
mod large;
mod matching;
mod overlaps;
mod proofs;
mod races;
mod silence;
mod statuses;
mod sweeps;
