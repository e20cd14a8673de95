//! The local example shows every file of `events/` for what it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;

/// The example's program. `cargo test` builds it; a run of this binary alone does not.
fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_glint-gitlab-trigger")).with_file_name("examples").join("local");
    assert!(built.exists(), "the example is not built\n  hint: cargo build --example local");
    built
}

fn play(arguments: &[&str]) -> String {
    let output = Command::new(program()).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}\n{errors}");
    printed
}

#[rstest]
#[case::check("check", "together: ok")]
#[case::direct("direct", r#""outcome":"Started""#)]
#[case::eventbridge("eventbridge", r#""outcome":"Started""#)]
#[case::gitlab_hook("gitlab-hook", "status     SUCCESS")]
#[case::gitlab_hook_failed("gitlab-hook-failed", "status     FAILURE")]
#[case::http_api("http-api", "label      GitLab pipeline created")]
#[case::kafka("kafka", "label      GitLab pipeline created")]
#[case::kafka_msk("kafka-msk", "label      GitLab pipeline created")]
#[case::secret_input("secret-input", r#""outcome":"Started""#)]
#[case::sns("sns", r#""outcome":"Started""#)]
#[case::sqs("sqs", r#""batchItemFailures":[]"#)]
#[case::sqs_eventbridge("sqs-eventbridge", r#""batchItemFailures":[]"#)]
#[case::sqs_fifo_batch("sqs-fifo-batch", r#"{"batchItemFailures":[{"itemIdentifier":"#)]
#[case::sqs_sns("sqs-sns", r#""batchItemFailures":[]"#)]
#[case::sweep("sweep", "status     SUCCESS")]
#[case::webhook("webhook", "label      GitLab pipeline created")]
#[case::webhook_project("webhook-project", "label      GitLab pipeline created")]
fn every_event_is_played(#[case] event: &str, #[case] shown: &str) {
    let printed = play(&[&format!("events/{event}.json")]);
    assert!(printed.contains(shown), "`{shown}` is not shown:\n{printed}");
    assert!(!printed.contains("glptt-"), "a token is shown:\n{printed}");
}

#[test]
fn a_lost_answer_is_played_to_its_end() {
    let printed = play(&["--lost-answer"]);
    for shown in ["Waiting for GitLab to confirm", "look a pipeline up", "external   gl_"] {
        assert!(printed.contains(shown), "`{shown}` is not shown:\n{printed}");
    }
    assert_eq!(printed.matches(" in GitLab\n").count(), 1, "one pipeline:\n{printed}");
}

#[test]
fn a_webhook_whose_answer_is_lost_has_one_attempt() {
    let printed = play(&["--lost-answer", "events/webhook.json"]);
    for shown in ["no answer", "look a pipeline up", r#"\"outcome\":\"Started\""#] {
        assert!(printed.contains(shown), "`{shown}` is not shown:\n{printed}");
    }
    assert!(!printed.contains("the next attempt"), "Glint does not repeat a webhook:\n{printed}");
}

#[test]
fn only_what_failed_is_played_a_second_time() {
    let printed = play(&["--lost-answer", "events/sqs-fifo-batch.json"]);
    let (_, second) = printed.split_once("the next attempt").expect("a second attempt");
    assert!(!second.contains("GET /v1/actions/runs/r_Fb03cS9NoBz4Mf1y"), "this run was started:\n{second}");
}

#[test]
fn every_event_is_listed_and_played() {
    let listed = play(&["--list"]);
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let line = listed.lines().find(|line| line.split(' ').next() == Some(&format!("events/{name}")));
        let purpose = line.and_then(|line| line.split_once(' ')).map_or("", |(_, purpose)| purpose.trim());
        assert!(!purpose.is_empty(), "`examples/local/events.rs` does not say what `events/{name}` is");
        let case = format!("(\"{}\", ", name.trim_end_matches(".json"));
        assert!(include_str!("examples.rs").contains(&case), "`every_event_is_played` has no case for `events/{name}`");
    }
}
