//! Secrets that change under a warm function, and a Secrets Manager that is away.

use std::time::Duration;

use serde_json::json;

use crate::protocol::history::{End, PLAIN, enqueue, hold, next_event, one_receive};
use crate::support::{PROJECT, TOKEN, World};
use sandbox::{Call, Upstream};

const TOKENS: &str = "glint/gitlab-trigger-tokens";
const CREDENTIALS: &str = "glint/credentials";
const NEW_TOKEN: &str = "glptt-fedcba9876543210fedcba9876543210fedcba98";
const NEW_SECRET: &str = "glint-sandbox-client-secret-after-rotation";

/// A function that has started a run.
async fn warm() -> World {
    let world = PLAIN.start().await;
    assert_eq!(received(&world, "r_warm").await, End::Linked);
    world
}

/// One receive of a new run, and how it stands after it.
async fn received(world: &World, run: &str) -> End {
    enqueue(&world.sandbox, run);
    let event = next_event(&world.sandbox, 1).await.unwrap();
    let reply = one_receive(world, &event).await;
    hold(&world.sandbox, run, &[reply])
}

/// The same where it has to come again.
async fn is_deferred(world: &World, run: &str) -> bool {
    enqueue(&world.sandbox, run);
    let event = next_event(&world.sandbox, 1).await.unwrap();
    one_receive(world, &event).await;
    let state = world.run(run);
    world.sandbox.queue.messages().len() == 1 && state.links().is_empty() && !state.has_ended()
}

