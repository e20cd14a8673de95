//! Secrets Manager, as far as `GetSecretValue` shows it (AWS JSON 1.1).

use crate::clock::Clock;
use crate::http::{Answer, Request};
use crate::journal::{Call, Upstream};
use crate::service::Service;
use crate::{ACCOUNT, REGION};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone)]
pub struct Secrets {
    state: Arc<Mutex<BTreeMap<String, Secret>>>,
    clock: Clock,
    url: String,
}

#[derive(Default)]
struct Secret {
    current: Option<Version>,
    previous: Option<Version>,
    /// It exists, whether or not it has a value.
    exists: bool,
    refusal: Option<(String, String)>,
    reads: usize,
    versions: u64,
}

#[derive(Clone)]
struct Version {
    id: String,
    value: Content,
    created: f64,
}

#[derive(Clone)]
enum Content {
    Text(String),
    Binary(Vec<u8>),
}

impl Secrets {
    pub fn new(clock: Clock, url: String) -> Self {
        Self { state: Arc::default(), clock, url }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Creates a secret, or puts right what `delete` and `deny` did to it. Its history starts anew.
    pub fn put(&self, name: &str, value: impl Into<String>) {
        self.change(name, |secret| {
            secret.previous = None;
            secret.current = None;
            secret.refusal = None;
        });
        self.rotate(name, value);
    }

    /// Creates a secret without a value, as a stack does that leaves the value to a person.
    pub fn create(&self, name: &str) {
        self.change(name, |secret| *secret = Secret { exists: true, reads: secret.reads, ..Secret::default() });
    }

    /// As `put`, in `SecretBinary`.
    pub fn put_binary(&self, name: &str, bytes: &[u8]) {
        self.put(name, "");
        self.change(name, |secret| {
            if let Some(version) = &mut secret.current {
                version.value = Content::Binary(bytes.to_vec());
            }
        });
    }

    /// A new current version; the one before stays readable as `AWSPREVIOUS`.
    pub fn rotate(&self, name: &str, value: impl Into<String>) {
        let created = self.clock.now().timestamp_millis() as f64 / 1000.0;
        self.change(name, |secret| {
            secret.versions += 1;
            secret.exists = true;
            secret.previous = secret.current.take();
            secret.current = Some(Version {
                id: format!("00000000-0000-4000-8000-{:012}", secret.versions),
                value: Content::Text(value.into()),
                created,
            });
        });
    }

    pub fn delete(&self, name: &str) {
        self.change(name, |secret| {
            secret.current = None;
            secret.previous = None;
            secret.exists = false;
        });
    }

    /// Every read is refused as IAM refuses it.
    pub fn deny(&self, name: &str) {
        let user = format!("arn:aws:sts::{ACCOUNT}:assumed-role/sandbox/function");
        let words = format!("User: {user} is not authorized to perform: secretsmanager:GetSecretValue");
        self.refuse(name, "AccessDeniedException", &words);
    }

    /// Every read is refused with this error of AWS, until the secret is put again.
    pub fn refuse(&self, name: &str, code: &str, words: &str) {
        self.change(name, |secret| secret.refusal = Some((code.to_owned(), words.to_owned())));
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
        let Some(query) = request.json() else {
            return refuse("SerializationException", "");
        };
        let Some(id) = query["SecretId"].as_str() else {
            return refuse("ValidationException", "1 validation error detected: Value null at 'secretId'");
        };
        self.read(&self.name_of(id), &query)
    }

    fn read(&self, name: &str, query: &Value) -> Answer {
        let mut secrets = self.lock();
        let secret = secrets.entry(name.to_owned()).or_default();
        secret.reads += 1;
        if let Some((code, words)) = &secret.refusal {
            return refuse(code, words);
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
            let label = stage.unwrap_or("AWSCURRENT");
            let words = format!("Secrets Manager can't find the specified secret value for staging label: {label}");
            let words = if secret.exists { &words } else { "Secrets Manager can't find the specified secret." };
            return refuse("ResourceNotFoundException", words);
        };
        let mut body = json!({
            "ARN": self.arn(name), "Name": name, "VersionId": version.id,
            "VersionStages": [label], "CreatedDate": version.created,
        });
        match &version.value {
            Content::Text(text) => body["SecretString"] = json!(text),
            Content::Binary(bytes) => body["SecretBinary"] = json!(BASE64_STANDARD.encode(bytes)),
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

fn classify(request: &Request) -> Call {
    let target = request.header("x-amz-target");
    let is_read = request.method == "POST" && request.path == "/" && target == Some("secretsmanager.GetSecretValue");
    if is_read { Call::GetSecret } else { Call::Other }
}

/// AWS refuses what carries no signature; whether it is a right one is AWS's own business.
pub(super) fn signed(request: &Request) -> bool {
    let authorization = request.header("authorization").unwrap_or_default();
    authorization.starts_with("AWS4-HMAC-SHA256 ")
}

fn refuse(code: &str, message: &str) -> Answer {
    let body = json!({ "__type": code, "Message": message, "message": message });
    Answer::new(400, "application/x-amz-json-1.1", body.to_string())
}
