//! What is left of the promises where Glint shows or keeps less of a run.

use super::promises::{FIFO, ONE_MESSAGE, breaks, holds};
use super::state::{Setup, Shows, Step};

const TWO_PIPELINES: &str = "never two pipelines";

/// No answer shows `externalRunId`, but the list of runs can be filtered by it.
const SEARCHED: Setup = Setup { glint: Shows::NoExternalRunId, ..FIFO };
const REFUSING: Setup = Setup { glint: Shows::RefusesExternalRunId, ..FIFO };
/// Nothing but status and link is kept; nothing but one lost answer goes wrong, and nobody else writes.
const ONLY_LINK: Setup = Setup { glint: Shows::OnlyLink, faults: 1, kills: false, foreign_writes: 0, ..FIFO };

#[test]
fn where_the_claim_must_be_searched_every_promise_holds_while_others_write_label_or_link() {
    holds(Setup { overwrites_both: false, ..SEARCHED });
    holds(Setup { overwrites_both: false, read_token: false, ..SEARCHED });
}

#[test]
fn where_the_claim_must_be_searched_a_run_is_started_once_even_if_others_write_both_and_it_can_be_looked_up() {
    let found = breaks(SEARCHED, "never lost");
    let lost_hook = found.actions.iter().any(|action| action == "HookLost");
    assert!(lost_hook, "lost only where the hook is, since the sweep cannot see such a run: {found}");
}

#[test]
fn where_the_claim_must_be_searched_others_that_write_both_can_cause_a_second_pipeline_without_a_read_token() {
    breaks(Setup { read_token: false, faults: 0, ..SEARCHED }, TWO_PIPELINES);
}

#[test]
fn without_the_search_a_foreign_label_on_a_claimed_run_starts_a_second_pipeline() {
    let without = Some(Step::SearchForClaim);
    breaks(Setup { read_token: false, overwrites_both: false, without, ..SEARCHED }, TWO_PIPELINES);
}

#[test]
fn without_the_look_up_a_run_whose_label_and_link_others_wrote_gets_a_second_pipeline() {
    let without = Some(Step::LookUpWhereSearchIsSilent);
    breaks(Setup { faults: 0, without, ..SEARCHED }, TWO_PIPELINES);
}

#[test]
fn where_external_run_id_is_refused_every_promise_holds_while_nobody_else_writes() {
    holds(Setup { foreign_writes: 0, ..REFUSING });
    holds(Setup { foreign_writes: 0, read_token: false, ..REFUSING });
}

#[test]
fn where_external_run_id_is_refused_others_that_write_the_label_do_no_harm_with_a_read_token() {
    holds(Setup { overwrites_both: false, ..REFUSING });
}

#[test]
fn where_external_run_id_is_refused_a_foreign_label_can_cause_a_second_pipeline_without_a_read_token() {
    breaks(Setup { read_token: false, ..REFUSING }, TWO_PIPELINES);
}

#[test]
fn where_only_the_link_is_kept_one_lost_answer_starts_no_second_pipeline() {
    holds(ONLY_LINK);
}

#[test]
fn where_only_the_link_is_kept_a_lost_answer_that_does_not_end_the_run_starts_a_second_pipeline() {
    breaks(Setup { without: Some(Step::LostAnswerEndsRun), ..ONLY_LINK }, TWO_PIPELINES);
}

#[test]
fn where_only_the_link_is_kept_a_kill_after_the_trigger_starts_a_second_pipeline() {
    breaks(Setup { kills: true, ..ONLY_LINK }, TWO_PIPELINES);
}

#[test]
fn a_foreign_label_is_no_reason_to_look_a_run_up_where_every_answer_shows_the_claim() {
    let without = Some(Step::LookUpWhereSearchIsSilent);
    holds(Setup { without, ..ONE_MESSAGE });
}
