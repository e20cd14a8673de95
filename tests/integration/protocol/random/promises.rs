//! The promises, each by its name, and where they do not hold.

use std::time::Duration;

use sandbox::{Call, Exchange};

use super::history::{Others, SetUp, Shape, Source};
use super::player::{FOREIGN_LABEL, FOREIGN_LINK, Player, RUN};
use crate::protocol::history::nothing_secret;

/// How long before its end an invocation answers.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);

/// How the run of a history ended, for the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    AsItsPipeline,
    NotStarted,
    NotConfirmed,
    InProgress,
}

/// Looks at what is left of a history, and says how it breaks a promise.
type Check = fn(&Player) -> Result<(), String>;

/// The promises that a history broke, each with what was found.
pub fn broken(player: &Player) -> Vec<String> {
    let checks: [(&str, Check); 9] = [
        ("never two pipelines", never_two_pipelines),
        ("never lost", never_lost),
        ("ends as the pipeline ended", ends_as_the_pipeline_ended),
        ("the links are the pipeline's and those of others", links_are_kept),
        ("no label goes back", no_label_goes_back),
        ("no foreign label is overwritten by progress", no_foreign_label_is_overwritten),
        ("no log line comes twice", no_line_comes_twice),
        ("an answer comes in time", answers_come_in_time),
        ("no stray request", no_request_is_stray),
    ];
    nothing_secret(&player.world.sandbox.journal.exchanges(), &[]);
    checks.into_iter().filter_map(|(name, check)| Some(format!("{name}: {}", check(player).err()?))).collect()
}

pub fn end(player: &Player) -> End {
    let run = player.world.run(RUN);
    let summary = run.summary.as_deref().unwrap_or_default();
    if !run.has_ended() {
        End::InProgress
    } else if summary.contains("did not confirm") {
        End::NotConfirmed
    } else if player.pipelines().is_empty() {
        End::NotStarted
    } else {
        End::AsItsPipeline
    }
}

fn never_two_pipelines(player: &Player) -> Result<(), String> {
    let count = player.pipelines().len();
    if count > 1 && promises_one_pipeline(player) { Err(format!("{count} pipelines")) } else { Ok(()) }
}

/// Whether a second pipeline is excluded here; `docs/protocol.md` says where it is not.
fn promises_one_pipeline(player: &Player) -> bool {
    let (SetUp { source, glint, read_token, .. }, notes) = (player.set_up, &player.notes);
    let is_serial = matches!(source, Source::Fifo | Source::UrlToQueue) || (!notes.overlapped && notes.faults < 3);
    let others = notes.others.lock().unwrap();
    let wrote = |what: &[Others]| others.iter().any(|(_, others)| what.contains(others));
    let wrote_label = wrote(&[Others::Label, Others::Both]);
    let wrote_link = wrote(&[Others::Link, Others::Both]);
    // Only what is not at its first attempt is looked up before it is started.
    let is_looked_up = read_token && notes.second_messages + notes.redrives == 0;
    let is_remembered = match glint {
        Shape::Everything | Shape::NoLabel | Shape::NoLink => true,
        // A second message may be handled while a read still shows the run as it was.
        Shape::ReadsLag => notes.second_messages + notes.redrives == 0,
        Shape::NoExternalRunId => is_looked_up || !(wrote_label && wrote_link),
        Shape::RefusesExternalRunId => is_looked_up || !wrote_label,
        Shape::OnlyLink => notes.kills == 0 && notes.faults < 2 && !wrote_link,
        Shape::Nothing => notes.kills == 0 && notes.faults == 0 && notes.second_messages + notes.redrives == 0,
    };
    is_serial && is_remembered
}

fn never_lost(player: &Player) -> Result<(), String> {
    let run = player.world.run(RUN);
    let pipelines = player.pipelines();
    let is_delivered = match player.set_up.source {
        Source::Fifo | Source::Standard => true,
        Source::Url | Source::UrlToQueue => !player.notes.webhook_lost,
    };
    if run.has_ended() || !is_delivered || (pipelines.len() > 1 && !promises_one_pipeline(player)) {
        return Ok(());
    }
    let is_seen_by_sweep = player.set_up.read_token && sees_run_whoever_wrote(player);
    let Some(pipeline) = pipelines.first() else {
        return Err(format!("in progress without a pipeline: label {:?}", run.status_label));
    };
    let nobody_tells = player.notes.hook_lost && !is_seen_by_sweep;
    if nobody_tells { Ok(()) } else { Err(format!("in progress, and pipeline {} is {}", pipeline.id, pipeline.status)) }
}

/// Whether the sweep can tell this run from others', although others wrote to it.
fn sees_run_whoever_wrote(player: &Player) -> bool {
    match player.set_up.glint {
        Shape::Everything | Shape::ReadsLag | Shape::NoLabel | Shape::NoLink => true,
        Shape::NoExternalRunId | Shape::RefusesExternalRunId | Shape::OnlyLink => {
            player.notes.others.lock().unwrap().is_empty()
        }
        Shape::Nothing => false,
    }
}

