//! Secrets Manager, as far as `GetSecretValue` shows it (AWS JSON 1.1).

use crate::clock::Clock;
use crate::http::{Answer, Request};
use crate::journal::{Call, Upstream};
use crate::service::Service;
use crate::{ACCOUNT, REGION};
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
    denied: bool,
    reads: usize,
    versions: u64,
}

#[derive(Clone)]
struct Version {
    id: String,
    value: String,
    created: f64,
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
            secret.denied = false;
        });
        self.rotate(name, value);
    }

    /// A new current version; the one before stays readable as `AWSPREVIOUS`.
    pub fn rotate(&self, name: &str, value: impl Into<String>) {
        let created = self.clock.now().timestamp_millis() as f64 / 1000.0;
        self.change(name, |secret| {
            secret.versions += 1;
            secret.previous = secret.current.take();
            secret.current = Some(Version {
                id: format!("00000000-0000-4000-8000-{:012}", secret.versions),
                value: value.into(),
                created,
            });
        });
    }

    pub fn delete(&self, name: &str) {
        self.change(name, |secret| {
            secret.current = None;
            secret.previous = None;
        });
    }

    pub fn deny(&self, name: &str) {
        self.change(name, |secret| secret.denied = true);
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
        if secret.denied {
            let words = "is not authorized to perform: secretsmanager:GetSecretValue";
            let user = format!("arn:aws:sts::{ACCOUNT}:assumed-role/sandbox/function");
            return refuse("AccessDeniedException", &format!("User: {user} {words}"));
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
            return refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
        };
        let body = json!({
            "ARN": self.arn(name), "Name": name, "VersionId": version.id, "SecretString": version.value,
            "VersionStages": [label], "CreatedDate": version.created,
        });
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
