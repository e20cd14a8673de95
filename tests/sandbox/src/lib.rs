//! GitLab, Glint, Secrets Manager, SQS and the Lambda Runtime API as this product meets them: stateful, over real HTTP
//! on loopback, strict where the real ones are strict, and able to fail any request at any moment.
//!
//! Nothing here knows the crate under test. A request that meets no route is kept as a stray, so that a test can ask
//! for silence.

pub mod arbitrary;
pub mod clock;
pub mod faults;
pub mod gitlab;
pub mod glint;
pub mod hold;
pub mod http;
pub mod journal;
mod malformed;
mod ordered;
mod payload;
pub mod queue;
pub mod relay;
mod ruby_json;
pub mod runtime;
pub mod samples;
pub mod scene;
pub mod secrets;
pub mod server;
pub mod service;
pub mod signing;
pub mod spellings;
pub mod tls;
pub mod view;

pub use clock::Clock;
pub use faults::Fault;
pub use gitlab::{GitLab, Job, Pipeline};
pub use glint::{Entity, ExternalId, Glint, Lists, Log, Run, Shape};
pub use hold::{Hold, HoldAt};
pub use journal::{Call, Exchange, Journal, Upstream};
pub use queue::{Message, Queue};
pub use runtime::{Reply, Runtime};
pub use secrets::Secrets;
pub use server::Refusal;
pub use tls::{Authority, Handshakes};

use chrono::{DateTime, Utc};
use std::sync::Arc;
use tokio::task::JoinSet;

/// The region and account that every ARN of the sandbox names.
pub const REGION: &str = "eu-west-1";
pub const ACCOUNT: &str = "000000000000";
pub const FUNCTION: &str = "glint-gitlab-trigger";

/// Five listeners and the state behind them; they stop when it is dropped.
pub struct Sandbox {
    pub gitlab: GitLab,
    pub glint: Glint,
    pub secrets: Secrets,
    pub queue: Queue,
    pub runtime: Runtime,
    pub journal: Journal,
    pub clock: Clock,
    faults: faults::Faults,
    ports: [Arc<server::Port>; 5],
    tls: Option<Arc<tls::Tls>>,
    _tasks: JoinSet<()>,
}

/// Which port each upstream listens on; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    pub gitlab: u16,
    pub glint: u16,
    pub secrets: u16,
    pub queue: u16,
    pub runtime: u16,
}

impl Sandbox {
    /// Starts at the present wall-clock time.
    pub async fn start() -> Self {
        Self::start_at(std::time::SystemTime::now().into()).await
    }

    /// Starts at `epoch`; from then on its wall clock follows tokio's, so it stands still or jumps where that one does.
    pub async fn start_at(epoch: DateTime<Utc>) -> Self {
        Self::start_on(epoch, Ports::default()).expect("loopback has free ports")
    }

    /// Starts on given ports; fails where one of them is taken.
    pub fn start_on(epoch: DateTime<Utc>, ports: Ports) -> std::io::Result<Self> {
        Self::open(epoch, ports, None)
    }

    /// Starts at the present time with TLS on every port but the runtime's, certified by `authority`.
    pub fn start_secured(authority: &Authority) -> std::io::Result<Self> {
        Self::open(std::time::SystemTime::now().into(), Ports::default(), Some(authority.tls()))
    }

    fn open(epoch: DateTime<Utc>, ports: Ports, tls: Option<Arc<tls::Tls>>) -> std::io::Result<Self> {
        let clock = Clock::new(epoch);
        let ports = [
            server::Port::open(ports.gitlab)?,
            server::Port::open(ports.glint)?,
            server::Port::open(ports.secrets)?,
            server::Port::open(ports.queue)?,
            server::Port::open(ports.runtime)?,
        ];
        for (port, tls) in ports[..4].iter().zip(tls.iter().cycle()) {
            port.secure(tls.clone());
        }
        let journal = Journal::default();
        let faults = faults::Faults::default();
        let gitlab = GitLab::new(clock.clone(), ports[0].url());
        let glint = Glint::new(clock.clone(), ports[1].url());
        let secrets = Secrets::new(clock.clone(), ports[2].url());
        let queue = Queue::new(clock.clone(), ports[3].url());
        let runtime = Runtime::new(clock.clone(), ports[4].clone());
        let services = [gitlab.service(), glint.service(), secrets.service(), queue.service()];
        let mut tasks = JoinSet::new();
        for (port, service) in ports.iter().zip(services) {
            let (journal, faults) = (journal.clone(), faults.clone());
            tasks.spawn(server::serve(port.clone(), move |request, connection| {
                service::handle(service.clone(), journal.clone(), faults.clone(), request, connection)
            }));
        }
        let host = runtime.clone();
        tasks.spawn(server::serve(ports[4].clone(), move |request, connection| {
            runtime::serve(host.clone(), request, connection)
        }));
        Ok(Self { gitlab, glint, secrets, queue, runtime, journal, clock, faults, ports, tls, _tasks: tasks })
    }

    /// The environment in which Lambda would start the function, with every upstream replaced.
    pub fn env(&self) -> Vec<(String, String)> {
        let group = format!("/aws/lambda/{FUNCTION}");
        let trusted = self.tls.iter().map(|tls| ("SSL_CERT_FILE".to_owned(), tls.file().display().to_string()));
        let variables = [
            ("GITLAB_URL", self.gitlab.url()),
            ("GLINT_API_URL", self.glint.url()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url()),
            ("AWS_ENDPOINT_URL_SQS", self.queue.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIDSANDBOX".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "sandbox".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", self.runtime.address().to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", group),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "sandbox".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        variables.into_iter().chain(trusted).collect()
    }

    /// Says how a coming request of this kind fails: `sandbox.fail(call).nth(1).with(fault)`.
    pub fn fail(&self, call: Call) -> faults::Rule {
        self.faults.rule(call)
    }

    /// Says what happens beside a coming request of this kind: `sandbox.on(call).nth(2).before(|_| ...)`.
    pub fn on(&self, call: Call) -> faults::Rule {
        self.faults.rule(call)
    }

    /// Takes every fault and action that has not happened yet away.
    pub fn heal(&self) {
        self.faults.clear();
    }

    /// The next such request is applied, and its answer waits until the hold is released.
    pub fn hold(&self, call: Call) -> Hold {
        self.faults.hold(call, HoldAt::After)
    }

    /// The next such request waits, before anything of it is applied, until the hold is released.
    pub fn hold_before(&self, call: Call) -> Hold {
        self.faults.hold(call, HoldAt::Before)
    }

    /// The next such request gets no answer, and is applied when the hold is released: a write that lands late.
    pub fn hold_unanswered(&self, call: Call) -> Hold {
        self.faults.hold(call, HoldAt::Unanswered)
    }

    /// The upstream's port refuses connections, and those that are open are closed, until the guard is dropped.
    pub fn refuse(&self, upstream: Upstream) -> Refusal {
        server::refuse(self.port(upstream).clone())
    }

    /// How many connections were ever opened to the upstream.
    pub fn connections(&self, upstream: Upstream) -> u64 {
        self.port(upstream).opened()
    }

    /// The TLS handshakes of all upstreams; none where connections are plain.
    pub fn handshakes(&self) -> Handshakes {
        self.tls.as_ref().map(|tls| tls.handshakes()).unwrap_or_default()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn port(&self, upstream: Upstream) -> &Arc<server::Port> {
        &self.ports[upstream as usize]
    }
}
