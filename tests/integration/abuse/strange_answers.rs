//! Whatever GitLab answers, the run ends in one of the ways that the status allows, is told in few words, and waits within bounds.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{TOKEN, World, message, sqs_event};
use sandbox::arbitrary::{config, hostile_text, json};
use sandbox::{Call, Fault};

fn body() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        hostile_text(),
        Just(format!("bad {TOKEN}")),
        Just("Too many pipelines created in the last minute".to_owned())
    ];
    let member = (
        prop::sample::select(vec!["message", "error", "error_description", "base", "id", "web_url"]),
        prop_oneof![words.clone().prop_map(|text| serde_json::json!(text).to_string()), json()],
    );
    let object = prop::collection::vec(member, 0..4).prop_map(|members| {
        let members = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    });
    prop_oneof![3 => object, 1 => words, 1 => json()]
}

/// One run that gets this answer at its last receive: how it ended, and what was said of it.
async fn ended(world: &World, number: usize, status: u16, body: &str) -> (String, String) {
    let run = format!("r_{number}");
    world.sandbox.glint.run(&run);
    world.sandbox.fail(Call::Trigger).with(Fault::status_with(status, body));
    let reply = world.handle(&sqs_event(&[&message(&run).to_string()], 20)).await.unwrap();
    world.sandbox.heal();
    let state = world.run(&run);
    world.sandbox.journal.clear();
    world.sandbox.glint.run(&run).forget();
    (
        state.status,
        format!(
            "{}{}{:?}{reply}",
            state.summary.unwrap_or_default(),
            state.status_label.unwrap_or_default(),
            state.link
        ),
    )
}

#[test]
fn no_answer_of_gitlab_is_too_strange() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let statuses = prop_oneof![
        prop::sample::select(vec![
            200_u16, 201, 202, 204, 301, 307, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503
        ]),
        200..600_u16
    ];
    let number = std::cell::Cell::new(0);
    let result = TestRunner::new(config()).run(&(statuses, body()), |(status, body)| {
        number.set(number.get() + 1);
        let (ended, told) = runtime.block_on(ended(&world, number.get(), status, &body));
        prop_assert_eq!(
            ended,
            if status == 201 && told.contains("gl_") { "IN_PROGRESS" } else { "FAILURE" },
            "{}: {}: {}",
            status,
            body,
            told
        );
        prop_assert!(told.len() < 2000, "{}: {}", status, told);
        prop_assert!(!told.contains(&TOKEN[..8]), "{}: {}: {}", status, body, told);
        prop_assert!(
            !told.contains(|character: char| character.is_control() && character != '\n'),
            "{}: {:?}",
            status,
            told
        );
        Ok(())
    });
    result.unwrap();
}

/// What may stand in `Retry-After`: numbers, dates, and what looks like them.
fn retry_after() -> impl Strategy<Value = String> {
    let date = |at: i32| chrono::DateTime::from_timestamp(at.into(), 0).unwrap().to_rfc2822();
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0..100_000_i64).prop_map(|number| number.to_string()),
        "[0-9+.-]{0,25}",
        any::<i32>().prop_map(date),
        "[ -~]{0,20}",
    ]
}

/// For how many seconds the queue is asked to hide a run that GitLab throttles so.
async fn hidden(world: &World, number: usize, retry_after: &str) -> i64 {
    let run = format!("r_{number}");
    world.sandbox.glint.run(&run);
    world.sandbox.fail(Call::Trigger).with(Fault::throttled(retry_after));
    assert_eq!(world.queue(&[&message(&run).to_string()]).await, [0]);
    let hidden = world.sandbox.journal.of(Call::ChangeVisibility)[0].json()["VisibilityTimeout"].as_i64();
    world.sandbox.journal.clear();
    world.sandbox.glint.run(&run).forget();
    hidden.unwrap()
}

#[test]
fn no_wait_is_shorter_than_a_minute_or_much_longer_than_an_hour() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let sandbox = sandbox::Sandbox::start().await;
        crate::support::furnish(&sandbox);
        let queue = sandbox.queue.url();
        let arn = sandbox.queue.arn();
        assert!(arn.ends_with(":runs.fifo"), "{arn}");
        World::builder().settings(&[("RUNS_QUEUE_URL", &queue)]).around(sandbox)
    });
    let number = std::cell::Cell::new(0);
    let result = TestRunner::new(config()).run(&retry_after(), |text| {
        number.set(number.get() + 1);
        let seconds = runtime.block_on(hidden(&world, number.get(), &text));
        prop_assert!((60..=3660).contains(&seconds), "{:?}: {}", text, seconds);
        if let Ok(asked @ 1..=3600) = text.trim().parse::<i64>() {
            prop_assert!((asked.max(60)..=asked.max(60) + 60).contains(&seconds), "{:?}: {}", text, seconds);
        }
        Ok(())
    });
    result.unwrap();
}
