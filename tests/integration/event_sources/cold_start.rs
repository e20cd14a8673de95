//! Settings that cannot be used stop the cold start, all of them named in one message.

use chrono::DateTime;
use serde_json::Value;

use crate::support::Function;
use sandbox::Sandbox;

const WRONG: [(&str, &str); 10] = [
    ("GITLAB_URL", "http://gitlab.example.com"),
    ("GLINT_API_URL", "https://user:hunter2@api.example.com"),
    ("ESCAPE_DOLLAR", "maybe"),
    ("USER_INPUTS_AS", "environment"),
    ("MAX_RECEIVES", "0"),
    ("SECRETS_TTL_SECONDS", "-1"),
    ("RUNS_QUEUE_URL", "runs.fifo"),
    ("DEAD_LETTER_QUEUE_ARN", "runs-dead"),
    ("ALLOW_VARIABLES", "GOOD, $BAD"),
    ("DEPLOYMENT_IDENTIFIER", "{service"),
];

/// How a binary with these settings ends, and what it says then.
async fn refused(settings: &[(&str, &str)]) -> String {
    let sandbox = Sandbox::start().await;
    let mut function = Function::spawn(&sandbox, settings);
    let (code, printed) = function.ended().await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(sandbox.journal.calls().is_empty(), "nothing is asked for");
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let line: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(DateTime::parse_from_rfc3339(line["timestamp"].as_str().unwrap()).is_ok(), "{line}");
    let message = line["message"].as_str().unwrap().to_owned();
    let told = sandbox.runtime.init_error().unwrap();
    assert_eq!(
        (told["errorMessage"].as_str(), told["errorType"].as_str()),
        (Some(message.as_str()), Some("Runtime.InvalidConfiguration"))
    );
    message
}

#[tokio::test]
async fn every_fault_is_in_one_message_with_its_variable_and_a_hint() {
    let printed = refused(&WRONG).await;
    assert!(printed.starts_with("10 of the function's settings cannot be used\n"), "{printed}");
    for (variable, _) in WRONG {
        assert_eq!(printed.matches(&format!("`{variable}`")).count(), 1, "{variable}: {printed}");
    }
    assert_eq!(printed.matches("  hint: ").count(), WRONG.len(), "{printed}");
    assert_eq!(printed.lines().count(), 1 + 2 * WRONG.len(), "nothing else: {printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[tokio::test]
async fn each_fault_alone_is_enough() {
    for setting in WRONG {
        let printed = refused(&[setting]).await;
        assert!(printed.starts_with("1 of the function's settings"), "{setting:?}: {printed}");
        assert!(printed.contains(&format!("`{}`", setting.0)), "{setting:?}: {printed}");
    }
}

#[tokio::test]
async fn a_certificate_file_that_is_not_there_stops_it_too() {
    let printed = refused(&[("SSL_CERT_FILE", "/nowhere/roots.pem")]).await;
    assert!(printed.contains("`SSL_CERT_FILE`") && printed.contains("hint: "), "{printed}");
}

#[tokio::test]
async fn right_settings_in_every_spelling_start_it() {
    let sandbox = Sandbox::start().await;
    let settings = [
        ("GITLAB_URL", "https://gitlab.example.com/sub/path/"),
        ("ESCAPE_DOLLAR", "TRUE"),
        ("USER_INPUTS_AS", "Inputs"),
        ("MAX_RECEIVES", " 1 "),
        ("SECRETS_TTL_SECONDS", "0"),
        ("RUNS_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/runs.fifo"),
        ("DEAD_LETTER_QUEUE_ARN", "arn:aws:sqs:eu-west-1:123456789012:runs-dead.fifo"),
        ("ALLOW_VARIABLES", "AWS_REGION, CI_DEBUG_TRACE,"),
        ("DEPLOYMENT_BLUEPRINT", ""),
    ];
    let mut function = Function::start(&sandbox, &settings).await;
    assert!(function.kill().await.is_empty() && sandbox.runtime.init_error().is_none());
}
