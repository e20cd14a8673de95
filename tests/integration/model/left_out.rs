//! Each step of the protocol is needed: without it, a promise is broken.

use super::promises::{FIFO, ONE_MESSAGE, STANDARD, breaks};
use super::state::{Setup, Step};

const TWO_PIPELINES: &str = "never two pipelines";
const LOST: &str = "never lost";
const LOOK_UP_COULD_TELL: &str = "ends as the pipeline ended, since the look-up can tell";

fn without(step: Step, setup: Setup) -> Setup {
    Setup { without: Some(step), ..setup }
}

#[test]
fn without_a_claim_a_redelivery_starts_a_second_pipeline() {
    breaks(without(Step::Claim, ONE_MESSAGE), TWO_PIPELINES);
}

#[test]
fn a_claim_that_nobody_waited_for_starts_a_second_pipeline() {
    breaks(without(Step::ClaimAnswered, ONE_MESSAGE), TWO_PIPELINES);
}

#[test]
fn a_trigger_that_is_sent_again_after_a_lost_answer_starts_a_second_pipeline() {
    breaks(without(Step::TriggerOnlyOnce, ONE_MESSAGE), TWO_PIPELINES);
}

#[test]
fn a_claim_that_is_taken_back_twice_starts_a_second_pipeline_beside_a_copy() {
    breaks(without(Step::TakenBackOnlyOnce, STANDARD), TWO_PIPELINES);
}

#[test]
fn a_shorter_wait_after_a_lost_answer_starts_a_second_pipeline() {
    breaks(without(Step::FullVisibilityAfterLostAnswer, FIFO), TWO_PIPELINES);
}

#[test]
fn a_shorter_wait_after_a_lost_answer_says_that_a_running_pipeline_was_not_started() {
    let promise = "never said to be not started while its pipeline runs";
    breaks(without(Step::FullVisibilityAfterLostAnswer, ONE_MESSAGE), promise);
}

#[test]
fn absence_that_is_believed_at_once_starts_a_second_pipeline_beside_a_copy() {
    breaks(without(Step::AgeOfClaimBeforeAbsence, STANDARD), TWO_PIPELINES);
}

#[test]
fn absence_that_is_believed_although_a_candidate_was_not_read_starts_a_second_pipeline() {
    breaks(without(Step::EveryCandidateRead, ONE_MESSAGE), TWO_PIPELINES);
}

#[test]
fn a_look_up_that_asks_for_no_proof_links_the_pipeline_of_another_run() {
    breaks(without(Step::ProofOfPayload, ONE_MESSAGE), "the link shown is a pipeline of that run");
}

#[test]
fn a_label_as_memory_starts_a_second_pipeline() {
    breaks(without(Step::ExternalRunIdIsMemory, ONE_MESSAGE), TWO_PIPELINES);
}

#[test]
fn a_link_of_somebody_else_that_counts_as_ours_loses_the_run() {
    breaks(without(Step::ForeignLinkIsNotOurs, ONE_MESSAGE), LOST);
}

#[test]
fn a_run_that_cannot_be_read_and_is_triggered_all_the_same_gets_a_second_pipeline() {
    breaks(without(Step::ReadableRunBeforeTrigger, ONE_MESSAGE), TWO_PIPELINES);
}

#[test]
fn a_final_attempt_that_ends_a_claimed_run_fails_a_run_whose_pipeline_runs() {
    breaks(without(Step::FinalAttemptLeavesClaim, ONE_MESSAGE), LOOK_UP_COULD_TELL);
}

#[test]
fn a_dead_letter_that_is_ended_without_a_look_fails_a_run_whose_pipeline_runs() {
    breaks(without(Step::DeadLetterLooksFirst, ONE_MESSAGE), LOOK_UP_COULD_TELL);
}

#[test]
fn a_dead_letter_that_does_not_wait_for_the_report_fails_a_run_whose_pipeline_runs() {
    let setup = Setup { read_token: false, ..ONE_MESSAGE };
    breaks(without(Step::DeadLetterWaitsForReport, setup), "a queued report is waited for");
}

#[test]
fn a_dead_letter_that_ends_a_young_claim_ends_a_run_while_its_trigger_is_sent() {
    let setup = Setup { read_token: false, ..FIFO };
    breaks(without(Step::DeadLetterWaitsForAge, setup), "no run is ended while its trigger is sent");
}

#[test]
fn a_dead_letter_that_starts_the_run_afresh_starts_a_second_pipeline() {
    breaks(without(Step::DeadLetterStartsNothing, FIFO), TWO_PIPELINES);
}

#[test]
fn a_queued_end_that_does_not_yield_to_a_newer_claim_fails_a_run_whose_pipeline_runs() {
    let promise = "never said to be not started while its pipeline runs";
    breaks(without(Step::QueuedEndYieldsToNewerClaim, Setup { faults: 3, ..FIFO }), promise);
}

#[test]
fn old_claims_that_no_sweep_ends_are_lost() {
    breaks(without(Step::OldClaimsSwept, ONE_MESSAGE), LOST);
}
