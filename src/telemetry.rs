//! Log lines and metrics: the only place that prints.

mod metrics;
pub mod redaction;

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use lambda_runtime::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_runtime::tracing::subscriber::fmt::MakeWriter;
use lambda_runtime::tracing::subscriber::{
    Layer as _, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

pub use metrics::{Metric, Metrics};

use crate::config::{LogFormat, LogLevel};
use crate::telemetry::redaction::Redactor;

/// Removes what looks like a token from every printed line.
static TOKENS: LazyLock<Redactor> = LazyLock::new(|| Redactor::new([]));

/// Starts logging to standard output, as Lambda's logging controls say.
///
/// Only this crate's lines, and the span in which the runtime puts the request's ids: libraries print requests at their lower levels.
pub fn init(level: LogLevel, format: LogFormat) {
    let targets = Targets::new()
        .with_target("glint_gitlab_trigger", filter(level))
        .with_target("lambda_runtime", LevelFilter::INFO);
    let layer = fmt::layer().with_target(false).with_writer(Masked);
    let started = match format {
        LogFormat::Json => {
            registry().with(layer.json().flatten_event(true).with_span_list(false).with_filter(targets)).try_init()
        }
        LogFormat::Text => registry().with(layer.with_ansi(false).without_time().with_filter(targets)).try_init(),
    };
    // A second start, as in a test, changes nothing.
    drop(started);
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Fatal => LevelFilter::ERROR,
    }
}

/// Says why the function does not start, on standard error: there is no subscriber yet.
pub fn print_fatal(why: &str, level: LogLevel, now: SystemTime) {
    print_line(why, level, now);
}

/// Lets a panic, which the runtime or the batch survives, be one line that Lambda keeps at every level.
pub fn report_panics(level: LogLevel, now: fn() -> SystemTime) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let why = panic.payload_as_str().unwrap_or("without a message");
        print_line(&format!("panicked at {place}: {}", TOKENS.sanitize_line(why)), level, now());
    }));
}

/// Prints an error as text on standard error, for a person at a terminal.
pub fn print_error(text: &str) {
    eprintln!("{text}");
}

fn print_line(message: &str, set: LogLevel, now: SystemTime) {
    drop(writeln!(io::stderr().lock(), "{}", error_line(message, set, now)));
}

/// Lambda drops a line below the level that is set, and takes one without `level` or `timestamp` for `INFO`.
fn error_line(message: &str, set: LogLevel, now: SystemTime) -> String {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        timestamp: String,
        level: LogLevel,
        message: &'a str,
    }
    let message = &TOKENS.redact(message);
    let line = Line { timestamp: rfc3339(now), level: LogLevel::Error.at_least(set), message };
    serde_json::to_string(&line).unwrap_or_default()
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Prints one line of JSON for CloudWatch to read metrics from.
fn print(line: &str) {
    println!("{line}");
}

/// Standard output behind the redactor.
struct Masked;

impl<'a> MakeWriter<'a> for Masked {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl Write for Masked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The subscriber hands over whole lines.
        let line = std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        io::stdout().lock().write_all(TOKENS.redact(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_or_a_panic_is_one_line_that_passes_at_the_level_that_is_set() {
        for (set, level) in
            [("INFO", "ERROR"), ("warn", "ERROR"), ("ERROR", "ERROR"), ("FATAL", "FATAL"), ("?", "ERROR")]
        {
            let line =
                error_line("panicked:\n\"glptt-0123456789\"", LogLevel::parse(Some(set)), SystemTime::UNIX_EPOCH);
            let expected = format!(
                r#"{{"timestamp":"1970-01-01T00:00:00.000Z","level":"{level}","message":"panicked:\n\"[redacted]\""}}"#
            );
            assert_eq!(line, expected, "{set}");
        }
    }
}
