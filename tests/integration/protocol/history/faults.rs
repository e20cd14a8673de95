//! Every request on a run's way to its link, everything that can happen to it, and where the run then ends.

use std::fmt;

use crate::support::TOKEN;
use sandbox::faults::Rule;
use sandbox::{Call, Exchange, Fault, Sandbox};

use super::Setup;

/// A request on the way from a run to its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    ClientSecret,
    Login,
    GetRun,
    TriggerToken,
    Claim,
    Trigger,
    Report,
    Log,
    ReadToken,
    ListPipelines,
    Variables,
    QueueReport,
    Hide,
}

impl Step {
    /// What every run goes through.
    pub const ALL: [Self; 8] = [
        Self::ClientSecret,
        Self::Login,
        Self::GetRun,
        Self::TriggerToken,
        Self::Claim,
        Self::Trigger,
        Self::Report,
        Self::Log,
    ];
    /// What only a run in doubt meets, with `GITLAB_READ_SECRET_ID`.
    pub const LOOKUP: [Self; 3] = [Self::ReadToken, Self::ListPipelines, Self::Variables];
    /// What only a run that has to wait meets, with `RUNS_QUEUE_URL`.
    pub const QUEUE: [Self; 2] = [Self::QueueReport, Self::Hide];

    /// A rule for this step's requests alone.
    pub fn rule(self, sandbox: &Sandbox) -> Rule {
        let says = |words: &'static str| move |one: &Exchange| one.text().contains(words);
        match self {
            Self::ClientSecret => sandbox.fail(Call::GetSecret).of(says("glint/credentials")),
            Self::Login => sandbox.fail(Call::Login),
            Self::GetRun => sandbox.fail(Call::GetRun),
            Self::TriggerToken => sandbox.fail(Call::GetSecret).of(says("trigger-tokens")),
            Self::Claim => sandbox.fail(Call::PatchRun).of(says("Triggering GitLab pipeline")),
            Self::Trigger => sandbox.fail(Call::Trigger),
            Self::Report => sandbox.fail(Call::PatchRun).of(says("\"link\"")),
            Self::Log => sandbox.fail(Call::PostLog),
            Self::ReadToken => sandbox.fail(Call::GetSecret).of(says("gitlab/read-token")),
            Self::ListPipelines => sandbox.fail(Call::ListPipelines),
            Self::Variables => sandbox.fail(Call::PipelineVariables),
            Self::QueueReport => sandbox.fail(Call::SendMessage),
            Self::Hide => sandbox.fail(Call::ChangeVisibility),
        }
    }
}

/// A fault with a name for the reader.
#[derive(Clone)]
pub struct Named {
    pub name: String,
    pub fault: Fault,
}

impl fmt::Debug for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// A place that nothing may be sent to.
const ELSEWHERE: &str = "http://127.0.0.1:1/elsewhere";

/// What any request may meet.
pub fn answers() -> Vec<Named> {
    let mut all = Vec::new();
    let mut add = |name: &str, fault: Fault| all.push(Named { name: name.to_owned(), fault });
    let delay = std::time::Duration::from_millis(2500);
    for (name, fault) in [
        ("closed before", Fault::DropBefore),
        ("closed after", Fault::DropAfter),
        ("reset before", Fault::ResetBefore),
        ("reset after", Fault::ResetAfter),
        ("stall before", Fault::StallBefore),
        ("stall after", Fault::StallAfter),
        ("slow body", Fault::SlowBody),
        ("reset in the body", Fault::ResetInBody),
        ("garbage", Fault::Garbage),
        ("no body", Fault::EmptyBody),
        ("wrong types", Fault::WrongTypes),
        ("10 MB", Fault::HugeBody),
        ("gzip bomb", Fault::GzipBomb),
        ("delay", Fault::Delay(delay)),
    ] {
        add(name, fault);
    }
    for status in [301, 302, 307, 308] {
        add(&format!("redirect {status}"), Fault::Redirect { status, location: ELSEWHERE.to_owned() });
    }
    for status in [400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503, 504] {
        add(&format!("{status}"), Fault::status(status));
    }
    for status in [200, 202, 500, 502, 503, 504] {
        add(&format!("{status} though applied"), Fault::status_after(status));
    }
    for wait in ["1", "3600", "soon"] {
        add(&format!("429, again after {wait}"), Fault::throttled(wait));
    }
    let echo = format!(r#"{{"message":{{"base":["the token {TOKEN} is not welcome"]}}}}"#);
    add("400 that quotes the token", Fault::status_with(400, echo));
    let full = r#"{"message":{"base":["Too many pipelines created in the last minute. Try again later."]}}"#;
    add("400, too many pipelines", Fault::status_with(400, full));
    all
}

/// The same without those that take the sandbox long to make, and are to us what any unreadable answer is.
pub fn light_answers() -> Vec<Named> {
    let mut all = answers();
    all.retain(|named| !matches!(named.fault, Fault::HugeBody | Fault::GzipBomb));
    all
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Linked,
    /// GitLab said no.
    Rejected,
    /// A person has to look.
    NotConfirmed,
}

/// Where a run ends that meets `fault` once, at `step`, and nothing else.
pub fn fate(step: Step, fault: &Fault, setup: Setup) -> Fate {
    let doubt = if setup.reads { Fate::Linked } else { Fate::NotConfirmed };
    match (step, fault) {
        (Step::Trigger, Fault::Redirect { .. }) => Fate::Rejected,
        (Step::Trigger, Fault::Delay(_)) => Fate::Linked,
        (Step::Trigger, Fault::SlowBody | Fault::GzipBomb | Fault::HugeBody) => doubt,
        (Step::Trigger, Fault::Status { code: 429, .. }) => Fate::Linked,
        (Step::Trigger, Fault::Status { code: 400, body, .. }) if body.contains("Too many") => Fate::Linked,
        (Step::Trigger, Fault::Status { code: 400 | 401 | 403 | 404 | 405 | 413 | 422, .. }) => Fate::Rejected,
        (Step::Trigger, _) => doubt,
        (Step::Report, Fault::Status { code: 429, retry_after: Some(wait), .. }) if wait == "3600" && !setup.queues => {
            doubt
        }
        _ => Fate::Linked,
    }
}
