//! The report of the check: one line for each thing.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json;

/// `ok` where everything works.
#[derive(Debug)]
pub struct CheckReport {
    pub ok: bool,
    pub checks: Vec<CheckResult>,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
pub struct CheckResult {
    pub ok: bool,
    pub check: String,
    pub detail: String,
    /// What a webhook action's URL may end in: path and query with the key that proves them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What to change, where it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl CheckResult {
    pub fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { ok: true, check: check.into(), detail: detail.into(), url: None, hint: None }
    }

    pub fn failed(check: impl Into<String>, detail: impl ToString, hint: impl Into<String>) -> Self {
        Self { ok: false, check: check.into(), detail: detail.to_string(), url: None, hint: Some(hint.into()) }
    }
}

impl CheckReport {
    pub fn new(checks: Vec<CheckResult>) -> Self {
        Self { ok: checks.iter().all(|line| line.ok), checks }
    }

    pub fn faults(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|line| !line.ok)
    }

    /// The report as JSON, each check in a line of its own: the console and the AWS CLI show it as it comes.
    pub fn to_json(&self) -> Box<RawValue> {
        let lines: Vec<String> = self.checks.iter().map(json::to_text).collect();
        let text = format!("{{\"ok\": {}, \"checks\": [\n  {}\n]}}\n", self.ok, lines.join(",\n  "));
        RawValue::from_string(text).expect("it is made of JSON")
    }
}
