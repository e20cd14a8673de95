//! Counts and durations of one invocation, printed as one document in CloudWatch's embedded metric format.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::outcome::Outcome;

pub const NAMESPACE: &str = "GlintGitLabTrigger";

/// Everything that is measured. The names are the metrics' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    RunsStarted,
    RunsDuplicate,
    RunsIgnored,
    RunsRefused,
    RunsRejected,
    RunsDeferred,
    RunsUnreported,
    RunsUnconfirmed,
    RunsFinished,
    RunsFollowed,
    RunsHandedOver,
    RunsUnreadable,
    RunsUnproven,
    /// Dead letters whose run was ended in Glint.
    RunsDeadLettered,
    /// Runs that were failed in Glint since there is no further try.
    RunsGivenUp,
    /// Refusals that only the operator can mend: secrets that are missing, denied or unusable.
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
    /// The metric that counts `outcome`.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Started(_) => Self::RunsStarted,
            Outcome::Duplicate => Self::RunsDuplicate,
            Outcome::Ignored(_) => Self::RunsIgnored,
            Outcome::Refused(_) => Self::RunsRefused,
            Outcome::Rejected(_) => Self::RunsRejected,
            Outcome::Deferred(_) => Self::RunsDeferred,
            Outcome::Unreported { .. } => Self::RunsUnreported,
            Outcome::Unconfirmed(_) => Self::RunsUnconfirmed,
            Outcome::Finished(_) => Self::RunsFinished,
            Outcome::Followed(_) => Self::RunsFollowed,
            Outcome::HandedOver => Self::RunsHandedOver,
            Outcome::Unreadable { .. } => Self::RunsUnreadable,
            Outcome::Unproven(_) => Self::RunsUnproven,
        }
    }

    fn unit(self) -> &'static str {
        if matches!(self, Self::ClickToPipeline | Self::GlintLatency | Self::GitLabLatency) {
            "Milliseconds"
        } else {
            "Count"
        }
    }
}

/// The most values that CloudWatch takes of one metric in one document.
const MOST_VALUES: usize = 100;

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

    /// Adds a duration.
    pub fn time(&self, metric: Metric, duration: Duration) {
        let millis = duration.as_millis().try_into().unwrap_or(u64::MAX);
        let mut values = self.values.lock().expect("no panic while the lock is held");
        let list = values.entry(metric).or_default();
        if list.len() < MOST_VALUES {
            list.push(millis);
        }
    }

    /// Prints what was collected, unless that is nothing.
    pub fn print(&self, function_name: &str, now: SystemTime) {
        if let Some(document) = self.document(function_name, now) {
            super::print(&document.to_string());
        }
    }

    /// The document; `None` where nothing was collected.
    pub fn document(&self, function_name: &str, now: SystemTime) -> Option<Value> {
        let values = self.values.lock().expect("no panic while the lock is held");
        if values.is_empty() {
            return None;
        }
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let names: Vec<Value> =
            values.keys().map(|metric| json!({ "Name": format!("{metric:?}"), "Unit": metric.unit() })).collect();
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": names });
        let mut document = Map::new();
        document.insert(
            "_aws".to_owned(),
            json!({ "Timestamp": u64::try_from(millis).unwrap_or_default(), "CloudWatchMetrics": [directive] }),
        );
        document.insert("FunctionName".to_owned(), json!(function_name));
        for (metric, list) in values.iter() {
            let value = if metric.unit() == "Count" { json!(list[0]) } else { json!(list) };
            document.insert(format!("{metric:?}"), value);
        }
        Some(Value::Object(document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_holds_counts_and_durations() {
        let metrics = Metrics::default();
        assert_eq!(metrics.document("f", SystemTime::UNIX_EPOCH), None);
        metrics.count(Metric::RunsStarted);
        metrics.count(Metric::RunsStarted);
        metrics.time(Metric::GlintLatency, Duration::from_millis(7));
        let document = metrics.document("f", SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((&document["RunsStarted"], &document["GlintLatency"]), (&json!(2), &json!([7])));
        assert_eq!(
            document["_aws"]["CloudWatchMetrics"][0]["Metrics"][1],
            json!({ "Name": "GlintLatency", "Unit": "Milliseconds" })
        );
    }
}
