//! Two faults and three, on one run.

use crate::protocol::history::{
    BOTH, End, Named, Often, PLAIN, QUEUES, READS, Setup, Step, Trouble, answers, history, light_answers,
};
use rstest::rstest;
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

/// Every pair of faults whose first is at this step; returns how many there are and how many of their runs are linked.
async fn every_pair(setup: Setup, first: Step, times: usize) -> (usize, usize) {
    let (mut linked, mut count) = (0, 0);
    for pair in pairs(times).into_iter().filter(|pair| pair[0].step == first) {
        println!("{setup:?} {pair:?}");
        let end = history(setup, &pair).await;
        linked += usize::from(end == End::Linked);
        count += 1;
    }
    println!("{setup:?}: {count} pairs of faults, {times} times each: {linked} linked, the others ended with a reason");
    (count, linked)
}

#[test]
fn there_are_300_pairs_of_faults() {
    assert_eq!(pairs(1).len(), 300);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_run_survives_every_pair_of_faults(
    #[values(PLAIN, QUEUES)] setup: Setup,
    #[values(Step::Claim, Step::Trigger, Step::Report)] first: Step,
) {
    every_pair(setup, first, 1).await;
}

/// Neither of the faults is GitLab's refusal, and every doubt can be looked up.
#[rstest]
#[tokio::test(start_paused = true)]
async fn with_a_read_token_a_run_starts_after_every_pair_of_faults(
    #[values(READS, BOTH)] setup: Setup,
    #[values(Step::Claim, Step::Trigger, Step::Report)] first: Step,
) {
    let (count, linked) = every_pair(setup, first, 1).await;
    assert_eq!(linked, count);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_under_pairs_that_last_for_a_receive(
    #[values(PLAIN, BOTH)] setup: Setup,
    #[values(Step::Claim, Step::Trigger, Step::Report)] first: Step,
) {
    every_pair(setup, first, 3).await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lost_trigger_is_found_whatever_the_lookup_meets(
    #[values(Step::ReadToken, Step::ListPipelines, Step::Variables)] step: Step,
) {
    let stall = Named { name: "stall after".to_owned(), fault: Fault::StallAfter };
    let lost = Trouble { step: Step::Trigger, fault: stall, often: Often::Nth(1) };
    for fault in light_answers() {
        let pair = [lost.clone(), Trouble { step, fault, often: Often::Nth(1) }];
        println!("{pair:?}");
        assert_eq!(history(READS, &pair).await, End::Linked, "{pair:?}");
    }
}

/// One run waits because GitLab takes no more pipelines, the other because Glint cannot be told.
#[rstest]
#[case::until_gitlab_takes_pipelines(Step::Trigger, "429, again after 3600", Often::Nth(1), Step::Hide)]
#[case::until_glint_can_be_told(Step::Report, "503", Often::First(3), Step::QueueReport)]
#[tokio::test(start_paused = true)]
async fn a_run_that_has_to_wait_survives_what_the_queue_meets(
    #[case] waits_at: Step,
    #[case] why: &str,
    #[case] often: Often,
    #[case] step: Step,
) {
    let reason = kinds().into_iter().find(|named| named.name == why).unwrap();
    let first = Trouble { step: waits_at, fault: reason, often };
    for fault in light_answers() {
        let pair = [first.clone(), Trouble { step, fault, often: Often::First(3) }];
        println!("{pair:?}");
        assert_eq!(history(BOTH, &pair).await, End::Linked, "{pair:?}");
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// A sixth of the seeds at a time.
#[rstest]
#[tokio::test(start_paused = true)]
async fn no_invariant_breaks_in_histories_of_three_faults(#[values(0, 1, 2, 3, 4, 5)] hundred: u64) {
    let steps: Vec<Step> = [&Step::ALL[..], &Step::LOOKUP, &Step::QUEUE].concat();
    let faults = light_answers();
    let mut linked = 0;
    for seed in hundred * 100 + 1..=hundred * 100 + 100 {
        let mut dice = Dice(seed);
        let setup = [PLAIN, QUEUES, READS, BOTH][dice.below(4)];
        let troubles = std::array::from_fn::<Trouble, 3, _>(|_| Trouble {
            step: steps[dice.below(steps.len())],
            fault: faults[dice.below(faults.len())].clone(),
            often: [Often::Nth(1 + dice.below(4)), Often::First(1 + dice.below(7))][dice.below(2)],
        });
        println!("seed {seed}: {setup:?} {troubles:?}");
        linked += usize::from(history(setup, &troubles).await == End::Linked);
    }
    println!("100 histories of three faults: {linked} linked, the others ended with a reason");
}
