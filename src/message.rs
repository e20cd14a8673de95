//! Reads a message of Glint into a [`Run`]: the older, documented form first, then the forms that newer Glints and templates send.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::json::{self, Object};
use crate::run::{Backend, Inputs, Request, Run, RunId};

/// Deeper messages are not read: nothing that GitLab takes comes near (its limit is 32).
const DEPTH: usize = 64;

/// More user inputs than this are not even counted one by one: GitLab takes 1,200 variables.
const MOST_MEMBERS: usize = 10_000;

/// What a message turned out to be.
#[derive(Debug)]
pub enum Message {
    Run(Box<Run>),
    /// News of an entity: Glint sends them in the same shape, and they start nothing.
    ChangeLog,
}

/// No run can be named: the sentence says why.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Reads `text`. An error only where not even the run id can be read; what else is wrong is the run's own [`Run::request`].
pub fn read(text: &str) -> Result<Message, Unreadable> {
    if json::depth(text) > DEPTH {
        return Err(Unreadable(format!("the message is nested deeper than {DEPTH} levels")));
    }
    let root = Object::parse(text).map_err(|error| Unreadable(format!("the message is not a JSON object: {error}")))?;
    if is_change_log(&root) {
        return Ok(Message::ChangeLog);
    }
    let wrapped = root.get("port_payload").and_then(unwrapped);
    let shapes = Shapes { wrapped: wrapped.as_deref().and_then(|inner| Object::parse(inner).ok()), root };
    let (id, templated) = shapes.run_id()?;
    let invocation = shapes.invocation();
    let run = Run {
        id,
        clicked_at: shapes.clicked_at(),
        synchronized: invocation.as_ref().is_ok_and(|method| method.is_true("synchronized")),
        backend: invocation.as_ref().map_or(Backend::Unnamed, backend),
        request: invocation.and_then(|method| shapes.request(&method, templated)).map_err(|error| error.to_string()),
        payload: json::without_member(text, "headers").unwrap_or_else(|| text.to_owned()),
    };
    Ok(Message::Run(Box::new(run)))
}

/// Whether `text` is news of an entity. Asked of messages whose origin is not proven, since Glint does not sign these.
pub fn announces_change(text: &str) -> bool {
    Object::parse(text).is_ok_and(|root| is_change_log(&root))
}

fn is_change_log(root: &Object) -> bool {
    let other_resource = root.string("resourceType").is_some_and(|kind| kind != "run");
    other_resource || root.get("changelogDestination").is_some() || root.get("diff").is_some()
}

/// `port_payload` as the JSON text of an object: GitHub-style templates send it as a string.
fn unwrapped(value: &serde_json::value::RawValue) -> Option<Cow<'_, str>> {
    let text = json::string(value).unwrap_or(Cow::Borrowed(value.get()));
    text.trim_start().starts_with('{').then_some(text)
}

/// The objects that a message's facts may lie in.
struct Shapes<'a> {
    root: Object<'a>,
    /// What a template wrapped as `port_payload`.
    wrapped: Option<Object<'a>>,
}

/// Where templates seen in the field put the run id, the documented place first.
const RUN_ID_PATHS: [&[&str]; 9] = [
    &["context", "runId"],
    &["port_context", "runId"],
    &["port_context", "run_id"],
    &["glint_context", "runId"],
    &["glint_context", "run_id"],
    &["run", "id"],
    &["runId"],
    &["run_id"],
    &["glint", "runId"],
];

/// Members of a message whose inputs a template spread at its root, that are no inputs themselves.
const NOT_INPUTS: [&str; 6] = ["port_context", "glint_context", "headers", "run", "runId", "run_id"];

impl<'a> Shapes<'a> {
    /// The run id, and whether it lay where only templates put it.
    fn run_id(&self) -> Result<(RunId, bool), Unreadable> {
        let levels = [Some(&self.root), self.wrapped.as_ref()];
        for level in levels.into_iter().flatten() {
            for path in RUN_ID_PATHS {
                let Some(text) = follow(level, path).map_err(unreadable)? else { continue };
                let id = RunId::parse(&text).ok_or_else(|| {
                    Unreadable(format!("`{}` is no run id: 1 to 128 of `[A-Za-z0-9_-]`", path.join(".")))
                })?;
                return Ok((id, path[0] != "context"));
            }
        }
        Err(Unreadable("the message names no run: `context.runId` is missing".to_owned()))
    }

