//! EventBridge and direct invokes: one message, whose failure fails the invocation.

use serde_json::value::RawValue;

use super::{Delivery, DeliveryMetadata, Event, Payload, RetryRequested, Source, envelope, unsupported};
use crate::glint::message;
use crate::json::{self, Object};
use crate::outcome::Handled;

/// Parses an event that is the message itself, or carries it as EventBridge's `detail`.
pub fn parse(event: &str, root: &Object) -> Event {
    let event_bridge = envelope::event_bridge(root);
    let is_envelope = event_bridge.is_some() || envelope::notification(root).is_some();
    let payload = if !is_envelope && message::names_no_run(event) {
        Payload::Unreadable { why: unsupported::no_message(root), too_large: false }
    } else {
        envelope::unwrap(event.to_owned(), None)
    };
    let sent_at = event_bridge.and_then(|(_, sent_at)| sent_at);
    let metadata = DeliveryMetadata { sent_at, bytes: event.len(), ..DeliveryMetadata::new(Source::Invoke) };
    Event::Deliveries(vec![Delivery { payload, metadata }], respond)
}

/// The outcome as JSON, or an error with the reason, so that the source invokes again.
pub fn respond(handled: &[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested> {
    if let Some((_, handled)) = handled.iter().find(|(_, handled)| handled.should_redeliver()) {
        let run = handled.run_id.as_ref().map(|id| format!("run `{id}`: ")).unwrap_or_default();
        let reason = handled.outcome.reason().map_or_else(
            || handled.outcome.name().to_owned(),
            |(reason, hint)| hint.map_or_else(|| reason.clone(), |hint| format!("{reason}\n  hint: {hint}")),
        );
        return Err(RetryRequested(run + &reason));
    }
    let mut bodies: Vec<_> = handled.iter().map(|(_, handled)| handled.body()).collect();
    Ok(if bodies.len() == 1 { json::raw(&bodies.remove(0)) } else { json::raw(&bodies) })
}
