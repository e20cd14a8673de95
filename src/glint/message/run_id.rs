//! Finds the run id, wherever Glint and its published guides put it.

use std::borrow::Cow;

use super::faults::{Unreadable, no_run_id};
use crate::glint::run::RunId;
use crate::json::Object;

/// Where a message's run id stands.
#[derive(Clone, Copy, Debug)]
pub struct RunIdPlace {
    path: &'static [&'static str],
    /// Whether it is below `port_payload`.
    pub is_wrapped: bool,
}

/// The places in one level of a message: the documented one first, then those that no user input is called like.
const PATHS: [&[&str]; 15] = [
    &["context", "runId"],
    &["context", "run_id"],
    &["port_context", "runId"],
    &["port_context", "run_id"],
    &["port_context", "run", "id"],
    &["glint_context", "runId"],
    &["glint_context", "run_id"],
    &["port_run_id"],
    &["glint_run_id"],
    &["glint", "runId"],
    &["run", "id"],
    &["runId"],
    &["run_id"],
    &["RUN_ID"],
    &["run", "runId"],
];

/// How Glint's run ids have begun so far: they are not judged by it, but it decides between two that could be meant.
const PREFIXES: [&str; 3] = ["r_", "run_", "wfnr_"];

impl RunIdPlace {
    /// The member of its level that holds it: that one is no user input.
    pub fn member(&self) -> &'static str {
        self.path[0]
    }

    /// Whether it is where Glint's own messages have it.
    pub fn is_documented(&self) -> bool {
        self.path[0] == "context"
    }

    /// Whether it is in an object that exists to hold it.
    fn is_in_context(&self) -> bool {
        self.path.len() > 1 && self.path[0].ends_with("context")
    }

    /// Whether it is beside inputs that a template spread at the root.
    pub fn is_beside_inputs(&self) -> bool {
        self.is_in_context() && !self.is_documented()
    }
}

/// The run id of a message: its root, and what a template wrapped as `port_payload`. The error says what stands in its place.
pub fn find(levels: [Option<&Object>; 2]) -> Result<(RunId, RunIdPlace), Unreadable> {
    let is_sure = |id: &RunId, place: &RunIdPlace| {
        place.is_in_context() || PREFIXES.iter().any(|prefix| id.as_str().starts_with(prefix))
    };
    let (mut fault, mut doubtful) = (None, None);
    for (level, is_wrapped) in levels.into_iter().zip([false, true]) {
        for path in PATHS {
            let text = match level.map_or(Ok(None), |level| follow(level, path)) {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(error) => {
                    fault.get_or_insert(Unreadable::message(format!("the message cannot be read: {error}")));
                    continue;
                }
            };
            let place = RunIdPlace { path, is_wrapped };
            match RunId::parse(&text) {
                Some(id) if is_sure(&id, &place) => return Ok((id, place)),
                Some(id) => drop(doubtful.get_or_insert((id, place))),
                None => drop(fault.get_or_insert_with(|| no_run_id(&path.join(".")))),
            }
        }
    }
    doubtful.ok_or_else(|| fault.unwrap_or_else(Unreadable::no_run))
}

/// The string at `path` below `object`.
fn follow<'a>(object: &Object<'a>, path: &[&str]) -> Result<Option<Cow<'a, str>>, serde_json::Error> {
    match path {
        [] => Ok(None),
        [name] => Ok(object.string(name)),
        [name, rest @ ..] => object.object(name)?.map_or(Ok(None), |inner| follow(&inner, rest)),
    }
}
