//! A pipeline: what GitLab says of it, and the project and ref it runs on.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Where a project is in GitLab: `group/sub/project`, or its numeric id.
///
/// Holds only what GitLab's naming rules allow, so that it is one path segment of a URL once its slashes are encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Project {
    group: String,
    name: String,
}

/// GitLab nests at most twenty groups, and a project lies in at least one.
const SLUGS: std::ops::RangeInclusive<usize> = 2..=21;

impl Project {
    /// Joins `group` and `name`, each of which may hold subgroups. The error names the field and the fault.
    pub fn parse(group: &str, name: &str) -> Result<Self, String> {
        let parts = [("groupName", group), ("projectName", name)];
        for (field, part) in parts {
            if part.is_empty() {
                return Err(format!("`{field}` is missing"));
            }
            if let Some(slug) = part.split('/').find(|slug| !is_slug(slug)) {
                let start: String = slug.chars().take(64).collect();
                return Err(format!("`{field}` has the part {start:?}, which GitLab does not allow in a path"));
            }
        }
        let project = Self { group: group.to_owned(), name: name.to_owned() };
        if !SLUGS.contains(&project.slugs().count()) || project.path().len() > 1024 {
            return Err("`groupName` is nested deeper than GitLab allows".to_owned());
        }
        Ok(project)
    }

    /// Splits `group/sub/project` at its last slash.
    pub fn parse_path(path: &str) -> Result<Self, String> {
        let (group, name) = path.rsplit_once('/').unwrap_or(("", path));
        Self::parse(group, name)
    }

    /// A project by its numeric id.
    pub fn by_id(id: &str) -> Option<Self> {
        let digits =
            (1..=19).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
        digits.then(|| Self { group: String::new(), name: id.to_owned() })
    }

    /// `group/sub/project`, or the numeric id.
    pub fn path(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { [&self.group, "/", &self.name].concat() }
    }

    /// The path as GitLab's API wants it: one segment, slashes as `%2F`. What else a slug may hold needs no encoding.
    pub fn segment(&self) -> String {
        self.path().replace('/', "%2F")
    }

    /// The group as the message names it.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The project as the message names it, subgroups included where the message put them there.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn slugs(&self) -> impl Iterator<Item = &str> {
        self.group.split('/').chain(self.name.split('/'))
    }
}

impl fmt::Display for Project {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.path())
    }
}

/// One part of a project's path: GitLab's rule for names, plus the leading `_` or `.` that old groups may have.
fn is_slug(slug: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| !matches!(byte, b'-' | b'.'));
    let bytes = slug.as_bytes();
    let ends_in = |end: &str| {
        bytes.len().checked_sub(end.len()).is_some_and(|start| bytes[start..].eq_ignore_ascii_case(end.as_bytes()))
    };
    (1..=255).contains(&bytes.len())
        && bytes.iter().copied().all(allowed)
        && edge(bytes.last())
        && bytes.first() != Some(&b'-')
        && !slug.contains("..")
        && !ends_in(".git")
        && !ends_in(".atom")
}

/// A branch or tag, by the rules of `git check-ref-format`, and without the `refs/` that GitLab's trigger does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref(String);

impl Ref {
    /// The error says what is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        let fault = if text.is_empty() {
            "it is empty"
        } else if text.len() > 255 {
            "it is longer than 255 bytes"
        } else if text.contains(forbidden) {
            "it holds a character that git forbids in a ref"
        } else if text.starts_with('-') || text == "@" || text.contains("@{") || text.contains("..") {
            "git does not allow a ref that starts with `-`, is `@`, or holds `..` or `@{`"
        } else if text.starts_with("refs/") {
            "give the branch or tag alone, without `refs/...`"
        } else if text.ends_with('.')
            || text.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
        {
            "no part of a ref may be empty, start with `.`, or end with `.lock` or `.`"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(fault)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A pipeline that GitLab created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    pub id: u64,
    pub project_id: u64,
    /// The page to look at.
    pub url: String,
}

impl Pipeline {
    /// What the run carries in Glint as `externalRunId`, the form that Glint's own GitLab integration uses.
    pub fn external_id(&self) -> String {
        format!("gl_{}_{}", self.project_id, self.id)
    }

    /// The project id and pipeline id of an `externalRunId` of ours.
    pub fn parse_external_id(text: &str) -> Option<(u64, u64)> {
        let (project, pipeline) = text.strip_prefix("gl_")?.split_once('_')?;
        Some((project.parse().ok()?, pipeline.parse().ok()?))
    }
}

/// Where a pipeline stands, as far as a run has to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineStatus {
    Pending,
    Running,
    Success,
    Failed,
    Canceled,
    Skipped,
}

impl PipelineStatus {
    /// GitLab's word for it; `None` for the words that move no run, such as `created`, `manual` or `canceling`.
    pub fn parse(status: &str) -> Option<Self> {
        Some(match status {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "success" => Self::Success,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "skipped" => Self::Skipped,
            _ => return None,
        })
    }

    /// GitLab's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }

    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// What a hook or a lookup says of a pipeline: all that is needed to move its run, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineEvent {
    pub pipeline: Pipeline,
    /// `group/sub/project`, as GitLab says.
    pub project: String,
    pub status: PipelineStatus,
    pub sha: Option<String>,
    /// The jobs that made it fail: allowed failures are not among them.
    pub failed_jobs: Vec<FailedJob>,
    /// The run that `TRIGGER_PAYLOAD` names, with the proof that it came from here.
    pub run_token: Option<RunToken>,
}

/// A job that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedJob {
    pub name: String,
    pub stage: String,
    pub url: String,
    /// GitLab's `failure_reason`, such as `script_failure`.
    pub reason: Option<String>,
}

/// A pipeline's word that it belongs to a run: verify_run_token only with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunToken {
    pub run_id: String,
    pub proof: String,
}

/// What a hook must prove, as far as it is set.
#[derive(Debug)]
pub struct HookSecrets {
    /// `whsec_` and the base64 of the key.
    pub signing_token: Option<SecretString>,
    /// The plain secret token.
    pub token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_gitlab_can_have_are_projects() {
        for path in ["group/app", "a/b/c.d", "_old/x-1", "g/p_", "acme/backend/billing"] {
            assert_eq!(Project::parse_path(path).unwrap().segment(), path.replace('/', "%2F"));
        }
        for path in [
            "", "app", "/app", "g/", "g//p", "g/..", "../p", "g/%2e%2e", "g/a?b", "g/a#b", "g/a\\b", "g/p.git", "g/-p",
            "g/p.", "g/é", "g/a b", "g/a\n",
        ] {
            assert!(Project::parse_path(path).is_err(), "{path:?}");
        }
        assert!(Project::by_id("42").is_some());
        assert!(Project::by_id("042").is_none() && Project::by_id("4a").is_none());
    }

    #[test]
    fn refs_follow_git() {
        for text in ["main", "release/1.4", "v1.0", "feature/é", "a@b"] {
            assert!(Ref::parse(text).is_ok(), "{text:?}");
        }
        for text in [
            "",
            "-x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "@",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "refs/heads/main",
            "a\u{7f}",
            "a\n",
        ] {
            assert!(Ref::parse(text).is_err(), "{text:?}");
        }
    }
}
