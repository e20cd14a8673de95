//! The sandbox as the measurements need it, and the runs that are sent through it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Outcome;
use super::build::Programs;
use super::process::Process;
use sandbox::{Authority, Call, Exchange, Fault, Reply, Sandbox};

const CLIENT_ID: &str = "sandbox-client-id";
pub const CLIENT_SECRET: &str = "glint-sandbox-client-secret-0123456789";
const PROJECT: &str = "acme/backend/billing";
const TOKEN: &str = "glptt-0123456789abcdef0123456789abcdef01234567";

/// The event whose run is sent, and the run's id in it.
const EVENT: &str = include_str!("../../events/sqs.json");
const RUN: &str = "r_k3Jw81QmZpLx0aTb";

pub const GLINT_DELAY: Duration = Duration::from_millis(20);
pub const GITLAB_DELAY: Duration = Duration::from_millis(100);

/// Exchanges are forgotten after so many runs, so that the sandbox does not grow while it serves.
const MEMORY: usize = 100;

pub struct Stage {
    pub sandbox: Sandbox,
    sent: usize,
}

impl Stage {
    pub fn new(authority: &Authority) -> Outcome<Self> {
        let sandbox = Sandbox::start_secured(authority)?;
        sandbox.glint.credentials(CLIENT_ID, CLIENT_SECRET);
        let credentials = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET });
        sandbox.secrets.put("glint/credentials", credentials.to_string());
        sandbox.secrets.put("glint/gitlab-trigger-tokens", json!({ PROJECT: TOKEN }).to_string());
        sandbox.gitlab.project(PROJECT).token(TOKEN).branch("release/1.4");
        Ok(Self { sandbox, sent: 0 })
    }

    /// From now on Glint takes 20 ms for an answer, and GitLab 100 ms.
    pub fn delay(&self) {
        for call in [Call::Login, Call::GetRun, Call::PatchRun, Call::PostLog] {
            self.sandbox.fail(call).every().with(Fault::Delay(GLINT_DELAY));
        }
        self.sandbox.fail(Call::Trigger).every().with(Fault::Delay(GITLAB_DELAY));
    }

    /// The function, waiting for its first event.
    pub async fn function(&self, programs: &Programs) -> Outcome<Process> {
        let function = Process::start(&programs.function, &self.sandbox.env())?;
        self.sandbox.runtime.waiting_for_next().await;
        Ok(function)
    }

    /// Sends an event with so many new runs, and tells how long it took until the answer.
    pub async fn send(&mut self, runs: usize) -> Outcome<Duration> {
        let ids: Vec<String> = (0..runs).map(|index| format!("r_{:016}", self.sent + index)).collect();
        self.sent += runs;
        if self.sent % MEMORY < runs {
            self.sandbox.journal.clear();
        }
        for id in &ids {
            self.sandbox.glint.run(id);
        }
        let event = event(&ids)?;
        let start = Instant::now();
        let reply = self.sandbox.runtime.invoke(event, Duration::from_secs(45)).await;
        let took = start.elapsed();
        if reply != Reply::Response(json!({ "batchItemFailures": [] })) {
            return Err(format!("a run was not started: {reply:?}").into());
        }
        for id in ids {
            let run = self.sandbox.glint.run(&id);
            if self.sandbox.glint.run_state(&id).external_run_id.is_none() {
                return Err(format!("the run `{id}` is not linked").into());
            }
            run.forget();
        }
        Ok(took)
    }

    /// Sends an event to whatever is in the function's place, and does not look at what it does.
    pub async fn invoke(&self) -> Outcome<Duration> {
        let event = event(&[RUN.to_owned()])?;
        let start = Instant::now();
        match self.sandbox.runtime.invoke(event, Duration::from_secs(45)).await {
            Reply::Response(_) => Ok(start.elapsed()),
            reply => Err(format!("no response: {reply:?}").into()),
        }
    }

    /// Sends so many events of one run each.
    pub async fn send_each(&mut self, events: usize) -> Outcome<Vec<Duration>> {
        let mut all = Vec::with_capacity(events);
        for _ in 0..events {
            all.push(self.send(1).await?);
        }
        Ok(all)
    }

    /// How long the upstreams held the requests of one run that wait for each other: what no client can go below.
    pub fn chain(&self) -> Duration {
        let last = |call: Call, count: usize| -> Duration {
            self.sandbox.journal.of(call).iter().rev().take(count).map(held).sum()
        };
        // The claim and the link are both PATCHes.
        last(Call::GetRun, 1) + last(Call::PatchRun, 2) + last(Call::Trigger, 1) + last(Call::PostLog, 1)
    }
}

/// From a request's arrival to its answer.
pub fn held(exchange: &Exchange) -> Duration {
    exchange.ended.map(|ended| ended.duration_since(exchange.started)).unwrap_or_default()
}

/// One message for each run.
fn event(ids: &[String]) -> Outcome<Value> {
    let mut records = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        let mut event: Value = serde_json::from_str(&EVENT.replace(RUN, id))?;
        let mut record = event["Records"][0].take();
        record["messageId"] = json!(format!("d23f0824-128b-4f33-8c5c-{index:012}"));
        records.push(record);
    }
    Ok(json!({ "Records": records }))
}
