//! The metrics document: CloudWatch's embedded metric format, and one count for every outcome.

use serde_json::{Value, json};

use crate::support::{Function, furnish, invoke, message, sqs_event};
use sandbox::{Reply, Sandbox};

const CREDENTIALS: &str = "glint/credentials";
const TOKENS: &str = "glint/gitlab-trigger-tokens";

/// The metrics documents that a function printed.
fn documents(printed: &str) -> Vec<Value> {
    printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.get("_aws").is_some())
        .collect()
}

/// What AWS's specification of the format asks of a document, as far as this one can break it.
fn assert_is_embedded_metric_format(document: &Value) {
    let metadata = document["_aws"].as_object().expect("`_aws` is an object");
    assert!(metadata["Timestamp"].as_u64().is_some_and(|millis| millis > 1_700_000_000_000), "{document}");
    let directives = metadata["CloudWatchMetrics"].as_array().expect("a list of directives");
    for directive in directives {
        assert!(directive["Namespace"].as_str().is_some_and(|name| (1..=1024).contains(&name.len())), "{document}");
        for dimensions in directive["Dimensions"].as_array().unwrap() {
            for dimension in dimensions.as_array().unwrap() {
                assert!(
                    document[dimension.as_str().unwrap()].is_string(),
                    "a dimension is a member, and a string: {document}"
                );
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()), "{document}");
        for metric in metrics {
            let value = &document[metric["Name"].as_str().unwrap()];
            let numbers = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
            assert!((1..=100).contains(&numbers.len()) && numbers.iter().all(Value::is_number), "{metric}: {document}");
            assert!(matches!(metric["Unit"].as_str(), Some("Count" | "Milliseconds")), "{document}");
        }
    }
}

#[tokio::test]
async fn a_mixed_batch_is_counted_by_outcome_in_one_document() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.glint.run("r_starts");
    sandbox.glint.run("r_ended").status("SUCCESS");
    sandbox.glint.run("r_waits").status("WAITING_FOR_APPROVAL");
    sandbox.glint.run("r_refused");
    sandbox.glint.run("r_rejected");
    let with = |run: &str, place: &str, value: Value| {
        let mut message = message(run);
        *message.pointer_mut(place).unwrap() = value;
        message.to_string()
    };
    let bodies = [
        message("r_starts").to_string(),
        message("r_ended").to_string(),
        message("r_waits").to_string(),
        message("r_unknown").to_string(),
        with("r_refused", "/payload/properties", json!({ "CI_JOB_TOKEN": "x" })),
        with("r_rejected", "/payload/properties", json!({ "ref": "no-such-branch" })),
        "not json".to_owned(),
    ];
    let mut function = Function::start(&sandbox, &[("AWS_LAMBDA_LOG_FORMAT", "JSON")]).await;
    let event = sqs_event(&bodies.each_ref().map(String::as_str), 1);
    let Reply::Response(_) = invoke(&sandbox, event).await else { panic!("no response") };
    let printed = function.kill().await;
    let documents = documents(&printed);
    assert_eq!(documents.len(), 1, "one document for one invocation: {printed}");
    assert_is_embedded_metric_format(&documents[0]);
    for name in ["Started", "Duplicate", "Deferred", "Ignored", "Invalid", "Rejected", "Unreadable"] {
        assert_eq!(documents[0][format!("Runs{name}")], json!(1), "{name}: {}", documents[0]);
        let lines = printed.lines().filter(|line| line.contains(&format!("\"outcome\":\"{name}\""))).count();
        assert_eq!(lines, 1, "{name} is logged once: {printed}");
    }
    assert_eq!(documents[0]["FunctionName"], json!("glint-gitlab-trigger"));
}

/// Whether the operator's faults are counted as one run is delivered.
async fn counts_operator_faults(arrange: fn(&Sandbox)) -> bool {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    arrange(&sandbox);
    sandbox.glint.run("r_1");
    let mut function = Function::start(&sandbox, &[]).await;
    let Reply::Response(_) = invoke(&sandbox, sqs_event(&[&message("r_1").to_string()], 1)).await else {
        panic!("no response")
    };
    documents(&function.kill().await).iter().any(|document| document["OperatorFaults"].as_u64().is_some())
}

#[tokio::test]
async fn what_only_the_operator_can_change_is_counted_as_such() {
    type Arrange = fn(&Sandbox);
    let table: [(&str, Arrange, bool); 9] = [
        ("a sound set-up", |_| {}, false),
        ("credentials that Glint refuses", |sandbox| sandbox.glint.rotate_secret("another"), true),
        ("no credentials", |sandbox| sandbox.secrets.delete(CREDENTIALS), true),
        ("credentials that may not be read", |sandbox| sandbox.secrets.deny(CREDENTIALS), true),
        ("credentials that are none", |sandbox| sandbox.secrets.put(CREDENTIALS, "{}"), true),
        ("no trigger tokens", |sandbox| sandbox.secrets.delete(TOKENS), true),
        ("trigger tokens that are none", |sandbox| sandbox.secrets.put(TOKENS, "x"), true),
        // Any user may name a project that nobody set up.
        ("another project's token", |sandbox| sandbox.secrets.put(TOKENS, r#"{"acme/other":"glptt-x"}"#), false),
        (
            "an identity that AWS does not accept for now",
            |sandbox| {
                sandbox.secrets.refuse(CREDENTIALS, "ExpiredTokenException", "expired");
            },
            false,
        ),
    ];
    for (name, arrange, expected) in table {
        assert_eq!(counts_operator_faults(arrange).await, expected, "{name}");
    }
}
