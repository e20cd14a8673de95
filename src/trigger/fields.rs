//! Parses the fields that choose project, ref and variables. A wrong type is invalid, never taken for absent.

use serde_json::value::RawValue;

use super::ValidationError;
use crate::gitlab::types::{GitRef, Project};
use crate::glint::run::{Inputs, InvocationType, RunRequest, TriggerSpec, UrlTarget};
use crate::json::{self, Object};

const HINT_PROJECT: &str =
    "set `groupName` and `projectName` of the action's `invocationMethod` to the project's path in GitLab";
const HINT_URL: &str = "end the action's URL in `/<group>/<project>`";

/// The text of a field that may be a string, or a number: then it is its digits. `None` where it is absent, null or empty.
fn text(value: Option<&RawValue>, field: &str, hint: &str) -> Result<Option<String>, ValidationError> {
    let Some(value) = value else { return Ok(None) };
    let kind = match value.get().as_bytes().first() {
        Some(b'"') => match json::string(value) {
            Some(text) => return Ok(Some(text.into_owned()).filter(|text| !text.is_empty())),
            None => "no valid text",
        },
        Some(b'n') => return Ok(None),
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        _ => return Ok(Some(value.get().to_owned())),
    };
    Err(ValidationError::new(format!("the {field} is {kind}, not a string"), hint))
}

/// What the message names goes before what its URL names: the URL is not signed.
pub fn project(run: &RunRequest, spec: &TriggerSpec, target: &UrlTarget) -> Result<Project, ValidationError> {
    if spec
        .group
        .as_ref()
        .is_some_and(|group| group.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()))
    {
        return Err(ValidationError::new("the action's `groupName` is a number, not a string", HINT_PROJECT));
    }
    let group = text(spec.group.as_deref(), "action's `groupName`", HINT_PROJECT)?.unwrap_or_default();
    let name = text(spec.project.as_deref(), "action's `projectName`", HINT_PROJECT)?.unwrap_or_default();
    if group.is_empty() && name.is_empty() {
        if let Some(path) = &target.project {
            return project_of_url(path);
        }
        if run.backend == InvocationType::Webhook {
            return Err(ValidationError::new("the action's URL names no GitLab project", HINT_URL));
        }
    }
    if let Some(project) = Project::by_id(&name).filter(|_| group.is_empty()) {
        return Ok(project);
    }
    for (field, part) in [("groupName", &group), ("projectName", &name)] {
        if part.contains("://") {
            return Err(ValidationError::new(
                format!("the action's `{field}` is a URL"),
                "give the project's path alone, as in `group/project`",
            ));
        }
    }
    Project::parse(&group, &name)
        .map_err(|fault| ValidationError::new(format!("the action names no GitLab project: {fault}"), HINT_PROJECT))
}

/// The project that a URL's path names.
pub fn project_of_url(path: &str) -> Result<Project, ValidationError> {
    if is_gitlab_api(path) {
        return Err(ValidationError::new(
            "the URL's path is that of GitLab's own API, which this function calls itself",
            "end the action's URL in the project's path alone, `/<group>/<project>`, without a token",
        ));
    }
    let parsed = Project::by_id(path).ok_or(()).or_else(|()| Project::parse_path(path));
    parsed.map_err(|fault| ValidationError::new(format!("the URL's path names no GitLab project: {fault}"), HINT_URL))
}

/// Whether `path` was pasted from GitLab's documentation: `/api/v4/projects/<id>/ref/main/trigger/pipeline`.
fn is_gitlab_api(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    segments.windows(2).any(|pair| pair[0] == "api" && matches!(pair[1], "v3" | "v4"))
        || segments.ends_with(&["trigger", "pipeline"])
}

/// The user input `ref`, else the action's `defaultRef`, else the URL's `ref`, else `main`.
pub fn git_ref(spec: &TriggerSpec, target: &UrlTarget) -> Result<GitRef, ValidationError> {
    const HINT: &str = "give the name of a branch or tag of the project";
    let input = spec.inputs.iter().find(|(name, _)| name == "ref").map(|(_, value)| value.as_ref());
    let of_user = text(input, "user input `ref`", HINT)?;
    let of_action = text(spec.default_ref.as_deref(), "action's `defaultRef`", HINT)?;
    let of_url = target.default_ref.clone().filter(|text| !text.is_empty());
    let (field, text) = [("user input `ref`", of_user), ("action's `defaultRef`", of_action), ("URL's `ref`", of_url)]
        .into_iter()
        .find_map(|(field, text)| Some((field, text?)))
        .unwrap_or_else(|| ("default", "main".to_owned()));
    GitRef::parse(&text).map_err(|fault| ValidationError::new(format!("the {field} is no git ref: {fault}"), HINT))
}

/// `pipelineVariables`: an object, or a list of `{"key": ..., "value": ...}`. `None` where there are none.
pub fn pipeline_variables(spec: &TriggerSpec) -> Result<Option<Inputs>, ValidationError> {
    let Some(value) = spec.pipeline_variables.as_deref() else { return Ok(None) };
    let fault = |what: String| {
        ValidationError::new(
            format!("the action's `pipelineVariables` {what}"),
            "send an object of names and values, or a list of `{\"key\": ..., \"value\": ...}`",
        )
    };
    let variables: Inputs = match value.get().as_bytes().first() {
        Some(b'{') => {
            let object = Object::parse(value.get()).map_err(|error| fault(format!("cannot be read: {error}")))?;
            object.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        Some(b'[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(value.get()).map_err(|error| fault(format!("cannot be read: {error}")))?;
            items.into_iter().map(pair).collect::<Option<_>>().ok_or_else(|| fault("list something else".to_owned()))?
        }
        Some(b'"') => return Err(fault("are a string".to_owned())),
        Some(b't' | b'f') => return Err(fault("are a boolean".to_owned())),
        _ => return Err(fault("are a number".to_owned())),
    };
    let mut names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(fault(format!("name `{}` twice", json::excerpt(twice[0]))));
    }
    Ok(Some(variables).filter(|variables| !variables.is_empty()))
}

/// One `{"key": ..., "value": ...}`.
fn pair(item: &RawValue) -> Option<(String, Box<RawValue>)> {
    let item = Object::parse(item.get()).ok()?;
    let value = item.iter().find(|(name, _)| *name == "value").map(|(_, value)| value)?;
    Some((item.string("key")?.into_owned(), value.to_owned()))
}
