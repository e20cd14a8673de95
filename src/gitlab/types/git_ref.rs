//! The branch or tag that a pipeline runs on.

/// A branch or tag, by the rules of `git check-ref-format`, by its short name or as `refs/heads/...` or `refs/tags/...`.
///
/// The long form is sent as it is: it is the only one that GitLab never calls ambiguous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRef(String);

const MAX_REF_BYTES: usize = 255;
const LONG_FORMS: [&str; 2] = ["refs/heads/", "refs/tags/"];

impl GitRef {
    /// The error says what is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        let short = short_name(text);
        let fault = if text.is_empty() || short.is_empty() {
            "it is empty"
        } else if text.len() > MAX_REF_BYTES {
            "it is longer than 255 bytes"
        } else if text.contains(is_forbidden) {
            "it holds a character that git forbids in a ref"
        } else if short.starts_with('-') || short == "@" || text.contains("@{") || text.contains("..") {
            "git does not allow a ref that starts with `-`, is `@`, or holds `..` or `@{`"
        } else if short.starts_with("refs/") {
            "of the refs below `refs/`, only `refs/heads/...` and `refs/tags/...` are branches and tags"
        } else if text.ends_with('.')
            || text.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
        {
            "no part of a ref may be empty, start with `.`, or end with `.lock` or `.`"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(fault)
    }

    /// The ref as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch or tag alone: what a pipeline carries as its `ref`, and what look-ups filter by.
    pub fn short_name(&self) -> &str {
        short_name(&self.0)
    }
}

fn short_name(text: &str) -> &str {
    LONG_FORMS.into_iter().find_map(|form| text.strip_prefix(form)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_follow_git() {
        for (text, short) in [
            ("main", "main"),
            ("release/1.4", "release/1.4"),
            ("v1.0", "v1.0"),
            ("feature/é", "feature/é"),
            ("a@b", "a@b"),
            ("refs/heads/main", "main"),
            ("refs/heads/release/1.4", "release/1.4"),
            ("refs/tags/v1.0", "v1.0"),
        ] {
            assert_eq!(GitRef::parse(text).unwrap().short_name(), short);
            assert_eq!(GitRef::parse(text).unwrap().as_str(), text);
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
            "refs/merge-requests/1/head",
            "refs/heads/",
            "refs/heads/-x",
            "refs/tags/@",
            "refs/heads/refs/heads/x",
            "refs/",
            "a\u{7f}",
            "a\n",
        ] {
            assert!(GitRef::parse(text).is_err(), "{text:?}");
        }
    }
}
