//! Keeps the tokens and keys of AWS Secrets Manager: read once, shared by all who ask, forgotten after a while.

mod cache;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Config;
use crate::deadlines::Freshness;
use crate::gitlab::types::{HookSecrets, Project};
use crate::glint::credentials::Credentials;
use crate::json::{self, Object};
use cache::{Cache, Parse, Stage};
pub use cache::{SecretError, VersionId};

/// What stands for a project's path in the name of its own secret.
const PROJECT: &str = "{project}";

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

/// A secret of trigger tokens.
enum Tokens {
    /// By the projects' keys. A blank token is none, and `None` is no token at all.
    Map(BTreeMap<String, Option<SecretString>>),
    One(SecretString),
}

/// A secret as it was read: hand its version back to say that it did not work. Cloning is cheap.
pub struct Cached<T> {
    pub value: Arc<T>,
    pub version: VersionId,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), version: Arc::clone(&self.version) }
    }
}

impl Secrets {
    pub fn new(client: &Client, config: &Config) -> Self {
        fn secret<T>(id: &str, client: &Client, config: &Config, parsed: Parse<T>) -> Secret<T> {
            Secret { id: id.to_owned(), cache: Cache::new(client.clone(), config.secrets_ttl, parsed) }
        }
        let tokens = &config.tokens_secret_id;
        Self {
            glint: secret(&config.glint_secret_id, client, config, credentials),
            tokens: secret(tokens, client, config, if tokens.contains(PROJECT) { one_token } else { token_map }),
            hook: config.hook_secret_id.as_ref().map(|id| secret(id, client, config, hook_keys)),
            read: config.read_secret_id.as_ref().map(|id| secret(id, client, config, trimmed)),
        }
    }

    /// How often Secrets Manager was asked since the last call of this.
    pub fn take_reads(&self) -> u64 {
        let hook = self.hook.as_ref().map_or(0, |hook| hook.cache.take_reads());
        let read = self.read.as_ref().map_or(0, |read| read.cache.take_reads());
        self.glint.cache.take_reads() + self.tokens.cache.take_reads() + hook + read
    }

    /// Glint's client id and secret.
    pub async fn glint(&self, freshness: Freshness) -> Result<Cached<Credentials>, SecretError> {
        self.glint.current(freshness).await
    }

    /// The same read again because `refused` did not work: `None` where it has not changed, or was read again only just now.
    pub async fn glint_after(
        &self,
        refused: &VersionId,
        freshness: Freshness,
    ) -> Result<Option<Cached<Credentials>>, SecretError> {
        self.glint.cache.refresh_if_changed(&self.glint.id, refused, freshness).await
    }

    /// The client secret before the last rotation, and the one after it where the kept one proves to be the former.
    pub async fn rotated_client_secrets(
        &self,
        current: &VersionId,
        freshness: Freshness,
    ) -> Result<Vec<SecretString>, SecretError> {
        let rotated = self.glint.rotated(current, freshness).await?;
        Ok(rotated.into_iter().map(|credentials| credentials.client_secret.clone()).collect())
    }

    /// The project's trigger token; `None` where the secret names no such project.
    pub async fn trigger_token(
        &self,
        project: &Project,
        freshness: Freshness,
    ) -> Result<Option<Cached<SecretString>>, SecretError> {
        let kept = self.tokens.cache.get(&self.tokens_id(project), Stage::Current, freshness).await?;
        if let Some(token) = kept.value.of(project) {
            return Ok(Some(Cached { value: Arc::new(token), version: kept.version }));
        }
        // A project may have been added since the secret was read.
        self.trigger_token_after(project, &kept.version, freshness).await
    }

    /// The same read again because `refused` did not work: `None` where it has not changed.
    pub async fn trigger_token_after(
        &self,
        project: &Project,
        refused: &VersionId,
        freshness: Freshness,
    ) -> Result<Option<Cached<SecretString>>, SecretError> {
        let kept = self.tokens.cache.refresh_if_changed(&self.tokens_id(project), refused, freshness).await?;
        Ok(kept.and_then(|kept| Some(Cached { value: Arc::new(kept.value.of(project)?), version: kept.version })))
    }

    /// The projects that the token map names; empty where each project has a secret of its own.
    pub async fn projects(&self, freshness: Freshness) -> Result<Vec<String>, SecretError> {
        if self.tokens.id.contains(PROJECT) {
            return Ok(Vec::new());
        }
        match &*self.tokens.current(freshness).await?.value {
            Tokens::Map(map) => Ok(map.keys().cloned().collect()),
            Tokens::One(_) => Ok(Vec::new()),
        }
    }

