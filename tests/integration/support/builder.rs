//! What a world has before a test begins.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::world::{World, app_with_clock};
use super::{CLIENT_SECRET, PROJECT, TOKEN};
use sandbox::Sandbox;

pub const HOOK_SECRET: &str = "glint/gitlab-hook";
pub const HOOK_TOKEN: &str = "sandbox-hook-token";
pub const READ_SECRET: &str = "glint/gitlab-read";
pub const READ_TOKEN: &str = "glpat-sandbox-read-token-0123456789";

/// Where verified hooks are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    InPlace,
    Queued,
}

impl Handling {
    pub const ALL: [Self; 2] = [Self::InPlace, Self::Queued];
}

/// Chooses what is there; nothing is read before [`Builder::start`].
#[derive(Default)]
pub struct Builder {
    epoch: Option<DateTime<Utc>>,
    runs: Vec<String>,
    branches: Vec<String>,
    inputs: Vec<String>,
    settings: Vec<(String, String)>,
    hooks: bool,
    runs_queue: bool,
    dead_letter_queue: bool,
    read_token: bool,
    receives: Option<u32>,
    frozen: bool,
}

impl Builder {
    /// The sandbox starts at this time instead of now.
    pub fn at(mut self, epoch: &str) -> Self {
        self.epoch = Some(epoch.parse().expect("a test names a valid time"));
        self
    }

    /// A run in progress.
    pub fn run(mut self, id: &str) -> Self {
        self.runs.push(id.to_owned());
        self
    }

    pub fn runs(mut self, ids: &[&str]) -> Self {
        self.runs.extend(ids.iter().map(|id| (*id).to_owned()));
        self
    }

    /// Further branches of the project.
    pub fn branches(mut self, names: &[&str]) -> Self {
        self.branches.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// The names that the project's `spec:inputs` declares.
    pub fn inputs(mut self, names: &[&str]) -> Self {
        self.inputs.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Further settings of the function; the last one of a name counts.
    pub fn settings(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// GitLab sends hooks with the plain token, which the function expects.
    pub fn hooks(mut self, handling: Handling) -> Self {
        self.hooks = true;
        if handling == Handling::Queued { self.runs_queue() } else { self }
    }

    /// `RUNS_QUEUE_URL`
    pub fn runs_queue(mut self) -> Self {
        self.runs_queue = true;
        self
    }

    /// `DEAD_LETTER_QUEUE_ARN`
    pub fn dead_letter_queue(mut self) -> Self {
        self.dead_letter_queue = true;
        self
    }

    /// `GITLAB_READ_SECRET_ID`, with a token that GitLab accepts.
    pub fn read_token(mut self) -> Self {
        self.read_token = true;
        self
    }

    /// `MAX_RECEIVES`, and the queue's `maxReceiveCount`.
    pub fn max_receives(mut self, count: u32) -> Self {
        self.receives = Some(count);
        self
    }

    /// The function's clock stands still until [`World::pass`] moves it.
    pub fn frozen_clock(mut self) -> Self {
        self.frozen = true;
        self
    }

    pub async fn start(self) -> World {
        let sandbox = match self.epoch {
            Some(epoch) => Sandbox::start_at(epoch).await,
            None => Sandbox::start().await,
        };
        self.around(sandbox)
    }

    /// Starts around a sandbox that is there already.
    pub fn around(self, sandbox: Sandbox) -> World {
        furnish(&sandbox);
        let settings = self.prepare(&sandbox);
        let settings = borrowed(&settings);
        let frozen = self.frozen.then(|| Arc::new(AtomicI64::new(sandbox.now().timestamp())));
        let app = app_with_clock(&sandbox, &settings, frozen.as_ref());
        World { sandbox, app, time: Duration::from_secs(45), frozen }
    }

    /// Puts what was chosen into the sandbox; returns the settings that go with it, for a function of its own.
    pub fn prepare(&self, sandbox: &Sandbox) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        if self.hooks {
            sandbox.secrets.put(HOOK_SECRET, json!({ "token": HOOK_TOKEN }).to_string());
            sandbox.gitlab.hook_token(HOOK_TOKEN);
            set("GITLAB_HOOK_SECRET_ID", HOOK_SECRET.to_owned());
        }
        if self.runs_queue {
            set("RUNS_QUEUE_URL", sandbox.queue.url());
        }
        if self.dead_letter_queue {
            set("DEAD_LETTER_QUEUE_ARN", sandbox.queue.dead_letter_arn());
        }
        if self.read_token {
            sandbox.secrets.put(READ_SECRET, READ_TOKEN);
            sandbox.gitlab.read_token(READ_TOKEN);
            set("GITLAB_READ_SECRET_ID", READ_SECRET.to_owned());
        }
        if let Some(count) = self.receives {
            sandbox.queue.max_receives(count);
            set("MAX_RECEIVES", count.to_string());
        }
        self.runs.iter().for_each(|run| drop(sandbox.glint.run(run)));
        for branch in &self.branches {
            sandbox.gitlab.project(PROJECT).branch(branch);
        }
        if !self.inputs.is_empty() {
            sandbox.gitlab.project(PROJECT).inputs(self.inputs.iter().map(String::as_str));
        }
        settings.extend(self.settings.iter().cloned());
        settings
    }
}

/// Settings as functions take them.
pub fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The project, its token and Glint's credentials, all where the default settings look for them.
pub fn furnish(sandbox: &Sandbox) {
    sandbox.glint.credentials("client-id", CLIENT_SECRET);
    let credentials = json!({ "clientId": "client-id", "clientSecret": CLIENT_SECRET });
    sandbox.secrets.put("glint/credentials", credentials.to_string());
    sandbox.secrets.put("glint/gitlab-trigger-tokens", json!({ PROJECT: TOKEN }).to_string());
    sandbox.gitlab.project(PROJECT).token(TOKEN).branch("main").branch("release/1.4");
}
