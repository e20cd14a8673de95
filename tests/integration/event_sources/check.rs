//! `{"check": true}`: what works and what does not, without a secret, and with nothing created.

use serde_json::{Value, json};

use crate::event_sources::ways::{ask, webhook, webhook_to};
use crate::support::{CLIENT_SECRET, PROJECT, TOKEN, World};
use sandbox::{Call, Fault, Upstream};

const LEDGER: &str = "acme/backend/ledger";

async fn checked(world: &World, event: &Value) -> Value {
    let answer = world.handle(event).await.unwrap();
    let text = answer.to_string();
    for secret in [CLIENT_SECRET, TOKEN, "glptt-", "eyJ", "glpat-"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(world.sandbox.gitlab.pipelines().is_empty(), "nothing is created");
    let lines = answer["checks"].as_array().unwrap();
    assert_eq!(answer["ok"], lines.iter().all(|line| line["ok"] == true), "{answer:#}");
    assert!(lines.iter().all(|line| (line["ok"] == true) != line["hint"].is_string()), "{answer:#}");
    answer
}

/// The names of what does not work.
fn faults(answer: &Value) -> Vec<String> {
    let lines = answer["checks"].as_array().unwrap().iter();
    lines.filter(|line| line["ok"] == false).map(|line| line["check"].as_str().unwrap().to_owned()).collect()
}

fn check() -> Value {
    json!({ "check": true })
}

#[tokio::test]
async fn a_sound_deployment_is_told_so_line_by_line() {
    let world = World::new().await;
    let answer = checked(&world, &check()).await;
    assert_eq!(answer["ok"], true, "{answer:#}");
    let names: Vec<&str> =
        answer["checks"].as_array().unwrap().iter().map(|line| line["check"].as_str().unwrap()).collect();
    println!("{names:?}");
    for name in [
        "secret `glint/credentials`",
        "Glint login",
        "clock",
        "secret `glint/gitlab-trigger-tokens`",
        "project `acme/backend/billing`",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(world.sandbox.glint.runs().is_empty());
    let triggers = world.sandbox.journal.of(Call::Trigger);
    assert_eq!((triggers.len(), triggers[0].status), (1, Some(400)));
}

#[tokio::test]
async fn each_fault_is_named_alone() {
    type Breaking = fn(&World);
    let table: [(&str, Breaking, &[&str]); 9] = [
        ("no Glint secret", |world| world.sandbox.secrets.delete("glint/credentials"), &["secret `glint/credentials`"]),
        (
            "a denied Glint secret",
            |world| world.sandbox.secrets.deny("glint/credentials"),
            &["secret `glint/credentials`"],
        ),
        (
            "half a Glint secret",
            |world| world.sandbox.secrets.put("glint/credentials", r#"{"clientId":"x"}"#),
            &["secret `glint/credentials`"],
        ),
        ("refused credentials", |world| world.sandbox.glint.rotate_secret("another"), &["Glint login"]),
        (
            "no token secret",
            |world| world.sandbox.secrets.delete("glint/gitlab-trigger-tokens"),
            &["secret `glint/gitlab-trigger-tokens`"],
        ),
        (
            "a token secret that is no JSON",
            |world| world.sandbox.secrets.put("glint/gitlab-trigger-tokens", TOKEN),
            &["secret `glint/gitlab-trigger-tokens`"],
        ),
        (
            "a token that GitLab refuses",
            |world| world.sandbox.gitlab.rotate_token(PROJECT, "glptt-newer"),
            &["project `acme/backend/billing`"],
        ),
        (
            "a project that is gone",
            |world| {
                world
                    .sandbox
                    .secrets
                    .put("glint/gitlab-trigger-tokens", json!({ PROJECT: TOKEN, LEDGER: TOKEN }).to_string());
            },
            &["project `acme/backend/ledger`"],
        ),
        (
            "a GitLab that fails",
            |world| world.sandbox.fail(Call::Trigger).every().with(Fault::status(500)),
            &["project `acme/backend/billing`"],
        ),
    ];
    for (name, breaks, expected) in table {
        let world = World::new().await;
        breaks(&world);
        let answer = checked(&world, &check()).await;
        assert_eq!(faults(&answer), expected, "{name}: {answer:#}");
    }
}

#[tokio::test]
async fn a_clock_that_would_fail_signatures_is_named() {
    for (seconds, expected) in [(0, vec![]), (-90, vec!["clock"]), (90, vec!["clock"])] {
        let world = World::builder().frozen_clock().start().await;
        world.pass(seconds);
        let answer = world.handle(&check()).await.unwrap();
        assert_eq!(faults(&answer), expected, "{seconds} seconds: {answer:#}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_named() {
    for (upstream, expected) in
        [(Upstream::GitLab, vec!["project `acme/backend/billing`"]), (Upstream::Glint, vec!["Glint login"])]
    {
        let mut world = World::new().await;
        world.time = std::time::Duration::from_millis(2500);
        let _down = world.sandbox.refuse(upstream);
        let answer = checked(&world, &check()).await;
        assert_eq!(faults(&answer), expected, "{upstream:?}: {answer:#}");
    }
}

#[tokio::test]
async fn projects_can_be_asked_for_by_name() {
    let world = World::new().await;
    world.sandbox.gitlab.project(LEDGER).token("glptt-ledger");
    world.sandbox.secrets.put(
        "glint/gitlab-trigger-tokens",
        json!({ PROJECT: TOKEN, "acme_backend_ledger": "glptt-ledger" }).to_string(),
    );
    let asked = json!({ "check": true, "projects": [LEDGER, "acme/backend/unknown", "nonsense"] });
    let answer = checked(&world, &asked).await;
    assert_eq!(faults(&answer), ["project `acme/backend/unknown`", "project `nonsense`"], "{answer:#}");
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1, "only what has a token is tried");
    let line = answer["checks"].as_array().unwrap().iter().find(|line| line["check"] == "project `nonsense`");
    assert_eq!(line.unwrap()["detail"], "it names no group", "{answer:#}");
}

#[tokio::test]
async fn each_project_shows_what_the_url_of_a_webhook_action_ends_in() {
    let world = World::builder().branches(&["of-the-url"]).start().await;
    let asked = json!({ "check": true, "projects": [PROJECT, format!("{PROJECT}?ref=of-the-url"), LEDGER] });
    let answer = checked(&world, &asked).await;
    let url = |name: &str| {
        let mut lines = answer["checks"].as_array().unwrap().iter();
        lines.find(|line| line["check"] == format!("project `{name}`")).unwrap()["url"].as_str().map(str::to_owned)
    };
    assert_eq!(url(LEDGER), None, "it has no token: {answer:#}");
    for (run, name, expected) in
        [("r_1", PROJECT.to_owned(), "main"), ("r_2", format!("{PROJECT}?ref=of-the-url"), "of-the-url")]
    {
        let url = url(&name).unwrap();
        let (path, query) = url.split_once('?').unwrap();
        world.sandbox.glint.run(run);
        let body = json!({ "port_context": { "runId": run }, "service": "billing" }).to_string();
        let (status, reply) = ask(&world, &webhook_to(&world, path, query, &body)).await;
        assert_eq!((status, &reply["outcome"]), (200, &json!("Started")), "{url}: {reply}");
        assert_eq!(world.sandbox.gitlab.pipelines().last().unwrap().r#ref, expected, "{url}");
    }
}

#[tokio::test]
async fn one_secret_for_each_project_is_checked_by_name() {
    let world = World::builder().settings(&[("GITLAB_TOKENS_SECRET_ID", "gitlab/{project}")]).start().await;
    world.sandbox.secrets.put(&format!("gitlab/{PROJECT}"), TOKEN);
    let answer = checked(&world, &json!({ "check": true, "projects": [PROJECT, LEDGER] })).await;
    assert_eq!(faults(&answer), [format!("project `{LEDGER}`")], "{answer:#}");
}

#[tokio::test]
async fn further_secrets_are_checked_where_they_are_set() {
    let settings = [("GITLAB_HOOK_SECRET_ID", "glint/gitlab-hook"), ("GITLAB_READ_SECRET_ID", "glint/gitlab-read")];
    let world = World::builder().settings(&settings).start().await;
    // Nobody has stored them: hooks are refused and nothing is looked up, as if they were not set.
    assert_eq!(faults(&checked(&world, &check()).await), [""; 0]);
    let world = World::builder().settings(&settings).start().await;
    world.sandbox.secrets.put("glint/gitlab-hook", "{}");
    world.sandbox.secrets.put("glint/gitlab-read", "glpat-reader");
    assert_eq!(faults(&checked(&world, &check()).await), ["hook secret".to_owned(), format!("look-up in `{PROJECT}`")]);
}

#[tokio::test]
async fn only_a_direct_invoke_can_ask() {
    let world = World::new().await;
    let queued = world.queue(&[&check().to_string()]).await;
    assert_eq!(queued, [0], "on a queue it is a message without a run");
    let (status, body) = ask(&world, &webhook(&world, &check().to_string())).await;
    assert_eq!((status, &body["outcome"]), (400, &json!("Unreadable")));
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0);
    assert!(
        world
            .handle(&json!({ "check": true, "projects": 7 }))
            .await
            .unwrap_err()
            .message
            .contains("the check cannot be read")
    );
}
