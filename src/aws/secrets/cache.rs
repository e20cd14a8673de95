//! One read of a secret version however many ask, for as long as it may be kept, and parsed once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use secrecy::SecretString;

use super::Cached;
use crate::aws::http_adapter::{error_code, innermost_cause};
use crate::deadlines::{Freshness, SECRET_NEGATIVE_TTL, SECRET_REFRESH_INTERVAL, SECRET_STALE_TTL};
use crate::retry::{Retry, retry};

/// Which version of a secret, as a caller sees it.
pub type VersionId = Arc<str>;

/// Secrets Manager's staging labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The versions of secrets of one kind, each as `parsed` makes it of its text.
pub struct Cache<T> {
    client: Client,
    ttl: Duration,
    parsed: Parse<T>,
    /// By stage, and by the secret's name.
    slots: [Mutex<HashMap<String, Shared<T>>>; 2],
    reads: AtomicU64,
}

/// What the text of the secret of this name says.
pub type Parse<T> = fn(&str, &SecretString) -> Result<T, SecretError>;

/// Whoever holds the lock reads; whoever waits for it finds what was read.
type Shared<T> = Arc<tokio::sync::Mutex<Slot<T>>>;

/// What is known of one secret version.
struct Slot<T> {
    entry: Option<Entry<T>>,
    /// Why there is none: it is missing, denied, or not what it should be.
    absent: Option<(SecretError, SystemTime)>,
    forced_at: Option<SystemTime>,
}

struct Entry<T> {
    kept: Cached<T>,
    read_at: SystemTime,
}

impl<T> Cache<T> {
    pub fn new(client: Client, ttl: Duration, parsed: Parse<T>) -> Self {
        Self { client, ttl, parsed, slots: Default::default(), reads: AtomicU64::new(0) }
    }

    pub fn take_reads(&self) -> u64 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    /// The secret, read again where it is older than it may be.
    pub async fn get(&self, id: &str, stage: Stage, freshness: Freshness) -> Result<Cached<T>, SecretError> {
        let slot = self.slot(id, stage);
        let mut slot = slot.lock().await;
        // What was read for this very invocation is fresh, however short secrets may be kept.
        let is_young = |at: SystemTime, limit: Duration| {
            at >= freshness.now || freshness.now.duration_since(at).is_ok_and(|age| age < limit)
        };
        if let Some(entry) = slot.entry.as_ref().filter(|entry| is_young(entry.read_at, self.ttl)) {
            return Ok(entry.kept.clone());
        }
        // A version that does not exist is remembered as long as one that does: forgeries ask for it again and again.
        let absent = if stage == Stage::Previous { self.ttl } else { self.ttl.min(SECRET_NEGATIVE_TTL) };
        if let Some((error, _)) = slot.absent.as_ref().filter(|(_, at)| is_young(*at, absent)) {
            return Err(error.clone());
        }
        self.read(id, stage, &mut slot, freshness).await
    }

    /// The current version read again, if it has changed from `refused`.
    pub async fn refresh_if_changed(
        &self,
        id: &str,
        refused: &VersionId,
        freshness: Freshness,
    ) -> Result<Option<Cached<T>>, SecretError> {
        let slot = self.slot(id, Stage::Current);
        let mut slot = slot.lock().await;
        if let Some(entry) = slot.entry.as_ref().filter(|entry| entry.kept.version != *refused) {
            return Ok(Some(entry.kept.clone()));
        }
        let recently = slot
            .forced_at
            .is_some_and(|at| freshness.now.duration_since(at).unwrap_or_default() < SECRET_REFRESH_INTERVAL);
        if recently {
            return Ok(None);
        }
        slot.forced_at = Some(freshness.now);
        let kept = self.read(id, Stage::Current, &mut slot, freshness).await?;
        Ok((kept.version != *refused).then_some(kept))
    }

    fn slot(&self, id: &str, stage: Stage) -> Shared<T> {
        let mut slots = self.slots[stage as usize].lock().expect("no panic while the lock is held");
        if let Some(slot) = slots.get(id) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(id.to_owned()).or_default())
    }

    async fn read(
        &self,
        id: &str,
        stage: Stage,
        slot: &mut Slot<T>,
        freshness: Freshness,
    ) -> Result<Cached<T>, SecretError> {
        let parsed = match retry(freshness.deadline, || self.ask(id, stage)).await {
            Ok((text, version)) => {
                // Whatever it says, it has taken the place of what was read before.
                slot.entry = None;
                (self.parsed)(id, &text).map(|value| Cached { value: Arc::new(value), version })
            }
            Err(error) => Err(error),
        };
        match parsed {
            Ok(kept) => {
                slot.entry = Some(Entry { kept: kept.clone(), read_at: freshness.now });
                slot.absent = None;
                Ok(kept)
            }
            Err(error) if error.is_transient() => {
                let in_grace = |entry: &&Entry<T>| {
                    freshness.now.duration_since(entry.read_at).is_ok_and(|age| age < self.ttl + SECRET_STALE_TTL)
                };
                slot.entry.as_ref().filter(in_grace).map(|entry| entry.kept.clone()).ok_or(error)
            }
            Err(error) => {
                slot.absent = Some((error.clone(), freshness.now));
                Err(error)
            }
        }
    }

    async fn ask(&self, id: &str, stage: Stage) -> Result<(SecretString, VersionId), SecretError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let request = self.client.get_secret_value().secret_id(id);
        // Without a stage Secrets Manager gives the current version.
        let request = if stage == Stage::Previous { request.version_stage("AWSPREVIOUS") } else { request };
        // The SDK's future is huge: in its own place it burdens nobody who holds ours.
        let output = Box::pin(request.send()).await.map_err(|error| failure(id, &error))?;
        let version = output.version_id.unwrap_or_default().into();
        match output.secret_string {
            Some(text) => Ok((SecretString::from(text), version)),
            // An answer cut short says nothing of the secret.
            None if output.secret_binary.is_none() => {
                Err(SecretError::Unavailable("the answer holds no secret".to_owned()))
            }
            None => Err(SecretError::Unusable(format!("the secret `{id}` is binary, not text"))),
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { entry: None, absent: None, forced_at: None }
    }
}

/// Which of the caller's choices an error of the SDK leaves. Its own words may quote the answer, so only its code is told.
fn failure<E: ProvideErrorMetadata + std::error::Error + 'static>(
    id: &str,
    error: &SdkError<E, HttpResponse>,
) -> SecretError {
    let id = id.to_owned();
    let SdkError::ServiceError(service) = error else {
        return SecretError::Unavailable(innermost_cause(error));
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
        code => SecretError::Unavailable(error_code(code)),
    }
}
