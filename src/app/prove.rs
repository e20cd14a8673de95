//! Who may speak: each delivery is proven before a byte of it is read.

use super::journey::Journey;
use crate::credentials::HookKeys;
use crate::event::{Content, Delivery, Door, Terms};
use crate::hook::{self, Hook};
use crate::message::{self, Message, Unreadable};
use crate::outcome::{Deferral, Outcome};
use crate::pipeline::Progress;
use crate::run::{Run, RunId, Telling};
use crate::secrets::SecretError;
use crate::signature::{Claim, Forged, HookProof, Unproven};
use crate::telemetry::Metric;

/// What a proven delivery asks for.
pub enum Task {
    /// The run of a message, with the signature that came beside it.
    Start {
        run: Box<Run>,
        claim: Option<Claim>,
    },
    Follow(Box<Progress>),
    Report(Report),
}

/// What Glint could not be told, as it waits on the queue.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub run_id: RunId,
    pub telling: Telling,
}

impl Task {
    /// Deliveries of one key wait for each other.
    pub fn key(&self) -> String {
        match self {
            Self::Start { run, .. } => run.id.to_string(),
            Self::Follow(progress) => progress.pipeline.external_id(),
            Self::Report(report) => report.run_id.to_string(),
        }
    }

    /// The project it is about, as far as it says.
    pub fn project(&self) -> Option<String> {
        match self {
            Self::Start { run, .. } => run.project_path(),
            Self::Follow(progress) => Some(progress.project.clone()),
            Self::Report(_) => None,
        }
    }

    /// The run it names, where it names one.
    pub fn run_id(&self) -> Option<&RunId> {
        match self {
            Self::Start { run, .. } => Some(&run.id),
            Self::Follow(_) => None,
            Self::Report(report) => Some(&report.run_id),
        }
    }
}

impl Journey {
    /// Proves `delivery` and reads it. An outcome where that alone decides.
    pub async fn proven(&self, delivery: Delivery) -> (Result<Task, Outcome>, Terms) {
        let Delivery { content, terms } = delivery;
        let task = match content {
            Content::Message(unproven) => self.message(unproven, terms.door).await,
            Content::Hook { body, proof } => self.hook(&body, &proof).await,
            Content::QueuedHook(text) => serde_json::from_str(&text)
                .map(|progress| Task::Follow(Box::new(progress)))
                .map_err(|_| unreadable("the queued hook cannot be read")),
            Content::QueuedReport(text) => serde_json::from_str(&text)
                .map(Task::Report)
                .map_err(|_| unreadable("the queued report cannot be read")),
            Content::Unreadable { why, too_large } => Err(Outcome::Unreadable { why: Unreadable(why), too_large }),
        };
        (task, terms)
    }

    async fn message(&self, unproven: Unproven, door: Door) -> Result<Task, Outcome> {
        let claim = unproven.claim_beside().cloned();
        // On Glint's topic all else has to be signed; what a queue or a notice brings of them is found as it is read.
        let body = if door == Door::Topic && !unproven.is_signed() && unproven.announces_change() {
            return Err(Outcome::Ignored("a change-log message starts nothing"));
        } else if door.wants_signature() || unproven.is_signed() {
            // A message may wait on a queue or topic for days: only a webhook's signature has to be young.
            self.signed(&unproven, door == Door::Web).await?
        } else {
            unproven.trust_source()
        };
        let text = String::from_utf8(body).map_err(|_| unreadable("the body is not UTF-8"))?;
        match message::read(text) {
            Ok(Message::Run(run)) => Ok(Task::Start { run, claim }),
            Ok(Message::ChangeLog) => Err(Outcome::Ignored("a change-log message starts nothing")),
            Err(why) => Err(Outcome::Unreadable { why, too_large: false }),
        }
    }

    /// The body, if the client secret signed it: the current one, or the one before or after a rotation.
    async fn signed(&self, unproven: &Unproven, must_be_young: bool) -> Result<Vec<u8>, Outcome> {
        if !unproven.is_signed() {
            return Err(Outcome::Unproven(Forged::Missing));
        }
        let now = must_be_young.then(|| self.utc());
        let kept = self.credentials().await.map_err(deferred)?;
        let forged = match unproven.prove(std::slice::from_ref(&kept.value.client_secret), now) {
            Ok(body) => return Ok(body),
            Err(forged @ Forged::Mismatch) => forged,
            Err(forged) => return Err(Outcome::Unproven(forged)),
        };
        let others = self.app.secrets.rotated_client_secrets(&kept.version, self.when()).await.map_err(deferred)?;
        unproven.prove(&others, now).map_err(|_| Outcome::Unproven(forged))
    }

    async fn hook(&self, body: &str, proof: &HookProof) -> Result<Task, Outcome> {
        let unread = |error| {
            self.metrics.count(Metric::SecretsManagerFaults);
            deferred(error)
        };
        let kept = self.app.secrets.hook(self.when()).await.map_err(unread)?;
        let kept = kept.ok_or(Outcome::Unproven(Forged::NotWanted))?;
        let holds = |keys: &HookKeys| proof.holds(body, keys, self.utc());
        match holds(&kept.value) {
            Err(Forged::Mismatch) => {
                let others = self.app.secrets.rotated_hooks(&kept.version, self.when()).await.map_err(unread)?;
                let believed = others.iter().any(|keys| holds(keys).is_ok());
                believed.then_some(()).ok_or(Outcome::Unproven(Forged::Mismatch))?;
            }
            other => other.map_err(Outcome::Unproven)?,
        }
        match hook::read(body) {
            Ok(Hook::Progress(progress)) => Ok(Task::Follow(progress)),
            Ok(Hook::Nothing(why)) => Err(Outcome::Ignored(why)),
            Err(why) => Err(unreadable(&why)),
        }
    }
}

fn unreadable(why: &str) -> Outcome {
    Outcome::Unreadable { why: Unreadable(why.to_owned()), too_large: false }
}

fn deferred(error: SecretError) -> Outcome {
    Outcome::Deferred(Deferral::new(error))
}