#[tokio::test(start_paused = true)]
async fn a_rotated_trigger_token_heals_inside_one_invocation() {
    let world = warm().await;
    world.sandbox.gitlab.rotate_token(PROJECT, NEW_TOKEN);
    world.sandbox.secrets.rotate(TOKENS, json!({ PROJECT: NEW_TOKEN }).to_string());
    let reads = world.sandbox.secrets.reads(TOKENS);
    enqueue(&world.sandbox, "r_1");
    let event = next_event(&world.sandbox, 1).await.unwrap();
    let reply = world.handle(&event).await.unwrap();
    assert_eq!(reply, json!({ "batchItemFailures": [] }));
    assert_eq!(world.run("r_1").links().len(), 1);
    assert_eq!(world.sandbox.secrets.reads(TOKENS), reads + 1, "one forced read");
    let statuses: Vec<_> = world.sandbox.journal.of(Call::Trigger).iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(201), Some(404), Some(201)], "one more try");
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_trigger_token_cannot_hammer_secrets_manager() {
    let world = warm().await;
    world.sandbox.gitlab.rotate_token(PROJECT, NEW_TOKEN);
    let reads = world.sandbox.secrets.reads(TOKENS);
    assert_eq!(received(&world, "r_0").await, End::NotStarted);
    for number in 1..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The token may have been changed since that read: the run waits for the next one.
        assert!(is_deferred(&world, &format!("r_{number}")).await);
        let held = world.sandbox.queue.messages()[0].clone();
        let record = json!({ "messageId": held.id, "receiptHandle": held.receipt });
        world.sandbox.queue.acknowledge(&json!({ "Records": [record] }), Some(json!(null)));
    }
    assert_eq!(world.sandbox.secrets.reads(TOKENS), reads + 1, "one forced read in 20 seconds");
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 21, "and no second try with the same token");
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(received(&world, "r_later").await, End::NotStarted);
    assert_eq!(world.sandbox.secrets.reads(TOKENS), reads + 2);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_client_secret_heals_inside_one_invocation() {
    let world = warm().await;
    world.sandbox.glint.rotate_secret(NEW_SECRET);
    world.sandbox.glint.expire_tokens();
    let new = json!({ "clientId": "client-id", "clientSecret": NEW_SECRET });
    world.sandbox.secrets.rotate(CREDENTIALS, new.to_string());
    let reads = world.sandbox.secrets.reads(CREDENTIALS);
    assert_eq!(received(&world, "r_1").await, End::Linked);
    assert_eq!(world.sandbox.secrets.reads(CREDENTIALS), reads + 1, "one forced read");
    let logins: Vec<_> = world.sandbox.journal.of(Call::Login).iter().map(|one| one.status).collect();
    assert_eq!(logins, [Some(200), Some(401), Some(200)], "one more login");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_client_secret_cannot_hammer_secrets_manager() {
    let world = warm().await;
    world.sandbox.glint.rotate_secret(NEW_SECRET);
    world.sandbox.glint.expire_tokens();
    let reads = world.sandbox.secrets.reads(CREDENTIALS);
    for number in 0..20 {
        let run = format!("r_{number}");
        assert!(is_deferred(&world, &run).await);
        let held = world.sandbox.queue.messages()[0].clone();
        world.sandbox.queue.acknowledge(
            &json!({ "Records": [{ "messageId": held.id, "receiptHandle": held.receipt }] }),
            Some(json!(null)),
        );
    }
    assert_eq!(world.sandbox.secrets.reads(CREDENTIALS), reads + 1, "one forced read");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_expires_is_renewed_where_it_is_noticed() {
    let world = warm().await;
    world.sandbox.glint.expire_tokens();
    assert_eq!(received(&world, "r_1").await, End::Linked);
    assert_eq!(world.sandbox.journal.count(Call::Login), 2);
    world.sandbox.glint.token_ttl(60);
    world.sandbox.glint.expire_tokens();
    for number in 2..12 {
        assert_eq!(received(&world, &format!("r_{number}")).await, End::Linked);
        tokio::time::sleep(Duration::from_secs(50)).await;
    }
    let refused = world.sandbox.journal.exchanges().iter().filter(|one| one.status == Some(401)).count();
    assert!(refused <= 2, "{refused} calls were sent with a login known to end");
}

#[tokio::test(start_paused = true)]
async fn a_newer_secret_that_cannot_be_used_is_not_passed_over_for_the_older_one() {
    let world = warm().await;
    world.sandbox.gitlab.rotate_token(PROJECT, NEW_TOKEN);
    world.sandbox.secrets.rotate(TOKENS, "no JSON");
    // GitLab refuses the older token, and so the newer secret is read.
    assert_eq!(received(&world, "r_1").await, End::NotStarted);
    assert_eq!(received(&world, "r_2").await, End::NotStarted);
    let summary = world.run("r_2").summary.unwrap();
    assert!(summary.contains("not a JSON object"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_its_operator_mends_is_used_within_a_quarter_of_a_minute() {
    let world = PLAIN.start().await;
    world.sandbox.secrets.put(TOKENS, "no JSON");
    assert_eq!(received(&world, "r_1").await, End::NotStarted);
    world.sandbox.secrets.put(TOKENS, json!({ PROJECT: TOKEN }).to_string());
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(received(&world, "r_2").await, End::Linked);
}

#[tokio::test(start_paused = true)]
async fn while_secrets_manager_is_down_what_is_kept_is_used_for_an_hour_and_no_longer() {
    let world = warm().await;
    let down = world.sandbox.refuse(Upstream::SecretsManager);
    down.closed().await;
    for (number, minutes) in [4, 10, 30, 20].into_iter().enumerate() {
        // In total 64 minutes: the last comes just before five minutes and an hour are over.
        tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
        assert_eq!(received(&world, &format!("r_{number}")).await, End::Linked, "after {minutes} more minutes");
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(is_deferred(&world, "r_too_late").await);
    drop(down);
    let event = next_event(&world.sandbox, 1).await.unwrap();
    one_receive(&world, &event).await;
    assert_eq!(world.run("r_too_late").links().len(), 1, "and it starts once secrets can be read");
}

#[tokio::test(start_paused = true)]
async fn a_cold_function_starts_nothing_while_secrets_manager_is_down() {
    let world = PLAIN.start().await;
    let down = world.sandbox.refuse(Upstream::SecretsManager);
    assert!(is_deferred(&world, "r_1").await);
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 0);
    drop(down);
    let event = next_event(&world.sandbox, 1).await.unwrap();
    one_receive(&world, &event).await;
    assert_eq!(world.run("r_1").links().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_trigger_token_that_cannot_be_read_yet_fails_no_run() {
    let world = warm().await;
    world.sandbox.gitlab.rotate_token(PROJECT, NEW_TOKEN);
    world.sandbox.secrets.rotate(TOKENS, json!({ PROJECT: NEW_TOKEN }).to_string());
    let down = world.sandbox.refuse(Upstream::SecretsManager);
    down.closed().await;
    assert!(is_deferred(&world, "r_1").await);
    drop(down);
    let event = next_event(&world.sandbox, 1).await.unwrap();
    assert_eq!(world.handle(&event).await.unwrap(), json!({ "batchItemFailures": [] }));
    assert_eq!(world.run("r_1").links().len(), 1, "and it starts once the secret can be read");
}
