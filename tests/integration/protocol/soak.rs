//! Many runs through one function that never restarts, while requests fail, secrets rotate and logins expire.
//!
//! `cargo test --release --test integration soak -- --ignored --nocapture`, with the number of runs in `SOAK_RUNS`, which
//! is 20,000 where it is not set.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use glint_gitlab_trigger::{App, Invocation};
use serde_json::{Value, json};

use crate::protocol::history::{BOTH, enqueue, hold_all, light_answers, next_event};
use crate::support::{CLIENT_SECRET, PROJECT, TOKEN, app, borrowed, furnish};
use sandbox::{Call, Exchange, Ports, Sandbox, Upstream};

const RECEIVES: u32 = 20;
/// Runs of one sandbox. Each round has its own, on the same ports, so that what grows is the function.
const ROUND: usize = 50;
/// One request in so many fails.
const RARITY: u64 = 20;
const LOGIN_SECONDS: u64 = 60;
/// More than the half minute in which no secret is read out of turn twice.
const BETWEEN_ROTATIONS: Duration = Duration::from_secs(31);
const TIME: Duration = Duration::from_secs(45);

/// What a round came to.
#[derive(Default)]
struct Tally {
    requests: usize,
    faults: usize,
    receives: usize,
    ends: [usize; 3],
    connections: u64,
}

/// What the process holds after a round, and how many connections it opened in it.
#[derive(Clone, Copy, Debug)]
struct Held {
    kib: u64,
    files: usize,
    connections: u64,
}

impl Held {
    fn after(tally: &Tally) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
        let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
        Self { kib, files, connections: tally.connections }
    }
}

