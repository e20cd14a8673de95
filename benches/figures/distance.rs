//! From exec or event to the trigger's arrival at GitLab, with every upstream at a distance: TLS through relays that delay each flight.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox::relay::Relay;
use sandbox::signing::signed;
use sandbox::{Authority, Call, Reply, Sandbox};
use tokio::time::Instant;

use super::build::Programs;
use super::process::Process;
use super::stage::{CLIENT_SECRET, GITLAB_DELAY, GLINT_DELAY, Stage};
use super::table::{Table, median, ms};
use super::{Effort, Outcome};

const WEBHOOK: &str = include_str!("../../events/webhook-project.json");
const AWS_DELAY: Duration = Duration::from_millis(1);
/// Longer than the function trusts an idle connection.
const IDLE: Duration = Duration::from_secs(33);
/// What may be added to the least.
const OVER_COLD: Duration = Duration::from_millis(15);
const OVER_WARM: Duration = Duration::from_millis(5);

/// A further setting of the function.
type Settings = fn(&Sandbox) -> Option<(&'static str, String)>;

/// A function behind relays.
struct Distant {
    stage: Stage,
    process: Process,
    started: Instant,
    _relays: Vec<Relay>,
}

impl Distant {
    async fn start(programs: &Programs, authority: &Authority, settings: Settings) -> Outcome<Self> {
        let stage = Stage::new(authority)?;
        let mut environment = stage.sandbox.env();
        let mut relays = Vec::new();
        for (name, round_trip) in [
            ("GITLAB_URL", GITLAB_DELAY),
            ("GLINT_API_URL", GLINT_DELAY),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", AWS_DELAY),
            ("AWS_ENDPOINT_URL_SQS", AWS_DELAY),
        ] {
            let url = environment.iter_mut().find(|(key, _)| key == name).ok_or("an upstream has no URL")?;
            let server: SocketAddr = url.1.trim_start_matches("https://").parse()?;
            let relay = Relay::start(server, round_trip).await?;
            url.1 = format!("https://{}", relay.address());
            relays.push(relay);
        }
        environment.extend(settings(&stage.sandbox).map(|(name, value)| (name.to_owned(), value)));
        let started = Instant::now();
        let process = Process::start(&programs.function, &environment)?;
        Ok(Self { stage, process, started, _relays: relays })
    }

    /// From `start`, or from now, to the 202 of a webhook.
    async fn enqueued(&mut self, start: Option<Instant>) -> Outcome<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let event = signed(serde_json::from_str(WEBHOOK)?, CLIENT_SECRET, now.try_into()?);
        let start = start.unwrap_or_else(Instant::now);
        match self.stage.sandbox.runtime.invoke(event, Duration::from_secs(15)).await {
            Reply::Response(answer) if answer["statusCode"] == 202 => Ok(start.elapsed()),
            reply => Err(format!("the webhook was not enqueued: {reply:?}").into()),
        }
    }

    /// From `start`, or from now, to the trigger's arrival.
    async fn trigger(&mut self, start: Option<Instant>) -> Outcome<Duration> {
        self.stage.sandbox.journal.clear();
        let start = start.unwrap_or_else(Instant::now);
        self.stage.send(1).await?;
        let triggers = self.stage.sandbox.journal.of(Call::Trigger);
        Ok(triggers.first().ok_or("there was no trigger")?.started.duration_since(start))
    }
}

/// What no order of the calls can go below.
struct Least {
    cold: Duration,
    warm: Duration,
    /// The function behind the URL: it reads the client secret and sends to the queue.
    url_cold: Duration,
    url_idle: Duration,
}

impl Least {
    fn new() -> Self {
        let (aws, glint, gitlab) = (AWS_DELAY, GLINT_DELAY, GITLAB_DELAY);
        // Credentials are read in three flights, beside Glint's two handshakes; then login, state and claim; GitLab's two handshakes beside all that.
        let ready = (3 * aws).max(2 * glint) + 3 * glint;
        Self {
            cold: ready.max(2 * gitlab) + gitlab / 2,
            warm: 2 * glint + gitlab / 2,
            url_cold: 4 * aws,
            url_idle: 3 * aws,
        }
    }
}

pub async fn rows(programs: &Programs, authority: &Authority, effort: Effort, table: &mut Table) -> Outcome {
    let least = Least::new();
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    let (mut idle, mut expired, mut behind_url) = (Vec::new(), Vec::new(), Vec::new());
    let mut url_cold = Vec::new();
    for _ in 0..effort.distant_starts {
        let mut function = Distant::start(programs, authority, |_| None).await?;
        let started = function.started;
        cold.push(function.trigger(Some(started)).await?);
        for _ in 0..3 {
            warm.push(function.trigger(None).await?);
        }
        idle.push(function);
        let expires: Settings = |_| Some(("SECRETS_TTL_SECONDS", "20".to_owned()));
        let mut function = Distant::start(programs, authority, expires).await?;
        function.trigger(None).await?;
        expired.push(function);
        let enqueues: Settings = |sandbox| Some(("RUNS_QUEUE_URL", sandbox.queue.url()));
        let mut function = Distant::start(programs, authority, enqueues).await?;
        let started = function.started;
        url_cold.push(function.enqueued(Some(started)).await?);
        behind_url.push(function);
    }
    tokio::time::sleep(IDLE).await;
    let (mut after_idle, mut after_expiry, mut url_idle) = (Vec::new(), Vec::new(), Vec::new());
    for mut function in idle {
        after_idle.push(function.trigger(None).await?);
        function.process.end().await?;
    }
    for mut function in expired {
        after_expiry.push(function.trigger(None).await?);
        function.process.end().await?;
    }
    for mut function in behind_url {
        url_idle.push(function.enqueued(None).await?);
        function.process.end().await?;
    }
    for (name, times, least, over) in [
        ("the trigger's arrival, cold, from exec", &cold, least.cold, OVER_COLD),
        ("the trigger's arrival, idle for 33 s", &after_idle, least.cold, OVER_COLD),
        ("the trigger's arrival, idle, and the secrets expired", &after_expiry, least.cold, OVER_COLD),
        ("the trigger's arrival, warm", &warm, least.warm, OVER_WARM),
        ("the 202 of a webhook, cold, from exec", &url_cold, least.url_cold, OVER_COLD),
        ("the 202 of a webhook, idle for 33 s", &url_idle, least.url_idle, OVER_COLD),
    ] {
        let (took, bar) = (median(times), format!("at most {} over the least", ms(over)));
        let value = format!("{}; the least is {}", ms(took), ms(least));
        let kept = took.saturating_sub(least) <= over;
        table.barred(&format!("at real distances, to {name}"), value, bar, kept);
    }
    Ok(())
}
