//! Checks the settings: upstreams, certificates, optional secrets, the queue.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::report::CheckResult;
use crate::app::context::Context;
use crate::aws::secrets::hook_secrets_fault;
use crate::aws::sqs::QueueAttributes;

/// AWS asks for a visibility timeout of six function timeouts, so that a throttled batch does not come twice at once.
const TIMEOUTS: u32 = 6;

pub fn check_settings(context: &Context, has_read_token: bool) -> Vec<CheckResult> {
    let config = &context.app.config;
    let way = if config.proxy.is_some() { ", both through the proxy" } else { "" };
    let mut lines = vec![CheckResult::ok(
        "settings",
        format!("GitLab is `{}`, Glint `{}`{way}", config.gitlab_url, config.glint_url),
    )];
    let trusted = &config.trusted_certificates;
    lines.extend(match &trusted.warning {
        Some(warning) => {
            let hint = "correct or remove those in the file; the others are trusted";
            Some(CheckResult::failed("certificates", warning, hint))
        }
        None if trusted.certificates.is_empty() => None,
        None => {
            let detail =
                format!("{} of `SSL_CERT_FILE` are trusted besides the public ones", trusted.certificates.len());
            Some(CheckResult::ok("certificates", detail))
        }
    });
    if config.outputs_file.is_some() && !has_read_token {
        lines.push(CheckResult::failed(
            "outputs",
            "`OUTPUTS_FILE` is set, and there is no read token to read it with",
            "store a `read_api` token in the secret of `GITLAB_READ_SECRET_ID`",
        ));
    }
    lines
}

pub async fn check_hook_secret(context: &Context) -> CheckResult {
    const NAME: &str = "hook secret";
    const VARIABLE: &str = "GITLAB_HOOK_SECRET_ID";
    let Some(id) = &context.app.config.hook_secret_id else {
        return CheckResult::ok(NAME, format!("`{VARIABLE}` is not set: GitLab's hooks are refused"));
    };
    match context.app.secrets.hook(context.call_limits()).await {
        Ok(None) => CheckResult::ok(NAME, format!("nothing is stored in `{id}`: GitLab's hooks are refused")),
        Ok(Some(cached)) if let Some(fault) = hook_secrets_fault(id, &cached.value) => CheckResult::failed(
            NAME,
            fault,
            "put `{\"signingToken\": \"whsec_...\"}` or `{\"token\": \"...\"}` there, as the webhook in GitLab has it",
        ),
        Ok(Some(cached)) => CheckResult::ok(
            NAME,
            match (&cached.value.signing_token, &cached.value.token) {
                (Some(_), Some(_)) => format!("hooks prove the signing token or the plain token of `{id}`"),
                (Some(_), None) => format!("hooks prove the signing token of `{id}`"),
                _ => format!("hooks prove the plain token of `{id}`"),
            },
        ),
        Err(error) => CheckResult::failed(NAME, &error, error.hint(VARIABLE)),
    }
}

pub async fn check_read_token(context: &Context) -> (CheckResult, Option<Arc<SecretString>>) {
    const NAME: &str = "read token";
    const VARIABLE: &str = "GITLAB_READ_SECRET_ID";
    const OFF: &str =
        "pipelines that GitLab did not confirm are not looked up, and a run whose hook was lost stays in progress";
    let Some(id) = &context.app.config.read_secret_id else {
        return (CheckResult::ok(NAME, format!("`{VARIABLE}` is not set: {OFF}")), None);
    };
    match context.app.secrets.read_token(context.call_limits()).await {
        Ok(None) => (CheckResult::ok(NAME, format!("nothing is stored in `{id}`: {OFF}")), None),
        Ok(Some(token)) => {
            (CheckResult::ok(NAME, format!("`{id}` holds one, which is tried on each project")), Some(token))
        }
        Err(error) => (CheckResult::failed(NAME, &error, error.hint(VARIABLE)), None),
    }
}

pub async fn check_queue(context: &Context) -> Vec<CheckResult> {
    const NAME: &str = "runs queue";
    let Some(queue) = &context.app.queue else {
        return vec![CheckResult::ok(NAME, "not set: webhooks and Kafka records are handled in place")];
    };
    let url = context.app.config.runs_queue_url.as_deref().unwrap_or_default();
    match queue.attributes(context.call_deadline()).await {
        Err(error) => vec![CheckResult::failed(
            NAME,
            format!("the attributes of `{url}` cannot be read: {}", error.reason()),
            "check `RUNS_QUEUE_URL`, and allow `sqs:GetQueueAttributes` and `sqs:SendMessage` on it to the function's role",
        )],
        Ok(attributes) => {
            let faults: Vec<CheckResult> = queue_faults(context, &attributes)
                .into_iter()
                .map(|(what, hint)| CheckResult::failed(NAME, what, hint))
                .collect();
            if faults.is_empty() {
                vec![CheckResult::ok(NAME, format!("deliveries are put on `{url}`"))]
            } else {
                faults
            }
        }
    }
}

/// What of the queue does not fit this function, each with a hint.
fn queue_faults(context: &Context, attributes: &QueueAttributes) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if !attributes.is_fifo {
        faults.push((
            "it is no FIFO queue".to_owned(),
            "use one, so that deliveries of one run never overlap".to_owned(),
        ));
    }
    // An invocation that has just begun has about the function's timeout left.
    let timeout = Duration::from_secs(context.time_left().as_secs_f64().ceil() as u64);
    if let Some(visibility) = attributes.visibility_timeout.filter(|visibility| *visibility < timeout * TIMEOUTS) {
        faults.push((
            format!(
                "its visibility timeout of {} s is less than {TIMEOUTS} times the function's {} s",
                visibility.as_secs(),
                timeout.as_secs()
            ),
            format!("set the queue's visibility timeout to {} s or more", (timeout * TIMEOUTS).as_secs()),
        ));
    }
    let config = &context.app.config;
    if let Some(receives) = attributes.max_receives.filter(|receives| *receives != config.max_receives) {
        faults.push((
            format!("its `maxReceiveCount` is {receives}, and `MAX_RECEIVES` is {}", config.max_receives),
            "give both the same number, so that the last receive is known".to_owned(),
        ));
    }
    if config.dead_letter_queue_arn.is_some() && attributes.dead_letter_queue_arn.is_none() {
        faults.push((
            "it has no redrive policy, so that no dead letter ever reaches `DEAD_LETTER_QUEUE_ARN`".to_owned(),
            format!("give it one with that queue and a `maxReceiveCount` of {}", config.max_receives),
        ));
    }
    if let (Some(expected), Some(found)) = (&config.dead_letter_queue_arn, &attributes.dead_letter_queue_arn)
        && expected != found
    {
        faults.push((
            format!("its dead letters go to `{found}`, and `DEAD_LETTER_QUEUE_ARN` is `{expected}`"),
            "name the queue of the redrive policy, so that the runs of dead letters are ended".to_owned(),
        ));
    }
    faults
}
