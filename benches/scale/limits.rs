//! What upstreams allow within fixed windows of time.

use std::collections::HashMap;

/// Milliseconds since the simulation began.
pub type Time = u64;

pub const SECOND: Time = 1000;
pub const MINUTE: Time = 60 * SECOND;

/// So many requests in each window of time, counted for each key by itself. Refused ones count too.
pub struct Limit {
    most: u32,
    window: Time,
    counted: HashMap<u32, (Time, u32)>,
}

impl Limit {
    pub fn new(most: u32, window: Time) -> Self {
        Self { most, window, counted: HashMap::new() }
    }

    /// Counts a request of `key`. Refused, it says when the next window begins.
    pub fn take(&mut self, key: u32, now: Time) -> Result<(), Time> {
        let window = now / self.window;
        let (current, count) = self.counted.entry(key).or_insert((window, 0));
        // Of two invocations at once the later one may be looked at first.
        if window > *current {
            (*current, *count) = (window, 0);
        }
        *count += 1;
        if *count <= self.most { Ok(()) } else { Err((*current + 1) * self.window) }
    }
}
