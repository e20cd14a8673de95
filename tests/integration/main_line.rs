//! The main line: a queued run becomes a pipeline, and Glint knows it.

use crate::support::{Function, World, furnish, invoke, message, redelivered, sqs_event};
use sandbox::{Call, Reply, Sandbox};

#[tokio::test]
async fn a_queued_run_becomes_a_pipeline_and_glint_knows_it() {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    assert_eq!(world.queue(&[&message("r_1").to_string()]).await, [0; 0]);
    let pipelines = world.sandbox.gitlab.pipelines();
    assert_eq!(pipelines.len(), 1);
    let run = world.run("r_1");
    assert_eq!(run.links(), [pipelines[0].web_url.clone()]);
    assert_eq!(run.status, "IN_PROGRESS");
    let calls = world.sandbox.journal.calls();
    assert_eq!(calls.iter().filter(|call| !matches!(call, Call::Login | Call::GetSecret)).count(), 5, "{calls:?}");
    assert!(world.sandbox.journal.stray().is_empty());
}

#[tokio::test]
async fn the_built_binary_does_the_same() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.glint.run("r_1");
    let mut function = Function::start(&sandbox, &[]).await;
    let Reply::Response(reply) = invoke(&sandbox, sqs_event(&[&message("r_1").to_string()], 1)).await else {
        panic!("no response")
    };
    assert!(redelivered(&reply).is_empty());
    assert_eq!(sandbox.gitlab.pipelines().len(), 1);
    let printed = function.kill().await;
    assert!(printed.contains("run `r_1` is started"), "{printed}");
    assert!(!printed.contains("ClaimsNotKept"), "{printed}");
}
