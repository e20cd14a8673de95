//! Logging in, and the tokens given out.

use super::{error, strict_object};
use crate::http::{Answer, Request};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

pub struct Tokens {
    id: String,
    secret: String,
    seconds: u64,
    issued: u64,
    /// Glint gives the same token again for as long as it is good.
    current: Option<Token>,
    /// Tokens of credentials since changed.
    others: Vec<Token>,
}

#[derive(Clone)]
struct Token {
    text: String,
    ends: DateTime<Utc>,
}

impl Tokens {
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            seconds: 10_800,
            issued: 0,
            current: None,
            others: Vec::new(),
        }
    }

    pub fn credentials(&mut self, id: &str, secret: &str) {
        self.id = id.to_owned();
        self.rotate(secret);
    }

    pub fn rotate(&mut self, secret: &str) {
        self.secret = secret.to_owned();
        self.others.extend(self.current.take());
    }

    pub fn ttl(&mut self, seconds: u64) {
        self.seconds = seconds;
        self.others.extend(self.current.take());
    }

    pub fn expire(&mut self) {
        self.current = None;
        self.others.clear();
    }

    pub fn login(&mut self, request: &Request, now: DateTime<Utc>) -> Answer {
        let body = match strict_object(request, &["clientId", "clientSecret"]) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let (Some(id), Some(secret)) = (text("clientId"), text("clientSecret")) else {
            return error(422, "invalid_request", "clientId and clientSecret must be strings");
        };
        if (id, secret) != (self.id.as_str(), self.secret.as_str()) {
            return error(401, "invalid_credentials", "Invalid client id or secret");
        }
        let token = match self.current.take().filter(|token| token.ends > now) {
            Some(token) => token,
            None => self.issue(now),
        };
        let body = json!({
            "ok": true, "accessToken": token.text, "tokenType": "Bearer",
            "expiresIn": (token.ends - now).num_seconds(),
        });
        self.current = Some(token);
        Answer::json(200, &body)
    }

    pub fn accept(&self, bearer: Option<&str>, now: DateTime<Utc>) -> bool {
        let mut tokens = self.others.iter().chain(&self.current);
        tokens.any(|token| token.ends > now && bearer == Some(&token.text))
    }

    fn issue(&mut self, now: DateTime<Utc>) -> Token {
        self.issued += 1;
        let seconds = i64::try_from(self.seconds).unwrap_or(i64::MAX / 1_000_000);
        Token { text: format!("eyJzYW5kYm94.token-{}", self.issued), ends: now + Duration::seconds(seconds) }
    }
}
