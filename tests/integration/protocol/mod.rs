//! No run lost, no pipeline twice: whatever fails, whenever it fails.

mod batches;
mod burst;
mod claims;
mod deadlines;
mod duplicates;
mod foreign_writes;
mod history;
mod kill_points;
mod labels_and_lines;
mod lesser_glints;
mod many_faults;
mod random;
mod rotation;
mod runs_queue;
mod second_pipelines;
mod single_faults;
mod soak;
mod unlucky_runs;
mod unread;
mod wrong_ends;
