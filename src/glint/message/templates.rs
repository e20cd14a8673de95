//! Where the facts of a message lie: the older, documented form, and those that newer Glints and templates send.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::Unreadable;
use crate::glint::run::{Backend, Inputs, RunId, TriggerSpec};
use crate::json::Object;

/// More user inputs than this are not even counted one by one: GitLab takes 1,200 variables.
const MAX_MEMBERS: usize = 10_000;

/// The objects that a message's facts may lie in.
pub struct Templates<'s, 'a> {
    pub root: &'s Object<'a>,
    /// What a template wrapped as `port_payload`.
    pub wrapped: Option<&'s Object<'a>>,
}

/// The objects within the message's `payload`, each read once.
pub struct Parts<'a> {
    /// `payload`, wherever it lies.
    payload: Option<Object<'a>>,
    action: Option<Object<'a>>,
    /// The action's `invocationMethod`; empty where the message carries none.
    pub method: Object<'a>,
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
const NOT_INPUTS: [&str; 7] = ["port_context", "glint_context", "glint", "headers", "run", "runId", "run_id"];

impl<'a> Templates<'_, 'a> {
    fn levels(&self) -> impl Iterator<Item = &Object<'a>> {
        [Some(self.root), self.wrapped].into_iter().flatten()
    }

    /// The run id, and whether it lay where only templates put it.
    pub fn run_id(&self) -> Result<(RunId, bool), Unreadable> {
        for level in self.levels() {
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

    pub fn parts(&self) -> Result<Parts<'a>, serde_json::Error> {
        let payload = match self.root.object("payload")? {
            Some(payload) => Some(payload),
            None => within(self.wrapped, "payload")?,
        };
        let action = within(payload.as_ref(), "action")?;
        let method = within(action.as_ref(), "invocationMethod")?.unwrap_or_default();
        Ok(Parts { payload, action, method })
    }

    pub fn clicked_at(&self) -> Option<DateTime<Utc>> {
        let at = |level: &Object<'a>| level.object("trigger").ok()??.string("at");
        Some(DateTime::parse_from_rfc3339(&self.levels().find_map(at)?).ok()?.to_utc())
    }

    pub fn spec(&self, parts: &Parts<'a>, templated: bool) -> Result<TriggerSpec, serde_json::Error> {
        let method = &parts.method;
        let text = |name| method.string(name).map(Cow::into_owned);
        Ok(TriggerSpec {
            group: text("groupName"),
            project: text("projectName"),
            default_ref: text("defaultRef").filter(|text| !text.is_empty()),
            inputs: self.inputs(parts, templated)?,
            pipeline_variables: method
                .object("pipelineVariables")?
                .map_or(Ok(Vec::new()), |object| members(&object))?,
            secret_inputs: self.secret_inputs(parts)?,
            omit_payload: method.is_true("omitPayload"),
            omit_user_inputs: method.is_true("omitUserInputs"),
        })
    }

    fn inputs(&self, parts: &Parts<'a>, templated: bool) -> Result<Inputs, serde_json::Error> {
        if let Some(properties) = within(parts.payload.as_ref(), "properties")? {
            return members(&properties);
        }
        for level in self.levels() {
            if let Some(inputs) = level.object("inputs")? {
                return members(&inputs);
            }
        }
        // `{{ spreadValue() }}` of Glint's templates puts the inputs beside `port_context`.
        let spread =
            templated && parts.payload.is_none() && self.wrapped.is_none() && self.root.get("action").is_none();
        let root = if spread { members(self.root)? } else { Vec::new() };
        Ok(root.into_iter().filter(|(name, _)| !NOT_INPUTS.contains(&name.as_str())).collect())
    }

    /// Names of the inputs that are ciphertext: `censoredProperties` of the message, and `encryption` in the action's form.
    fn secret_inputs(&self, parts: &Parts<'a>) -> Result<Vec<String>, serde_json::Error> {
        let of_root = if parts.action.is_none() { self.root.object("action")? } else { None };
        let action = parts.action.as_ref().or(of_root.as_ref());
        let mut names = Vec::new();
        let listed = [
            parts.payload.as_ref().and_then(|payload| payload.get("censoredProperties")),
            action.and_then(|action| action.get("encryptedProperties")),
        ];
        for list in listed.into_iter().flatten() {
            let count = list.get().bytes().filter(|byte| *byte == b',').count();
            if count >= MAX_MEMBERS {
                return Err(too_many(count + 1));
            }
            names.extend(serde_json::from_str::<Vec<String>>(list.get()).unwrap_or_default());
        }
        let form = within(action, "userInputs")?;
        let fields = within(form.as_ref(), "properties")?.unwrap_or_default();
        for (name, field) in fields.iter() {
            if Object::parse(field.get()).is_ok_and(|field| field.string("encryption").is_some()) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// The object `name` within `object`, where there are both.
fn within<'a>(object: Option<&Object<'a>>, name: &str) -> Result<Option<Object<'a>>, serde_json::Error> {
    object.map_or(Ok(None), |object| object.object(name))
}

/// The backend that `method` names.
pub fn backend(method: &Object) -> Backend {
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
    if object.len() > MAX_MEMBERS {
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
