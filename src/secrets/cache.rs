//! One read of a secret version however many ask, for as long as it may be kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use secrecy::SecretString;

use super::{GRACE, Kept, When};
use crate::aws;
use crate::retry::{Retry, retry};

/// A secret is not read out of turn more often than this, so that a wrong token cannot hammer Secrets Manager.
const FORCED: Duration = Duration::from_secs(30);
/// How long a secret that is missing or denied stays so, at the most: its operator is probably about to mend it.
const ABSENT: Duration = Duration::from_secs(15);

/// Which version of a secret, as a caller sees it.
pub type Version = String;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub id: String,
    pub stage: Stage,
}

impl Key {
    pub fn current(id: &str) -> Self {
        Self { id: id.to_owned(), stage: Stage::Current }
    }
}

/// Secrets Manager's staging labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Current,
    Previous,
}

/// Why there is no secret. The words name it and never hold it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretError {
    #[error("there is no secret `{0}`")]
    Missing(String),
    #[error("the function may not read the secret `{0}`")]
    Denied(String),
    /// It is there, and not what it should be.
    #[error("{0}")]
    Unusable(String),
    /// Secrets Manager cannot be asked now: nothing is wrong with the secret.
    #[error("Secrets Manager does not answer: {0}")]
    Unavailable(String),
}

impl SecretError {
    /// Whether it may be gone by itself in a while.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Retry for SecretError {
    fn after(&self) -> Option<Duration> {
        self.is_transient().then_some(Duration::ZERO)
    }

    fn out_of_time() -> Self {
        Self::Unavailable("no time left".to_owned())
    }
}

pub struct Cache {
    client: Client,
    ttl: Duration,
    slots: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Slot>>>>,
    reads: AtomicU64,
}

/// What is known of one secret version. Whoever holds its lock reads; whoever waits for it finds what was read.
#[derive(Default)]
struct Slot {
    entry: Option<Entry>,
    absent: Option<(SecretError, SystemTime)>,
    forced_at: Option<SystemTime>,
}

struct Entry {
    value: SecretString,
    version: Version,
    read_at: SystemTime,
}

impl Cache {
    pub fn new(client: Client, ttl: Duration) -> Self {
        Self { client, ttl, slots: Mutex::default(), reads: AtomicU64::new(0) }
    }

    pub fn take_reads(&self) -> u64 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    /// The secret, read again where it is older than it may be.
    pub async fn get(&self, key: &Key, when: When) -> Result<Kept<SecretString>, SecretError> {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        // What was read for this very invocation is fresh, however short secrets may be kept.
        let is_young = |at: SystemTime, limit: Duration| {
            at >= when.now || when.now.duration_since(at).is_ok_and(|age| age < limit)
        };
        if let Some(entry) = slot.entry.as_ref().filter(|entry| is_young(entry.read_at, self.ttl)) {
            return Ok(entry.kept());
        }
        // A version that does not exist is remembered as long as one that does: forgeries ask for it again and again.
        let absent = if key.stage == Stage::Previous { self.ttl } else { self.ttl.min(ABSENT) };
        if let Some((error, _)) = slot.absent.as_ref().filter(|(_, at)| is_young(*at, absent)) {
            return Err(error.clone());
        }
        self.read(key, &mut slot, when).await
    }

    /// The secret read again, if it has changed from `refused`.
    pub async fn get_after(
        &self,
        key: &Key,
        refused: &Version,
        when: When,
    ) -> Result<Option<Kept<SecretString>>, SecretError> {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        if let Some(entry) = slot.entry.as_ref().filter(|entry| entry.version != *refused) {
            return Ok(Some(entry.kept()));
        }
        let recently = slot.forced_at.is_some_and(|at| when.now.duration_since(at).unwrap_or_default() < FORCED);
        if recently {
            return Ok(None);
        }
        slot.forced_at = Some(when.now);
        let kept = self.read(key, &mut slot, when).await?;
        Ok((kept.version != *refused).then_some(kept))
    }

    fn slot(&self, key: &Key) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().expect("no panic while the lock is held");
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    async fn read(&self, key: &Key, slot: &mut Slot, when: When) -> Result<Kept<SecretString>, SecretError> {
        match retry(when.by, || self.ask(key)).await {
            Ok((value, version)) => {
                let entry = Entry { value, version, read_at: when.now };
                let kept = entry.kept();
                *slot = Slot { entry: Some(entry), absent: None, forced_at: slot.forced_at };
                Ok(kept)
            }
            Err(error) if error.is_transient() => {
                let in_grace =
                    |entry: &&Entry| when.now.duration_since(entry.read_at).is_ok_and(|age| age < self.ttl + GRACE);
                slot.entry.as_ref().filter(in_grace).map(Entry::kept).ok_or(error)
            }
            Err(error) => {
                slot.absent = Some((error.clone(), when.now));
                Err(error)
            }
        }
    }

    async fn ask(&self, key: &Key) -> Result<(SecretString, Version), SecretError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let request = self.client.get_secret_value().secret_id(&key.id);
        // Without a stage Secrets Manager gives the current version.
        let request = if key.stage == Stage::Previous { request.version_stage("AWSPREVIOUS") } else { request };
        // The SDK's future is huge: in its own place it burdens nobody who holds ours.
        let output = Box::pin(request.send()).await.map_err(|error| failure(&key.id, &error))?;
        let version = output.version_id.unwrap_or_default();
        match output.secret_string {
            Some(text) => Ok((SecretString::from(text), version)),
            // An answer cut short says nothing of the secret.
            None if output.secret_binary.is_none() => {
                Err(SecretError::Unavailable("the answer holds no secret".to_owned()))
            }
            None => Err(SecretError::Unusable(format!("the secret `{}` is binary, not text", key.id))),
        }
    }
}

impl Entry {
    fn kept(&self) -> Kept<SecretString> {
        Kept { value: self.value.clone(), version: self.version.clone() }
    }
}

/// Which of the caller's choices an error of the SDK leaves. Its own words may quote the answer, so only its code is told.
fn failure<E: ProvideErrorMetadata + std::error::Error + 'static>(
    id: &str,
    error: &SdkError<E, HttpResponse>,
) -> SecretError {
    let id = id.to_owned();
    let SdkError::ServiceError(service) = error else {
        return SecretError::Unavailable(aws::not_served(error));
    };
    match service.err().code().unwrap_or_default() {
        "ResourceNotFoundException" => SecretError::Missing(id),
        "AccessDeniedException" | "UnrecognizedClientException" => SecretError::Denied(id),
        "InvalidRequestException" => {
            SecretError::Unusable(format!("the secret `{id}` is about to be deleted, or not readable as asked"))
        }
        "DecryptionFailure" => SecretError::Unusable(format!("the key of the secret `{id}` cannot decrypt it")),
        "InvalidParameterException" | "ValidationException" => {
            SecretError::Unusable(format!("`{id}` is no name that a secret can have"))
        }
        "" => SecretError::Unavailable(format!("status {}", service.raw().status())),
        code => SecretError::Unavailable(aws::code(code)),
    }
}
