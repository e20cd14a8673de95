//! The proxy for all outbound calls: what cannot work is a fault, never ignored, since calls would then go past it.

use std::fmt;

use reqwest::Url;
use secrecy::SecretString;

use super::reader::Reader;

/// Which calls go through which proxy.
#[derive(Clone)]
pub struct ProxySettings {
    /// `http` or `https`, a host, and where they are needed a port and credentials.
    pub url: SecretString,
    /// Hosts that are called without it.
    pub exceptions: Option<String>,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("ProxySettings")
    }
}

/// By which names it may be set, the first that is set being used. Upstreams are https, so `HTTP_PROXY` is for none of them.
const VARIABLES: [(&str, &str); 2] = [("HTTPS_PROXY", "https_proxy"), ("ALL_PROXY", "all_proxy")];

const HINT: &str = "give it as `http://proxy.example.com:3128`; unset it where there is no proxy";

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub fn proxy(&mut self) -> Option<ProxySettings> {
        let exceptions = self.text("NO_PROXY").or_else(|| self.text("no_proxy"));
        let (variable, text) = VARIABLES.into_iter().find_map(|(upper, lower)| {
            let spelled = |name| self.text(name).map(|text| (name, text));
            spelled(upper).or_else(|| spelled(lower))
        })?;
        if let Err(what) = validate_proxy(&text) {
            self.fault(variable, what, HINT);
        }
        Some(ProxySettings { url: SecretString::from(text), exceptions })
    }
}

/// Fails where `text` is no proxy that can be used. The words do not repeat it: it may hold a password.
fn validate_proxy(text: &str) -> Result<(), &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("has no `http://` or `https://` before its host");
    };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("is no http or https proxy");
    }
    // A URL parser takes more slashes, and white space that it drops, for nothing.
    if text.contains(|character: char| {
        character.is_whitespace() || character.is_control() || "\"'`\\<>".contains(character)
    }) {
        return Err("holds white space, quotes or a backslash");
    }
    if rest.starts_with('/') {
        return Err("has no host");
    }
    let url = Url::parse(text).map_err(|_| "is no URL with a host and, where one is needed, a port")?;
    let has_host =
        url.host_str().is_some_and(|host| !host.is_empty() && !host.starts_with('.') && !host.contains(".."));
    if !has_host {
        return Err("has no host");
    }
    if url.port() == Some(0) {
        return Err("names the port 0");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("has a path, a query or a fragment, which no proxy has");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_scheme_a_host_and_perhaps_a_port_and_credentials() {
        for text in [
            "http://proxy:3128",
            "https://proxy.example.com",
            "http://10.0.0.1:8080/",
            "HTTP://u:p@proxy:1",
            "http://[::1]:3128",
        ] {
            assert_eq!(validate_proxy(text), Ok(()), "{text}");
        }
        for text in [
            "proxy",
            "proxy:3128",
            "proxy.example.com:3128",
            "10.0.0.1:3128",
            "http:proxy:3128",
            "http:/proxy:3128",
            "http:///proxy:3128",
            "http//proxy:3128",
            "htp://proxy:3128",
            "socks5://proxy:1080",
            "http://",
            "http://:3128",
            "http://proxy:port",
            "http://proxy:99999",
            "http://proxy:0",
            "http://proxy:3128/path",
            "http://proxy:3128?x",
            "http://pro xy:3128",
            "\"http://proxy:3128\"",
            "http://user@:3128",
        ] {
            assert!(validate_proxy(text).is_err(), "{text}");
        }
    }
}
