//! Connections that are opened ahead: begun beside the reads of secrets, used by the next request, and never in the way.

use std::time::Duration;

use sandbox::{Call, Upstream};
use serde_json::json;

use super::ways::{request, webhook, with_headers};
use crate::support::{World, message};

/// Returns once the upstream has been connected to so often.
async fn connected(world: &World, upstream: Upstream, count: u64) {
    let reached = async {
        while world.sandbox.connections(upstream) < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the connection is opened");
}

#[tokio::test]
async fn a_start_connects_to_gitlab_and_sends_it_nothing() {
    let world = World::builder().runs(&["r_1"]).start().await;
    world.app.warm_up().await;
    connected(&world, Upstream::GitLab, 1).await;
    let sent = world.sandbox.journal.exchanges().into_iter().filter(|one| one.upstream == Upstream::GitLab);
    assert_eq!(sent.count(), 0);
    assert_eq!(world.deliver("r_1").await, [0; 0]);
    assert_eq!(world.sandbox.connections(Upstream::GitLab), 1, "the trigger uses the connection that is there");
    assert_eq!(world.sandbox.connections(Upstream::Glint), 1);
}

#[tokio::test]
async fn a_connection_that_died_before_it_was_used_is_no_lost_answer() {
    let world = World::builder().runs(&["r_1"]).start().await;
    world.app.warm_up().await;
    connected(&world, Upstream::GitLab, 1).await;
    let down = world.sandbox.refuse(Upstream::GitLab);
    down.closed().await;
    drop(down);
    assert_eq!(world.deliver("r_1").await, [0; 0]);
    assert_eq!(world.sandbox.journal.of(Call::Trigger).len(), 1);
    assert_eq!(world.run("r_1").status_label.as_deref(), Some("GitLab pipeline created"));
}

#[tokio::test]
async fn a_gitlab_that_is_down_at_the_start_may_be_up_by_the_first_run() {
    let world = World::builder().runs(&["r_1"]).start().await;
    let down = world.sandbox.refuse(Upstream::GitLab);
    world.app.warm_up().await;
    drop(down);
    assert_eq!(world.deliver("r_1").await, [0; 0]);
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_not_proven_opens_no_connection() {
    let world = World::builder().runs(&["r_1"]).start().await;
    let forged = [("x-glint-signature", "v1,bm8="), ("x-glint-timestamp", &world.now().to_string())];
    let body = message("r_1").to_string();
    for headers in [&[][..], &forged[..]] {
        let event = with_headers(request("POST", "/", "", &body), headers);
        assert_eq!(world.handle(&event).await.unwrap()["statusCode"], json!(401));
    }
    assert_eq!(world.sandbox.connections(Upstream::GitLab), 0);
    assert_eq!(world.sandbox.connections(Upstream::Glint), 0);
}

#[tokio::test]
async fn a_webhook_opens_them_once_it_is_proven() {
    let world = World::builder().runs(&["r_1"]).start().await;
    let event = webhook(&world, &message("r_1").to_string());
    assert_eq!(world.handle(&event).await.unwrap()["statusCode"], json!(200));
    assert_eq!(world.sandbox.connections(Upstream::GitLab), 1);
}

#[tokio::test]
async fn a_function_that_only_enqueues_connects_to_neither() {
    let world = World::builder().runs_queue().start().await;
    world.app.warm_up().await;
    assert_eq!(world.sandbox.connections(Upstream::GitLab), 0);
    assert_eq!(world.sandbox.connections(Upstream::Glint), 0);
    assert_eq!(world.sandbox.secrets.reads("glint/gitlab-trigger-tokens"), 0);
}

#[tokio::test]
async fn a_batch_opens_no_more_connections_than_it_has_runs() {
    let ids: Vec<String> = (0..10).map(|number| format!("r_{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let world = World::builder().runs(&ids).start().await;
    let bodies: Vec<String> = ids.iter().map(|id| message(id).to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert_eq!(world.queue(&bodies).await, [0; 0]);
    assert!(world.sandbox.connections(Upstream::GitLab) <= 10);
    assert!(world.sandbox.connections(Upstream::Glint) <= 10);
}
