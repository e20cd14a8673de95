//! Inputs that no table holds, for property tests. `PROPTEST_CASES` says how many: a long run is
//! `PROPTEST_CASES=1000000 cargo test --release properties`.

use proptest::prelude::*;
use proptest::test_runner::Config;

/// As many cases as `PROPTEST_CASES` says. What once failed becomes a test with a name, not a line in a file.
pub fn config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}

/// Text as it comes: mostly of the characters that mean something somewhere.
pub fn hostile_text() -> impl Strategy<Value = String> {
    let characters = prop::sample::select(
        "/\\.%#?@:;&=+ $`'\"<>{}[]()*^~|!,-_\0\n\r\t\u{1b}\u{7f}\u{85}\u{202e}\u{feff}éあ😀aZ09"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop_oneof![
        3 => prop::collection::vec(characters, 0..24).prop_map(String::from_iter),
        1 => any::<String>(),
        1 => "[a-zA-Z0-9_.-]{1,12}(/[a-zA-Z0-9_.-]{1,12}){0,4}",
    ]
}

/// Any JSON, its objects with names that mean something to this function among others.
pub fn json() -> impl Strategy<Value = String> {
    let name = prop_oneof![prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), hostile_text(),];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_filter("JSON has no infinity", |value| value.is_finite()).prop_map(|value| value.to_string()),
        Just("1e999999".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        hostile_text().prop_map(|text| serde_json::json!(text).to_string()),
        prop::sample::select(NAMES.to_vec()).prop_map(|text| serde_json::json!(text).to_string()),
    ];
    leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| format!("{}:{value}", serde_json::json!(name)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

const NAMES: [&str; 40] = [
    "Records",
    "records",
    "eventSource",
    "aws:sqs",
    "aws:kafka",
    "body",
    "messageId",
    "Sns",
    "Message",
    "TopicArn",
    "MessageAttributes",
    "detail",
    "detail-type",
    "topic",
    "partition",
    "offset",
    "value",
    "timestamp",
    "requestContext",
    "rawPath",
    "headers",
    "X-Port-Signature",
    "X-Port-Timestamp",
    "context",
    "runId",
    "payload",
    "action",
    "properties",
    "invocationMethod",
    "groupName",
    "projectName",
    "pipelineVariables",
    "censoredProperties",
    "userInputs",
    "port_payload",
    "port_context",
    "check",
    "sweep",
    "http",
    "diff",
];
