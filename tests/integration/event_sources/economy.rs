//! What a batch costs: requests, reads and connections.

use crate::support::{Function, World, furnish, invoke, message, redelivered, sqs_event};
use sandbox::{Call, Reply, Sandbox, Upstream};

async fn of_ten(world: &World, first: usize) {
    let ids: Vec<String> = (first..first + 10).map(|number| format!("r_{number}")).collect();
    for id in &ids {
        world.sandbox.glint.run(id);
    }
    let bodies: Vec<String> = ids.iter().map(|id| message(id).to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert!(world.queue(&bodies).await.is_empty());
}

#[tokio::test]
async fn a_batch_of_ten_logs_in_once_and_reads_each_secret_once() {
    let world = World::new().await;
    of_ten(&world, 0).await;
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 10);
    let (logins, reads) = (world.sandbox.journal.count(Call::Login), world.sandbox.secrets.all_reads());
    println!("ten runs: {logins} login, reads {reads:?}, {} requests in all", world.sandbox.journal.calls().len());
    assert_eq!(logins, 1);
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
    let (glint, gitlab) = (world.sandbox.connections(Upstream::Glint), world.sandbox.connections(Upstream::GitLab));
    println!("connections: {glint} to Glint, {gitlab} to GitLab");
    assert!(glint <= 20 && gitlab <= 10);
    of_ten(&world, 10).await;
    let (later, later_gitlab) =
        (world.sandbox.connections(Upstream::Glint), world.sandbox.connections(Upstream::GitLab));
    println!("after the next batch: {later} to Glint, {later_gitlab} to GitLab");
    assert!(later <= 20 && later_gitlab <= 10, "connections are reused");
    assert_eq!((world.sandbox.journal.count(Call::Login), world.sandbox.journal.count(Call::GetSecret)), (1, 2));
}

#[tokio::test]
async fn a_cold_start_with_a_batch_of_ten_logs_in_once_too() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let bodies: Vec<String> = (0..10)
        .map(|number| format!("r_{number}"))
        .map(|id| {
            sandbox.glint.run(&id);
            message(&id).to_string()
        })
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let mut function = Function::start(&sandbox, &[]).await;
    let Reply::Response(reply) = invoke(&sandbox, sqs_event(&bodies, 1)).await else { panic!("no response") };
    assert!(redelivered(&reply).is_empty());
    let printed = function.kill().await;
    let (logins, reads) = (sandbox.journal.count(Call::Login), sandbox.secrets.all_reads());
    println!("a cold start and ten runs: {logins} login, reads {reads:?}");
    assert_eq!((logins, sandbox.gitlab.pipelines().len()), (1, 10), "{printed}");
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
}

#[tokio::test]
async fn one_run_costs_five_requests() {
    let world = World::new().await;
    of_ten(&world, 0).await;
    world.sandbox.journal.clear();
    world.sandbox.glint.run("r_x");
    assert!(world.queue(&[&message("r_x").to_string()]).await.is_empty());
    let calls = world.sandbox.journal.calls();
    println!("one run: {calls:?}");
    assert!(calls.len() <= 5, "{calls:?}");
}

#[tokio::test]
async fn neighbours_run_side_by_side() {
    let world = World::new().await;
    for id in ["r_1", "r_2", "r_3"] {
        world.sandbox.glint.run(id);
    }
    // While the first trigger waits at GitLab, the others arrive.
    let hold = world.sandbox.hold_before(Call::Trigger);
    let bodies = ["r_1", "r_2", "r_3"].map(|id| message(id).to_string());
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let event = sqs_event(&bodies, 1);
    let watch = async {
        hold.reached().await;
        world.sandbox.journal.wait_for_count(Call::Trigger, 3).await;
        hold.release();
    };
    let (reply, ()) = tokio::join!(world.handle(&event), watch);
    assert!(redelivered(&reply.unwrap()).is_empty());
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 3);
}

#[tokio::test]
async fn deliveries_of_one_run_wait_for_each_other() {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    let body = message("r_1").to_string();
    assert!(world.queue(&[&body, &body, &body]).await.is_empty());
    assert_eq!(world.sandbox.journal.count(Call::Trigger), 1);
    let gets = world.sandbox.journal.of(Call::GetRun);
    let patches = world.sandbox.journal.of(Call::PatchRun);
    assert_eq!(gets.len(), 3);
    assert!(gets[1].number > patches[1].number, "the second looks after the first has reported");
}
