//! Keeps the tokens and keys of AWS Secrets Manager: read once, shared by all who ask, forgotten after a while.

mod cache;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::config::Config;
use crate::credentials::{Credentials, HookKeys};
use crate::json::{self, Object};
use crate::pipeline::Project;
use cache::{Cache, Stage, Understood};
pub use cache::{SecretError, Version};

/// What stands for a project's path in the name of its own secret.
const PROJECT: &str = "{project}";

/// Where the function's secrets are, and what was read of them.
pub struct Secrets {
    glint: Secret<Credentials>,
    /// One map of all projects, or with `{project}` in the name one secret for each.
    tokens: Secret<Tokens>,
    hook: Option<Secret<HookKeys>>,
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
pub struct Kept<T> {
    pub value: Arc<T>,
    pub version: Version,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), version: Arc::clone(&self.version) }
    }
}

/// The point in time an answer must not be older than, and the one it must be there by.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub now: SystemTime,
    pub by: Instant,
}

impl Secrets {
    pub fn new(client: &Client, config: &Config) -> Self {
        fn secret<T>(id: &str, client: &Client, config: &Config, understood: Understood<T>) -> Secret<T> {
            Secret { id: id.to_owned(), cache: Cache::new(client.clone(), config.secrets_ttl, understood) }
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
    pub async fn glint(&self, when: When) -> Result<Kept<Credentials>, SecretError> {
        self.glint.current(when).await
    }

    /// The same read again because `refused` did not work: `None` where it has not changed, or was read again only just now.
    pub async fn glint_after(&self, refused: &Version, when: When) -> Result<Option<Kept<Credentials>>, SecretError> {
        self.glint.cache.get_after(&self.glint.id, refused, when).await
    }

    /// The client secret before the last rotation, and the one after it where the kept one proves to be the former.
    pub async fn rotated_client_secrets(
        &self,
        current: &Version,
        when: When,
    ) -> Result<Vec<SecretString>, SecretError> {
        let rotated = self.glint.rotated(current, when).await?;
        Ok(rotated.into_iter().map(|credentials| credentials.client_secret.clone()).collect())
    }

    /// The project's trigger token; `None` where the secret names no such project.
    pub async fn trigger_token(
        &self,
        project: &Project,
        when: When,
    ) -> Result<Option<Kept<SecretString>>, SecretError> {
        let kept = self.tokens.cache.get(&self.tokens_id(project), Stage::Current, when).await?;
        if let Some(token) = kept.value.of(project) {
            return Ok(Some(Kept { value: Arc::new(token), version: kept.version }));
        }
        // A project may have been added since the secret was read.
        self.trigger_token_after(project, &kept.version, when).await
    }

    /// The same read again because `refused` did not work: `None` where it has not changed.
    pub async fn trigger_token_after(
        &self,
        project: &Project,
        refused: &Version,
        when: When,
    ) -> Result<Option<Kept<SecretString>>, SecretError> {
        let kept = self.tokens.cache.get_after(&self.tokens_id(project), refused, when).await?;
        Ok(kept.and_then(|kept| Some(Kept { value: Arc::new(kept.value.of(project)?), version: kept.version })))
    }

    /// The projects that the token map names; empty where each project has a secret of its own.
    pub async fn projects(&self, when: When) -> Result<Vec<String>, SecretError> {
        if self.tokens.id.contains(PROJECT) {
            return Ok(Vec::new());
        }
        match &*self.tokens.current(when).await?.value {
            Tokens::Map(map) => Ok(map.keys().cloned().collect()),
            Tokens::One(_) => Ok(Vec::new()),
        }
    }

    /// What hooks must prove; `None` where hooks are not wanted.
    pub async fn hook(&self, when: When) -> Result<Option<Kept<HookKeys>>, SecretError> {
        let Some(hook) = &self.hook else { return Ok(None) };
        hook.current(when).await.map(Some)
    }

    /// What hooks had to prove before the last rotation, and what after it where the kept one proves to be the former.
    pub async fn rotated_hooks(&self, current: &Version, when: When) -> Result<Vec<Arc<HookKeys>>, SecretError> {
        let Some(hook) = &self.hook else { return Ok(Vec::new()) };
        hook.rotated(current, when).await
    }

    /// The token for looking pipelines up; `None` where none is set.
    pub async fn read_token(&self, when: When) -> Result<Option<Arc<SecretString>>, SecretError> {
        let Some(read) = &self.read else { return Ok(None) };
        read.current(when).await.map(|kept| Some(kept.value))
    }

    fn tokens_id(&self, project: &Project) -> String {
        self.tokens.id.replace(PROJECT, &project.path())
    }
}

impl<T> Secret<T> {
    async fn current(&self, when: When) -> Result<Kept<T>, SecretError> {
        self.cache.get(&self.id, Stage::Current, when).await
    }

    /// The version before the last rotation, and the one after it where `current` proves to be the former: it was rotated since, and a newer
    /// version is there to be read.
    async fn rotated(&self, current: &Version, when: When) -> Result<Vec<Arc<T>>, SecretError> {
        // One that is missing or was never of use proves nothing, and is as good as none.
        let previous = match self.cache.get(&self.id, Stage::Previous, when).await {
            Ok(previous) => previous,
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(Vec::new()),
        };
        let mut values = vec![previous.value];
        if previous.version == *current
            && let Some(newer) = self.cache.get_after(&self.id, current, when).await?
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

fn hook_keys(id: &str, text: &SecretString) -> Result<HookKeys, SecretError> {
    let object = Object::parse(text.expose_secret()).map_err(|_| not_json(id))?;
    let part = |name: &str| {
        object.string(name).filter(|text| !text.is_empty()).map(|text| SecretString::from(text.into_owned()))
    };
    Ok(HookKeys { signing_token: part("signingToken"), token: part("token") })
}

fn not_json(id: &str) -> SecretError {
    SecretError::Unusable(format!("the secret `{id}` is not a JSON object, or names something twice"))
}

/// How long a secret that can no longer be read is used on: an outage of Secrets Manager is shorter, a withdrawn token is not kept for ever.
pub const GRACE: Duration = Duration::from_secs(3600);
