//! A project and what its settings make of a trigger.

use super::GitLab;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Project {
    pub id: u64,
    pub path: String,
    pub tokens: Vec<String>,
    /// When a token expires, for those that do.
    pub(super) expiries: BTreeMap<String, DateTime<Utc>>,
    /// Whose triggers these are; the pipeline-creation limit counts by owner.
    pub owner: String,
    pub branches: Vec<String>,
    pub tags: Vec<String>,
    pub(super) variables_restricted: bool,
    pub(super) payload_restricted: bool,
    pub(super) per_minute: Option<u32>,
    pub(super) configuration: Configuration,
    pub(super) inputs: Vec<String>,
    /// Counts the pushes to any ref, so that heads move.
    pub(super) pushes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    Valid,
    Missing,
    FilteredOut,
    Broken,
    /// As older GitLab versions answered it: 201 for a pipeline that has failed.
    BrokenButCreated,
}

impl Project {
    pub(super) fn new(id: u64, path: &str) -> Self {
        Self {
            id,
            path: path.to_owned(),
            tokens: Vec::new(),
            expiries: BTreeMap::new(),
            owner: "root".to_owned(),
            branches: vec!["main".to_owned()],
            tags: Vec::new(),
            variables_restricted: false,
            payload_restricted: false,
            per_minute: None,
            configuration: Configuration::Valid,
            inputs: Vec::new(),
            pushes: 0,
        }
    }

    /// Whether the token triggers pipelines: an expired one is like a wrong one.
    pub(super) fn accepts(&self, token: &str, now: DateTime<Utc>) -> bool {
        let expired = self.expiries.get(token).is_some_and(|expiry| *expiry <= now);
        !expired && self.tokens.iter().any(|known| known == token)
    }

    /// The short name of a branch or tag, and whether it is a tag; or what GitLab says instead.
    pub(super) fn resolve(&self, name: &str) -> Result<(String, bool), &'static str> {
        let is = |known: &[String], name: &str| known.iter().any(|known| known == name);
        if let Some(short) = name.strip_prefix("refs/heads/").filter(|short| is(&self.branches, short)) {
            return Ok((short.to_owned(), false));
        }
        if let Some(short) = name.strip_prefix("refs/tags/").filter(|short| is(&self.tags, short)) {
            return Ok((short.to_owned(), true));
        }
        match (is(&self.branches, name), is(&self.tags, name)) {
            (true, true) => Err("Ref is ambiguous"),
            (false, false) => Err("Reference not found"),
            (_, is_tag) => Ok((name.to_owned(), is_tag)),
        }
    }

    /// The commit at the head of a ref.
    pub fn head(&self, name: &str) -> String {
        let digest = Sha256::digest(format!("{}@{name}#{}", self.path, self.pushes));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        hex[..40].to_owned()
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub fn namespace(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }
}

/// Changes a project in place.
#[derive(Clone)]
pub struct ProjectBuilder {
    gitlab: GitLab,
    path: String,
}

impl ProjectBuilder {
    pub(super) fn new(gitlab: GitLab, path: &str) -> Self {
        let path = path.to_owned();
        Self { gitlab, path }
    }

    pub fn id(&self) -> u64 {
        let projects = self.gitlab.projects();
        let found = projects.iter().find(|project| project.path == self.path);
        found.map_or(0, |project| project.id)
    }

    /// One more trigger token.
    pub fn token(self, token: &str) -> Self {
        self.change(|project| project.tokens.push(token.to_owned()))
    }

    /// One more trigger token, which expires.
    pub fn expiring_token(self, token: &str, expiry: DateTime<Utc>) -> Self {
        self.token(token).change(|project| {
            project.expiries.insert(token.to_owned(), expiry);
        })
    }

    pub fn branch(self, name: &str) -> Self {
        self.change(|project| project.branches.push(name.to_owned()))
    }

    pub fn tag(self, name: &str) -> Self {
        self.change(|project| project.tags.push(name.to_owned()))
    }

    pub fn owner(self, name: &str) -> Self {
        self.change(|project| project.owner = name.to_owned())
    }

    /// Every head moves to a new commit.
    pub fn push(self) -> Self {
        self.change(|project| project.pushes += 1)
    }

    /// Pipeline variables are allowed to no one; `TRIGGER_PAYLOAD` alone still is.
    pub fn restrict_variables(self) -> Self {
        self.change(|project| project.variables_restricted = true)
    }

    /// As GitLab did before it exempted `TRIGGER_PAYLOAD`: no trigger works at all.
    pub fn restrict_variables_and_payload(self) -> Self {
        self.change(|project| project.payload_restricted = true)
    }

    /// So many pipelines per minute for one owner and one commit; GitLab.com has 25.
    pub fn throttle(self, per_minute: u32) -> Self {
        self.change(|project| project.per_minute = Some(per_minute))
    }

    pub fn no_ci_file(self) -> Self {
        self.change(|project| project.configuration = Configuration::Missing)
    }

    pub fn workflow_filters(self) -> Self {
        self.change(|project| project.configuration = Configuration::FilteredOut)
    }

    /// The CI file is wrong: a pipeline row is created, failed at once.
    pub fn yaml_error(self) -> Self {
        self.change(|project| project.configuration = Configuration::Broken)
    }

    /// The same in an older GitLab, which answers 201 for the failed pipeline.
    pub fn yaml_error_but_created(self) -> Self {
        self.change(|project| project.configuration = Configuration::BrokenButCreated)
    }

    /// The names that `spec:inputs` declares.
    pub fn inputs<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.change(|project| project.inputs = names.into_iter().map(str::to_owned).collect())
    }

    fn change(self, how: impl FnOnce(&mut Project)) -> Self {
        self.gitlab.change(&self.path, how);
        self
    }
}
