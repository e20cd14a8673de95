//! Reads what the check needs of a project, with the read token.

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::{GitLab, LookupError};
use crate::gitlab::types::Project;

/// How far the read token reaches in a project.
#[derive(Debug)]
pub enum ReadAccess {
    /// A pipeline's variables, by which a run's pipeline is known, can be read.
    Full,
    /// No trigger has started a pipeline yet on which to try it.
    NoPipelineYet,
    /// Pipelines can be read, and their variables cannot.
    WithoutVariables,
}

impl GitLab {
    /// Reads the latest triggered pipeline of the project, and its variables.
    pub async fn read_access(
        &self,
        project: &Project,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<ReadAccess, LookupError> {
        #[derive(Deserialize)]
        struct Listed {
            id: u64,
        }
        let segment = project.segment();
        let path = format!("projects/{segment}/pipelines?source=trigger&order_by=id&sort=desc&per_page=1");
        let listed: Vec<Listed> = self.get(&path, token, deadline).await?;
        let Some(Listed { id }) = listed.first() else { return Ok(ReadAccess::NoPipelineYet) };
        let path = format!("projects/{segment}/pipelines/{id}/variables");
        match self.get(&path, token, deadline).await {
            Ok(IgnoredAny) => Ok(ReadAccess::Full),
            Err(LookupError::Refused(403 | 404)) => Ok(ReadAccess::WithoutVariables),
            Err(error) => Err(error),
        }
    }
}
