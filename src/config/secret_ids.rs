//! Checks that the secrets' names do not collide.

use super::reader::Reader;
use super::{Config, PROJECT_PLACEHOLDER};

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// A secret for each project must not be another secret of ours, whatever the project is called: an action names the project.
    pub fn reject_overlapping_tokens_secret_id(&mut self, config: &Config) {
        const VARIABLE: &str = "GITLAB_TOKENS_SECRET_ID";
        /// The name of a secret in its ARN, else all of `id`.
        fn name(id: &str) -> &str {
            id.split_once(":secret:").map_or(id, |(_, name)| name)
        }
        let Some((beginning, rest)) = config.tokens_secret_id.split_once(PROJECT_PLACEHOLDER) else { return };
        let beginning = name(beginning);
        let others = [Some(&config.glint_secret_id), config.hook_secret_id.as_ref(), config.read_secret_id.as_ref()];
        if rest.contains(PROJECT_PLACEHOLDER) {
            self.fault(VARIABLE, "holds `{project}` twice", "write it once, as in `gitlab-trigger-tokens/{project}`");
        } else if beginning.is_empty() {
            self.fault(
                VARIABLE,
                "has nothing before `{project}`, so an action could name any secret",
                "begin it with a name of its own, as in `gitlab-trigger-tokens/{project}`",
            );
        } else if let Some(other) = others.into_iter().flatten().find(|other| name(other).starts_with(beginning)) {
            self.fault(
                VARIABLE,
                format!("covers the secret `{other}`, which an action could then name as its project"),
                "begin it with a name that no other secret's name begins with, as in `gitlab-trigger-tokens/{project}`",
            );
        }
    }
}
