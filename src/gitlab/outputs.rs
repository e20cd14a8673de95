//! Parses a pipeline's outputs: an artifact with what only its jobs know.
//!
//! ```json
//! { "summary": "...", "links": ["https://..."], "properties": { "imageTag": "..." }, "relations": { "service": "..." } }
//! ```

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use crate::json::{self, Object};
use crate::telemetry::redaction::Redactor;

/// The longest file that is read.
pub const MAX_OUTPUTS_BYTES: usize = 64 * 1024;
const MAX_DEPTH: usize = 16;
const MAX_LINKS: usize = 10;
const MAX_LINK_BYTES: usize = 2048;
/// The most members of `properties`, and of `relations`.
const MAX_MEMBERS: usize = 100;
const MAX_NAME_BYTES: usize = 255;
/// The most identifiers that one relation names.
const MAX_RELATED: usize = 100;
const MAX_IDENTIFIER_CHARS: usize = 1000;
/// More faults than these are not listed one by one.
const MAX_FAULTS: usize = 10;

/// What the function writes itself of each deployment, so that a file cannot.
const OWN_PROPERTIES: [&str; 3] = ["jobUrl", "deployingUser", "commitSha"];

/// What a pipeline says of its result. Each part that is right is used, whatever is wrong with the others.
#[derive(Debug, Default, PartialEq)]
pub struct Outputs {
    /// One line for the run.
    pub summary: Option<String>,
    /// Pages that are shown beside the pipeline's own.
    pub links: Vec<String>,
    /// Properties of the deployment's entity.
    pub properties: Map<String, Value>,
    /// Relations of the deployment's entity.
    pub relations: Map<String, Value>,
    /// What of the file is not used, and why.
    pub faults: Vec<String>,
}

impl Outputs {
    /// Reads the file. What `redactor` takes for a secret is masked in the summary, and left out everywhere else.
    pub fn parse(bytes: &[u8], redactor: &Redactor) -> Self {
        let mut outputs = Self::default();
        match document(bytes) {
            Ok(root) => {
                for (name, value) in root.iter().filter(|(_, value)| value.get() != "null") {
                    outputs.read_member(name, value, redactor);
                }
            }
            Err(fault) => outputs.faults.push(fault),
        }
        if outputs.faults.len() > MAX_FAULTS {
            outputs.faults.truncate(MAX_FAULTS);
            outputs.faults.push("and there is more that is not used".to_owned());
        }
        outputs
    }

    /// Outputs of which nothing can be used.
    pub fn unusable(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()], ..Self::default() }
    }

    fn read_member(&mut self, name: &str, value: &RawValue, redactor: &Redactor) {
        match name {
            "summary" => match json::string(value) {
                Some(text) => self.summary = Some(redactor.sanitize_line(&text)).filter(|text| !text.is_empty()),
                None => self.faults.push("`summary` is not a string".to_owned()),
            },
            "links" => self.read_links(value, redactor),
            "properties" => self.properties = self.read_object(name, value, redactor, property_fault),
            "relations" => self.relations = self.read_object(name, value, redactor, relation_fault),
            other => self.faults.push(format!(
                "`{}` is none of `summary`, `links`, `properties` and `relations`",
                json::excerpt(&redactor.redact(other))
            )),
        }
    }

    fn read_links(&mut self, value: &RawValue, redactor: &Redactor) {
        let Ok(Value::Array(links)) = serde_json::from_str(value.get()) else {
            self.faults.push("`links` is not a list".to_owned());
            return;
        };
        for (index, link) in links.iter().enumerate() {
            if index == MAX_LINKS {
                self.faults.push(format!("`links` has more than {MAX_LINKS} entries"));
                break;
            }
            match link_fault(link, redactor) {
                None => self.links.extend(link.as_str().map(str::to_owned)),
                Some(fault) => self.faults.push(format!("link {} of `links` {fault}", index + 1)),
            }
        }
    }

    fn read_object(
        &mut self,
        field: &str,
        value: &RawValue,
        redactor: &Redactor,
        value_fault: fn(&Value) -> Option<&'static str>,
    ) -> Map<String, Value> {
        let Ok(members) = Object::parse(value.get()) else {
            self.faults.push(format!("`{field}` is not an object whose names are all different"));
            return Map::new();
        };
        let mut kept = Map::new();
        for (name, value) in members.iter() {
            if kept.len() == MAX_MEMBERS {
                self.faults.push(format!("`{field}` has more than {MAX_MEMBERS} members"));
                break;
            }
            let shown = || json::excerpt(&redactor.redact(name));
            let value: Value = serde_json::from_str(value.get()).unwrap_or_default();
            let fault = name_fault(name).or_else(|| value_fault(&value));
            if let Some(fault) = fault {
                self.faults.push(format!("`{}` of `{field}` {fault}", shown()));
            } else if field == "properties" && OWN_PROPERTIES.contains(&name) {
                self.faults.push(format!("`{}` of `{field}` is set by the function itself", shown()));
            } else if holds_secret(name, &value, redactor) {
                self.faults.push(format!("`{}` of `{field}` holds what looks like a token", shown()));
            } else {
                kept.insert(name.to_owned(), value);
            }
        }
        kept
    }
}

