//! Two faults and three, on one run.

use crate::protocol::history::{End, Named, Often, Setup, Step, Trouble, answers, history, light_answers};
use sandbox::Fault;

/// One fault of each kind that leaves something else to do.
fn kinds() -> Vec<Named> {
    const KINDS: [&str; 8] = [
        "closed before",
        "reset after",
        "stall before",
        "stall after",
        "garbage",
        "503",
        "502 though applied",
        "429, again after 3600",
    ];
    let mut all = answers();
    all.retain(|named| KINDS.contains(&named.name.as_str()));
    assert_eq!(all.len(), KINDS.len());
    all
}

/// Every pair of faults on claim, trigger and report: on two steps, or on one, one after the other.
fn pairs(times: usize) -> Vec<[Trouble; 2]> {
    let steps = [Step::Claim, Step::Trigger, Step::Report];
    let all: Vec<(Step, Named)> =
        steps.into_iter().flat_map(|step| kinds().into_iter().map(move |fault| (step, fault))).collect();
    let mut pairs = Vec::new();
    for (place, (step, fault)) in all.iter().enumerate() {
        for (other_step, other_fault) in &all[place..] {
            // On one step the first that fits decides, so the second takes over where the first has done its part.
            let count = if step == other_step { 2 * times } else { times };
            pairs.push([
                Trouble { step: *step, fault: fault.clone(), often: Often::First(times) },
                Trouble { step: *other_step, fault: other_fault.clone(), often: Often::First(count) },
            ]);
        }
    }
    pairs
}

async fn every_pair(setup: Setup, times: usize) {
    let (mut linked, mut count) = (0, 0);
    for pair in pairs(times) {
        println!("{setup:?} {pair:?}");
        let end = history(setup, &pair).await;
        // Neither of them is GitLab's no, and every doubt can be looked up: the run starts.
        assert!(times > 1 || !setup.reads || end == End::Linked, "{end:?} after {pair:?}");
        linked += usize::from(end == End::Linked);
        count += 1;
    }
    println!("{setup:?}: {count} pairs of faults, {times} times each: {linked} linked, the others ended with a reason");
    assert!(count >= 300);
}

#[tokio::test(start_paused = true)]
async fn a_run_survives_every_pair_of_faults() {
    every_pair(Setup::ALL[0], 1).await;
    every_pair(Setup::ALL[1], 1).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_read_token_a_run_starts_after_every_pair_of_faults() {
    every_pair(Setup::ALL[2], 1).await;
    every_pair(Setup::ALL[3], 1).await;
}

#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_under_pairs_that_last_for_a_receive() {
    every_pair(Setup::ALL[0], 3).await;
    every_pair(Setup::ALL[3], 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_trigger_is_found_whatever_the_lookup_meets() {
    let stall = Named { name: "stall after".to_owned(), fault: Fault::StallAfter };
    let lost = Trouble { step: Step::Trigger, fault: stall, often: Often::Nth(1) };
    let mut count = 0;
    for step in Step::LOOKUP {
        for fault in light_answers() {
            let pair = [lost.clone(), Trouble { step, fault, often: Often::Nth(1) }];
            println!("{pair:?}");
            assert_eq!(history(Setup::ALL[2], &pair).await, End::Linked, "{pair:?}");
            count += 1;
        }
    }
    println!("{count} histories with a fault in the lookup");
    assert!(count >= 120);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_to_wait_survives_what_the_queue_meets() {
    let throttle = Trouble { step: Step::Trigger, fault: kinds().pop().unwrap(), often: Often::Nth(1) };
    let deaf = Named { name: "503".to_owned(), fault: Fault::status(503) };
    let untold = Trouble { step: Step::Report, fault: deaf, often: Often::First(3) };
    let mut count = 0;
    for (first, step) in [throttle, untold].into_iter().zip([Step::Hide, Step::QueueReport]) {
        for fault in light_answers() {
            let pair = [first.clone(), Trouble { step, fault, often: Often::First(3) }];
            println!("{pair:?}");
            assert_eq!(history(Setup::ALL[3], &pair).await, End::Linked, "{pair:?}");
            count += 1;
        }
    }
    println!("{count} histories with a fault of the queue");
    assert!(count >= 80);
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_in_histories_of_three_faults() {
    let steps: Vec<Step> = [&Step::ALL[..], &Step::LOOKUP, &Step::QUEUE].concat();
    let faults = light_answers();
    let mut linked = 0;
    for seed in 1..=SEEDS {
        let mut dice = Dice(seed);
        let setup = Setup::ALL[dice.below(4)];
        let troubles = std::array::from_fn::<Trouble, 3, _>(|_| Trouble {
            step: steps[dice.below(steps.len())],
            fault: faults[dice.below(faults.len())].clone(),
            often: [Often::Nth(1 + dice.below(4)), Often::First(1 + dice.below(7))][dice.below(2)],
        });
        println!("seed {seed}: {setup:?} {troubles:?}");
        linked += usize::from(history(setup, &troubles).await == End::Linked);
    }
    println!("{SEEDS} histories of three faults: {linked} linked, the others ended with a reason");
}

const SEEDS: u64 = 600;
