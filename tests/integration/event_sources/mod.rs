//! Every way in: who gets through, what reaches GitLab then, and what the caller is told.

mod ways;

mod by_path;
mod check;
mod cold_start;
mod economy;
mod every_event;
mod faithful;
mod forgeries;
mod genuine;
mod handover;
mod plan;
mod queue;
mod replies;
mod secret_inputs;
mod tokens;
mod topic;
