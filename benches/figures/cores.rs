//! One core for what is measured, and another for the sandbox, as GitLab, Glint and AWS are other machines.
//!
//! Where the scheduler is left to choose, it may put both on one core, or wake an idle one for every answer: that alone halves the time of a
//! round trip or doubles it, and it does not choose alike for the two sides of a ratio.

use std::sync::LazyLock;

use core_affinity::CoreId;

use super::Outcome;

/// Ours and the measured core, as the system numbers them; `None` where there is only one, or it does not tell.
static CORES: LazyLock<Option<(CoreId, CoreId)>> = LazyLock::new(|| match core_affinity::get_core_ids()?.as_slice() {
    // The first is the one that most interrupts go to.
    [first, .., last] => Some((*first, *last)),
    _ => None,
});

/// Keeps this thread, and those that it starts, off the measured core. Whether there is one.
pub fn keep_off() -> Outcome<bool> {
    let Some((ours, _)) = *CORES else { return Ok(false) };
    pin(ours).map(|()| true)
}

/// Starts a process on the measured core, where there is one.
pub fn on_measured<T>(start: impl FnOnce() -> T) -> Outcome<T> {
    let Some((ours, measured)) = *CORES else { return Ok(start()) };
    // A process inherits the core of the thread that starts it.
    pin(measured)?;
    let started = start();
    pin(ours)?;
    Ok(started)
}

fn pin(core: CoreId) -> Outcome {
    if core_affinity::set_for_current(core) { Ok(()) } else { Err("no core can be chosen".into()) }
}