/// The file as a JSON object of bounded size and depth.
fn document(bytes: &[u8]) -> Result<Object<'_>, String> {
    if bytes.len() > MAX_OUTPUTS_BYTES {
        return Err(format!("it has more than {MAX_OUTPUTS_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
    if json::is_deeper(text, MAX_DEPTH) {
        return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
    }
    Object::parse(text).map_err(|error| {
        // serde_json's words name a place, or a member that is there twice.
        format!("it is not a JSON object: {}", json::excerpt(&error.to_string()))
    })
}

fn link_fault(link: &Value, redactor: &Redactor) -> Option<&'static str> {
    let Some(text) = link.as_str() else { return Some("is not a string") };
    if text.len() > MAX_LINK_BYTES {
        return Some("is longer than 2048 bytes");
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Some("holds a control character or white space");
    }
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    let Some(url) = url.filter(|_| text.starts_with("https://")) else { return Some("is not an https URL") };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds a user or password");
    }
    (redactor.redact(text) != text).then_some("holds what looks like a token")
}

fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Some("is a name that is empty or longer than 255 bytes");
    }
    let is_meta = name.starts_with('$');
    (is_meta || name.contains(char::is_control))
        .then_some("is a name that holds a control character or begins with `$`")
}

fn property_fault(value: &Value) -> Option<&'static str> {
    has_control_characters(value).then_some("holds a control character")
}

fn relation_fault(value: &Value) -> Option<&'static str> {
    let is_identifier = |value: &Value| {
        value.as_str().is_some_and(|text| {
            (1..=MAX_IDENTIFIER_CHARS).contains(&text.chars().count()) && !text.contains(char::is_control)
        })
    };
    let fits = match value {
        Value::Null => true,
        Value::Array(all) => all.len() <= MAX_RELATED && all.iter().all(is_identifier),
        one => is_identifier(one),
    };
    (!fits).then_some("is not an identifier, a list of at most 100, or null")
}

/// Line breaks and tabs are text; what else is a control character is not.
fn has_control_characters(value: &Value) -> bool {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match value {
        Value::String(text) => text.contains(is_bad),
        Value::Array(all) => all.iter().any(has_control_characters),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains(is_bad) || has_control_characters(value))
        }
        _ => false,
    }
}

fn holds_secret(name: &str, value: &Value, redactor: &Redactor) -> bool {
    let is_secret = |text: &str| redactor.redact(text) != text;
    is_secret(name)
        || match value {
            Value::String(text) => is_secret(text),
            Value::Array(all) => all.iter().any(|value| holds_secret("", value, redactor)),
            Value::Object(members) => members.iter().any(|(name, value)| holds_secret(name, value, redactor)),
            _ => false,
        }
}

#[cfg(test)]
#[path = "outputs_tests.rs"]
mod tests;
