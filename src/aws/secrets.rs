//! Reads tokens and keys from AWS Secrets Manager, and caches them.

mod cache;
mod error;
mod values;

use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_secretsmanager::Client;
use secrecy::SecretString;

use crate::config::{Config, PROJECT_PLACEHOLDER};
use crate::deadlines::CallLimits;
use crate::gitlab::types::{HookSecrets, Project};
use crate::glint::credentials::Credentials;
use cache::{Cache, Parse};
pub use cache::{Refresh, VersionId};
pub use error::SecretError;
use values::Tokens;
pub use values::hook_secrets_fault;

/// Where the function's secrets are, and what was read of them.
pub struct Secrets {
    glint: Secret<Credentials>,
    /// One map of all projects, or with `{project}` in the name one secret for each.
    tokens: Secret<Tokens>,
    hook: Option<Secret<HookSecrets>>,
    read: Option<Secret<SecretString>>,
}

struct Secret<T> {
    id: String,
    cache: Cache<T>,
}

/// A secret as it was read: hand its version back to say that it did not work. Cloning is cheap.
#[derive(Debug)]
pub struct Cached<T> {
    pub value: Arc<T>,
    pub version: VersionId,
    /// When this version was stored.
    pub created_at: Option<SystemTime>,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), version: Arc::clone(&self.version), created_at: self.created_at }
    }
}

impl<T> Cached<T> {
    fn with<U>(&self, value: U) -> Cached<U> {
        Cached { value: Arc::new(value), version: Arc::clone(&self.version), created_at: self.created_at }
    }
}

/// Another version than the cached one that may have signed something.
#[derive(Debug)]
pub struct OtherVersion<T> {
    pub value: Arc<T>,
    /// When the version after it was stored; `None` where there is none, since this one is the current.
    pub superseded_at: Option<SystemTime>,
}

impl Secrets {
    pub fn new(client: &Client, config: &Config) -> Self {
        fn secret<T>(id: &str, client: &Client, config: &Config, parse: Parse<T>) -> Secret<T> {
            Secret { id: id.to_owned(), cache: Cache::new(client.clone(), config.secrets_ttl, parse) }
        }
        let tokens = &config.tokens_secret_id;
        let parse_tokens =
            if tokens.contains(PROJECT_PLACEHOLDER) { values::parse_one_token } else { values::parse_token_map };
        Self {
            glint: secret(&config.glint_secret_id, client, config, values::parse_credentials),
            tokens: secret(tokens, client, config, parse_tokens),
            hook: config.hook_secret_id.as_ref().map(|id| secret(id, client, config, values::parse_hook_secrets)),
            read: config.read_secret_id.as_ref().map(|id| secret(id, client, config, values::parse_single_token)),
        }
    }

    /// How often Secrets Manager was asked since the last call of this.
    pub fn take_reads(&self) -> u64 {
        let hook = self.hook.as_ref().map_or(0, |hook| hook.cache.take_reads());
        let read = self.read.as_ref().map_or(0, |read| read.cache.take_reads());
        self.glint.cache.take_reads() + self.tokens.cache.take_reads() + hook + read
    }

    /// Glint's client id and secret.
    pub async fn glint(&self, limits: CallLimits) -> Result<Cached<Credentials>, SecretError> {
        self.glint.current(limits).await
    }

    /// The same, read out of turn because `refused` did not work.
    pub async fn refresh_glint(
        &self,
        refused: &VersionId,
        limits: CallLimits,
    ) -> Result<Refresh<Cached<Credentials>>, SecretError> {
        self.glint.cache.refresh(&self.glint.id, refused, limits).await
    }

    /// The credentials before the last rotation, and those after it where `cached` proves to be the former.
    pub async fn other_glint_versions(
        &self,
        cached: &Cached<Credentials>,
        limits: CallLimits,
    ) -> Result<Vec<OtherVersion<Credentials>>, SecretError> {
        self.glint.other_versions(cached, limits).await
    }

    /// The project's trigger token; `None` where the secret names no such project.
    pub async fn trigger_token(
        &self,
        project: &Project,
        limits: CallLimits,
    ) -> Result<Option<Cached<SecretString>>, SecretError> {
        let (id, cached) = self.tokens_of(project, limits).await?;
        if let Some(token) = cached.value.of(project, &id)? {
            return Ok(Some(cached.with(token)));
        }
        // A project may have been added since the secret was read.
        match self.refresh_trigger_token(project, &cached.version, limits).await? {
            Refresh::Changed(token) => Ok(token),
            Refresh::Unchanged | Refresh::NotDue { .. } => Ok(None),
        }
    }

