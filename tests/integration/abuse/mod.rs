//! Hostile inputs: nothing reaches GitLab that should not, neighbours go on, and every refusal says what to change.

mod refusals;
mod secrets;

mod hosts;
mod leaks;
mod projects;
mod refs;
mod signatures;
mod sizes;
mod strange_answers;
mod urls;
mod values;
mod variables;
