//! Requests and answers as the upstreams see them: whole, and in plain types.

use serde_json::Value;

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// As sent, still percent-encoded.
    pub path: String,
    pub query: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The method and the path's segments, still encoded: what routes are matched on.
    pub fn route(&self) -> (&str, Vec<&str>) {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        (self.method.as_str(), path.split('/').collect())
    }

    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The value of a query parameter; the last one wins.
    pub fn param(&self, name: &str) -> Option<String> {
        let found = self.params().into_iter().rfind(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    pub fn params(&self) -> Vec<(String, String)> {
        self.query.as_deref().map(form_pairs).unwrap_or_default()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.param(name).as_deref() == Some("true")
    }

    pub fn credential_in_query(&self) -> bool {
        let names = ["token", "access_token", "private_token", "job_token"];
        let params = self.params();
        params
            .iter()
            .any(|(name, value)| names.contains(&name.as_str()) || value.contains("glptt-") || value.contains("glpat-"))
    }

    pub fn is_json(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        kind.split(';').next().map(str::trim) == Some("application/json")
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// `a=1&b=2` with `+` and `%xx` decoded, in order.
pub fn form_pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// None where an escape is cut short or the bytes are no UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    let is_complete =
        |escape: &str| escape.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !escapes.all(is_complete) {
        return None;
    }
    Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The request met no route.
    pub stray: bool,
    /// The body comes in chunks, and no header says how long it is.
    pub streamed: bool,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain", body.to_owned())
    }

    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            stray: false,
            streamed: false,
        }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    pub fn stray(mut self) -> Self {
        self.stray = true;
        self
    }
}
