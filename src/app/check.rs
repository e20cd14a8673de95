//! `{"check": true}`: what works and what does not, for a person and for a machine. Starts nothing.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::Instant;

use super::context::Context;
use crate::aws::secrets::Cached;
use crate::deadlines::PROBE_TIMEOUT;
use crate::gitlab::TriggerError;
use crate::gitlab::types::Project;
use crate::source::Check;

/// Projects tried side by side.
const AT_ONCE: usize = 4;
/// Clocks further apart than this fail signatures.
const SKEW_SECONDS: u64 = 60;
const WAY_OUT: &str = "check `GITLAB_URL` and the function's way out of its network";

/// The answer: `ok` where everything works.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub ok: bool,
    pub checks: Vec<Line>,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
pub struct Line {
    pub check: String,
    pub ok: bool,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

fn good(check: impl Into<String>, detail: impl Into<String>) -> Line {
    Line { check: check.into(), ok: true, detail: detail.into(), hint: None }
}

fn bad(check: impl Into<String>, detail: impl ToString, hint: &'static str) -> Line {
    Line { check: check.into(), ok: false, detail: detail.to_string(), hint: Some(hint) }
}

impl Context {
    pub async fn check(&self, request: &Check) -> CheckReport {
        let (login, hook, read) = tokio::join!(self.check_login(), self.check_hook_secret(), self.check_read_token());
        let config = &self.app.config;
        let mut checks =
            vec![good("settings", format!("GitLab is `{}`, Glint `{}`", config.gitlab_url, config.glint_url))];
        checks.extend(login);
        checks.push(hook);
        checks.push(read);
        checks.push(match &config.runs_queue_url {
            Some(url) => good("runs queue", format!("deliveries are handed over to `{url}`")),
            None => good("runs queue", "not set: webhooks and Kafka records are handled in place"),
        });
        checks.extend(self.check_projects(request).await);
        CheckReport { ok: checks.iter().all(|line| line.ok), checks }
    }

    async fn check_login(&self) -> Vec<Line> {
        let secret = &self.app.config.glint_secret_id;
        if let Err(error) = self.credentials().await {
            return vec![bad(
                format!("secret `{secret}`"),
                error,
                "put `{\"clientId\": \"...\", \"clientSecret\": \"...\"}` there, and let the function's role read it",
            )];
        }
        let readable = good(format!("secret `{secret}`"), "readable");
        match self.glint(self.app.glint.log_in(self.freshness())).await {
            Ok(()) => {
                let login = good("Glint login", format!("`{}` accepts the client", self.app.config.glint_url));
                vec![readable, login, self.check_clock().await]
            }
            Err(error) => {
                let hint = "check `GLINT_API_URL`, the client's id and secret, and Glint's list of allowed addresses";
                vec![readable, bad("Glint login", error, hint)]
            }
        }
    }

    /// Needs a login: only Glint's answers to one of its clients are sure to be Glint's.
    async fn check_clock(&self) -> Line {
        const HINT: &str = "signatures hold for 300 seconds: let AWS set the clock, and ask Glint about theirs";
        let theirs = match self.glint(self.app.glint.clock(self.freshness())).await {
            Ok(Some(theirs)) => theirs,
            Ok(None) => return good("clock", "Glint's answers carry no time to compare with"),
            Err(error) => {
                return bad("clock", error, "check `GLINT_API_URL` and the function's way out of its network");
            }
        };
        let skew = difference(self.now(), theirs);
        if skew <= SKEW_SECONDS {
            good("clock", format!("{skew} seconds from Glint's"))
        } else {
            bad("clock", format!("{skew} seconds from Glint's"), HINT)
        }
    }

    async fn check_hook_secret(&self) -> Line {
        match self.app.secrets.hook(self.freshness()).await {
            Ok(None) => good("hook secret", "not set: GitLab's hooks are refused"),
            Ok(Some(Cached { value, .. })) if value.signing_token.is_none() && value.token.is_none() => bad(
                "hook secret",
                "it has neither `signingToken` nor `token`",
                "put `{\"signingToken\": \"whsec_...\"}` or `{\"token\": \"...\"}` there",
            ),
            Ok(Some(_)) => good("hook secret", "readable"),
            Err(error) => {
                bad("hook secret", error, "check `GITLAB_HOOK_SECRET_ID`, and that the function's role may read it")
            }
        }
    }

