//! The one layer of retries inside an invocation; the queue is the other.
//!
//! Only for calls that may be repeated: idempotent ones, and those that provably never arrived.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::Instant;

/// How often a call is repeated before the queue has to.
const REPEATS: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(150);
/// A longer `Retry-After` is not waited for here: the queue waits cheaper.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What a failed call says about trying again.
pub trait Retry {
    /// `None`: never. Otherwise the least time to wait, which may be nothing.
    fn after(&self) -> Option<Duration>;
    /// The failure that stands for a deadline that came first.
    fn out_of_time() -> Self;
}

/// Calls until it succeeds, fails for good, or `by` is reached, with jittered back-off in between.
pub async fn retry<T, E: Retry, F: Future<Output = Result<T, E>>>(
    by: Instant,
    call: impl FnMut() -> F,
) -> Result<T, E> {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_times(REPEATS).with_jitter();
    let repeated = call.retry(pauses).when(|error: &E| error.after().is_some_and(|least| least <= LONGEST_PAUSE));
    let repeated = repeated
        .adjust(|error: &E, pause: Option<Duration>| pause.map(|pause| pause.max(error.after().unwrap_or_default())));
    tokio::time::timeout_at(by, repeated).await.unwrap_or_else(|_| Err(E::out_of_time()))
}

/// The wait that an answer asks for: `Retry-After` in seconds or as an HTTP date, else on a 429 Glint's
/// `x-ratelimit-reset`, which every answer of Glint carries and only this one means.
///
/// Glint's documents say that the reset is an epoch time, its Terraform provider that it is a number of seconds: the size tells.
pub fn asked_wait(
    status: u16,
    headers: &reqwest::header::HeaderMap,
    now: chrono::DateTime<chrono::Utc>,
) -> Option<Duration> {
    const NO_EPOCH: i64 = 1_000_000_000;
    const LONGEST: i64 = 12 * 3600;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let until = |epoch: i64| epoch.saturating_sub(now.timestamp());
    let retry_after = text("retry-after").and_then(|text| {
        let date = || chrono::DateTime::parse_from_rfc2822(text).ok().map(|date| until(date.timestamp()));
        text.parse::<i64>().ok().or_else(date)
    });
    let reset = || {
        if status != 429 {
            return None;
        }
        let number: i64 = text("x-ratelimit-reset")?.parse().ok()?;
        Some(if number < NO_EPOCH { number } else { until(number) })
    };
    retry_after
        .or_else(reset)
        .filter(|seconds| *seconds >= 0)
        .map(|seconds| Duration::from_secs(seconds.min(LONGEST).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn waits_are_read_in_every_spelling() {
        let now = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (name, value, expected) in [
            ("retry-after", "7", Some(7)),
            ("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT", Some(30)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "99999999999", Some(43_200)),
            ("x-ratelimit-reset", "12", Some(12)),
            ("x-ratelimit-reset", "1700000009", Some(9)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(asked_wait(429, &headers, now), expected.map(Duration::from_secs), "{name}: {value}");
            let without_limit = expected.filter(|_| name == "retry-after").map(Duration::from_secs);
            assert_eq!(asked_wait(503, &headers, now), without_limit, "{name}: {value}");
        }
    }
}
