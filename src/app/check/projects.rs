//! Checks each project: its trigger token, and what the read token may read.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use secrecy::SecretString;
use tokio::time::Instant;

use super::report::CheckResult;
use crate::app::context::Context;
use crate::config::{PROJECT_PLACEHOLDER, UserInputsAs};
use crate::deadlines::PROBE_TIMEOUT;
use crate::gitlab::types::Project;
use crate::gitlab::{LookupError, ReadAccess, TriggerError};
use crate::source::Check;
use crate::verify::url_key;

/// Projects tried side by side.
const MAX_AT_ONCE: usize = 4;
const TOKENS_VARIABLE: &str = "GITLAB_TOKENS_SECRET_ID";
const WAY_OUT: &str = "check `GITLAB_URL` and the function's way out of its network";

pub async fn check_projects(context: &Context, request: &Check, read_token: Option<&SecretString>) -> Vec<CheckResult> {
    let id = &context.app.config.tokens_secret_id;
    let name = format!("secret `{id}`");
    let keys = match context.app.secrets.token_keys(context.call_limits()).await {
        Ok(keys) => keys,
        Err(error) => {
            let hint = format!("{}; it maps project paths to trigger tokens", error.hint(TOKENS_VARIABLE));
            return vec![CheckResult::failed(name, error, hint)];
        }
    };
    let (paths, others): (Vec<String>, Vec<String>) = keys.into_iter().partition(|key| key.contains('/'));
    let others_count = others.len();
    let mut detail = if id.contains(PROJECT_PLACEHOLDER) {
        "each project has a secret of its own".to_owned()
    } else {
        format!("projects by their paths: {}", paths.len())
    };
    if !others.is_empty() {
        detail +=
            &format!("; by the agent's names, which are tried only if their paths are asked for: {}", others.len());
    }
    let wanted = if request.projects.is_empty() { paths } else { request.projects.clone() };
    if wanted.is_empty() {
        detail += "; none is tried: ask with `{\"check\": true, \"projects\": [\"group/project\"]}`";
    }
    let names_nobody = wanted.is_empty() && others_count == 0 && !id.contains(PROJECT_PLACEHOLDER);
    let mut lines = vec![if names_nobody {
        CheckResult::failed(
            name,
            "it names no project",
            "add the path of each project with its trigger token, as in `{\"group/project\": \"...\"}`",
        )
    } else {
        CheckResult::ok(name, detail)
    }];
    if wanted.is_empty() {
        // Each try of a token reaches GitLab; without one nothing else would.
        lines.push(check_gitlab(context).await);
    }
    let tries = stream::iter(&wanted).map(|path| check_project(context, path, read_token)).buffered(MAX_AT_ONCE);
    lines.extend(tries.collect::<Vec<_>>().await.into_iter().flatten());
    lines
}

async fn check_gitlab(context: &Context) -> CheckResult {
    match context.app.gitlab.reach(probe_timeout(context)).await {
        Ok(()) => CheckResult::ok("GitLab", format!("`{}` answers", context.app.config.gitlab_url)),
        Err(why) => CheckResult::failed("GitLab", why, WAY_OUT),
    }
}

fn probe_timeout(context: &Context) -> Duration {
    context.call_deadline().saturating_duration_since(Instant::now()).min(PROBE_TIMEOUT)
}

async fn check_project(context: &Context, path: &str, read_token: Option<&SecretString>) -> Vec<CheckResult> {
    let name = format!("project `{path}`");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let project = match Project::by_id(path).map_or_else(|| Project::parse_path(path), Ok) {
        Ok(project) => project,
        Err(fault) => {
            let what = if path.contains('/') { fault.to_string() } else { "it names no group".to_owned() };
            return vec![CheckResult::failed(name, what, "give the project's path as `group/sub/project`")];
        }
    };
    let mut line = check_trigger_token(context, name, &project).await;
    if line.ok {
        line.url = proven_url(context, &project, query).await;
    }
    let mut lines = vec![line];
    if let Some(token) = read_token {
        lines.push(check_read_access(context, &project, token).await);
    }
    lines
}

/// What the URL of a webhook action ends in: the project's path and `query`, with the key that proves both. The key proves a URL
/// and no sender: it cannot sign a message.
async fn proven_url(context: &Context, project: &Project, query: &str) -> Option<String> {
    let token = context.app.secrets.trigger_token(project, context.call_limits()).await.ok()??.value;
    let url = if query.is_empty() { format!("/{project}?") } else { format!("/{project}?{query}&") };
    let key = url_key(&token, &url);
    Some(format!("{url}key={key}"))
}

