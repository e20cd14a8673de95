//! Turns a run request into a trigger request, or a validation error. Pure: no clock, no IO.

mod fields;
mod payload;
mod reserved_names;
mod secret_input;
mod variables;

pub use fields::project_of_url;

use std::borrow::Cow;

use secrecy::SecretString;
use zeroize::Zeroize as _;

use crate::gitlab::types::{GitRef, Project};
use crate::glint::run::{Inputs, RunRequest, UrlTarget};
use crate::json;
use variables::{Field, UserInputs};

/// GitLab.com's limit for the file variable `TRIGGER_PAYLOAD`, which holds the trigger's body.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// The deepest JSON that GitLab's API reads.
const MAX_JSON_DEPTH: usize = 32;

/// What the operator decided about triggers.
#[derive(Clone, Debug)]
pub struct TriggerOptions {
    pub inputs_as_inputs: bool,
    /// Write `$` as `$$`: for GitLab versions that expand `$VAR` in what a trigger sends.
    pub escape_dollar: bool,
    /// Reserved names that user inputs may set all the same.
    pub allow_variables: Vec<String>,
}

/// A trigger that may be sent.
#[derive(Debug)]
pub struct TriggerRequest<'a> {
    pub project: Project,
    pub git_ref: GitRef,
    /// The body of `POST /projects/:id/trigger/pipeline`, without the token, as members in order.
    ///
    /// Each is set by name from here: nothing in an event can add one or take one's place.
    pub body: Body<'a>,
    /// What was decrypted for the pipeline, and whatever else GitLab's words must not repeat.
    pub secrets: Vec<SecretString>,
    /// Whether the pipeline's end ends the run.
    report_pipeline_status: bool,
}

/// Members of a JSON object, and the JSON of their values. No `Debug` of that, and it is wiped on drop: decrypted secrets lie in it.
pub struct Body<'a>(Vec<Member<'a>>);

type Member<'a> = (&'static str, Cow<'a, str>);

impl<'a> std::ops::Deref for Body<'a> {
    type Target = [Member<'a>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            if let Cow::Owned(text) = value {
                text.zeroize();
            }
        }
    }
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Why a run is not started: what is wrong, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    pub what: String,
    pub hint: String,
}

impl ValidationError {
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Decides. `client_secret` is Glint's, with which secret inputs are encrypted.
pub fn build_trigger_request<'a>(
    run: &'a RunRequest,
    target: &UrlTarget,
    options: &TriggerOptions,
    client_secret: &SecretString,
) -> Result<TriggerRequest<'a>, ValidationError> {
    let spec = run.spec.as_ref().map_err(|fault| {
        ValidationError::new(
            format!("the message's `payload` cannot be read: {fault}"),
            "check the action's body template",
        )
    })?;
    let project = fields::project(run, spec, target)?;
    let git_ref = fields::git_ref(spec, target)?;
    let pipeline_variables = fields::pipeline_variables(spec)?;
    let (field, inputs): (Field, &Inputs) = match &pipeline_variables {
        Some(variables) => (Field::PipelineVariables, variables),
        None => (Field::UserInputs, &spec.inputs),
    };
    let values = if target.omit_user_inputs.unwrap_or(spec.omit_user_inputs) {
        UserInputs::none(options)
    } else {
        UserInputs::new(field, inputs, &spec.secret_inputs, options, client_secret)?
    };
    let payload = if target.omit_payload.unwrap_or(spec.omit_payload) {
        Cow::Borrowed("{}")
    } else {
        payload::escape_dollars(run.payload(), options.escape_dollar)
    };
    let mut secrets = values.secrets(&spec.secret_inputs);
    secrets.push(client_secret.clone());
    let mut body = Body(vec![("ref", json::quote(git_ref.as_str()).into())]);
    body.0.extend(values.member());
    body.0.push(("port_payload", payload));
    within_limits(&body)?;
    let report_pipeline_status = run.report_pipeline_status && target.report_pipeline_status.unwrap_or(true);
    Ok(TriggerRequest { project, git_ref, body, secrets, report_pipeline_status })
}

impl TriggerRequest<'_> {
    /// Lets the pipeline, and its hook, know the run that it is started for, and whether the hook may end it.
    pub fn set_run_proof(&mut self, run_id: &str, proof: &str) {
        let mut glint = serde_json::json!({ "runId": run_id, "proof": proof });
        if !self.report_pipeline_status {
            glint["reportPipelineStatus"] = false.into();
        }
        self.body.0.push(("glint", glint.to_string().into()));
    }
}

fn within_limits(body: &[Member]) -> Result<(), ValidationError> {
    const OMIT: &str = "set `omitPayload` in the action, or send less";
    let size: usize = body.iter().map(|(_, value)| value.len()).sum();
    if size > MAX_PAYLOAD_BYTES {
        return Err(ValidationError::new(
            format!("the payload has {size} bytes, more than the {MAX_PAYLOAD_BYTES} that GitLab takes"),
            OMIT,
        ));
    }
    // The body itself is the outermost.
    if body.iter().any(|(_, value)| json::is_deeper(value, MAX_JSON_DEPTH - 1)) {
        return Err(ValidationError::new(
            format!("the payload is nested deeper than the {MAX_JSON_DEPTH} levels that GitLab takes"),
            OMIT,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod properties;
