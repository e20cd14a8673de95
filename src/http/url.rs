//! The URLs of an upstream: its base URL, and encoded paths below it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// Where an upstream's API begins: the base of its URLs, read once.
#[derive(Debug)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// `text` may hold a path of its own, and no query.
    pub fn parse(text: &str) -> Result<Self, String> {
        Url::parse(text).map(Self).map_err(|error| error.to_string())
    }

    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL of `path`, which is encoded and may end in a query, below the base. Compared with what it must be, before anything secret is
    /// added: an encoded path that a URL parser resolves would send a token elsewhere.
    pub fn below(&self, path: &str) -> Result<Url, String> {
        let (segments, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.0.clone();
        // Only the path is parsed again: the host, which costs ten times as much, stays as it is.
        url.set_path(&[self.0.path().trim_end_matches('/'), "/", segments].concat());
        url.set_query(query);
        let kept = url.as_str().strip_prefix(self.as_str()).and_then(|rest| rest.strip_prefix('/'));
        if kept == Some(path) { Ok(url) } else { Err("the path does not survive in a URL".to_owned()) }
    }
}

/// `text` with everything but RFC 3986's unreserved characters encoded, as segments and queries of a URL need it.
pub fn percent_encode(text: &str) -> String {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_base() {
        let base = BaseUrl::parse("https://git.example.com:8443/sub/").unwrap();
        let url = |path| base.below(path).map(String::from);
        assert_eq!(
            url("api/v4/projects/a%2Fb?x=%2B&y"),
            Ok(format!("{}/api/v4/projects/a%2Fb?x=%2B&y", base.as_str()))
        );
        for path in ["api/../x", "api/%2e%2e/x", "api/./x", "a\\b", "a#b", "a b", "a?b#c", "é"] {
            assert!(url(path).is_err(), "{path}");
        }
    }
}
