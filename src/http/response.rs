//! A response, with the server's time and the wait that it asks for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// The server's own clock.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        Some(DateTime::parse_from_rfc2822(self.text("date")?).ok()?.to_utc())
    }

    /// The wait that it asks for: `Retry-After` in seconds or as an HTTP date, else on a 429 Glint's `x-ratelimit-reset`,
    /// which every answer of Glint carries and only this one means. At most an hour, and `None` where it asks for none.
    ///
    /// Glint's documents say that the reset is an epoch time, its Terraform provider that it is a number of seconds:
    /// the size tells.
    pub fn retry_after(&self) -> Option<Duration> {
        const NO_EPOCH: i64 = 1_000_000_000;
        const MAX_LENGTH: i64 = 3600;
        let until = |epoch: i64| Some(epoch.saturating_sub(self.date()?.timestamp()));
        let retry_after = || {
            let text = self.text("retry-after")?;
            let date = || until(DateTime::parse_from_rfc2822(text).ok()?.timestamp());
            text.parse().ok().or_else(date)
        };
        let reset = || {
            let number: i64 = self.text("x-ratelimit-reset").filter(|_| self.status == 429)?.parse().ok()?;
            if number < NO_EPOCH { Some(number) } else { until(number) }
        };
        let seconds = retry_after().or_else(reset).filter(|seconds| *seconds > 0)?;
        Some(Duration::from_secs(seconds.min(MAX_LENGTH).unsigned_abs()))
    }

    fn text(&self, header: &str) -> Option<&str> {
        self.headers.get(header)?.to_str().ok().map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    #[test]
    fn waits_are_read_in_every_spelling() {
        for (name, value, expected) in [
            ("retry-after", "7", Some(7)),
            ("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT", Some(30)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "0", None),
            ("retry-after", "99999999999", Some(3600)),
            ("x-ratelimit-reset", "12", Some(12)),
            ("x-ratelimit-reset", "1700000009", Some(9)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("date", HeaderValue::from_static("Tue, 14 Nov 2023 22:13:20 GMT"));
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            let mut answer = Response { status: 429, headers, body: Vec::new() };
            assert_eq!(answer.retry_after(), expected.map(Duration::from_secs), "{name}: {value}");
            answer.status = 503;
            let without_limit = expected.filter(|_| name == "retry-after").map(Duration::from_secs);
            assert_eq!(answer.retry_after(), without_limit, "{name}: {value}");
        }
    }

    #[test]
    fn a_date_is_no_wait_where_the_server_tells_no_time() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("Tue, 14 Nov 2023 22:13:50 GMT"));
        assert_eq!(Response { status: 503, headers, body: Vec::new() }.retry_after(), None);
    }
}