    async fn check_read_token(&self) -> Line {
        match self.app.secrets.read_token(self.freshness()).await {
            Ok(None) => good("read token", "not set: unconfirmed pipelines are not looked up, and nothing is report"),
            Ok(Some(_)) => good("read token", "readable"),
            Err(error) => {
                bad("read token", error, "check `GITLAB_READ_SECRET_ID`, and that the function's role may read it")
            }
        }
    }

    async fn check_projects(&self, request: &Check) -> Vec<Line> {
        const HINT: &str =
            "put a JSON object from project paths to trigger tokens there, and let the function's role read it";
        let secret = format!("secret `{}`", self.app.config.tokens_secret_id);
        let listed = match self.app.secrets.token_keys(self.freshness()).await {
            Ok(listed) => listed,
            Err(error) => return vec![bad(secret, error, HINT)],
        };
        let wanted = if request.projects.is_empty() {
            listed.into_iter().filter(|key| key.contains('/')).collect()
        } else {
            request.projects.clone()
        };
        let mut lines = vec![good(secret, format!("readable; {} projects to try", wanted.len()))];
        if wanted.is_empty() {
            // Each try of a token reaches GitLab; without one nothing else would.
            lines.push(self.check_gitlab().await);
        }
        let tries = stream::iter(&wanted).map(|path| self.check_project(path)).buffered(AT_ONCE);
        lines.extend(tries.collect::<Vec<_>>().await);
        lines
    }

    async fn check_gitlab(&self) -> Line {
        match self.app.gitlab.reach(self.time_to_try()).await {
            Ok(()) => good("GitLab", format!("`{}` answers", self.app.config.gitlab_url)),
            Err(why) => bad("GitLab", why, WAY_OUT),
        }
    }

    fn time_to_try(&self) -> Duration {
        self.call_deadline().saturating_duration_since(Instant::now()).min(PROBE_TIMEOUT)
    }

    /// Triggers a pipeline on a ref that git cannot have: GitLab's 400 proves the token, its 404 refutes it, and nothing is created.
    async fn check_project(&self, path: &str) -> Line {
        let name = format!("project `{path}`");
        let project = match Project::parse_path(path) {
            Ok(project) => project,
            Err(fault) => return bad(name, fault, "give the project's path as `group/sub/project`"),
        };
        let token = match self.app.secrets.trigger_token(&project, self.freshness()).await {
            Ok(Some(token)) => token.value,
            Ok(None) => return bad(name, "there is no trigger token for it", "add it to the secret of trigger tokens"),
            Err(error) => {
                return bad(name, error, "check `GITLAB_TOKENS_SECRET_ID`, and that the function's role may read it");
            }
        };
        match self.app.gitlab.trigger(&project, &token, &impossible(), &[], self.time_to_try()).await {
            Err(TriggerError::Rejected(words)) if words.contains("status 400") => good(name, "its trigger token holds"),
            Err(TriggerError::TokenRefused(_)) => bad(
                name,
                "GitLab has no such project for this token",
                "check the path, and that the trigger token belongs to the project",
            ),
            Err(TriggerError::Throttled(_)) => {
                good(name, "its trigger token was not refused; GitLab takes no more pipelines for now")
            }
            Err(error) => bad(name, error, WAY_OUT),
            Ok(pipeline) => bad(
                name,
                format!("GitLab created {} for a ref that cannot exist", pipeline.url),
                "cancel it, and tell the maintainers of this function",
            ),
        }
    }
}

/// Two dots: no branch or tag can be called so.
fn impossible() -> [(&'static str, Cow<'static, str>); 1] {
    [("ref", Cow::Borrowed("\"glint-gitlab-trigger..check\""))]
}

fn difference(one: SystemTime, other: SystemTime) -> u64 {
    one.duration_since(other).unwrap_or_else(|error| error.duration()).as_secs()
}
