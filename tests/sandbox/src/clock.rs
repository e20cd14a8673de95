//! The sandbox's wall clock, in the formats of its upstreams.

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;

/// Wall-clock time that follows tokio's clock from a given start.
#[derive(Clone, Debug)]
pub struct Clock {
    epoch: DateTime<Utc>,
    origin: Instant,
}

impl Clock {
    pub fn new(epoch: DateTime<Utc>) -> Self {
        Self { epoch, origin: Instant::now() }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.epoch + self.origin.elapsed()
    }

    /// RFC 3339 with milliseconds, as Glint and GitLab's REST API write it.
    pub fn stamp(&self) -> String {
        stamp(self.now())
    }
}

pub fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `2016-08-12 15:23:28 UTC`, as GitLab's hooks write it.
pub fn hook_stamp(time: DateTime<Utc>) -> String {
    time.naive_utc().format_with_items(HOOK_FORMAT.iter()).to_string()
}

const HOOK_FORMAT: [chrono::format::Item<'static>; 12] = {
    use chrono::format::{Item, Numeric, Pad};
    [
        Item::Numeric(Numeric::Year, Pad::Zero),
        Item::Literal("-"),
        Item::Numeric(Numeric::Month, Pad::Zero),
        Item::Literal("-"),
        Item::Numeric(Numeric::Day, Pad::Zero),
        Item::Literal(" "),
        Item::Numeric(Numeric::Hour, Pad::Zero),
        Item::Literal(":"),
        Item::Numeric(Numeric::Minute, Pad::Zero),
        Item::Literal(":"),
        Item::Numeric(Numeric::Second, Pad::Zero),
        Item::Literal(" UTC"),
    ]
};
