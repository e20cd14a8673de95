//! Counts and durations of one invocation, printed as one document in CloudWatch's embedded metric format.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::config::LogLevel;

const NAMESPACE: &str = "GlintGitLabTrigger";

/// Everything that is measured. The names are the metrics' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Metric {
    RunsStarted,
    RunsDuplicate,
    RunsIgnored,
    RunsInvalid,
    RunsRejected,
    RunsDeferred,
    /// Runs that were ended with the reason, since there is no further attempt.
    RunsGivenUp,
    RunsUnreported,
    /// Queued reports that reached Glint.
    RunsReported,
    RunsUnconfirmed,
    RunsFinished,
    RunsProgressed,
    RunsEnqueued,
    RunsUnreadable,
    RunsUnauthenticated,
    /// Dead letters whose run was ended in Glint.
    RunsDeadLettered,
    /// Faults that only the operator can fix: secrets that are missing, denied or unusable.
    OperatorFaults,
    /// Claims that Glint's answer did not show.
    ClaimsNotKept,
    Panics,
    SecretReads,
    GlintFaults,
    GitLabFaults,
    SecretsManagerFaults,
    /// From the user's click in Glint to the pipeline.
    ClickToPipeline,
    GlintLatency,
    GitLabLatency,
}

impl Metric {
    fn unit(self) -> &'static str {
        if matches!(self, Self::ClickToPipeline | Self::GlintLatency | Self::GitLabLatency) {
            "Milliseconds"
        } else {
            COUNT
        }
    }
}

const COUNT: &str = "Count";

/// Older clicks are not measured.
const MAX_CLICK_AGE: Duration = Duration::from_secs(86_400);

/// The most values that CloudWatch takes of one metric in one document.
const MAX_VALUES: usize = 100;

/// Collects; shared by all deliveries of an invocation.
#[derive(Debug, Default)]
pub struct Metrics {
    values: Mutex<BTreeMap<Metric, Vec<u64>>>,
}

impl Metrics {
    /// Counts one.
    pub fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    /// Counts `number`, unless it is nothing.
    pub fn add(&self, metric: Metric, number: u64) {
        if number > 0 {
            let mut values = self.values.lock().expect("no panic while the lock is held");
            let sum = values.entry(metric).or_insert_with(|| vec![0]);
            sum[0] += number;
        }
    }

    /// Adds a duration. A click on another day says nothing of speed: its message waited for a person or an outage, or is a replay.
    pub fn time(&self, metric: Metric, duration: Duration) {
        if metric == Metric::ClickToPipeline && duration >= MAX_CLICK_AGE {
            return;
        }
        let millis = duration.as_millis().try_into().unwrap_or(u64::MAX);
        let mut values = self.values.lock().expect("no panic while the lock is held");
        let list = values.entry(metric).or_default();
        if list.len() < MAX_VALUES {
            list.push(millis);
        }
    }

    /// Prints what was collected, unless that is nothing, in a line that Lambda keeps where its log level is `set`.
    pub fn print(&self, function_name: &str, set: LogLevel, now: SystemTime) {
        if let Some(document) = self.document(function_name, set, now) {
            super::print(&document);
        }
    }

    /// The document; `None` where nothing was collected.
    pub fn document(&self, function_name: &str, set: LogLevel, now: SystemTime) -> Option<String> {
        let values = self.values.lock().expect("no panic while the lock is held");
        if values.is_empty() {
            return None;
        }
        let level = LogLevel::Info.at_least(set);
        serde_json::to_string(&Document { values: &values, function_name, level, now }).ok()
    }
}

/// Written at the end of every invocation, so straight into text.
struct Document<'a> {
    values: &'a BTreeMap<Metric, Vec<u64>>,
    function_name: &'a str,
    level: LogLevel,
    now: SystemTime,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Aws<'a> {
            timestamp: u64,
            cloud_watch_metrics: [Directive<'a>; 1],
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Directive<'a> {
            namespace: &'a str,
            dimensions: [[&'a str; 1]; 1],
            metrics: Vec<Definition>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Definition {
            name: Metric,
            unit: &'static str,
        }
        const DIMENSION: &str = "FunctionName";
        let millis = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let metrics = self.values.keys().map(|metric| Definition { name: *metric, unit: metric.unit() }).collect();
        let directive = Directive { namespace: NAMESPACE, dimensions: [[DIMENSION]], metrics };
        let timestamp = millis.try_into().unwrap_or_default();
        let mut document = serializer.serialize_map(None)?;
        document.serialize_entry("_aws", &Aws { timestamp, cloud_watch_metrics: [directive] })?;
        // Without these two Lambda takes the line for `INFO`, and drops it, and with it every alarm, where a higher level is set.
        document.serialize_entry("level", &self.level)?;
        document.serialize_entry("timestamp", &super::rfc3339(self.now))?;
        document.serialize_entry(DIMENSION, self.function_name)?;
        for (metric, list) in self.values {
            match (metric.unit(), list.as_slice()) {
                (COUNT, [count, ..]) => document.serialize_entry(metric, count)?,
                (_, durations) => document.serialize_entry(metric, durations)?,
            }
        }
        document.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn one_document_holds_counts_and_durations() {
        let metrics = Metrics::default();
        assert_eq!(metrics.document("f", LogLevel::Info, SystemTime::UNIX_EPOCH), None);
        metrics.count(Metric::RunsStarted);
        metrics.count(Metric::RunsStarted);
        metrics.time(Metric::GlintLatency, Duration::from_millis(7));
        let document: Value =
            serde_json::from_str(&metrics.document("f", LogLevel::Info, SystemTime::UNIX_EPOCH).unwrap()).unwrap();
        assert_eq!((&document["RunsStarted"], &document["GlintLatency"]), (&json!(2), &json!([7])));
        assert_eq!(
            document["_aws"]["CloudWatchMetrics"][0]["Metrics"][1],
            json!({ "Name": "GlintLatency", "Unit": "Milliseconds" })
        );
    }
}
