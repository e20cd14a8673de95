//! Parses a run request: from Glint's own `payload`, or from the members that a template put at the root.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::SIGNATURE_HEADERS;
use super::run_id::RunIdPlace;
use crate::glint::run::{Inputs, InvocationType, TriggerSpec};
use crate::json::Object;

/// More user inputs than this are not even counted one by one: GitLab takes 1,200 variables.
const MAX_MEMBERS: usize = 10_000;

/// The objects that a message's facts may lie in.
pub struct Templates<'s, 'a> {
    pub root: &'s Object<'a>,
    /// What a template wrapped as `port_payload`.
    pub wrapped: Option<&'s Object<'a>>,
    /// Where the run id stands; `None` where it came in a header.
    pub place: Option<RunIdPlace>,
}

/// The objects within the message's `payload`, each read once.
pub struct Parts<'a> {
    /// Glint's own `payload`: none in a templated body.
    payload: Option<Object<'a>>,
    action: Option<Object<'a>>,
    /// The action's `invocationMethod`; empty where the message carries none.
    pub method: Object<'a>,
}

impl<'s, 'a> Templates<'s, 'a> {
    /// The levels of the message, and whether the run id stands in each.
    fn levels(&self) -> impl Iterator<Item = (&'s Object<'a>, Option<RunIdPlace>)> {
        let place = |is_wrapped| self.place.filter(|place| place.is_wrapped == is_wrapped);
        [(Some(self.root), place(false)), (self.wrapped, place(true))]
            .into_iter()
            .filter_map(|(level, place)| Some((level?, place)))
    }

    pub fn parts(&self) -> Result<Parts<'a>, serde_json::Error> {
        let mut payload = None;
        for (level, place) in self.levels() {
            let Some(candidate) = level.object("payload")? else { continue };
            if payload.is_none() && is_glints_payload(level, &candidate, place) {
                payload = Some(candidate);
            }
        }
        let action = match &payload {
            Some(payload) => payload.object("action")?,
            None => self.root.object("action")?.filter(is_glints_action),
        };
        let of_payload = action.as_ref().filter(|_| payload.is_some());
        let method = within(of_payload, "invocationMethod")?.unwrap_or_default();
        Ok(Parts { payload, action, method })
    }

    pub fn clicked_at(&self) -> Option<DateTime<Utc>> {
        let at = |(level, _): (&Object<'a>, _)| level.object("trigger").ok()??.string("at");
        Some(DateTime::parse_from_rfc3339(&self.levels().find_map(at)?).ok()?.to_utc())
    }

    pub fn spec(&self, parts: &Parts<'a>) -> Result<TriggerSpec, serde_json::Error> {
        let method = &parts.method;
        let raw = |name| method.get(name).map(RawValue::to_owned);
        Ok(TriggerSpec {
            group: raw("groupName"),
            project: raw("projectName"),
            default_ref: raw("defaultRef"),
            inputs: self.inputs(parts)?,
            pipeline_variables: raw("pipelineVariables"),
            secret_inputs: secret_inputs(parts)?,
            omit_payload: method.is_true("omitPayload"),
            omit_user_inputs: method.is_true("omitUserInputs"),
        })
    }

    fn inputs(&self, parts: &Parts<'a>) -> Result<Inputs, serde_json::Error> {
        if let Some(payload) = &parts.payload {
            return payload.object("properties")?.map_or(Ok(Vec::new()), |properties| members(properties.iter()));
        }
        for (level, place) in self.levels() {
            let has_others = level.iter().any(|(name, value)| name != "inputs" && !is_glints(name, value, place));
            if let Some(inputs) = level.object("inputs")?.filter(|_| !has_others) {
                return members(inputs.iter());
            }
        }
        if self.is_documented_without_payload() {
            return Ok(Vec::new());
        }
        // `{{ spreadValue() }}` of Glint's templates puts the inputs at the root.
        let is_input = |(name, value): &(&str, &RawValue)| match (*name, &self.place) {
            (_, Some(place)) if !place.is_wrapped && *name == place.member() => false,
            ("port_payload", Some(place)) => !place.is_wrapped,
            ("action", _) => !as_object(value).is_some_and(|action| is_glints_action(&action)),
            ("headers", _) => !is_signed(value),
            _ => true,
        };
        members(self.root.iter().filter(is_input))
    }

    /// Whether this is Glint's own message less its `payload`: its root then holds no inputs.
    fn is_documented_without_payload(&self) -> bool {
        self.place.is_some_and(|place| place.is_documented())
            && self.root.string("resourceType").is_some_and(|kind| kind == "run")
            && self.root.object("trigger").is_ok_and(|trigger| trigger.is_some())
    }
}

