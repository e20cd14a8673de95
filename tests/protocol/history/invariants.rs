//! What holds after every history, whatever happened in it.

use serde_json::Value;

use super::READ_TOKEN;
use crate::sandbox::{Call, Exchange, Pipeline, Run, Sandbox};
use crate::support::{CLIENT_SECRET, TOKEN};

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

/// The pipelines that this run was given.
fn pipelines_of(sandbox: &Sandbox, run: &str) -> Vec<Pipeline> {
    let mut pipelines = sandbox.gitlab.pipelines();
    pipelines.retain(|pipeline| {
        let payload: Value = serde_json::from_str(&pipeline.trigger_payload).unwrap();
        payload["glint"]["runId"] == run
    });
    pipelines
}

/// Checks a run and everything that was said on its way; `replies` are what the source was told.
pub fn hold(sandbox: &Sandbox, run: &str, replies: &[String]) -> End {
    let state = sandbox.glint.run_state(run);
    let pipelines = pipelines_of(sandbox, run);
    assert!(pipelines.len() <= 1, "{} pipelines of `{run}`", pipelines.len());
    let end = end_of(&state);
    if end == End::Linked {
        assert_eq!(pipelines.len(), 1, "the link of `{run}` leads nowhere");
        assert_eq!(state.links(), [pipelines[0].web_url.clone()]);
        let id = format!("gl_{}_{}", pipelines[0].project_id, pipelines[0].id);
        assert_eq!(state.external_run_id.as_deref(), Some(id.as_str()));
    }
    if end == End::NotStarted {
        assert!(pipelines.is_empty(), "`{run}` has a pipeline and says {:?}", state.summary);
    }
    assert_ne!(end, End::Stuck, "`{run}` is neither linked nor ended: {state:?}");
    let exchanges = sandbox.journal.exchanges();
    nothing_is_written_to_an_ended_run(&exchanges, run);
    nothing_secret(&exchanges, replies);
    let stray = sandbox.journal.stray();
    assert!(stray.is_empty(), "{stray:?}");
    end
}

/// Nobody is sent to look for a pipeline that was never asked for. (Not so after a crash: then nobody knows.)
pub fn no_doubt_without_a_trigger(sandbox: &Sandbox, end: End) {
    let asked = sandbox.journal.count(Call::Trigger) > 0;
    assert!(asked || end != End::NotConfirmed, "no trigger was sent, and the run says that it was not confirmed");
}

/// Once the write that ends a run is carried out, only that same write may come again: its answer may have been lost.
fn nothing_is_written_to_an_ended_run(exchanges: &[Exchange], run: &str) {
    let target = format!("/v1/actions/runs/{run}");
    let of_run = |one: &&Exchange| one.path_and_query.split('?').next().unwrap_or_default() == target;
    let writes = || exchanges.iter().filter(|one| one.call == Call::PatchRun).filter(of_run);
    let Some(last) = writes().find(|one| one.applied && one.json()["status"].is_string()) else { return };
    for later in exchanges.iter().filter(|one| one.number > last.number) {
        let to_run = of_run(&later) || later.path_and_query == format!("{target}/logs");
        if to_run && matches!(later.call, Call::PatchRun | Call::PostLog) {
            assert_eq!(later.text(), last.text(), "`{run}` was written to after its end");
        }
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
