//! What is simulated: settings, load, upstreams, and what is counted of it all.

use super::limits::{Limit, MINUTE, SECOND, Time};

/// The function's settings, under the names of the template's parameters.
#[derive(Clone, Copy)]
pub struct Settings {
    pub maximum_concurrency: usize,
    pub max_receives: u32,
}

/// The template's own.
pub const DEFAULT: Settings = Settings { maximum_concurrency: 10, max_receives: 20 };

/// What the event source mapping takes at once.
pub const BATCH: usize = 5;
pub const MEMORY_GB: f64 = 0.25;

/// Runs that arrive evenly, and where their pipelines go.
#[derive(Clone, Copy)]
pub struct Load {
    pub runs: u32,
    pub over: Time,
    /// How many project, token owner and commit there are; the runs are spread evenly over them.
    pub projects: u32,
    /// Whether GitLab's hooks move and end the runs.
    pub hooks: bool,
}

/// What the upstreams allow.
#[derive(Clone, Copy)]
pub struct Allowance {
    /// Glint's requests in five minutes.
    pub glint: u32,
    /// GitLab's triggers a minute from one address, where all leave from one.
    pub address: Option<u32>,
}

/// Port's limit, which Glint's is modelled on.
pub const GLINT: u32 = 15_000;
/// GitLab.com's for requests without a user, which a trigger counts as.
pub const ADDRESS: u32 = 500;
/// GitLab.com's pipelines a minute for one project, token owner and commit.
const PIPELINES: u32 = 25;

/// How long upstreams take for an answer.
pub const GLINT_TAKES: Time = 100;
pub const GITLAB_TAKES: Time = SECOND;

/// The requests to Glint that a hook costs: found and moved twice, then found, logged and ended.
pub const HOOKS: [(Time, u32); 3] = [(0, 2), (5 * SECOND, 2), (3 * MINUTE, 3)];

pub struct Upstreams {
    pub glint: Limit,
    pub pipelines: Limit,
    pub address: Limit,
}

impl Upstreams {
    pub fn new(allowance: Allowance) -> Self {
        Self {
            glint: Limit::new(allowance.glint, 5 * MINUTE),
            pipelines: Limit::new(PIPELINES, MINUTE),
            address: Limit::new(allowance.address.unwrap_or(u32::MAX), MINUTE),
        }
    }
}

/// What became of it all.
#[derive(Default)]
pub struct Tally {
    pub started: u32,
    pub last_start: Time,
    pub deferrals: u64,
    pub given_up: u32,
    pub dead_letters: u32,
    pub invocations: u64,
    pub busy: Time,
    pub messages: u64,
    pub waits: Vec<Time>,
}

impl Tally {
    /// In dollars: Lambda on arm64 for both functions, and a FIFO queue's requests.
    pub fn cost(&self) -> f64 {
        const INVOCATION: f64 = 0.20 / 1e6;
        const GB_SECOND: f64 = 0.000_013_333_4;
        const QUEUE_REQUEST: f64 = 0.50 / 1e6;
        /// What the ingress takes to prove a message and to put it on the queue.
        const INGRESS: f64 = 0.05;
        let invocations = (self.invocations + self.messages) as f64;
        let seconds = self.busy as f64 / 1e3 + self.messages as f64 * INGRESS;
        let queue = (self.messages + 2 * self.invocations + self.deferrals) as f64;
        invocations * INVOCATION + seconds * MEMORY_GB * GB_SECOND + queue * QUEUE_REQUEST
    }

    /// How long half of the started runs waited for their pipeline.
    pub fn median_wait(&self) -> Time {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits.get(waits.len() / 2).copied().unwrap_or_default()
    }
}
