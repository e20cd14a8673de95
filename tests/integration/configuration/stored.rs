//! Values as consoles, editors and pipes leave them, and secrets that appear later.

use serde_json::json;

use super::table::{faults, play};
use crate::support::{CLIENT_SECRET, PROJECT, READ_TOKEN, TOKEN, furnish};
use sandbox::Sandbox;

const CREDENTIALS: &str = "glint/credentials";
const TOKENS: &str = "glint/gitlab-trigger-tokens";
const HOOK: &[(&str, &str)] = &[("GITLAB_HOOK_SECRET_ID", "hook")];
const READ: &[(&str, &str)] = &[("GITLAB_READ_SECRET_ID", "read")];

#[tokio::test]
async fn values_are_read_as_consoles_editors_and_pipes_leave_them() {
    let credentials = |id: &str, secret: &str| json!({ "clientId": id, "clientSecret": secret }).to_string();
    let plain = credentials("client-id", CLIENT_SECRET);
    let stored = [
        credentials("client-id\n", &format!("{CLIENT_SECRET}\r\n")),
        format!("\u{feff}{plain}\n"),
        credentials(" client-id", &format!("\u{200b}{CLIENT_SECRET}")),
        json!(plain).to_string(),
    ];
    for value in stored {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        sandbox.secrets.put(CREDENTIALS, value.as_str());
        sandbox.secrets.put_binary(TOKENS, json!({ PROJECT: format!("{TOKEN}\n") }).to_string().as_bytes());
        sandbox.secrets.put("hook", json!({ "signingToken": " whsec_YWJjZA\n" }).to_string());
        sandbox.secrets.put("read", json!({ "token": format!("{READ_TOKEN}\n") }).to_string());
        sandbox.gitlab.read_token(READ_TOKEN);
        let queue = sandbox.queue.url();
        let dead = sandbox.queue.dead_letter_arn();
        let seen =
            play(&sandbox, &[HOOK[0], READ[0], ("RUNS_QUEUE_URL", &queue), ("DEAD_LETTER_QUEUE_ARN", &dead)]).await;
        assert_eq!(faults(&seen.check), [""; 0], "{value:?}");
        assert_eq!((seen.check["ok"].as_bool(), seen.run.status.as_str()), (Some(true), "IN_PROGRESS"));
        assert_eq!(sandbox.gitlab.pipelines().len(), 1, "the run, and nothing of the check: {}", seen.printed);
    }
}

#[tokio::test]
async fn a_secret_that_appears_is_found_within_a_minute() {
    let mut world = crate::support::World::builder()
        .frozen_clock()
        .settings(&[("GITLAB_HOOK_SECRET_ID", "hook"), ("GITLAB_READ_SECRET_ID", "read")])
        .start()
        .await;
    world.time = std::time::Duration::from_secs(45);
    let line = async |name: &str| {
        let check = world.handle(&json!({ "check": true })).await.unwrap();
        let lines = check["checks"].as_array().unwrap();
        lines.iter().find(|line| line["check"] == name).unwrap()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(line("hook secret").await, "nothing is stored in `hook`: GitLab's hooks are refused");
    assert!(line("read token").await.starts_with("nothing is stored in `read`: "));
    world.sandbox.secrets.put("hook", json!({ "token": "t" }).to_string());
    world.sandbox.secrets.put("read", READ_TOKEN);
    world.pass(60);
    assert_eq!(line("hook secret").await, "hooks prove the plain token of `hook`");
    assert!(line("read token").await.starts_with("`read` holds one"));
}
