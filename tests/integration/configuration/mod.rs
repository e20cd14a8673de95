//! What operators store, misspell or half-configure, and the one sentence that they read of it.

mod at_start;
mod certificates;
mod log_levels;
mod stored;
mod table;
