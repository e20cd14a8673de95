//! The real process, killed before and after each of its steps, and what it was doing brought again to a fresh one.

use chrono::TimeDelta;

use crate::protocol::history::{BOTH, End, PLAIN, QUEUES, READS, Setup, enqueue, hold, next_event, nothing_secret};
use crate::support::{Function, borrowed, furnish, invoke};
use rstest::rstest;
use sandbox::{Call, Fault, Hold, Reply, Sandbox};

const RECEIVES: u32 = 3;

/// A step at which the process can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    GetRun,
    Claim,
    Trigger,
    Report,
    Log,
    /// The label that takes the claim back, after GitLab took no more pipelines.
    Unclaim,
    /// The wait that the queue is asked for then.
    Hide,
    /// The label that says that an answer was lost.
    Doubt,
    /// The report that goes to the queue, since Glint does not take it.
    QueueReport,
    /// The lookup of a later receive, and the report after it.
    ListPipelines,
    Variables,
    LateReport,
}

impl At {
    /// The request that is held, and the one after which it is the next of its kind.
    fn request(self) -> (Call, Option<Call>) {
        match self {
            Self::GetRun => (Call::GetRun, None),
            Self::Claim => (Call::PatchRun, None),
            Self::Trigger => (Call::Trigger, None),
            Self::Report | Self::Unclaim | Self::Doubt => (Call::PatchRun, Some(Call::Trigger)),
            Self::Log => (Call::PostLog, None),
            Self::Hide => (Call::ChangeVisibility, None),
            Self::QueueReport => (Call::SendMessage, None),
            Self::ListPipelines => (Call::ListPipelines, None),
            Self::Variables => (Call::PipelineVariables, None),
            Self::LateReport => (Call::PatchRun, Some(Call::ListPipelines)),
        }
    }

    /// What has to go wrong for this step to happen.
    fn detour(self, sandbox: &Sandbox) {
        match self {
            Self::Unclaim | Self::Hide => sandbox.fail(Call::Trigger).nth(1).with(Fault::throttled(1)),
            Self::Doubt => sandbox.fail(Call::Trigger).nth(1).with(Fault::DropAfter),
            Self::QueueReport => {
                let report = sandbox.fail(Call::PatchRun).of(|one| one.text().contains("\"link\""));
                report.every().with(Fault::status(503));
            }
            _ => {}
        }
    }

    fn is_late(self) -> bool {
        matches!(self, Self::ListPipelines | Self::Variables | Self::LateReport)
    }

    /// Whether the run starts all the same where nobody can look its pipeline up.
    fn starts_unseen(self, before: bool) -> bool {
        match self {
            Self::GetRun | Self::Log | Self::Hide => true,
            Self::Claim => before,
            Self::Report | Self::Unclaim | Self::QueueReport => !before,
            _ => false,
        }
    }
}

/// Waits until the request is there, before or after it is carried out, and holds it there.
async fn reached(sandbox: &Sandbox, at: At, before: bool) -> Hold {
    let arm = |call| if before { sandbox.hold_before(call) } else { sandbox.hold(call) };
    let (call, after) = at.request();
    let hold = match after {
        None => arm(call),
        Some(earlier) => {
            let earlier = sandbox.hold_before(earlier);
            earlier.reached().await;
            arm(call)
        }
    };
    hold.reached().await;
    hold
}

/// Starts a process, gives it what the queue has, and kills it there. What it printed until then is returned.
async fn killed(sandbox: &Sandbox, settings: &[(&str, &str)], at: At, before: bool) -> String {
    let mut function = Function::start(sandbox, settings).await;
    let event = next_event(sandbox, 1).await.unwrap();
    let end = async {
        let hold = reached(sandbox, at, before).await;
        if at == At::Log {
            // Log line and link are sent side by side: the link's fate has to be known.
            sandbox.journal.wait_for(|one| one.text().contains("\"link\"") && one.ended.is_some()).await;
        }
        let printed = function.kill().await;
        // What it had under way is cut off, not released.
        sandbox.journal.wait_for(|one| one.call == at.request().0 && one.ended.is_some()).await;
        drop(hold);
        printed
    };
    let (printed, reply) = tokio::join!(end, invoke(sandbox, event.clone()));
    assert_eq!(reply, Reply::Died);
    assert_eq!(sandbox.queue.acknowledge(&event, None).len(), 1);
    printed
}

/// Gives a fresh process everything that is still to come.
async fn brought_again(sandbox: &Sandbox, settings: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut function = Function::start(sandbox, settings).await;
    let mut replies = Vec::new();
    loop {
        let event = match next_event(sandbox, 1).await {
            Some(event) => event,
            None if sandbox.queue.dead_letters().is_empty() => break,
            None => sandbox.queue.receive_dead_letters(),
        };
        age(sandbox);
        let reply = invoke(sandbox, event.clone()).await;
        replies.push(format!("{reply:?}"));
        assert!(matches!(reply, Reply::Response(_)), "{reply:?}");
        sandbox.queue.acknowledge(&event, reply.into_response());
    }
    (replies, function.kill().await)
}

