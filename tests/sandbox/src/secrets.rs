//! Secrets Manager, as far as `GetSecretValue` shows it (AWS JSON 1.1).

use crate::clock::Clock;
use crate::http::{Answer, Request};
use crate::journal::{Call, Upstream};
use crate::service::Service;
use crate::{ACCOUNT, REGION};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone)]
pub struct Secrets {
    state: Arc<Mutex<BTreeMap<String, Secret>>>,
    /// The error with which every request is refused.
    credentials: Arc<Mutex<Option<&'static str>>>,
    clock: Clock,
    url: String,
}

#[derive(Default)]
struct Secret {
    current: Option<Version>,
    previous: Option<Version>,
    /// It was created, whether or not it has a value.
    exists: bool,
    refusal: Option<Refusal>,
    /// Rotations to come, by their time.
    planned: BTreeMap<DateTime<Utc>, Content>,
    reads: usize,
    versions: u64,
}

#[derive(Clone)]
struct Version {
    id: String,
    content: Content,
    created: f64,
}

#[derive(Clone)]
enum Content {
    Text(String),
    Binary(Vec<u8>),
}

/// Why a secret that is there cannot be read.
#[derive(Clone)]
enum Refusal {
    Denied,
    KeyDenied,
    MarkedForDeletion,
    Answered { code: String, words: String },
}

impl Secret {
    fn rotate(&mut self, content: Content, now: DateTime<Utc>) {
        self.versions += 1;
        self.exists = true;
        self.previous = self.current.take();
        self.current = Some(Version {
            id: format!("00000000-0000-4000-8000-{:012}", self.versions),
            content,
            created: now.timestamp_millis() as f64 / 1000.0,
        });
    }

    fn rotate_as_planned(&mut self, now: DateTime<Utc>) {
        while let Some(first) = self.planned.first_entry().filter(|first| *first.key() <= now) {
            let (time, content) = first.remove_entry();
            self.rotate(content, time);
        }
    }
}

impl Secrets {
    pub fn new(clock: Clock, url: String) -> Self {
        Self { state: Arc::default(), credentials: Arc::default(), clock, url }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Creates a secret, or puts right what `delete` and `deny` did to it. Its history starts anew.
    pub fn put(&self, name: &str, value: impl Into<String>) {
        self.forget(name);
        self.rotate(name, value);
    }

    /// The same with a value that is `SecretBinary`.
    pub fn put_binary(&self, name: &str, value: impl Into<Vec<u8>>) {
        self.forget(name);
        let (content, now) = (Content::Binary(value.into()), self.clock.now());
        self.change(name, |secret| secret.rotate(content, now));
    }

    /// Creates a secret without a value, as a stack does.
    pub fn create(&self, name: &str) {
        self.forget(name);
        self.change(name, |secret| secret.exists = true);
    }

    /// A new current version; the one before stays readable as `AWSPREVIOUS`.
    pub fn rotate(&self, name: &str, value: impl Into<String>) {
        let (content, now) = (Content::Text(value.into()), self.clock.now());
        self.change(name, |secret| secret.rotate(content, now));
    }

    /// The same at a time to come.
    pub fn rotate_at(&self, name: &str, value: impl Into<String>, time: DateTime<Utc>) {
        self.change(name, |secret| drop(secret.planned.insert(time, Content::Text(value.into()))));
    }

    pub fn delete(&self, name: &str) {
        self.forget(name);
    }

    /// As `DeleteSecret` leaves it for its days of recovery.
    pub fn mark_for_deletion(&self, name: &str) {
        self.change(name, |secret| secret.refusal = Some(Refusal::MarkedForDeletion));
    }

    pub fn deny(&self, name: &str) {
        self.change(name, |secret| secret.refusal = Some(Refusal::Denied));
    }

    /// The secret may be read, but not decrypted.
    pub fn deny_key(&self, name: &str) {
        self.change(name, |secret| secret.refusal = Some(Refusal::KeyDenied));
    }

    /// Reading the secret is answered with this error.
    pub fn refuse(&self, name: &str, code: &str, words: &str) {
        let (code, words) = (code.to_owned(), words.to_owned());
        self.change(name, |secret| secret.refusal = Some(Refusal::Answered { code, words }));
    }

    /// The function's own credentials are refused with this error, `ExpiredTokenException` or `UnrecognizedClientException`,
    /// until told `None`.
    pub fn refuse_credentials(&self, error: Option<&'static str>) {
        *self.credentials.lock().expect("no holder of the error panics") = error;
    }

    fn forget(&self, name: &str) {
        self.change(name, |secret| {
            let (reads, versions) = (secret.reads, secret.versions);
            *secret = Secret { reads, versions, ..Secret::default() };
        });
    }

    /// How often this secret was asked for, granted or not.
    pub fn reads(&self, name: &str) -> usize {
        self.lock().get(name).map_or(0, |secret| secret.reads)
    }

    /// Every name that was put or asked for, with its reads.
    pub fn all_reads(&self) -> BTreeMap<String, usize> {
        let secrets = self.lock();
        let reads = secrets.iter().map(|(name, secret)| (name.clone(), secret.reads));
        reads.collect()
    }

    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-SandBx")
    }

