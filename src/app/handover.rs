//! Puts what is proven on the runs queue, so that a burst or an outage costs no run.

use super::journey::Journey;
use super::prove::Task;
use crate::event::{KIND, KIND_HOOK, Terms};
use crate::outcome::{Deferral, Outcome, Verdict};
use crate::queue::Message;
use crate::run::{Aim, Backend, Run};
use crate::signature::Claim;

impl Journey {
    /// Hands the task over, where there is a queue and the task did not come from it. `None` where it is to be done in place.
    pub async fn handed_over(&self, task: &Task, terms: &Terms) -> Option<Verdict> {
        let queue = self.app.queue.as_ref().filter(|_| terms.door.hands_over())?;
        let message = match task {
            Task::Start { run, claim } if waits(run, terms) => of_run(run, claim.as_ref(), terms),
            Task::Follow(progress) => Message {
                body: serde_json::to_string(progress).ok()?,
                group: progress.pipeline.external_id(),
                deduplication: terms.id.clone()?,
                attributes: vec![(KIND, KIND_HOOK.to_owned())],
            },
            Task::Start { .. } | Task::Report(_) => return None,
        };
        let verdict = |outcome| Some(Verdict::new(task.run_id().cloned(), outcome));
        match queue.send(&message, self.last_call()).await {
            Ok(()) => verdict(Outcome::HandedOver),
            Err(error) if error.is_transient() && matches!(task, Task::Start { .. }) => {
                verdict(Outcome::Deferred(Deferral::new(error)))
            }
            // Too large, or a character that SQS does not take: the queue will never have it. And a hook comes once, but may be done twice.
            Err(error) => {
                tracing::warn!("a delivery of `{}` is handled in place: {error}", message.group);
                None
            }
        }
    }
}

/// Whether the run may wait: Glint ends a synchronized one from our reply, and what is not for us, or is refused for want of a project in
/// its URL, is answered at once.
fn waits(run: &Run, terms: &Terms) -> bool {
    let ours = match run.backend {
        Backend::GitLab | Backend::Unnamed => true,
        Backend::Webhook => terms.aim.project.is_some(),
        Backend::Other(_) => false,
    };
    ours && !run.synchronized
}

/// The message as it came, with what its body does not say as attributes.
fn of_run(run: &Run, claim: Option<&Claim>, terms: &Terms) -> Message {
    let Aim { project, default_ref, omit_payload, omit_user_inputs } = terms.aim.clone();
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    let mut attributes: Vec<(&'static str, String)> = Vec::new();
    if let Some(claim) = claim {
        attributes.push(("x-glint-signature", claim.signature.clone()));
        attributes.push(("x-glint-timestamp", claim.timestamp.clone()));
    }
    for (name, value) in [
        ("project", project),
        ("ref", default_ref),
        ("omitPayload", flag(omit_payload)),
        ("omitUserInputs", flag(omit_user_inputs)),
    ] {
        // SQS refuses an empty attribute, which says nothing either.
        attributes.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    }
    Message { body: run.text.clone(), group: run.id.to_string(), deduplication: run.id.to_string(), attributes }
}