/// As if the queue's visibility had passed since the last write.
fn age(sandbox: &Sandbox) {
    sandbox.glint.run("r_1").updated_at(sandbox.now() - TimeDelta::seconds(270));
}

async fn life_and_death(setup: Setup, at: At, before: bool) -> End {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.queue.visibility(if at == At::Hide { 2 } else { 0 });
    let settings = setup.builder(RECEIVES).prepare(&sandbox);
    let settings = borrowed(&settings);
    enqueue(&sandbox, "r_1");
    let mut printed = Vec::new();
    if at.is_late() {
        printed.push(killed(&sandbox, &settings, At::Trigger, false).await);
        age(&sandbox);
    }
    at.detour(&sandbox);
    printed.push(killed(&sandbox, &settings, at, before).await);
    sandbox.heal();
    let (mut replies, last_words) = brought_again(&sandbox, &settings).await;
    replies.append(&mut printed);
    replies.push(last_words);
    hold(&sandbox, "r_1", &replies)
}

/// Kills the process before or after the step.
async fn killed_at(setup: Setup, at: At, before: bool) {
    let starts = setup.reads || at.starts_unseen(before);
    let expected = if starts { End::Linked } else { End::NotConfirmed };
    assert_eq!(life_and_death(setup, at, before).await, expected);
}

#[rstest]
#[tokio::test]
async fn killed_anywhere_a_run_is_neither_lost_nor_doubled(
    #[values(At::GetRun, At::Claim, At::Trigger, At::Report, At::Log, At::Unclaim, At::Doubt)] at: At,
    #[values(true, false)] before: bool,
) {
    killed_at(PLAIN, at, before).await;
}

#[rstest]
#[tokio::test]
async fn killed_anywhere_a_run_starts_where_its_pipeline_can_be_looked_up(
    #[values(
        At::GetRun,
        At::Claim,
        At::Trigger,
        At::Report,
        At::Log,
        At::Unclaim,
        At::Doubt,
        At::ListPipelines,
        At::Variables,
        At::LateReport
    )]
    at: At,
    #[values(true, false)] before: bool,
) {
    killed_at(READS, at, before).await;
}

#[rstest]
#[tokio::test]
async fn killed_while_it_speaks_to_the_queue_a_run_is_neither_lost_nor_doubled(
    #[values(QUEUES, BOTH)] setup: Setup,
    #[values(At::Hide, At::QueueReport)] at: At,
    #[values(true, false)] before: bool,
) {
    killed_at(setup, at, before).await;
}

#[tokio::test]
async fn killed_while_it_starts_the_function_has_taken_nothing() {
    for call in [Call::GetSecret, Call::Login] {
        for before in [true, false] {
            let sandbox = Sandbox::start().await;
            furnish(&sandbox);
            enqueue(&sandbox, "r_1");
            let hold_there = if before { sandbox.hold_before(call) } else { sandbox.hold(call) };
            let mut function = Function::spawn(&sandbox, &[]);
            hold_there.reached().await;
            let printed = function.kill().await;
            drop(hold_there);
            let (mut replies, last_words) = brought_again(&sandbox, &[]).await;
            replies.extend([printed, last_words]);
            assert_eq!(hold(&sandbox, "r_1", &replies), End::Linked);
        }
    }
    println!("killed at 4 points of its start");
}

#[tokio::test]
async fn ten_runs_of_a_killed_batch_are_neither_lost_nor_doubled() {
    for call in [Call::PatchRun, Call::Trigger, Call::PostLog] {
        let sandbox = Sandbox::start().await;
        let setup = READS;
        furnish(&sandbox);
        sandbox.queue.visibility(0);
        let settings = setup.builder(RECEIVES).prepare(&sandbox);
        let settings = borrowed(&settings);
        let runs: Vec<String> = (0..10).map(|number| format!("r_{number}")).collect();
        for run in &runs {
            enqueue(&sandbox, run);
        }
        let mut function = Function::start(&sandbox, &settings).await;
        let event = sandbox.queue.receive(10);
        let gate = sandbox.hold(call);
        let end = async {
            gate.reached().await;
            function.kill().await
        };
        let (printed, reply) = tokio::join!(end, invoke(&sandbox, event.clone()));
        drop(gate);
        assert_eq!(reply, Reply::Died);
        sandbox.queue.acknowledge(&event, None);
        let mut function = Function::start(&sandbox, &settings).await;
        while let Some(event) = next_event(&sandbox, 10).await {
            for run in &runs {
                sandbox.glint.run(run).updated_at(sandbox.now() - TimeDelta::seconds(270));
            }
            let reply = invoke(&sandbox, event.clone()).await.into_response();
            sandbox.queue.acknowledge(&event, reply);
        }
        let printed = [printed, function.kill().await];
        for run in &runs {
            assert_eq!(hold(&sandbox, run, &printed), End::Linked, "killed at {call:?}");
        }
        nothing_secret(&sandbox.journal.exchanges(), &printed);
    }
}