/// Triggers a pipeline on a ref that git cannot have: GitLab's 400 proves the token, its 404 refutes it, and nothing is created.
async fn check_trigger_token(context: &Context, name: String, project: &Project) -> CheckResult {
    let id = context.app.config.tokens_secret_id.replace(PROJECT_PLACEHOLDER, &project.path());
    let token = match context.app.secrets.trigger_token(project, context.call_limits()).await {
        Ok(Some(token)) => token.value,
        Ok(None) => {
            let detail = format!("there is no trigger token for it in the secret `{id}`");
            return CheckResult::failed(
                name,
                detail,
                format!("add `\"{project}\"` with a trigger token of it to the secret"),
            );
        }
        Err(error) => return CheckResult::failed(name, &error, error.hint(TOKENS_VARIABLE)),
    };
    let sends_variables = context.app.config.user_inputs_as == UserInputsAs::Variables;
    match context
        .app
        .gitlab
        .trigger(project, &token, unstartable_variables(sends_variables), &[], probe_timeout(context))
        .await
    {
        Err(TriggerError::Rejected(words)) if words.contains("Reference not found") => {
            CheckResult::ok(name, format!("GitLab accepts its trigger token, of the secret `{id}`"))
        }
        Err(TriggerError::Rejected(words)) if words.contains("to set pipeline variables") => CheckResult::failed(
            name,
            format!("its trigger token holds, and GitLab refuses its pipelines: {words}"),
            "lower the project's `Minimum role to use pipeline variables`, or set `USER_INPUTS_AS` to `inputs`",
        ),
        Err(TriggerError::Rejected(words)) => CheckResult::failed(
            name,
            format!("GitLab refuses its pipelines: {words}"),
            "change the project as GitLab says",
        ),
        Err(TriggerError::TokenRefused(words)) => CheckResult::failed(
            name,
            format!("GitLab has no such project for the trigger token of the secret `{id}`: {words}"),
            "check the path, and store a trigger token of this very project, whose owner may run its pipelines",
        ),
        Err(TriggerError::Throttled(_)) => {
            CheckResult::ok(name, "its trigger token was not refused; GitLab takes no more pipelines for now")
        }
        Err(error) => CheckResult::failed(name, error, WAY_OUT),
        Ok(pipeline) => CheckResult::failed(
            name,
            format!("GitLab created {} for a ref that cannot exist", pipeline.url),
            "cancel it, and report this as a fault of this function",
        ),
    }
}

/// Looks the project's pipelines up, as a run that GitLab did not confirm would be.
async fn check_read_access(context: &Context, project: &Project, token: &SecretString) -> CheckResult {
    let name = format!("look-up in `{project}`");
    let id = context.app.config.read_secret_id.as_deref().unwrap_or_default();
    match context.app.gitlab.read_access(project, token, context.call_deadline()).await {
        Ok(ReadAccess::Full) => {
            CheckResult::ok(name, format!("the read token of `{id}` reads pipelines and their variables"))
        }
        Ok(ReadAccess::NoPipelineYet) => CheckResult::ok(
            name,
            format!(
                "the read token of `{id}` reads pipelines; there is none of a trigger whose variables it could read"
            ),
        ),
        Ok(ReadAccess::WithoutVariables) => CheckResult::failed(
            name,
            format!("the read token of `{id}` reads pipelines and not their variables, so no run finds its pipeline"),
            "let the token be of the triggers' owner, or of a Maintainer of the project",
        ),
        Err(LookupError::Refused(401)) => CheckResult::failed(
            name,
            format!("GitLab refuses the read token of `{id}`: it has expired, was revoked, or is none"),
            "store a valid token with the scope `read_api`",
        ),
        Err(LookupError::Refused(403)) => CheckResult::failed(
            name,
            format!("the read token of `{id}` may not read the project's pipelines"),
            "give the token the scope `read_api`, and its user the role Maintainer",
        ),
        Err(LookupError::Refused(_)) => CheckResult::failed(
            name,
            format!("the read token of `{id}` sees no such project"),
            "check the path, and let the token's user be a member of the project",
        ),
        Err(error) => CheckResult::failed(name, error, WAY_OUT),
    }
}

/// Two dots: no branch or tag can be called so. A variable is sent where runs send theirs: a project may forbid that.
fn unstartable_variables(sends_variables: bool) -> &'static [(&'static str, Cow<'static, str>)] {
    const BODY: [(&str, Cow<str>); 2] = [
        ("ref", Cow::Borrowed("\"glint-gitlab-trigger..check\"")),
        ("variables", Cow::Borrowed("{\"glint_check\":\"true\"}")),
    ];
    if sends_variables { &BODY } else { &BODY[..1] }
}