    /// The same, read out of turn because `refused` did not work. [`Refresh::Changed`] holds `None` where the new version names no such project.
    pub async fn refresh_trigger_token(
        &self,
        project: &Project,
        refused: &VersionId,
        limits: CallLimits,
    ) -> Result<Refresh<Option<Cached<SecretString>>>, SecretError> {
        let (id, _) = self.tokens_of(project, limits).await?;
        Ok(match self.tokens.cache.refresh(&id, refused, limits).await? {
            Refresh::Changed(newer) => Refresh::Changed(newer.value.of(project, &id)?.map(|token| newer.with(token))),
            Refresh::Unchanged => Refresh::Unchanged,
            Refresh::NotDue { read_at } => Refresh::NotDue { read_at },
        })
    }

    /// The keys of the token map; none where each project has a secret of its own.
    pub async fn token_keys(&self, limits: CallLimits) -> Result<Vec<String>, SecretError> {
        if self.tokens.id.contains(PROJECT_PLACEHOLDER) {
            return Ok(Vec::new());
        }
        match &*self.tokens.current(limits).await?.value {
            Tokens::Map(map) => Ok(map.keys().cloned().collect()),
            Tokens::One(_) => Ok(Vec::new()),
        }
    }

    /// What hooks must prove; `None` where hooks are refused, since no secret is set or nobody has stored it.
    pub async fn hook(&self, limits: CallLimits) -> Result<Option<Cached<HookSecrets>>, SecretError> {
        optional(&self.hook, limits).await
    }

    /// What hooks had to prove before the last rotation, and what after it where `cached` proves to be the former.
    pub async fn other_hook_versions(
        &self,
        cached: &Cached<HookSecrets>,
        limits: CallLimits,
    ) -> Result<Vec<OtherVersion<HookSecrets>>, SecretError> {
        let Some(hook) = &self.hook else { return Ok(Vec::new()) };
        hook.other_versions(cached, limits).await
    }

    /// The token for looking pipelines up; `None` where nothing is looked up, since no secret is set or nobody has stored it.
    pub async fn read_token(&self, limits: CallLimits) -> Result<Option<Arc<SecretString>>, SecretError> {
        Ok(optional(&self.read, limits).await?.map(|cached| cached.value))
    }

    /// The secret that holds the project's token, with its name: in the letter case of the message, else in lower case.
    async fn tokens_of(&self, project: &Project, limits: CallLimits) -> Result<(String, Cached<Tokens>), SecretError> {
        let path = project.path();
        let id = self.tokens.id.replace(PROJECT_PLACEHOLDER, &path);
        match self.tokens.cache.current(&id, limits).await {
            Err(error) if error.is_absent() && path.contains(|letter: char| letter.is_ascii_uppercase()) => {
                let lower_case = self.tokens.id.replace(PROJECT_PLACEHOLDER, &path.to_ascii_lowercase());
                let cached = self.tokens.cache.current(&lower_case, limits).await;
                Ok((lower_case, cached.map_err(|other| if other.is_absent() { error } else { other })?))
            }
            result => result.map(|cached| (id, cached)),
        }
    }
}

async fn optional<T>(secret: &Option<Secret<T>>, limits: CallLimits) -> Result<Option<Cached<T>>, SecretError> {
    let Some(secret) = secret else { return Ok(None) };
    match secret.current(limits).await {
        Err(error) if error.is_absent() => Ok(None),
        result => result.map(Some),
    }
}

impl<T> Secret<T> {
    async fn current(&self, limits: CallLimits) -> Result<Cached<T>, SecretError> {
        self.cache.current(&self.id, limits).await
    }

    /// The version before the last rotation, and the one after it where `cached` proves to be the former: it was rotated since, and a newer
    /// version is there to be read.
    async fn other_versions(
        &self,
        cached: &Cached<T>,
        limits: CallLimits,
    ) -> Result<Vec<OtherVersion<T>>, SecretError> {
        // One that is missing or was never of use proves nothing, and is as good as none.
        let previous = match self.cache.previous(&self.id, &cached.version, limits).await {
            Ok(previous) => previous,
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(Vec::new()),
        };
        if previous.version != cached.version {
            return Ok(vec![OtherVersion { value: previous.value, superseded_at: cached.created_at }]);
        }
        match self.cache.refresh(&self.id, &cached.version, limits).await? {
            Refresh::Changed(newer) => {
                let superseded_at = newer.created_at;
                let newer = OtherVersion { value: newer.value, superseded_at: None };
                Ok(vec![OtherVersion { value: previous.value, superseded_at }, newer])
            }
            Refresh::Unchanged => Ok(Vec::new()),
            Refresh::NotDue { .. } => Err(SecretError::Unavailable(format!(
                "the secret `{}` was rotated, and is read again within half a minute",
                self.id
            ))),
        }
    }
}
