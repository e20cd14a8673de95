//! The world a test starts in, and the verbs it uses.

mod builder;
mod client;
mod function;
mod hooks;
mod world;

pub use builder::{Builder, HOOK_SECRET, HOOK_TOKEN, Handling, READ_SECRET, READ_TOKEN, borrowed, furnish};
pub use client::plain_client;
pub use function::{Function, invoke};
pub use hooks::{FINAL, hook_request, json_body};
pub use world::{World, app};

pub use sandbox::samples::{message, redelivered, sqs_event};
pub use sandbox::signing;

pub const CLIENT_SECRET: &str = "glint-sandbox-client-secret-0123456789";
pub const TOKEN: &str = "glptt-0123456789abcdef0123456789abcdef01234567";
pub const PROJECT: &str = "acme/backend/billing";
