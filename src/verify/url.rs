//! Verifies what the URL of a webhook says: Glint signs the body and not the URL, and one key signs its webhooks to everybody.
//!
//! So path and query are trusted only where the action's own URL ends in them, or where they carry a key that was made for them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::mac;

/// The query parameter that carries the [`url_key`].
pub const KEY: &str = "key";

/// Path and query of a request, decoded once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestUrl {
    segments: Vec<String>,
    /// In the order of their names, without [`KEY`].
    query: Vec<(String, String)>,
}

impl RequestUrl {
    /// Reads `/path?query`. Empty segments say nothing, and `%2F` is a slash.
    pub fn parse(path_and_query: &str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self::new(path, query)
    }

    /// Reads a path and a query that came apart.
    pub fn new(path: &str, query: &str) -> Self {
        let path = percent_decode_str(path).decode_utf8_lossy();
        let segments = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut query: Vec<(String, String)> = pairs
            .filter(|(name, _)| name != KEY)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        query.sort();
        Self { segments, query }
    }

    /// The decoded segments of the path, joined by slashes.
    pub fn path(&self) -> String {
        self.segments.join("/")
    }

    /// Whether the URL of an action ends in this path and has this query. `None` where it is no URL, as an unrendered template is none.
    ///
    /// Its host may be that of a proxy, and its path may begin with a stage or a base path. A path that names nothing is the end of every URL:
    /// there the action's must be just as empty, or have the `host` that was asked.
    pub fn matches_end_of(&self, action_url: &str, host: Option<&str>) -> Option<bool> {
        let url = url::Url::parse(action_url.trim()).ok().filter(|url| url.has_host() && !action_url.contains("{{"))?;
        let action = Self::new(url.path(), url.query().unwrap_or_default());
        if self.segments.is_empty() {
            let is_same_host = url.host_str().zip(host).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other));
            return Some(is_same_host || (action.segments.is_empty() && self.query == action.query));
        }
        if self.query != action.query {
            return Some(false);
        }
        let Some(before) = action.segments.len().checked_sub(self.segments.len()) else { return Some(false) };
        let pairs = action.segments[before..].iter().zip(&self.segments);
        // GitLab's paths are the same in any letter case.
        Some(pairs.into_iter().all(|(one, other)| one.eq_ignore_ascii_case(other)))
    }

    /// One text for all spellings of it: `/group/project?name=value&...`, the path in lower case, the parameters in the order of their names.
    pub fn canonical(&self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path: String =
            self.segments.iter().map(|segment| format!("/{}", encode(&segment.to_lowercase()))).collect();
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        format!("{path}?{}", query.join("&"))
    }

    /// Whether `key` is the [`url_key`] of this URL under the project's trigger token. Compares in constant time.
    pub fn is_proven_by(&self, key: &str, token: &SecretString) -> bool {
        let code = BASE64_URL_SAFE_NO_PAD.decode(key).unwrap_or_default();
        !is_blank(token) && self.mac(token).verify_slice(&code).is_ok()
    }

    fn mac(&self, token: &SecretString) -> Hmac<Sha256> {
        let text = format!("glint-gitlab-trigger url\n{}", self.canonical());
        mac(token.expose_secret().trim().as_bytes(), &[text.as_bytes()])
    }
}

fn is_blank(token: &SecretString) -> bool {
    token.expose_secret().trim().is_empty()
}

/// The value of `key=` that proves `path_and_query`, such as `/group/project?ref=main`, of an action's URL: a MAC under the project's trigger
/// token, so it holds as long as that. The HMAC-SHA256 is over `glint-gitlab-trigger url`, a line feed, and the canonical text of the URL:
/// each segment of the path in lower case and percent-encoded behind a slash, `?`, and the parameters less `key` as `name=value`, encoded
/// likewise, in the order of their names and joined by `&`. Written as base64 for URLs, without padding.
pub fn url_key(token: &SecretString, path_and_query: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(RequestUrl::parse(path_and_query).mac(token).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_url_ends_in_what_was_requested_however_it_is_spelled() {
        for (request, action) in [
            ("/acme/shop", "https://fn.example.com/acme/shop"),
            ("/acme/shop/", "https://FN.example.com/acme/shop"),
            ("/acme/shop", "https://fn.example.com/acme%2Fshop/"),
            ("/acme%2Fshop", "https://fn.example.com//acme//shop"),
            ("/Acme/Shop", "https://fn.example.com/acme/shop"),
            ("/acme/shop", "https://api.example.com/glint/acme/shop"),
            ("/acme/shop?ref=a%2Fb&omitPayload=true", "https://fn.example.com/acme/shop?omitPayload=true&ref=a/b"),
            ("/acme/shop?key=abc", "https://fn.example.com/acme/shop?key=other"),
            ("/", "https://other.example.com"),
            ("/", "https://fn.example.com/prod/"),
        ] {
            assert_eq!(
                RequestUrl::parse(request).matches_end_of(action, Some("fn.example.com")),
                Some(true),
                "{request} {action}"
            );
        }
    }

    #[test]
    fn another_path_or_query_is_another_url() {
        for (request, action) in [
            ("/acme/prod", "https://fn.example.com/acme/shop"),
            ("/acme/shop?ref=evil", "https://fn.example.com/acme/shop"),
            ("/acme/shop", "https://fn.example.com/acme/shop?ref=stable"),
            ("/acme/shop?ref=a&ref=b", "https://fn.example.com/acme/shop?ref=a"),
            ("/acme/shop", "https://fn.example.com/shop"),
            ("/acme/shop", "https://fn.example.com/hook?to=/acme/shop"),
            ("/acme/shop", "https://fn.example.com/#/acme/shop"),
            ("/", "https://hooks.example.com/for/others"),
        ] {
            assert_eq!(
                RequestUrl::parse(request).matches_end_of(action, Some("fn.example.com")),
                Some(false),
                "{request} {action}"
            );
        }
        for action in ["", "acme/shop", "https://fn.example.com/{{ .inputs.project }}", "mailto:a@example.com"] {
            assert_eq!(RequestUrl::parse("/acme/shop").matches_end_of(action, None), None, "{action}");
        }
    }

    #[test]
    fn a_key_holds_for_its_url_and_token_alone() {
        let token = SecretString::from("glptt-1");
        let key = url_key(&token, "/acme/shop?ref=main");
        let proves = |url: &str, token: &SecretString| RequestUrl::parse(url).is_proven_by(&key, token);
        assert!(proves("/Acme%2Fshop/?key=x&ref=main", &token));
        assert!(!proves("/acme/shop", &token) && !proves("/acme/shop?ref=mai", &token));
        assert!(!proves("/acme/shop?ref=main", &SecretString::from("glptt-2")));
        let blank = SecretString::from(" ");
        assert!(!RequestUrl::parse("/a/b").is_proven_by(&url_key(&blank, "/a/b"), &blank));
    }
}