/// A number that looks random and is the same every time.
fn scattered(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

/// Has one request in [`RARITY`] fail, each time in another way.
fn let_some_fail(sandbox: &Sandbox, round: u64) {
    let faults = light_answers();
    let kinds = faults.len() as u64;
    let calls = [
        Call::GetSecret,
        Call::Login,
        Call::GetRun,
        Call::PatchRun,
        Call::PostLog,
        Call::Trigger,
        Call::ListPipelines,
        Call::PipelineVariables,
        Call::SendMessage,
        Call::ChangeVisibility,
    ];
    for call in calls {
        for (kind, named) in faults.iter().enumerate() {
            let turn = move |one: &Exchange| scattered(one.number ^ (round << 20)) % (RARITY * kinds) == kind as u64;
            sandbox.fail(call).of(turn).every().with(named.fault.clone());
        }
    }
}

/// A sandbox that goes on where the one before it stopped, with the secrets of this round.
fn furnished(now: DateTime<Utc>, ports: Ports, round: u64) -> Sandbox {
    let sandbox = Sandbox::start_on(now, ports).unwrap();
    furnish(&sandbox);
    BOTH.builder(RECEIVES).prepare(&sandbox);
    rotate(&sandbox, round);
    sandbox.glint.token_ttl(LOGIN_SECONDS);
    let_some_fail(&sandbox, round);
    sandbox
}

/// New secrets everywhere. They begin as the first ones do, so that they are found wherever they should not be.
fn rotate(sandbox: &Sandbox, round: u64) {
    let (token, secret) = (format!("{TOKEN}{round}"), format!("{CLIENT_SECRET}{round}"));
    sandbox.gitlab.rotate_token(PROJECT, &token);
    sandbox.secrets.rotate("glint/gitlab-trigger-tokens", json!({ PROJECT: token }).to_string());
    sandbox.glint.rotate_secret(&secret);
    let credentials = json!({ "clientId": "client-id", "clientSecret": secret });
    sandbox.secrets.rotate("glint/credentials", credentials.to_string());
}

async fn one_event(sandbox: &Sandbox, app: &Arc<App>, event: &Value) -> String {
    let payload = serde_json::value::to_raw_value(event).unwrap();
    let deadline = SystemTime::from(sandbox.now()) + TIME;
    let start = tokio::time::Instant::now();
    let reply = app.handle(&payload, Invocation { deadline }).await;
    assert!(start.elapsed() + Duration::from_millis(500) <= TIME);
    let reply = reply.map(|reply| serde_json::from_str::<Value>(reply.get()).unwrap());
    let text = format!("{reply:?}");
    sandbox.queue.acknowledge(event, reply.ok());
    text
}

async fn round(sandbox: &Sandbox, app: &Arc<App>, number: u64) -> Tally {
    let runs: Vec<String> = (0..ROUND).map(|place| format!("r_{number}_{place}")).collect();
    for run in &runs {
        enqueue(sandbox, run);
    }
    let (mut tally, mut replies) = (Tally::default(), Vec::new());
    while let Some(event) = next_event(sandbox, 10).await {
        tally.receives += event["Records"].as_array().unwrap().len();
        replies.push(one_event(sandbox, app, &event).await);
        if replies.len() == 3 {
            tokio::time::sleep(BETWEEN_ROTATIONS).await;
            rotate(sandbox, number + 1_000_000);
        }
    }
    sandbox.heal();
    if !sandbox.queue.dead_letters().is_empty() {
        replies.push(one_event(sandbox, app, &sandbox.queue.receive_dead_letters()).await);
    }
    for end in hold_all(sandbox, &runs, &replies) {
        tally.ends[end as usize] += 1;
    }
    let exchanges = sandbox.journal.exchanges();
    tally.requests = exchanges.len();
    let failed = |one: &&Exchange| !one.applied || one.status.is_none_or(|status| status >= 400);
    tally.faults = exchanges.iter().filter(failed).count();
    tally.connections =
        [Upstream::GitLab, Upstream::Glint, Upstream::SecretsManager].map(|one| sandbox.connections(one)).iter().sum();
    tally
}

fn ports_of(sandbox: &Sandbox) -> Ports {
    let port = |url: String| url.rsplit(':').next().unwrap().parse().unwrap();
    Ports {
        gitlab: port(sandbox.gitlab.url()),
        glint: port(sandbox.glint.url()),
        secrets: port(sandbox.secrets.url()),
        queue: port(sandbox.queue.endpoint()),
        runtime: sandbox.runtime.address().port(),
    }
}

/// Rounds until `runs` runs are through. What the process held after each is returned.
async fn soak(runs: usize) -> Vec<Held> {
    let epoch = "2026-01-05T09:12:04.120Z".parse().unwrap();
    let mut sandbox = furnished(epoch, Ports::default(), 0);
    let ports = ports_of(&sandbox);
    let settings = BOTH.builder(RECEIVES).prepare(&sandbox);
    let function = app(&sandbox, &borrowed(&settings));
    let (mut held, mut total) = (Vec::new(), Tally::default());
    for number in 0..runs.div_ceil(ROUND) as u64 {
        let tally = round(&sandbox, &function, number).await;
        total.requests += tally.requests;
        total.faults += tally.faults;
        total.receives += tally.receives;
        total.connections += tally.connections;
        total.ends.iter_mut().zip(tally.ends).for_each(|(sum, count)| *sum += count);
        tokio::time::sleep(BETWEEN_ROTATIONS).await;
        let now = sandbox.now();
        drop(sandbox);
        held.push(Held::after(&tally));
        sandbox = next_sandbox(now, ports, number + 1).await;
    }
    let [linked, not_started, not_confirmed] = total.ends;
    println!(
        "{} runs in {} receives: {linked} linked, {not_started} not started, {not_confirmed} not confirmed; {} requests, {} of them failed; {} connections",
        total.ends.iter().sum::<usize>(),
        total.receives,
        total.requests,
        total.faults,
        total.connections
    );
    assert_eq!(not_confirmed, 0, "every doubt can be looked up");
    assert!(linked * 100 >= runs * 90 && total.faults * 100 >= total.requests * 4);
    held
}

/// The ports are free once the old acceptors are gone.
async fn next_sandbox(now: DateTime<Utc>, ports: Ports, round: u64) -> Sandbox {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
    furnished(now, ports, round)
}

/// A soak in a process of its own, whose memory and files nobody else uses.
#[test]
fn a_short_soak_breaks_no_invariant_and_leaks_nothing() {
    let mut soak = Command::new(std::env::current_exe().unwrap());
    soak.args(["--ignored", "--exact", "protocol::soak::a_soak_breaks_no_invariant_and_leaks_nothing", "--nocapture"]);
    let output = soak.env("SOAK_RUNS", "500").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let of_interest = |line: &&str| line.starts_with("held") || line.contains(" runs in ") || line.contains("panicked");
    let words: Vec<&str> = printed.lines().filter(of_interest).collect();
    println!("{}", words.join("\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("500 runs in "), "{printed}");
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes: see the top of this file"]
async fn a_soak_breaks_no_invariant_and_leaks_nothing() {
    let runs = std::env::var("SOAK_RUNS").map_or(20_000, |count| count.parse().unwrap());
    let held = soak(runs).await;
    // Pools and caches fill up in the first rounds.
    let settled = held[held.len() / 4];
    let last = held[held.len() - 1];
    println!("held after a quarter: {settled:?}, in the end: {last:?}");
    let connections = |rounds: &[Held]| rounds.iter().map(|held| held.connections).sum::<u64>() / rounds.len() as u64;
    let (early, late) = held.split_at(held.len() / 2);
    let (early, late) = (connections(early), connections(late));
    println!("held by {ROUND} runs: {early} connections at first, {late} later");
    assert!(late <= early + early / 2 + 10, "connections grow: {early}, {late}");
    assert!(last.files <= settled.files + 8, "file descriptors grow: {settled:?}, {last:?}");
    assert!(last.kib <= settled.kib + 16 * 1024, "memory grows: {settled:?}, {last:?}");
}
