//! Parses a message of Glint into a [`RunRequest`]: the documented form, and the forms that newer Glints and templates send.
//!
//! In a templated body the names at the root are the user's, whatever they are called. A name is Glint's only with Glint's shape.

mod faults;
mod run_id;
mod templates;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::glint::run::{InvocationType, RunId, RunRequest};
use crate::json::{self, Document, Object};
pub use faults::Unreadable;
use run_id::RunIdPlace;
use templates::{Templates, backend};

/// Deeper messages are not read: nothing that GitLab takes comes near (its limit is 32).
const MAX_JSON_DEPTH: usize = 64;

/// The headers that carry a signature and its time: in HTTP requests, in the `headers` of a message, in message attributes.
pub const SIGNATURE_HEADERS: [(&str, &str); 2] =
    [("x-glint-signature", "x-glint-timestamp"), ("x-port-signature", "x-port-timestamp")];

/// What a message turned out to be.
#[derive(Debug)]
pub enum Message {
    Run(Box<RunRequest>),
    /// News of an entity: Glint sends them in the same shape, and they start nothing.
    ChangeLog,
}

/// Parses `text`. An error only where not even the run id can be read; what else is wrong is the run's own [`RunRequest::spec`].
///
/// `header` is the header `RUN_ID`, which is used where the message names no run.
pub fn parse(text: String, header: Option<&str>) -> Result<Message, Unreadable> {
    let document = match Document::parse(&text) {
        Ok(document) => document,
        Err(_) if json::is_deeper(&text, MAX_JSON_DEPTH) => return Err(too_deep()),
        Err(error) => return Err(faults::not_an_object(&text, &error)),
    };
    let root = document.root();
    let wrapped = root.get("port_payload").and_then(unwrap_message);
    let wrapped = wrapped.as_deref().and_then(|inner| Object::parse(inner).ok());
    let levels = [Some(root), wrapped.as_ref()];
    let found = run_id::find(levels);
    if is_change_log(root, found.as_ref().ok()) {
        return Ok(Message::ChangeLog);
    }
    if json::is_deeper(&text, MAX_JSON_DEPTH) {
        return Err(too_deep());
    }
    let (id, place) = match (found, header.and_then(RunId::parse)) {
        (Ok((id, place)), _) => (id, Some(place)),
        (Err(_), Some(id)) => (id, None),
        (Err(fault), None) => return Err(fault),
    };
    let templates = Templates { root, wrapped: wrapped.as_ref(), place };
    let parts = templates.parts();
    let method = parts.as_ref().ok().map(|parts| &parts.method);
    Ok(Message::Run(Box::new(RunRequest {
        id,
        is_id_unsigned: place.is_none(),
        clicked_at: templates.clicked_at(),
        report_pipeline_status: method.is_none_or(|method| !method.is_false("reportPipelineStatus")),
        action_url: method.and_then(|method| method.string("url")).map(Cow::into_owned),
        synchronized: method.is_some_and(|method| method.is_true("synchronized")),
        backend: method.map_or(InvocationType::Unnamed, backend),
        spec: parts.and_then(|parts| templates.spec(&parts)).map_err(|error| error.to_string()),
        headers: document.place("headers"),
        text,
    })))
}

/// Whether `text` is an object in which nothing stands where a run id may, and no news of an entity.
pub fn names_no_run(text: &str) -> bool {
    parse(text.to_owned(), None).is_err_and(|why| why == Unreadable::no_run())
}

fn too_deep() -> Unreadable {
    Unreadable::new(format!("the message is nested deeper than {MAX_JSON_DEPTH} levels"), "send fewer levels")
}

/// Whether `text` is news of an entity. Asked of messages whose origin is not proven, since Glint does not sign these.
pub fn is_change_log_text(text: &str) -> bool {
    Object::parse(text).is_ok_and(|root| is_change_log(&root, run_id::find([Some(&root), None]).ok().as_ref()))
}

/// News of an entity names no run, but for the one that changed it: then it says of what kind it is, and has its `diff`.
fn is_change_log(root: &Object, run: Option<&(RunId, RunIdPlace)>) -> bool {
    let other_resource = root.string("resourceType").is_some_and(|kind| kind != "run");
    match run {
        None => other_resource || root.get("changelogDestination").is_some() || root.get("diff").is_some(),
        Some((_, place)) => {
            place.is_documented() && other_resource && root.object("diff").is_ok_and(|diff| diff.is_some())
        }
    }
}

/// `port_payload` as the JSON text of an object: GitHub-style templates send it as a string.
fn unwrap_message(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = json::string(value).unwrap_or(Cow::Borrowed(value.get()));
    text.trim_start().starts_with('{').then_some(text)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests;