    /// What hooks must prove; `None` where hooks are not wanted.
    pub async fn hook(&self, freshness: Freshness) -> Result<Option<Cached<HookSecrets>>, SecretError> {
        let Some(hook) = &self.hook else { return Ok(None) };
        hook.current(freshness).await.map(Some)
    }

    /// What hooks had to prove before the last rotation, and what after it where the kept one proves to be the former.
    pub async fn rotated_hooks(
        &self,
        current: &VersionId,
        freshness: Freshness,
    ) -> Result<Vec<Arc<HookSecrets>>, SecretError> {
        let Some(hook) = &self.hook else { return Ok(Vec::new()) };
        hook.rotated(current, freshness).await
    }

    /// The token for looking pipelines up; `None` where none is set.
    pub async fn read_token(&self, freshness: Freshness) -> Result<Option<Arc<SecretString>>, SecretError> {
        let Some(read) = &self.read else { return Ok(None) };
        read.current(freshness).await.map(|kept| Some(kept.value))
    }

    fn tokens_id(&self, project: &Project) -> String {
        self.tokens.id.replace(PROJECT, &project.path())
    }
}

impl<T> Secret<T> {
    async fn current(&self, freshness: Freshness) -> Result<Cached<T>, SecretError> {
        self.cache.get(&self.id, Stage::Current, freshness).await
    }

    /// The version before the last rotation, and the one after it where `current` proves to be the former: it was rotated since, and a newer
    /// version is there to be read.
    async fn rotated(&self, current: &VersionId, freshness: Freshness) -> Result<Vec<Arc<T>>, SecretError> {
        // One that is missing or was never of use proves nothing, and is as good as none.
        let previous = match self.cache.get(&self.id, Stage::Previous, freshness).await {
            Ok(previous) => previous,
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(Vec::new()),
        };
        let mut values = vec![previous.value];
        if previous.version == *current
            && let Some(newer) = self.cache.refresh_if_changed(&self.id, current, freshness).await?
        {
            values.push(newer.value);
        }
        Ok(values)
    }
}

impl Tokens {
    fn of(&self, project: &Project) -> Option<SecretString> {
        match self {
            Self::Map(map) => spellings(project).iter().find_map(|key| map.get(key)?.as_ref()),
            Self::One(token) => Some(token),
        }
        .filter(|token| !token.expose_secret().is_empty())
        .cloned()
    }
}

/// The keys under which a project's token may be: its path, then the agent's names for its environment variable, today's (only the group's
/// slashes become `_`) and the one before its version 0.5.0 (only the project's do).
fn spellings(project: &Project) -> [String; 3] {
    let (group, name) = (project.group(), project.name());
    [project.path(), format!("{}_{name}", group.replace('/', "_")), format!("{group}_{}", name.replace('/', "_"))]
}

fn credentials(id: &str, text: &SecretString) -> Result<Credentials, SecretError> {
    let object = Object::parse(text.expose_secret()).map_err(|_| not_json(id))?;
    let part = |name: &str| object.string(name).filter(|text| !text.is_empty()).map(std::borrow::Cow::into_owned);
    let (Some(client_id), Some(secret)) = (part("clientId"), part("clientSecret")) else {
        return Err(SecretError::Unusable(format!("the secret `{id}` has no `clientId` or no `clientSecret`")));
    };
    Ok(Credentials { client_id, client_secret: SecretString::from(secret) })
}

fn token_map(id: &str, text: &SecretString) -> Result<Tokens, SecretError> {
    let map = Object::parse(text.expose_secret()).map_err(|_| not_json(id))?;
    let token = |value| json::string(value).map(|token| SecretString::from(token.trim()));
    Ok(Tokens::Map(map.iter().map(|(key, value)| (key.to_owned(), token(value))).collect()))
}

fn one_token(id: &str, text: &SecretString) -> Result<Tokens, SecretError> {
    trimmed(id, text).map(Tokens::One)
}

fn trimmed(_: &str, text: &SecretString) -> Result<SecretString, SecretError> {
    Ok(SecretString::from(text.expose_secret().trim()))
}

fn hook_keys(id: &str, text: &SecretString) -> Result<HookSecrets, SecretError> {
    let object = Object::parse(text.expose_secret()).map_err(|_| not_json(id))?;
    let part = |name: &str| {
        object.string(name).filter(|text| !text.is_empty()).map(|text| SecretString::from(text.into_owned()))
    };
    Ok(HookSecrets { signing_token: part("signingToken"), token: part("token") })
}

fn not_json(id: &str) -> SecretError {
    SecretError::Unusable(format!("the secret `{id}` is not a JSON object, or names something twice"))
}
