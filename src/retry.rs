//! Retries calls inside an invocation. Between invocations the queue retries.
//!
//! Only for calls that may be repeated: idempotent ones, and those that provably never arrived.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::Instant;

use crate::deadlines::{FIRST_RETRY_DELAY, MAX_RETRIES, MAX_RETRY_DELAY};

/// What a failed call says about trying again.
pub trait Retry {
    /// `None`: never. Otherwise the least time to wait, which may be nothing.
    fn after(&self) -> Option<Duration>;
    /// The failure that stands for a deadline that came first.
    fn out_of_time() -> Self;
}

/// Calls until it succeeds, fails for good, or `deadline` is reached, with jittered back-off in between.
pub async fn retry<T, E: Retry, F: Future<Output = Result<T, E>>>(
    deadline: Instant,
    call: impl FnMut() -> F,
) -> Result<T, E> {
    let pauses =
        ExponentialBuilder::default().with_min_delay(FIRST_RETRY_DELAY).with_max_times(MAX_RETRIES).with_jitter();
    let repeated = call.retry(pauses).when(|error: &E| error.after().is_some_and(|least| least <= MAX_RETRY_DELAY));
    let repeated = repeated
        .adjust(|error: &E, pause: Option<Duration>| pause.map(|pause| pause.max(error.after().unwrap_or_default())));
    tokio::time::timeout_at(deadline, repeated).await.unwrap_or_else(|_| Err(E::out_of_time()))
}
