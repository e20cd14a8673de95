//! What Lambda keeps at each log level that it offers.

use chrono::DateTime;
use serde_json::{Value, json};

use crate::support::{Function, furnish, invoke, message, sqs_event};
use sandbox::{Reply, Sandbox};

const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// The lines that pass AWS's filter at `level`: one without a valid `level`, or without a `timestamp` in RFC 3339, counts as INFO.
fn kept(printed: &str, level: &str) -> Vec<Value> {
    let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
    let rank_of = |line: &Value| {
        let is_timed = line["timestamp"].as_str().is_some_and(|time| DateTime::parse_from_rfc3339(time).is_ok());
        line["level"].as_str().filter(|_| is_timed).and_then(rank).or(rank("INFO"))
    };
    let lines = printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!({ "message": line })));
    lines.filter(|line| rank_of(line) >= rank(level)).collect()
}

fn settings(level: &str) -> [(&str, &str); 2] {
    [("AWS_LAMBDA_LOG_LEVEL", level), ("AWS_LAMBDA_LOG_FORMAT", "JSON")]
}

#[tokio::test]
async fn the_metrics_document_passes_at_every_level() {
    for level in LEVELS {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        sandbox.glint.run("r_1");
        sandbox.secrets.delete("glint/gitlab-trigger-tokens");
        let mut function = Function::start(&sandbox, &settings(level)).await;
        let reply = invoke(&sandbox, sqs_event(&[&message("r_1").to_string()], 1)).await;
        assert!(matches!(reply, Reply::Response(_)));
        let printed = function.kill().await;
        let kept = kept(&printed, level);
        let document = kept.iter().find(|line| line.get("_aws").is_some());
        let document = document.unwrap_or_else(|| panic!("{level}: {printed}"));
        assert_eq!((&document["OperatorFaults"], &document["RunsInvalid"]), (&json!(1), &json!(1)), "{level}");
    }
}

#[tokio::test]
async fn a_fault_at_start_passes_at_every_level() {
    for level in LEVELS {
        let sandbox = Sandbox::start().await;
        let settings = [settings(level).as_slice(), &[("MAX_RECEIVES", "0")]].concat();
        let (_, printed) = Function::spawn(&sandbox, &settings).ended().await;
        let kept = kept(&printed, level);
        assert_eq!(kept.len(), 1, "{level}: {printed}");
        assert!(kept[0]["message"].as_str().unwrap().contains("`MAX_RECEIVES`"), "{level}: {printed}");
    }
}
