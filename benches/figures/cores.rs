//! One core for what is measured, and another for the sandbox, as the upstreams of a function are other machines.
//!
//! Where the scheduler is left to choose, it may put both on one core, or wake an idle one for every answer: that alone halves the time of a
//! round trip or doubles it, and it does not choose alike for the two sides of a ratio.

use std::sync::LazyLock;

use core_affinity::CoreId;

/// The measured core and ours; `None` where there is only one, or the system does not tell.
static CORES: LazyLock<Option<(CoreId, CoreId)>> = LazyLock::new(|| match core_affinity::get_core_ids()?.as_slice() {
    [first, .., last] => Some((*first, *last)),
    _ => None,
});

/// Keeps this thread, and those that it starts, off the measured core. Whether there is one.
pub fn keep_off() -> bool {
    CORES.is_some_and(|(_, ours)| core_affinity::set_for_current(ours))
}

/// Starts a process on the measured core.
pub fn on_measured<T>(start: impl FnOnce() -> T) -> T {
    // A process inherits the core of the thread that starts it.
    if let Some((measured, _)) = *CORES {
        core_affinity::set_for_current(measured);
    }
    let started = start();
    keep_off();
    started
}
