//! Builds the deployment entity of a successful pipeline: from the run's inputs, the person who started it, and the pipeline. Pure.
//!
//! | property | from |
//! |---|---|
//! | `jobUrl` | the pipeline's page |
//! | `deployingUser` | who started the run: an e-mail address where Glint tells one, else the user id |
//! | `imageTag` | the pipeline's outputs, else the user input `imageTag`, else `image_tag`, else `version` |
//! | `commitSha` | the commit the pipeline ran on |

use serde_json::Map;

use crate::config::Deployment;
use crate::gitlab::outputs::Outputs;
use crate::gitlab::types::PipelineEvent;
use crate::glint::run::{Entity, RunState};
use crate::json::{self, Object};

/// The entity, or the sentence that says which input it lacks. What the pipeline's outputs say goes before the inputs.
pub fn entity(
    deployment: &Deployment,
    run: &RunState,
    event: &PipelineEvent,
    outputs: &Outputs,
) -> Result<Entity, String> {
    let inputs = run.inputs.as_deref().and_then(|inputs| Object::parse(inputs.get()).ok()).unwrap_or_default();
    let tag = ["imageTag", "image_tag", "version"].into_iter().find_map(|name| text(&inputs, name));
    let mut properties = Map::new();
    properties.extend(tag.map(|tag| ("imageTag".to_owned(), tag.into())));
    properties.extend(outputs.properties.clone());
    let own = [
        ("jobUrl", Some(event.pipeline.url.clone())),
        ("deployingUser", run.started_by.clone()),
        ("commitSha", event.sha.clone()),
    ];
    properties.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    Ok(Entity {
        blueprint: deployment.blueprint.clone(),
        identifier: identifier(&deployment.identifier, &inputs)?,
        properties,
        relations: outputs.relations.clone(),
    })
}

/// `template` with each `{name}` replaced by that input.
fn identifier(template: &str, inputs: &Object) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or("`DEPLOYMENT_IDENTIFIER` has a brace without its partner")?;
        let value = text(inputs, name).ok_or_else(|| {
            format!("its identifier `{template}` needs the user input `{name}`, which the run does not have")
        })?;
        out.push_str(before);
        out.push_str(&value);
        rest = behind;
    }
    Ok(out + rest)
}

/// The input as text: absent where it is null or empty.
fn text(inputs: &Object, name: &str) -> Option<String> {
    let value = inputs.get(name)?;
    let text = match json::string(value) {
        Some(text) => text.into_owned(),
        None => json::compact(value).ok()?,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_is_made_of_inputs() {
        let given =
            Object::parse(r#"{"service":"billing","environment":"prod","n":3,"empty":"","nothing":null}"#).unwrap();
        assert_eq!(identifier("{service}-{environment}", &given).unwrap(), "billing-prod");
        assert_eq!(identifier("x{n}", &given).unwrap(), "x3");
        for template in ["{region}", "{empty}", "{nothing}"] {
            assert!(identifier(template, &given).unwrap_err().contains("needs the user input"), "{template}");
        }
    }
}