    pub(crate) fn service(&self) -> Service {
        let secrets = self.clone();
        Service {
            upstream: Upstream::SecretsManager,
            classify,
            answer: Arc::new(move |call, request| secrets.answer(call, request)),
        }
    }

    fn answer(&self, call: Call, request: &Request) -> Answer {
        if call != Call::GetSecret {
            return refuse("UnknownOperationException", "").stray();
        }
        if !signed(request) {
            return refuse("MissingAuthenticationTokenException", "Missing Authentication Token");
        }
        if let Some(code) = *self.credentials.lock().expect("no holder of the error panics") {
            return refuse(code, credentials_error(code));
        }
        let Some(query) = request.json() else { return refuse("SerializationException", "") };
        let Some(id) = query["SecretId"].as_str() else {
            return refuse("ValidationException", "1 validation error detected: Value null at 'secretId'");
        };
        self.read(&self.name_of(id), &query)
    }

    fn read(&self, name: &str, query: &Value) -> Answer {
        let now = self.clock.now();
        let mut secrets = self.lock();
        let secret = secrets.entry(name.to_owned()).or_default();
        secret.reads += 1;
        secret.rotate_as_planned(now);
        if let Some(refusal) = secret.refusal.clone() {
            return refusal.answer();
        }
        let stage = query["VersionStage"].as_str();
        let wanted = query["VersionId"].as_str();
        let versions = [("AWSCURRENT", &secret.current), ("AWSPREVIOUS", &secret.previous)];
        let found = versions.into_iter().find_map(|(label, version)| {
            let version = version.as_ref()?;
            let by_stage = stage.or(wanted.is_none().then_some("AWSCURRENT"));
            let fits = by_stage.is_none_or(|stage| stage == label) && wanted.is_none_or(|id| id == version.id);
            fits.then_some((label, version))
        });
        let Some((label, version)) = found else {
            let words = "Secrets Manager can't find the specified secret";
            let label = stage.unwrap_or("AWSCURRENT");
            return match (secret.exists, wanted) {
                (false, _) => refuse("ResourceNotFoundException", &format!("{words}.")),
                (true, None) => {
                    let words = format!("{words} value for staging label: {label}");
                    refuse("ResourceNotFoundException", &words)
                }
                (true, Some(id)) => {
                    let words = format!("{words} value for VersionId: {id}");
                    refuse("ResourceNotFoundException", &words)
                }
            };
        };
        let mut body = json!({
            "ARN": self.arn(name), "Name": name, "VersionId": version.id, "VersionStages": [label],
            "CreatedDate": version.created,
        });
        match &version.content {
            Content::Text(text) => body["SecretString"] = json!(text),
            Content::Binary(bytes) => body["SecretBinary"] = json!(STANDARD.encode(bytes)),
        }
        Answer::new(200, "application/x-amz-json-1.1", body.to_string())
    }

    fn name_of(&self, id: &str) -> String {
        let name = id.strip_prefix("arn:aws:secretsmanager:").and_then(|rest| {
            let name = rest.split_once(":secret:")?.1;
            // The random suffix may be left out of an ARN.
            Some(name.strip_suffix("-SandBx").unwrap_or(name).to_owned())
        });
        name.unwrap_or_else(|| id.to_owned())
    }

    fn change(&self, name: &str, how: impl FnOnce(&mut Secret)) {
        how(self.lock().entry(name.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        self.state.lock().expect("no holder of the secrets panics")
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Self::Answered { code, words } => refuse(&code, &words),
            Self::Denied => {
                let user = format!("arn:aws:sts::{ACCOUNT}:assumed-role/sandbox/function");
                let words = "is not authorized to perform: secretsmanager:GetSecretValue";
                refuse("AccessDeniedException", &format!("User: {user} {words}"))
            }
            Self::KeyDenied => refuse("AccessDeniedException", "Access to KMS is not allowed"),
            Self::MarkedForDeletion => {
                let words = "You can't perform this operation on the secret because it was marked for deletion.";
                refuse("InvalidRequestException", words)
            }
        }
    }
}

/// AWS's words for refused credentials.
pub(crate) fn credentials_error(code: &str) -> &'static str {
    match code {
        "ExpiredTokenException" => "The security token included in the request is expired",
        _ => "The security token included in the request is invalid.",
    }
}

fn classify(request: &Request) -> Call {
    let is_target = request.header("x-amz-target") == Some("secretsmanager.GetSecretValue");
    let is_read = is_target && request.method == "POST" && request.path == "/";
    if is_read { Call::GetSecret } else { Call::Other }
}

/// AWS refuses what carries no signature; whether it is a right one is AWS's own business.
pub(super) fn signed(request: &Request) -> bool {
    request.header("authorization").unwrap_or_default().starts_with("AWS4-HMAC-SHA256 ")
}

fn refuse(code: &str, message: &str) -> Answer {
    let body = json!({ "__type": code, "Message": message, "message": message });
    Answer::new(400, "application/x-amz-json-1.1", body.to_string())
}
