//! Caches one version of a secret: concurrent callers share one read, and each value is parsed once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use secrecy::SecretString;

use super::Cached;
use super::error::{SecretError, from_sdk_error};
use crate::deadlines::{CallLimits, SECRET_NEGATIVE_TTL, SECRET_REFRESH_INTERVAL, SECRET_STALE_TTL};
use crate::retry::retry;

/// Which version of a secret, as a caller sees it.
pub type VersionId = Arc<str>;

/// Secrets Manager's staging labels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Current,
    Previous,
}

/// What a read out of turn found. One that failed is an error, and like [`Refresh::NotDue`] proves nothing.
#[derive(Clone, Debug)]
pub enum Refresh<T> {
    /// There is another version now.
    Changed(T),
    /// The version is still the same.
    Unchanged,
    /// It was read out of turn so recently, at this time, that it is not read again yet.
    NotDue { read_at: SystemTime },
}

/// The versions of secrets of one kind, each as `parse` makes it of its text.
pub struct Cache<T> {
    client: Client,
    ttl: Duration,
    parse: Parse<T>,
    /// By stage, and by the secret's name.
    slots: [Mutex<BTreeMap<String, Shared<T>>>; 2],
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
    /// When it was last read out of turn.
    forced_at: Option<SystemTime>,
    /// Of a previous version: the one that took its place. After the next rotation another one is the previous.
    successor: Option<VersionId>,
}

struct Entry<T> {
    cached: Cached<T>,
    read_at: SystemTime,
}

impl<T> Cache<T> {
    pub fn new(client: Client, ttl: Duration, parse: Parse<T>) -> Self {
        Self { client, ttl, parse, slots: Default::default(), reads: AtomicU64::new(0) }
    }

    pub fn take_reads(&self) -> u64 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    /// The current version, read again where it is older than it may be.
    pub async fn current(&self, id: &str, limits: CallLimits) -> Result<Cached<T>, SecretError> {
        let slot = self.slot(id, Stage::Current);
        let mut slot = slot.lock().await;
        if let Some(known) = slot.known(limits, self.ttl, self.ttl.min(SECRET_NEGATIVE_TTL)) {
            return known;
        }
        match self.read(id, Stage::Current, &mut slot, limits).await {
            Err(error) if error.is_transient() => {
                let is_usable = |entry: &&Entry<T>| {
                    limits.now.duration_since(entry.read_at).is_ok_and(|age| age < self.ttl + SECRET_STALE_TTL)
                };
                slot.entry.as_ref().filter(is_usable).map(|entry| entry.cached.clone()).ok_or(error)
            }
            other => other,
        }
    }

    /// The version before `successor`. It cannot change until the next rotation, so forgeries that ask for it again and again cost no read.
    pub async fn previous(
        &self,
        id: &str,
        successor: &VersionId,
        limits: CallLimits,
    ) -> Result<Cached<T>, SecretError> {
        let slot = self.slot(id, Stage::Previous);
        let mut slot = slot.lock().await;
        let ttl = self.ttl.max(SECRET_REFRESH_INTERVAL);
        if slot.successor.as_ref() != Some(successor) {
            *slot = Slot { successor: Some(Arc::clone(successor)), ..Slot::default() };
        }
        if let Some(known) = slot.known(limits, ttl, ttl) {
            return known;
        }
        self.read(id, Stage::Previous, &mut slot, limits).await
    }

    /// Reads the current version out of turn, since `refused` did not work.
    pub async fn refresh(
        &self,
        id: &str,
        refused: &VersionId,
        limits: CallLimits,
    ) -> Result<Refresh<Cached<T>>, SecretError> {
        let slot = self.slot(id, Stage::Current);
        let mut slot = slot.lock().await;
        if let Some(entry) = slot.entry.as_ref().filter(|entry| entry.cached.version != *refused) {
            return Ok(Refresh::Changed(entry.cached.clone()));
        }
        match slot.forced_at {
            // For this very invocation.
            Some(at) if at >= limits.now => {
                return slot.absent.as_ref().map_or(Ok(Refresh::Unchanged), |(error, _)| Err(error.clone()));
            }
            Some(at) if limits.now.duration_since(at).is_ok_and(|age| age < SECRET_REFRESH_INTERVAL) => {
                return Ok(Refresh::NotDue { read_at: at });
            }
            _ => {}
        }
        let result = self.read(id, Stage::Current, &mut slot, limits).await;
        if !result.as_ref().is_err_and(SecretError::is_transient) {
            slot.forced_at = Some(limits.now);
        }
        let cached = result?;
        Ok(if cached.version == *refused { Refresh::Unchanged } else { Refresh::Changed(cached) })
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
        limits: CallLimits,
    ) -> Result<Cached<T>, SecretError> {
        let parsed = match retry(limits.deadline, || self.ask(id, stage)).await {
            Ok((text, version, created_at)) => {
                // Whatever it says, it has taken the place of what was read before.
                slot.entry = None;
                (self.parse)(id, &text).map(|value| Cached { value: Arc::new(value), version, created_at })
            }
            Err(error) => Err(error),
        };
        match &parsed {
            Ok(cached) => {
                slot.entry = Some(Entry { cached: cached.clone(), read_at: limits.now });
                slot.absent = None;
            }
            Err(error) if error.is_transient() => {}
            Err(error) => slot.absent = Some((error.clone(), limits.now)),
        }
        parsed
    }

    async fn ask(&self, id: &str, stage: Stage) -> Result<(SecretString, VersionId, Option<SystemTime>), SecretError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let request = self.client.get_secret_value().secret_id(id);
        // Without a stage Secrets Manager gives the current version.
        let request = if stage == Stage::Previous { request.version_stage("AWSPREVIOUS") } else { request };
        // The SDK's future is huge: in its own place it burdens nobody who holds ours.
        let output = Box::pin(request.send()).await.map_err(|error| from_sdk_error(id, &error))?;
        let version = output.version_id.unwrap_or_default().into();
        let created_at = output.created_date.and_then(|date| SystemTime::try_from(date).ok());
        let binary = || {
            let bytes = output.secret_binary.map(aws_sdk_secretsmanager::primitives::Blob::into_inner);
            // An answer cut short says nothing of the secret.
            let bytes = bytes.ok_or_else(|| SecretError::Unavailable("the answer holds no secret".to_owned()))?;
            String::from_utf8(bytes)
                .map_err(|_| SecretError::Unusable(format!("the secret `{id}` is binary and not UTF-8 text")))
        };
        let text = output.secret_string.map_or_else(binary, Ok)?;
        Ok((SecretString::from(text), version, created_at))
    }
}

impl<T> Slot<T> {
    /// What is known and still young enough. What was read for this very invocation is, however short secrets may be kept.
    fn known(
        &self,
        limits: CallLimits,
        ttl: Duration,
        negative_ttl: Duration,
    ) -> Option<Result<Cached<T>, SecretError>> {
        let is_young = |at: SystemTime, limit: Duration| {
            at >= limits.now || limits.now.duration_since(at).is_ok_and(|age| age < limit)
        };
        if let Some(entry) = self.entry.as_ref().filter(|entry| is_young(entry.read_at, ttl)) {
            return Some(Ok(entry.cached.clone()));
        }
        let (error, _) = self.absent.as_ref().filter(|(_, at)| is_young(*at, negative_ttl))?;
        Some(Err(error.clone()))
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { entry: None, absent: None, forced_at: None, successor: None }
    }
}
