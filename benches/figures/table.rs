//! The table, and the few statistics in it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Rows in the order in which they were measured; each is also told at once.
#[derive(Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    /// A figure that is told as it is.
    pub fn figure(&mut self, name: &str, value: impl Display) {
        self.push(name, value.to_string(), String::new());
    }

    /// A figure that has to keep below `most`, or above.
    pub fn barred(&mut self, name: &str, value: impl Display, bar: impl Display, kept: bool) {
        self.push(name, value.to_string(), format!("{bar}: {}", if kept { "kept" } else { "MISSED" }));
    }

    fn push(&mut self, name: &str, value: String, bar: String) {
        eprintln!("{name}: {value}{}{bar}", if bar.is_empty() { "" } else { "; " });
        self.0.push([name.to_owned(), value, bar]);
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| figure | value | bar |\n|---|---|---|")?;
        for [name, value, bar] in &self.0 {
            writeln!(formatter, "| {name} | {value} | {bar} |")?;
        }
        Ok(())
    }
}

pub fn median(values: &[Duration]) -> Duration {
    percentile(values, 50)
}

pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn ms(duration: Duration) -> String {
    format!("{:.2} ms", millis(duration))
}

/// How often `of` fits into `what`.
pub fn ratio(what: Duration, of: Duration) -> f64 {
    what.as_secs_f64() / of.as_secs_f64()
}
