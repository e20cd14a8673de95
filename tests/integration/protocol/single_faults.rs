//! Every fault at every step: once, for a whole receive, for ever.

use crate::protocol::history::{
    End, Fate, Often, Setup, Step, Trouble, answers, enqueue, fate, history, hold, light_answers, next_event,
    one_receive, receive_until_empty,
};
use sandbox::Upstream;

/// Every fault at every step once, and where each of these runs must end.
async fn every_fault_once(setup: Setup) {
    let (mut ends, mut wrong) = ([0; 3], Vec::new());
    for step in Step::ALL {
        // The heaviest answers are the same to every setup.
        for fault in if setup == Setup::ALL[0] { answers() } else { light_answers() } {
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
            ends[expected as usize] += 1;
        }
    }
    let [linked, not_started, not_confirmed] = ends;
    let count = linked + not_started + not_confirmed;
    println!(
        "{setup:?}: {count} single faults: {linked} linked, {not_started} not started, {not_confirmed} not confirmed"
    );
    assert!(wrong.is_empty(), "{setup:?}:\n{}", wrong.join("\n"));
    assert!(count >= 224);
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault() {
    every_fault_once(Setup::ALL[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault_with_the_runs_queue() {
    every_fault_once(Setup::ALL[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault_with_a_read_token() {
    every_fault_once(Setup::ALL[2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_single_fault_with_both() {
    every_fault_once(Setup::ALL[3]).await;
}

/// Where nobody can say any more how it ends, the invariants still hold.
async fn every_fault_lasting(often: Often) {
    let mut count = 0;
    for setup in [Setup::ALL[0], Setup::ALL[3]] {
        for step in Step::ALL {
            for fault in light_answers() {
                let troubles = [Trouble { step, fault, often }];
                println!("{setup:?} {troubles:?}");
                history(setup, &troubles).await;
                count += 1;
            }
        }
    }
    println!("{count} histories with a fault that lasts, {often:?}");
    assert!(count >= 448);
}

#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_under_a_fault_that_lasts_for_a_receive() {
    every_fault_lasting(Often::First(3)).await;
}

#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_under_a_fault_that_lasts_for_ever() {
    every_fault_lasting(Often::Always).await;
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

#[tokio::test(start_paused = true)]
async fn a_refused_connection_leaves_no_doubt() {
    let mut count = 0;
    for setup in Setup::ALL {
        for upstream in [Upstream::GitLab, Upstream::Glint, Upstream::SecretsManager] {
            assert_eq!(refused(setup, upstream, false).await, End::Linked, "{setup:?}, {upstream:?} away once");
            assert_eq!(refused(setup, upstream, true).await, End::NotStarted, "{setup:?}, {upstream:?} away for ever");
            count += 2;
        }
    }
    println!("{count} histories with an upstream that refuses connections");
}
