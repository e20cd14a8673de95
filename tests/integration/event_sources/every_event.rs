//! Every file of `events/`, through the built binary behind the Runtime API.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::event_sources::ways::reply;
use crate::support::{CLIENT_SECRET, Function, furnish, invoke};
use sandbox::signing::{signed, signed_hook};
use sandbox::{Reply, Sandbox};

const SIGNING_TOKEN: &str = "whsec_c2FuZGJveC1ob29rLXNpZ25pbmcta2V5";
const POISON: &str = "7f26144b-9828-4fcd-99a5-4a7bb1fee08f";

/// What has to become of a file.
#[derive(Clone, Copy)]
enum Expected {
    /// Its runs are started, and exactly these messages come again.
    Queue(&'static [&'static str]),
    /// 401 as it stands, since its signature is old by now; signed anew, 200 and its run is started.
    Webhook,
    /// 200, and its run ends so.
    Hook(&'static str),
    /// Signed anew by GitLab's key: 200, and its run ends so. As it stands: 401.
    SignedHook(&'static str),
    /// `{}`, and its runs are started.
    Topic,
    /// The outcome as JSON, and its run is started.
    Notice,
    /// `ok`, and one project to every token.
    Check,
    /// Nothing to sweep.
    Sweep,
}

use Expected::{Check, Hook, Notice, Queue, SignedHook, Sweep, Topic, Webhook};

/// File, its runs, what has to become of it.
const TABLE: [(&str, &[&str], Expected); 17] = [
    ("check", &[], Check),
    ("sweep", &[], Sweep),
    ("direct", &["r_Dr01dT0OpCa5Ng2z"], Notice),
    ("secret-input", &["r_Se01rH4CdQo9Bu6N"], Notice),
    ("eventbridge", &["r_Eb01lB8WxKi3Vo0H"], Notice),
    ("sns", &["r_Sn01kA7VwJh2Un9G"], Notice),
    ("webhook", &["r_Wh01eU1PqDb6Oh3A"], Webhook),
    ("webhook-project", &["r_Wp01fV2QrEc7Pi4B"], Webhook),
    ("http-api", &["r_Ha01gW3RsFd8Qj5C"], Webhook),
    ("gitlab-hook", &["r_Gh01pF2AbOm7Zs4L"], Hook("SUCCESS")),
    ("gitlab-hook-failed", &["r_Gf01qG3BcPn8At5M"], SignedHook("FAILURE")),
    ("kafka", &["r_Ka01hX4StGe9Rk6D"], Topic),
    ("kafka-msk", &["r_Km01iY5TuHf0Sl7E", "r_Km02jZ6UvIg1Tm8F"], Topic),
    ("sqs", &["r_k3Jw81QmZpLx0aTb"], Queue(&[])),
    ("sqs-fifo-batch", &["r_Fb01aQ7LmZx2Kd9w", "r_Fb02bR8MnAy3Le0x", "r_Fb03cS9NoBz4Mf1y"], Queue(&[POISON])),
    ("sqs-sns", &["r_Qs01mC9XyLj4Wp1I"], Queue(&[])),
    ("sqs-eventbridge", &["r_Qe01nD0YzMk5Xq2J"], Queue(&[])),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("events")
}

fn load(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn furnished() -> Sandbox {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let (billing, ledger) = ("acme/backend/billing", "acme/backend/ledger");
    sandbox.gitlab.project(ledger).token("glptt-ledger");
    let tokens = json!({ billing: crate::support::TOKEN, ledger: "glptt-ledger" });
    sandbox.secrets.put("glint/gitlab-trigger-tokens", tokens.to_string());
    let hook = json!({ "signingToken": SIGNING_TOKEN, "token": "sandbox-hook-token" });
    sandbox.secrets.put("glint/gitlab-hook", hook.to_string());
    sandbox.secrets.put("glint/gitlab-read", "glpat-reader");
    sandbox.gitlab.read_token("glpat-reader");
    for id in TABLE.iter().flat_map(|(_, runs, _)| *runs) {
        sandbox.glint.run(id);
    }
    sandbox
}

async fn answer(sandbox: &Sandbox, name: &str, event: Value) -> Value {
    match invoke(sandbox, event).await {
        Reply::Response(answer) => answer,
        other => panic!("`{name}`: {other:?}"),
    }
}

fn started(sandbox: &Sandbox, name: &str, runs: &[&str]) {
    for id in runs {
        let pipelines = sandbox.gitlab.pipelines();
        let of_run: Vec<_> = pipelines.iter().filter(|one| one.trigger_payload.contains(id)).collect();
        assert_eq!(of_run.len(), 1, "`{name}`: pipelines of `{id}`");
        let run = sandbox.glint.run_state(id);
        assert_eq!(run.links(), [of_run[0].web_url.clone()], "`{name}`: {run:?}");
        assert_eq!(run.status, "IN_PROGRESS", "`{name}`: {run:?}");
    }
}

fn untouched(sandbox: &Sandbox, name: &str, runs: &[&str]) {
    for id in runs {
        assert!(sandbox.glint.run_state(id).writes.is_empty(), "`{name}`: `{id}` was written to");
        assert!(sandbox.gitlab.pipelines().iter().all(|one| !one.trigger_payload.contains(id)), "`{name}`: `{id}`");
    }
}

async fn over_http(sandbox: &Sandbox, name: &str, runs: &[&str], fresh: Value, outcome: &str) {
    let (status, body) = reply(&answer(sandbox, name, fresh).await);
    assert_eq!(status, 200, "`{name}`: {body}");
    assert_eq!(body["outcome"], outcome, "`{name}`: {body}");
    // Whoever sends a hook is not told which run it is of.
    let named = if name.starts_with("gitlab-hook") { Value::Null } else { json!(runs[0]) };
    assert_eq!(body["runId"], named, "`{name}`: {body}");
}

async fn refused_as_it_stands(sandbox: &Sandbox, name: &str, runs: &[&str]) {
    let (status, body) = reply(&answer(sandbox, name, load(name)).await);
    assert_eq!(status, 401, "`{name}`: {body}");
    untouched(sandbox, name, runs);
}

async fn passes(sandbox: &Sandbox, name: &str, runs: &[&str], expected: Expected) {
    let now = sandbox.now().timestamp();
    match expected {
        Queue(again) => {
            let failures: Vec<Value> = again.iter().map(|id| json!({ "itemIdentifier": id })).collect();
            let answer = answer(sandbox, name, load(name)).await;
            assert_eq!(answer, json!({ "batchItemFailures": failures }), "`{name}`");
            started(sandbox, name, runs);
        }
        Webhook => {
            refused_as_it_stands(sandbox, name, runs).await;
            over_http(sandbox, name, runs, signed(load(name), CLIENT_SECRET, now), "Started").await;
            started(sandbox, name, runs);
        }
        Hook(status) => {
            over_http(sandbox, name, runs, load(name), "Finished").await;
            assert_eq!(sandbox.glint.run_state(runs[0]).status, status);
        }
        SignedHook(status) => {
            refused_as_it_stands(sandbox, name, runs).await;
            over_http(sandbox, name, runs, signed_hook(load(name), SIGNING_TOKEN, now), "Finished").await;
            assert_eq!(sandbox.glint.run_state(runs[0]).status, status);
        }
        Topic => {
            assert_eq!(answer(sandbox, name, load(name)).await, json!({}), "`{name}`");
            started(sandbox, name, runs);
        }
        Notice => {
            let answer = answer(sandbox, name, load(name)).await;
            assert_eq!((&answer["runId"], &answer["outcome"]), (&json!(runs[0]), &json!("Started")), "`{name}`");
            started(sandbox, name, runs);
        }
        Check => {
            let answer = answer(sandbox, name, load(name)).await;
            assert_eq!(answer["ok"], true, "`{name}`: {answer:#}");
            assert!(sandbox.gitlab.pipelines().is_empty(), "`{name}` starts nothing");
        }
        Sweep => {
            let answer = answer(sandbox, name, load(name)).await;
            assert_eq!(answer, json!({ "runs": 0, "ended": 0, "left": 0 }), "`{name}`");
        }
    }
}

#[tokio::test]
async fn every_event_is_handled_by_its_source() {
    let sandbox = furnished().await;
    let settings = [("GITLAB_HOOK_SECRET_ID", "glint/gitlab-hook"), ("GITLAB_READ_SECRET_ID", "glint/gitlab-read")];
    let mut function = Function::start(&sandbox, &settings).await;
    for (name, runs, expected) in TABLE {
        passes(&sandbox, name, runs, expected).await;
    }
    let printed = function.kill().await;
    // Every run of the table becomes a pipeline, but for those whose pipeline a hook tells of.
    let started = TABLE.iter().filter(|(_, _, expected)| !matches!(expected, Hook(_) | SignedHook(_)));
    let started: usize = started.map(|(_, runs, _)| runs.len()).sum();
    assert_eq!(sandbox.gitlab.pipelines().len(), started, "pipelines; the function printed:\n{printed}");
    assert!(sandbox.journal.stray().is_empty(), "{:?}", sandbox.journal.stray());
}

#[test]
fn every_file_of_events_is_in_the_table() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".json").to_owned())
        .collect();
    let known: BTreeSet<String> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(
        files, known,
        "files, and rows of `TABLE`\n  hint: give each file of `events/` its row, and each row its file"
    );
}
