//! Every way in: who gets through, what reaches GitLab then, and what the caller is told.

pub mod ways;
mod what_people_send;

mod as_the_agent;
mod by_path;
mod check;
mod cold_start;
mod connections;
mod direct;
mod economy;
mod every_event;
mod faithful;
mod forgeries;
mod genuine;
mod handover;
mod odd_records;
mod plan;
mod public_fixtures;
mod queue;
mod replies;
mod secret_inputs;
mod tokens;
mod topic;
