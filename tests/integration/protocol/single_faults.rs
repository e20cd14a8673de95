//! Every fault at every step: once, for a whole receive, for ever.

use crate::protocol::history::{
    BOTH, End, Fate, Often, PLAIN, QUEUES, READS, Setup, Step, Trouble, answers, enqueue, fate, history, hold,
    light_answers, next_event, one_receive, receive_until_empty,
};
use rstest::rstest;
use sandbox::Upstream;

/// Every fault of one step, once: where each of these runs must end. The heaviest answers are the same to every setup.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault(
    #[values(PLAIN, QUEUES, READS, BOTH)] setup: Setup,
    #[values(
        Step::ClientSecret,
        Step::Login,
        Step::GetRun,
        Step::TriggerToken,
        Step::Claim,
        Step::Trigger,
        Step::Report,
        Step::Log
    )]
    step: Step,
) {
    let mut wrong = Vec::new();
    let faults = if setup == PLAIN { answers() } else { light_answers() };
    let count = faults.len();
    for fault in faults {
        let expected = match fate(step, &fault.fault, setup) {
            Fate::Linked => End::Linked,
            Fate::Rejected => End::NotStarted,
            Fate::NotConfirmed => End::NotConfirmed,
        };
        let trouble = Trouble { step, fault, often: Often::Nth(1) };
        let end = history(setup, std::slice::from_ref(&trouble)).await;
        if end != expected {
            wrong.push(format!("{trouble:?}: {end:?}, not {expected:?}"));
        }
    }
    println!("{setup:?}, {step:?}: {count} single faults");
    assert!(wrong.is_empty(), "{setup:?}:\n{}", wrong.join("\n"));
    assert!(count >= 28);
}

/// Where nobody can say any more how it ends, the invariants still hold.
#[rstest]
#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_under_a_fault_that_lasts(
    #[values(Often::First(3), Often::Always)] often: Often,
    #[values(PLAIN, BOTH)] setup: Setup,
    #[values(
        Step::ClientSecret,
        Step::Login,
        Step::GetRun,
        Step::TriggerToken,
        Step::Claim,
        Step::Trigger,
        Step::Report,
        Step::Log
    )]
    step: Step,
) {
    let faults = light_answers();
    assert!(faults.len() >= 28);
    for fault in faults {
        let troubles = [Trouble { step, fault, often }];
        println!("{setup:?} {troubles:?}");
        history(setup, &troubles).await;
    }
}

/// An upstream that refuses connections, for one receive or for all of them: nothing was sent, so nobody has to look.
async fn refused(setup: Setup, upstream: Upstream, for_ever: bool) -> End {
    let world = setup.start().await;
    enqueue(&world.sandbox, "r_1");
    let away = world.sandbox.refuse(upstream);
    let mut replies = Vec::new();
    while let Some(event) = next_event(&world.sandbox, 1).await {
        replies.push(one_receive(&world, &event).await);
        if !for_ever {
            break;
        }
    }
    drop(away);
    replies.extend(receive_until_empty(&world).await);
    hold(&world.sandbox, "r_1", &replies)
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_refused_connection_leaves_no_doubt(
    #[values(PLAIN, QUEUES, READS, BOTH)] setup: Setup,
    #[values(Upstream::GitLab, Upstream::Glint, Upstream::SecretsManager)] upstream: Upstream,
) {
    assert_eq!(refused(setup, upstream, false).await, End::Linked, "away once");
    assert_eq!(refused(setup, upstream, true).await, End::NotStarted, "away for ever");
}
