//! Checks Glint: its credentials, a login, its clock, and what it shows of runs.

use std::time::SystemTime;

use super::report::CheckResult;
use crate::app::context::Context;
use crate::glint::{GlintError, Probe};
use crate::telemetry::Metric;

/// Clocks further apart than this fail signatures.
const MAX_SKEW_SECONDS: u64 = 60;

pub async fn check_glint(context: &Context) -> Vec<CheckResult> {
    let (id, url) = (&context.app.config.glint_secret_id, &context.app.config.glint_url);
    let name = format!("secret `{id}`");
    if let Err(error) = context.app.secrets.glint(context.call_limits()).await {
        let hint = format!(
            "{}; it holds `{{\"clientId\": \"...\", \"clientSecret\": \"...\"}}`",
            error.hint("GLINT_SECRET_ID")
        );
        return vec![CheckResult::failed(name, error, hint)];
    }
    let mut lines = vec![CheckResult::ok(name, "it holds a client's id and secret")];
    match context.timed(Metric::GlintLatency, context.app.glint.log_in(context.call_limits())).await {
        Ok(()) => {
            lines.push(CheckResult::ok("Glint login", format!("`{url}` accepts the client")));
            lines.extend(check_answers(context).await);
        }
        Err(error @ GlintError::CredentialsRefused) => lines.push(CheckResult::failed(
            "Glint login",
            error,
            format!(
                "store the client's present id and secret in `{id}`, and check that `GLINT_API_URL` is of its region"
            ),
        )),
        Err(error) => lines.push(CheckResult::failed(
            "Glint login",
            error,
            "check `GLINT_API_URL`, the function's way out of its network, and Glint's list of allowed addresses",
        )),
    }
    lines
}

/// Needs a login: only Glint's answers to one of its clients are sure to be Glint's.
async fn check_answers(context: &Context) -> Vec<CheckResult> {
    match context.timed(Metric::GlintLatency, context.app.glint.probe(context.call_limits())).await {
        Ok(probe) => vec![check_clock(context, &probe), runs_line(&probe)],
        Err(error) => vec![CheckResult::failed(
            "Glint runs",
            error,
            "check that `GLINT_API_URL` is Glint's API, and that the client may list action runs",
        )],
    }
}

fn check_clock(context: &Context, probe: &Probe) -> CheckResult {
    const HINT: &str = "signatures hold for 300 seconds: let AWS set the clock, and ask Glint about theirs";
    let Some(theirs) = probe.clock else {
        return CheckResult::ok("clock", "Glint's answers carry no time to compare with");
    };
    let skew = difference(context.now(), theirs);
    let detail = format!("{skew} seconds from Glint's");
    if skew <= MAX_SKEW_SECONDS { CheckResult::ok("clock", detail) } else { CheckResult::failed("clock", detail, HINT) }
}

/// What Glint shows of runs decides what can be promised, and is nothing that the operator could change.
fn runs_line(probe: &Probe) -> CheckResult {
    const NAME: &str = "Glint runs";
    if probe.runs == 0 {
        return CheckResult::ok(
            NAME,
            "there is none yet that would tell whether Glint shows label, link and external id",
        );
    }
    let parts = [("label", probe.has_label), ("link", probe.has_link), ("external id", probe.has_external_id)];
    let list = |wanted: bool| {
        let names: Vec<&str> = parts.iter().filter(|(_, shown)| *shown == wanted).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let promise = match probe {
        Probe { has_external_id: true, .. } => "a run is never triggered twice",
        Probe { has_label: true, .. } => {
            "until a run of this function shows its external id, its label has to tell that a trigger was sent"
        }
        _ => {
            "a Glint that never shows label and external id cannot tell that a trigger was sent: a run whose answer is lost is then ended"
        }
    };
    CheckResult::ok(
        NAME,
        match (list(true), list(false)) {
            (shown, missing) if missing.is_empty() => format!("Glint shows {shown}: {promise}"),
            (shown, missing) if shown.is_empty() => format!("the latest {} show no {missing}: {promise}", probe.runs),
            (shown, missing) => format!("the latest {} show {shown}, and no {missing}: {promise}", probe.runs),
        },
    )
}

fn difference(one: SystemTime, other: SystemTime) -> u64 {
    one.duration_since(other).unwrap_or_else(|error| error.duration()).as_secs()
}
