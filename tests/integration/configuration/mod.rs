//! What operators store, misspell or half-configure, and the one sentence that they read of it.

mod at_start;
mod certificates;
mod credentials;
mod log_levels;
mod other_secrets;
mod stored;
mod table;
mod trigger_tokens;
