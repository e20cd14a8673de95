//! What holds after every history, whatever happened in it.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{CLIENT_SECRET, READ_TOKEN, TOKEN};
use sandbox::{Call, Exchange, Pipeline, Run, Sandbox};

/// How a run stands when nothing more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Linked,
    /// Ended without a pipeline that anybody knows of: nothing was started.
    NotStarted,
    /// Ended because nobody could say whether its pipeline exists.
    NotConfirmed,
    /// In progress, without a link: its message is in the dead-letter queue.
    Stuck,
}

pub fn end_of(run: &Run) -> End {
    let summary = run.summary.as_deref().unwrap_or_default();
    match (run.links().is_empty(), run.has_ended()) {
        (false, _) => End::Linked,
        (true, true) if summary.starts_with("GitLab did not confirm the pipeline; look at ") => End::NotConfirmed,
        (true, true) => {
            assert!(!summary.is_empty(), "`{}` ended without a reason", run.id);
            End::NotStarted
        }
        (true, false) => End::Stuck,
    }
}

/// The pipelines that each run was given.
fn pipelines_by_run(sandbox: &Sandbox) -> HashMap<String, Vec<Pipeline>> {
    let mut by_run: HashMap<String, Vec<Pipeline>> = HashMap::new();
    for pipeline in sandbox.gitlab.pipelines() {
        let payload: Value = serde_json::from_str(&pipeline.trigger_payload).unwrap();
        by_run.entry(payload["glint"]["runId"].as_str().unwrap().to_owned()).or_default().push(pipeline);
    }
    by_run
}

/// What each run was told, log lines and updates, in order.
fn writes_by_run(exchanges: &[Exchange]) -> HashMap<&str, Vec<&Exchange>> {
    let mut by_run: HashMap<&str, Vec<&Exchange>> = HashMap::new();
    for one in exchanges.iter().filter(|one| matches!(one.call, Call::PatchRun | Call::PostLog)) {
        let run = one.path_and_query.split(['/', '?']).nth(4).unwrap();
        by_run.entry(run).or_default().push(one);
    }
    by_run
}

/// Checks a run and everything that was said on its way; `replies` are what the source was told.
pub fn hold(sandbox: &Sandbox, run: &str, replies: &[String]) -> End {
    hold_all(sandbox, &[run.to_owned()], replies).remove(0)
}

/// The same for many runs of one sandbox: how each of them ended.
pub fn hold_all(sandbox: &Sandbox, runs: &[String], replies: &[String]) -> Vec<End> {
    let (states, mut pipelines) = (sandbox.glint.runs(), pipelines_by_run(sandbox));
    let exchanges = sandbox.journal.exchanges();
    nothing_secret(&exchanges, replies);
    let stray = sandbox.journal.stray();
    assert!(stray.is_empty(), "{stray:?}");
    let writes = writes_by_run(&exchanges);
    let ends = runs.iter().map(|run| {
        let state = states.iter().find(|state| state.id == *run).unwrap();
        nothing_is_written_to_an_ended_run(run, writes.get(run.as_str()).map_or(&[], Vec::as_slice));
        ended_well(state, &pipelines.remove(run).unwrap_or_default())
    });
    ends.collect()
}

fn ended_well(state: &Run, pipelines: &[Pipeline]) -> End {
    let run = &state.id;
    assert!(pipelines.len() <= 1, "{} pipelines of `{run}`", pipelines.len());
    let end = end_of(state);
    if end == End::Linked {
        assert_eq!(pipelines.len(), 1, "the link of `{run}` leads nowhere");
        assert_eq!(state.links(), [pipelines[0].web_url.clone()]);
        let id = format!("gl_{}_{}", pipelines[0].project_id, pipelines[0].id);
        // A Glint that refused the id once was given the same patch without it.
        let claim = format!("gl_claim_{run}");
        assert!(
            state.external_run_id.as_deref().is_some_and(|shown| shown == id || shown == claim),
            "{:?}",
            state.external_run_id
        );
    }
    if end == End::NotStarted {
        assert!(pipelines.is_empty(), "`{run}` has a pipeline and says {:?}", state.summary);
    }
    assert_ne!(end, End::Stuck, "`{run}` is neither linked nor ended: {state:?}");
    end
}

/// Nobody is sent to look for a pipeline that was never asked for. (Not so after a crash: then nobody knows.)
pub fn no_doubt_without_a_trigger(sandbox: &Sandbox, end: End) {
    let asked = sandbox.journal.count(Call::Trigger) > 0;
    assert!(asked || end != End::NotConfirmed, "no trigger was sent, and the run says that it was not confirmed");
}

/// Once the write that ends it is carried out, only that same write may come again: its answer may have been lost.
fn nothing_is_written_to_an_ended_run(run: &str, writes: &[&Exchange]) {
    let mut writes = writes.iter().skip_while(|one| !one.applied || !one.json()["status"].is_string());
    let Some(last) = writes.next() else { return };
    for later in writes {
        assert_eq!(later.text(), last.text(), "`{run}` was written to after its end");
    }
}

/// A secret goes to the one upstream that it is for, and nowhere else.
pub fn nothing_secret(exchanges: &[Exchange], replies: &[String]) {
    let start = |secret: &str| secret[..16].to_owned();
    let (client, trigger, read) = (start(CLIENT_SECRET), start(TOKEN), start(READ_TOKEN));
    let all = [client.as_str(), trigger.as_str(), read.as_str(), "eyJzYW5kYm94"];
    for one in exchanges {
        assert!(!one.token_in_url, "a credential in a URL: {one:?}");
        let mine: &[&str] = match one.call {
            Call::Login => &[client.as_str()],
            Call::Trigger => &[trigger.as_str()],
            _ => &[],
        };
        let text = one.text();
        for secret in all.iter().filter(|secret| !mine.contains(secret)) {
            assert!(!text.contains(secret) && !one.path_and_query.contains(secret), "{secret}… in {one:?}");
        }
        for (name, value) in &one.headers {
            let its_own = matches!(name.as_str(), "authorization" | "private-token");
            assert!(its_own || !all.iter().any(|secret| value.contains(secret)), "a secret in {name} of {one:?}");
        }
    }
    for reply in replies {
        assert!(!all.iter().any(|secret| reply.contains(secret)), "a secret in a reply: {reply}");
    }
}