    /// `payload`, wherever it lies.
    fn payload(&self) -> Result<Option<Object<'a>>, serde_json::Error> {
        match self.root.object("payload")? {
            Some(payload) => Ok(Some(payload)),
            None => self.wrapped.as_ref().map_or(Ok(None), |wrapped| wrapped.object("payload")),
        }
    }

    /// The action's `invocationMethod`; empty where the message carries none.
    fn invocation(&self) -> Result<Object<'a>, serde_json::Error> {
        let action = self.payload()?.map_or(Ok(None), |payload| payload.object("action"))?;
        Ok(action.map_or(Ok(None), |action| action.object("invocationMethod"))?.unwrap_or_default())
    }

    fn clicked_at(&self) -> Option<DateTime<Utc>> {
        let levels = [Some(&self.root), self.wrapped.as_ref()];
        let at = levels
            .into_iter()
            .flatten()
            .find_map(|level| level.object("trigger").ok()??.string("at").map(Cow::into_owned))?;
        Some(DateTime::parse_from_rfc3339(&at).ok()?.to_utc())
    }

    fn request(&self, method: &Object, templated: bool) -> Result<Request, serde_json::Error> {
        let text = |name| method.string(name).map(Cow::into_owned);
        let payload = self.payload()?;
        Ok(Request {
            group: text("groupName"),
            project: text("projectName"),
            default_ref: text("defaultRef").filter(|text| !text.is_empty()),
            inputs: self.inputs(payload.as_ref(), templated)?,
            pipeline_variables: method
                .object("pipelineVariables")?
                .map_or(Ok(Vec::new()), |object| members(&object))?,
            secret_inputs: self.secret_inputs(payload.as_ref())?,
            omit_payload: method.is_true("omitPayload"),
            omit_user_inputs: method.is_true("omitUserInputs"),
        })
    }

    fn inputs(&self, payload: Option<&Object<'a>>, templated: bool) -> Result<Inputs, serde_json::Error> {
        if let Some(properties) = payload.map_or(Ok(None), |payload| payload.object("properties"))? {
            return members(&properties);
        }
        for level in [Some(&self.root), self.wrapped.as_ref()].into_iter().flatten() {
            if let Some(inputs) = level.object("inputs")? {
                return members(&inputs);
            }
        }
        // `{{ spreadValue() }}` of Glint's templates puts the inputs beside `port_context`.
        let spread = templated && payload.is_none() && self.wrapped.is_none() && self.root.get("action").is_none();
        let root = if spread { members(&self.root)? } else { Vec::new() };
        Ok(root.into_iter().filter(|(name, _)| !NOT_INPUTS.contains(&name.as_str())).collect())
    }

    /// Names of the inputs that are ciphertext: `censoredProperties` of the message, and `encryption` in the action's form.
    fn secret_inputs(&self, payload: Option<&Object<'a>>) -> Result<Vec<String>, serde_json::Error> {
        let action = match payload.map_or(Ok(None), |payload| payload.object("action"))? {
            Some(action) => Some(action),
            None => self.root.object("action")?,
        };
        let mut names = Vec::new();
        let listed = [
            payload.and_then(|payload| payload.get("censoredProperties")),
            action.as_ref().and_then(|action| action.get("encryptedProperties")),
        ];
        for list in listed.into_iter().flatten() {
            let count = list.get().bytes().filter(|byte| *byte == b',').count();
            if count >= MOST_MEMBERS {
                return Err(too_many(count + 1));
            }
            names.extend(serde_json::from_str::<Vec<String>>(list.get()).unwrap_or_default());
        }
        let form = action.map_or(Ok(None), |action| action.object("userInputs"))?;
        let fields = form.map_or(Ok(None), |form| form.object("properties"))?.unwrap_or_default();
        for (name, field) in fields.iter() {
            if Object::parse(field.get()).is_ok_and(|field| field.string("encryption").is_some()) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

fn backend(method: &Object) -> Backend {
    match method.string("type").as_deref() {
        Some("GITLAB") => Backend::GitLab,
        Some("WEBHOOK") => Backend::Webhook,
        Some(other) => Backend::Other(other.to_owned()),
        None if method.get("projectName").is_some() => Backend::GitLab,
        None => Backend::Unnamed,
    }
}

/// The members, copied. More of them than anything takes are not: a message of nothing but tiny ones would fill the memory.
fn members(object: &Object) -> Result<Inputs, serde_json::Error> {
    if object.len() > MOST_MEMBERS {
        return Err(too_many(object.len()));
    }
    Ok(object.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn too_many(count: usize) -> serde_json::Error {
    serde::de::Error::custom(format_args!("there are {count} user inputs, many more than GitLab takes"))
}

/// The string at `path` below `object`.
fn follow<'a>(object: &Object<'a>, path: &[&str]) -> Result<Option<Cow<'a, str>>, serde_json::Error> {
    match path {
        [] => Ok(None),
        [name] => Ok(object.string(name)),
        [name, rest @ ..] => object.object(name)?.map_or(Ok(None), |inner| follow(&inner, rest)),
    }
}

fn unreadable(error: serde_json::Error) -> Unreadable {
    Unreadable(format!("the message cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Box<Run> {
        match read(text).unwrap() {
            Message::Run(run) => run,
            Message::ChangeLog => panic!("a change log"),
        }
    }

    #[test]
    fn the_run_id_is_found_wherever_templates_put_it() {
        for text in [
            r#"{"context":{"runId":"r_1"}}"#,
            r#"{"port_payload":{"context":{"runId":"r_1"}}}"#,
            r#"{"port_payload":"{\"context\":{\"runId\":\"r_1\"}}"}"#,
            r#"{"port_context":{"runId":"r_1"}}"#,
            r#"{"port_context":{"run_id":"r_1"}}"#,
            r#"{"port_payload":{"runId":"r_1"}}"#,
            r#"{"port_payload":{"run_id":"r_1"}}"#,
            r#"{"port_payload":{"run":{"id":"r_1"}}}"#,
            r#"{"run":{"id":"r_1"}}"#,
            r#"{"runId":"r_1"}"#,
        ] {
            assert_eq!(run(text).id.as_str(), "r_1", "{text}");
        }
    }

    #[test]
    fn a_message_that_names_no_run_says_why() {
        for (text, words) in [
            ("not json", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "`context.runId` is missing"),
            (r#"{"context":{"runId":"../x"}}"#, "`context.runId` is no run id"),
            (r#"{"context":{"runId":""}}"#, "no run id"),
            (r#"{"context":{"runId":7}}"#, "`context.runId` is missing"),
            (r#"{"context":{"runId":"r_1","runId":"r_2"}}"#, "`runId` is there twice"),
            (r#"{"context":{"runId":"r_1"},"context":{"runId":"r_2"}}"#, "`context` is there twice"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.0.contains(words), "{text}: {error}");
        }
        assert!(read(&"[".repeat(100_000)).unwrap_err().0.contains("nested deeper"));
    }

    #[test]
    fn a_duplicate_input_is_a_fault_of_the_request_not_of_the_message() {
        let run = run(r#"{"context":{"runId":"r_1"},"payload":{"properties":{"a":1,"a":2}}}"#);
        assert!(run.request.unwrap_err().contains("`a` is there twice"));
    }

    #[test]
    fn inputs_are_found_wherever_templates_put_them() {
        let names =
            |text: &str| run(text).request.unwrap().inputs.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(r#"{"context":{"runId":"r_1"},"payload":{"properties":{"b":1,"a":2}}}"#), ["b", "a"]);
        assert_eq!(names(r#"{"inputs":{"a":1},"run":{"id":"r_1"}}"#), ["a"]);
        assert_eq!(names(r#"{"service":"billing","port_context":{"runId":"r_1"}}"#), ["service"]);
        assert!(names(r#"{"context":{"runId":"r_1"},"action":"deploy"}"#).is_empty());
    }

    #[test]
    fn news_of_an_entity_starts_nothing() {
        assert!(matches!(read(r#"{"resourceType":"entity","diff":{}}"#), Ok(Message::ChangeLog)));
        assert!(announces_change(r#"{"resourceType":"run","changelogDestination":{"type":"WEBHOOK"}}"#));
        assert!(!announces_change(r#"{"resourceType":"run","context":{"runId":"r_1"}}"#));
    }

    #[test]
    fn secret_inputs_are_named_by_the_message_or_by_the_form() {
        let text = r#"{"context":{"runId":"r_1"},"payload":{"censoredProperties":["a"],"action":{"userInputs":{"properties":{"b":{"encryption":"aes256-gcm"},"c":{}}}},"properties":{}}}"#;
        assert_eq!(run(text).request.unwrap().secret_inputs, ["a", "b"]);
    }
}
