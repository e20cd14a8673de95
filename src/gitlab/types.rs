//! GitLab's types: pipeline, project, ref and job.

mod git_ref;
mod pipeline;
mod project;

pub use git_ref::GitRef;
pub use pipeline::{
    Job, Pipeline, PipelineEvent, PipelineStatus, RunProof, parse_pipeline_page, pipeline_in, pipeline_page,
};
pub use project::Project;

use secrecy::SecretString;

/// What a hook must prove, as far as it is set.
#[derive(Debug)]
pub struct HookSecrets {
    /// `whsec_` and the base64 of the key.
    pub signing_token: Option<SecretString>,
    /// The plain secret token.
    pub token: Option<SecretString>,
}
