//! A GitLab project, by its path or its id.

use std::fmt;

/// Where a project is in GitLab: `group/sub/project`, or its numeric id.
///
/// Holds only what GitLab's path rules allow, so that it is one path segment of a URL once its slashes are encoded. The rules are those for
/// paths that exist: newer versions of GitLab are stricter with new names only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Project {
    group: String,
    name: String,
}

/// GitLab nests at most twenty groups, and a project lies in at least one.
const SEGMENTS: std::ops::RangeInclusive<usize> = 2..=21;
const MAX_PATH_BYTES: usize = 1024;
const MAX_SEGMENT_BYTES: usize = 255;

impl Project {
    /// Joins `group` and `name`, each of which may hold subgroups. The error names the field and the fault.
    pub fn parse(group: &str, name: &str) -> Result<Self, String> {
        let parts = [("groupName", group), ("projectName", name)];
        for (field, part) in parts {
            if part.is_empty() {
                return Err(format!("`{field}` is missing"));
            }
        }
        // What is copied from GitLab's API documentation is no project's page.
        if format!("{group}/{name}/").to_ascii_lowercase().trim_start_matches('/').starts_with("api/v4/") {
            return Err("`groupName` is a path of GitLab's API (`/api/v4/...`), and the project's own path is needed"
                .to_owned());
        }
        for (field, part) in parts {
            if let Some(segment) = part.split('/').find(|segment| !is_segment(segment)) {
                let start: String = segment.chars().take(64).collect();
                return Err(format!("`{field}` has the part {start:?}, which GitLab does not allow in a path"));
            }
        }
        let project = Self { group: group.to_owned(), name: name.to_owned() };
        // Of all segments, only a project's own may end in a dot.
        let groups = project.segments().count() - 1;
        if let Some(segment) = project.segments().take(groups).find(|segment| segment.ends_with('.')) {
            return Err(format!("`groupName` has the part {segment:?}, and no group's path ends in `.`"));
        }
        if !SEGMENTS.contains(&project.segments().count()) || project.path().len() > MAX_PATH_BYTES {
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

    /// Whether it is named by its numeric id, so that its path is not known.
    pub fn is_numeric(&self) -> bool {
        self.group.is_empty()
    }

    /// The path as GitLab's API wants it: one segment, slashes as `%2F`. What else a path may hold needs no encoding.
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

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.group.split('/').chain(self.name.split('/'))
    }
}

impl fmt::Display for Project {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.path())
    }
}

/// Whether `segment` may be one part of a project's path: GitLab's rule for paths that exist.
fn is_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let ends_in = |end: &str| {
        bytes.len().checked_sub(end.len()).is_some_and(|start| bytes[start..].eq_ignore_ascii_case(end.as_bytes()))
    };
    (1..=MAX_SEGMENT_BYTES).contains(&bytes.len())
        && bytes.iter().copied().all(is_allowed)
        && bytes.first() != Some(&b'-')
        && !matches!(segment, "." | "..")
        && !ends_in(".git")
        && !ends_in(".atom")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_gitlab_may_have_is_a_project() {
        for path in [
            "group/app",
            "a/b/c.d",
            "_old/x-1",
            "g/p_",
            "acme/backend/billing",
            "legacy-/shop",
            "g/shop-",
            "g/shop.",
            "g/sub-/shop.",
            "a..b/c",
            "g/a..b",
            ".github/p",
            "g/.p",
            "g/_p",
            "g/p.gitx",
            "Acme/Shop",
            "g/...x",
        ] {
            assert_eq!(Project::parse_path(path).unwrap().segment(), path.replace('/', "%2F"));
        }
        assert!(Project::by_id("42").is_some_and(|project| project.is_numeric()));
    }

    #[test]
    fn what_would_leave_its_segment_is_no_project() {
        for path in [
            "", "app", "/app", "g/", "g//p", "g/..", "../p", "g/.", "./p", "g/%2e%2e", "g/a?b", "g/a#b", "g/a\\b",
            "g/p.git", "g/p.GIT", "g/p.atom", "g.git/p", "g/-p", "-g/p", "g/-", "g/é", "g/a b", "g/a\n", "g/a:b",
            "g/a%2Fb",
        ] {
            assert!(Project::parse_path(path).is_err(), "{path:?}");
        }
        assert!(Project::by_id("042").is_none() && Project::by_id("4a").is_none());
    }

    #[test]
    fn a_path_of_gitlab_s_api_is_named_for_what_it_is() {
        for path in ["api/v4/projects/100/ref/main/trigger/pipeline", "API/v4/projects/acme%2Fshop/trigger/pipeline"] {
            assert!(Project::parse_path(path).unwrap_err().contains("/api/v4/"), "{path}");
        }
    }
}