fn ends_as_the_pipeline_ended(player: &Player) -> Result<(), String> {
    let run = player.world.run(RUN);
    let pipelines = player.pipelines();
    let [pipeline] = pipelines.as_slice() else {
        return if run.status == "SUCCESS" && pipelines.is_empty() {
            Err("SUCCESS of nothing".to_owned())
        } else {
            Ok(())
        };
    };
    let expected = if pipeline.status == "success" { "SUCCESS" } else { "FAILURE" };
    if !run.has_ended() || run.status == expected {
        return Ok(());
    }
    let can_be_looked_up = player.set_up.read_token && player.set_up.source != Source::Url;
    let hides_link = player.set_up.glint == Shape::NoLink
        || player.notes.others.lock().unwrap().iter().any(|(_, what)| *what != Others::Label);
    // A claim that landed late hides that the run is linked; what only the sweep sees then, it ends without a look-up.
    let is_claimed_late = player.notes.late_writes > 0 && hides_link;
    let may_be_unconfirmed = !can_be_looked_up || player.set_up.glint == Shape::OnlyLink || is_claimed_late;
    if end(player) == End::NotConfirmed && may_be_unconfirmed {
        return Ok(());
    }
    // Where a second pipeline may be started, GitLab may also refuse it, which ends the run.
    let is_second_refused = run.summary.as_deref().is_some_and(|summary| {
        summary.starts_with("No pipeline was started") || summary.starts_with("GitLab did not start the pipeline")
    });
    if is_second_refused && !promises_one_pipeline(player) {
        return Ok(());
    }
    Err(format!("{} ({:?}), and pipeline {} is {}", run.status, run.summary, pipeline.id, pipeline.status))
}

fn links_are_kept(player: &Player) -> Result<(), String> {
    let links = player.world.run(RUN).links();
    let pages: Vec<String> = player.pipelines().into_iter().map(|pipeline| pipeline.web_url).collect();
    match links.iter().find(|link| !pages.contains(link) && *link != FOREIGN_LINK) {
        Some(link) => Err(format!("`{link}` is neither")),
        None => Ok(()),
    }
}

/// A write to the run's label.
struct LabelWrite {
    /// Number of the request, or of the last one before somebody else wrote.
    number: u64,
    label: String,
    is_ours: bool,
}

/// Each write to the label with the one before it, where the function read the run in between.
fn pairs_of_labels(player: &Player) -> Vec<(LabelWrite, LabelWrite)> {
    let exchanges = player.world.sandbox.journal.exchanges();
    let reads: Vec<u64> = exchanges
        .iter()
        .filter(|one| one.call == Call::GetRun && one.status == Some(200))
        .map(|one| one.number)
        .collect();
    let written = exchanges.iter().filter(|one| is_write(one)).filter_map(|one| {
        let body = one.json();
        let label = body["statusLabel"].as_str()?.to_owned();
        body["status"].is_null().then_some(LabelWrite { number: one.number, label, is_ours: true })
    });
    let others = player.notes.others.lock().unwrap().clone();
    let others = others.iter().filter(|(_, others)| *others != Others::Link);
    let others =
        others.map(|(number, _)| LabelWrite { number: *number, label: FOREIGN_LABEL.to_owned(), is_ours: false });
    let mut labels: Vec<LabelWrite> = written.chain(others).collect();
    labels.sort_by_key(|write| (write.number, !write.is_ours));
    let mut pairs: Vec<(LabelWrite, LabelWrite)> = Vec::new();
    let mut before: Option<LabelWrite> = None;
    for after in labels {
        let copy = LabelWrite { label: after.label.clone(), ..after };
        if let Some(before) = before.replace(copy)
            && after.is_ours
            && reads.iter().any(|read| before.number < *read && *read < after.number)
        {
            pairs.push((before, after));
        }
    }
    pairs
}

fn is_write(one: &Exchange) -> bool {
    one.call == Call::PatchRun && one.applied && one.path_and_query.contains(RUN)
}

const CLAIM: &str = "Triggering GitLab pipeline";

/// How far a run with this label has come; a claim may be written again.
fn rank(label: &str) -> Option<usize> {
    let ranks = [CLAIM, "GitLab pipeline created", "GitLab pipeline pending", "GitLab pipeline running"];
    ranks.iter().position(|known| *known == label)
}

fn no_label_goes_back(player: &Player) -> Result<(), String> {
    if player.set_up.glint != Shape::Everything || player.notes.overlapped || player.notes.late_writes > 0 {
        return Ok(());
    }
    let pairs = pairs_of_labels(player);
    let back =
        pairs.iter().find(|(before, after)| rank(&after.label).is_some() && rank(&before.label) > rank(&after.label));
    back.map_or(Ok(()), |(before, after)| Err(format!("`{}` after `{}`", after.label, before.label)))
}

fn no_foreign_label_is_overwritten(player: &Player) -> Result<(), String> {
    if player.set_up.glint != Shape::Everything || player.notes.overlapped || player.notes.late_writes > 0 {
        return Ok(());
    }
    let pairs = pairs_of_labels(player);
    // The claim is no progress: it is written whatever stands there.
    let over = pairs.iter().find(|(before, after)| !before.is_ours && after.label != CLAIM);
    over.map_or(Ok(()), |(_, after)| Err(format!("`{}` over `{FOREIGN_LABEL}`", after.label)))
}

fn no_line_comes_twice(player: &Player) -> Result<(), String> {
    // A line whose answer was lost may have to be said again.
    if player.notes.kills + player.notes.faults > 0 || player.notes.overlapped {
        return Ok(());
    }
    let logs = player.world.run(RUN).logs;
    let twice =
        logs.iter().enumerate().find(|(place, log)| logs[..*place].iter().any(|one| one.message == log.message));
    twice.map_or(Ok(()), |(_, log)| Err(format!("`{}`", log.message)))
}

fn answers_come_in_time(player: &Player) -> Result<(), String> {
    let most = player.world.time.saturating_sub(ANSWER_RESERVE);
    let slow = player.notes.slowest > most;
    if slow { Err(format!("it took {:?}", player.notes.slowest)) } else { Ok(()) }
}

fn no_request_is_stray(player: &Player) -> Result<(), String> {
    let stray = player.world.sandbox.journal.stray();
    stray.first().map_or(Ok(()), |one| Err(format!("{} {}", one.method, one.path_and_query)))
}
