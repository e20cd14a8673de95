//! Entities of the catalogue, written in the name of a run.

use super::{Glint, error, not_found, strict_object};
use crate::http::{Answer, Request};
use serde_json::{Map, Value, json};

const KEYS: [&str; 6] = ["identifier", "title", "icon", "team", "properties", "relations"];

#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    pub blueprint: String,
    pub identifier: String,
    pub title: Option<String>,
    pub properties: Map<String, Value>,
    pub relations: Map<String, Value>,
    /// The run that wrote it last.
    pub run_id: Option<String>,
}

impl Glint {
    pub(super) fn post_entity(&self, blueprint: &str, request: &Request) -> Answer {
        let written = match entity(blueprint, request) {
            Ok(entity) => entity,
            Err(refusal) => return refusal,
        };
        let mut state = self.lock();
        if state.denies_entities {
            return error(403, "forbidden", "The credentials may not write entities");
        }
        if !state.blueprints.contains(blueprint) {
            return not_found(&format!("Blueprint with identifier \"{blueprint}\" was not found"));
        }
        let ended_status = state.shape.ended;
        if let Some(id) = &written.run_id {
            let Some(run) = state.run_mut(id) else {
                return not_found(&format!("Run with id \"{id}\" was not found"));
            };
            if run.has_ended() {
                run.refused_writes += 1;
                return error(ended_status, "run_already_ended", "run_id must be of a run in progress");
            }
        }
        let same = |one: &&mut Entity| (&one.blueprint, &one.identifier) == (&written.blueprint, &written.identifier);
        let body = json!({
            "blueprint": written.blueprint, "identifier": written.identifier, "title": written.title,
            "properties": written.properties, "relations": written.relations,
        });
        match state.entities.iter_mut().find(same) {
            None => state.entities.push(written),
            Some(_) if !request.flag("upsert") => {
                return error(409, "entity_exists", "An entity with this identifier exists");
            }
            Some(known) if request.flag("merge") => merge(known, written),
            Some(known) => *known = written,
        }
        Answer::json(201, &json!({ "ok": true, "entity": body }))
    }
}

fn merge(known: &mut Entity, written: Entity) {
    known.properties.extend(written.properties);
    known.relations.extend(written.relations);
    known.title = written.title.or(known.title.take());
    known.run_id = written.run_id;
}

fn entity(blueprint: &str, request: &Request) -> Result<Entity, Answer> {
    let mut body = strict_object(request, &KEYS)?;
    let refuse = |key: &str| {
        let words = format!("json does not match the route's schema: `{key}`");
        error(422, "invalid_request", &words)
    };
    let identifier = body.get("identifier").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !is_identifier(&identifier) {
        return Err(refuse("identifier"));
    }
    let mut object = |key: &str| match body.remove(key) {
        None => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(refuse(key)),
    };
    Ok(Entity {
        blueprint: blueprint.to_owned(),
        identifier,
        properties: object("properties")?,
        relations: object("relations")?,
        title: body.get("title").and_then(Value::as_str).map(str::to_owned),
        run_id: request.param("run_id"),
    })
}

/// Glint's `^(?!\.{1,2}$)[\p{L}0-9@_.+:\\/=-]+$`, at most 1000 characters.
fn is_identifier(text: &str) -> bool {
    let allowed = |c: char| c.is_alphabetic() || c.is_ascii_digit() || "@_.+:\\/=-".contains(c);
    let length = text.chars().count();
    (1..=1000).contains(&length) && text != "." && text != ".." && text.chars().all(allowed)
}
