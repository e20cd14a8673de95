//! Log lines and metrics: the only place that prints.

mod metrics;
pub mod redaction;

use std::io::{self, Write};
use std::sync::LazyLock;

use lambda_runtime::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_runtime::tracing::subscriber::fmt::MakeWriter;
use lambda_runtime::tracing::subscriber::{
    Layer as _, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

pub use metrics::{Metric, Metrics, NAMESPACE};

use crate::config::LogFormat;
use crate::telemetry::redaction::Redactor;

/// Hides what looks like a token: the last line of defence of all that is printed.
static TOKENS: LazyLock<Redactor> = LazyLock::new(|| Redactor::new([]));

/// Starts logging to standard output, as Lambda's logging controls say.
///
/// Only this crate's lines, and the span in which the runtime puts the request's ids: libraries print requests at their lower levels.
pub fn init(level: Option<&str>, format: LogFormat) {
    let level = match level.map(str::to_ascii_lowercase).as_deref() {
        Some("fatal") => LevelFilter::ERROR,
        Some(word) => word.parse().unwrap_or(LevelFilter::INFO),
        None => LevelFilter::INFO,
    };
    let targets =
        Targets::new().with_target("glint_gitlab_trigger", level).with_target("lambda_runtime", LevelFilter::INFO);
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

/// Says why the function does not start, on standard error: there is no subscriber yet.
pub fn fatal(why: &dyn std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{}", TOKENS.redact(&why.to_string())));
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
        io::stdout().lock().write_all(TOKENS.redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}