/// Whether `payload` of `level` is Glint's, and no input of that name. Glint's own messages say so by their `context`; elsewhere it must be
/// the only member that could be an input, since a user may have written whatever lies in it.
fn is_glints_payload(level: &Object, payload: &Object, place: Option<RunIdPlace>) -> bool {
    const NAMES: [&str; 4] = ["entity", "action", "properties", "censoredProperties"];
    let is_object = |name| payload.get(name).is_some_and(|value| value.get().starts_with('{'));
    let has_shape = is_object("action") || is_object("properties");
    let has_only_its_names = payload.iter().all(|(name, _)| NAMES.contains(&name));
    match place {
        Some(place) if place.is_documented() => has_shape || has_only_its_names,
        Some(place) if place.is_beside_inputs() => false,
        _ => {
            let is_alone = level.iter().all(|(name, value)| name == "payload" || is_glints(name, value, place));
            has_shape && has_only_its_names && is_alone
        }
    }
}

fn is_glints_action(action: &Object) -> bool {
    ["identifier", "invocationMethod", "encryptedProperties"].iter().any(|name| action.get(name).is_some())
}

/// Whether a member at the root is one of Glint's own and has its shape.
fn is_glints(name: &str, value: &RawValue, place: Option<RunIdPlace>) -> bool {
    let is_object = value.get().starts_with('{');
    if place.is_some_and(|place| place.member() == name) {
        return true;
    }
    match name {
        "context" | "port_context" | "glint_context" | "port_payload" | "run" | "trigger" | "glint" => is_object,
        "entity" | "event" => is_object || value.get() == "null",
        "action" => as_object(value).is_some_and(|action| is_glints_action(&action)),
        "headers" => value.get() == "{}" || is_signed(value),
        "resourceType" => value.get() == "\"run\"",
        "status" => value.get() == "\"TRIGGERED\"",
        _ => false,
    }
}

fn as_object(value: &RawValue) -> Option<Object<'_>> {
    Object::parse(value.get()).ok()
}

/// Whether `headers` are those of a message on Glint's topic.
fn is_signed(headers: &RawValue) -> bool {
    let names_signature =
        |(name, _): (&str, &RawValue)| SIGNATURE_HEADERS.iter().any(|(one, _)| name.eq_ignore_ascii_case(one));
    as_object(headers).is_some_and(|headers| headers.iter().any(names_signature))
}

/// Names of the inputs that are ciphertext: `censoredProperties` of the message, and `encryption` in the action's form.
fn secret_inputs(parts: &Parts) -> Result<Vec<String>, serde_json::Error> {
    let mut names = Vec::new();
    let listed = [
        parts.payload.as_ref().and_then(|payload| payload.get("censoredProperties")),
        parts.action.as_ref().and_then(|action| action.get("encryptedProperties")),
    ];
    for list in listed.into_iter().flatten() {
        let count = list.get().bytes().filter(|byte| *byte == b',').count();
        if count >= MAX_MEMBERS {
            return Err(too_many(count + 1));
        }
        names.extend(serde_json::from_str::<Vec<String>>(list.get()).unwrap_or_default());
    }
    let form = parts.action.as_ref().and_then(|action| action.get("userInputs"));
    // Most forms have no secret input, and need not be read: a name may also be written with escapes.
    if !form.is_some_and(|form| form.get().contains("\"encryption\"") || form.get().contains('\\')) {
        return Ok(names);
    }
    let form = within(parts.action.as_ref(), "userInputs")?;
    let fields = within(form.as_ref(), "properties")?.unwrap_or_default();
    for (name, field) in fields.iter() {
        if as_object(field).is_some_and(|field| field.string("encryption").is_some()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The object `name` within `object`, where there are both.
fn within<'a>(object: Option<&Object<'a>>, name: &str) -> Result<Option<Object<'a>>, serde_json::Error> {
    object.map_or(Ok(None), |object| object.object(name))
}

/// The backend that `method` names.
pub fn backend(method: &Object) -> InvocationType {
    match method.string("type").as_deref() {
        Some("GITLAB") => InvocationType::GitLab,
        Some("WEBHOOK") => InvocationType::Webhook,
        Some(other) => InvocationType::Other(other.to_owned()),
        None if method.get("projectName").is_some() => InvocationType::GitLab,
        None => InvocationType::Unnamed,
    }
}

/// The members, copied. More of them than anything takes are not: a message of nothing but tiny ones would fill the memory.
fn members<'v>(members: impl Iterator<Item = (&'v str, &'v RawValue)>) -> Result<Inputs, serde_json::Error> {
    let members: Vec<_> = members.collect();
    if members.len() > MAX_MEMBERS {
        return Err(too_many(members.len()));
    }
    Ok(members.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn too_many(count: usize) -> serde_json::Error {
    serde::de::Error::custom(format_args!("there are {count} user inputs, many more than GitLab takes"))
}
