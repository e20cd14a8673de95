//! Keeps the tokens and keys of AWS Secrets Manager: read once, shared by all who ask, forgotten after a while.

mod cache;

use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::config::Config;
use crate::credentials::{Credentials, HookKeys};
use crate::json::Object;
use crate::pipeline::Project;
use cache::{Cache, Key, Stage};
pub use cache::{SecretError, Version};

/// Where the function's secrets are.
pub struct Secrets {
    cache: Cache,
    glint: String,
    tokens: String,
    hook: Option<String>,
    read: Option<String>,
}

/// A secret as it was read: hand it back to say that it did not work.
pub struct Kept<T> {
    pub value: T,
    pub version: Version,
}

/// The point in time an answer must not be older than, and the one it must be there by.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub now: SystemTime,
    pub by: Instant,
}

impl Secrets {
    pub fn new(client: Client, config: &Config) -> Self {
        Self {
            cache: Cache::new(client, config.secrets_ttl),
            glint: config.glint_secret_id.clone(),
            tokens: config.tokens_secret_id.clone(),
            hook: config.hook_secret_id.clone(),
            read: config.read_secret_id.clone(),
        }
    }

    /// How often Secrets Manager was asked since the last call of this.
    pub fn take_reads(&self) -> u64 {
        self.cache.take_reads()
    }

    /// Glint's client id and secret.
    pub async fn glint(&self, when: When) -> Result<Kept<Credentials>, SecretError> {
        let kept = self.cache.get(&Key::current(&self.glint), when).await?;
        Ok(Kept { value: credentials(&self.glint, &kept.value)?, version: kept.version })
    }

    /// The same read again because `refused` did not work: `None` where it has not changed, or was read again only just now.
    pub async fn glint_after(&self, refused: &Version, when: When) -> Result<Option<Kept<Credentials>>, SecretError> {
        let Some(kept) = self.cache.get_after(&Key::current(&self.glint), refused, when).await? else {
            return Ok(None);
        };
        Ok(Some(Kept { value: credentials(&self.glint, &kept.value)?, version: kept.version }))
    }

    /// The client secret before the last rotation, and the one after it where the kept one proves to be the former.
    pub async fn rotated_client_secrets(
        &self,
        current: &Version,
        when: When,
    ) -> Result<Vec<SecretString>, SecretError> {
        let rotated = self.rotated(&self.glint, current, when, credentials).await?;
        Ok(rotated.into_iter().map(|credentials| credentials.client_secret).collect())
    }

    /// The project's trigger token; `None` where the secret names no such project.
    pub async fn trigger_token(
        &self,
        project: &Project,
        when: When,
    ) -> Result<Option<Kept<SecretString>>, SecretError> {
        let key = self.tokens_key(project);
        let kept = self.cache.get(&key, when).await?;
        if let Some(token) = self.token_in(&kept.value, project)? {
            return Ok(Some(Kept { value: token, version: kept.version }));
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
        let Some(kept) = self.cache.get_after(&self.tokens_key(project), refused, when).await? else { return Ok(None) };
        let token = self.token_in(&kept.value, project)?;
        Ok(token.map(|value| Kept { value, version: kept.version }))
    }

    /// The projects that the token map names; empty where each project has a secret of its own.
    pub async fn projects(&self, when: When) -> Result<Vec<String>, SecretError> {
        if self.one_per_project() {
            return Ok(Vec::new());
        }
        let kept = self.cache.get(&Key::current(&self.tokens), when).await?;
        let map = Object::parse(kept.value.expose_secret()).map_err(|_| not_json(&self.tokens))?;
        Ok(map.iter().map(|(project, _)| project.to_owned()).collect())
    }

    /// What hooks must prove; `None` where hooks are not wanted.
    pub async fn hook(&self, when: When) -> Result<Option<Kept<HookKeys>>, SecretError> {
        let Some(id) = &self.hook else { return Ok(None) };
        let kept = self.cache.get(&Key::current(id), when).await?;
        Ok(Some(Kept { value: hook_keys(id, &kept.value)?, version: kept.version }))
    }

    /// What hooks had to prove before the last rotation, and what after it where the kept one proves to be the former.
    pub async fn rotated_hooks(&self, current: &Version, when: When) -> Result<Vec<HookKeys>, SecretError> {
        let Some(id) = &self.hook else { return Ok(Vec::new()) };
        self.rotated(id, current, when, hook_keys).await
    }

    /// The token for looking pipelines up; `None` where none is set.
    pub async fn read_token(&self, when: When) -> Result<Option<SecretString>, SecretError> {
        let Some(id) = &self.read else { return Ok(None) };
        let kept = self.cache.get(&Key::current(id), when).await?;
        Ok(Some(SecretString::from(kept.value.expose_secret().trim().to_owned())))
    }

    /// What `read` makes of the version before the last rotation, and of the one after it where `current` proves to be
    /// the former: it was rotated since, and a newer version is there to be read.
    async fn rotated<T>(
        &self,
        id: &str,
        current: &Version,
        when: When,
        read: fn(&str, &SecretString) -> Result<T, SecretError>,
    ) -> Result<Vec<T>, SecretError> {
        let Some(previous) = self.previous(id, when).await? else { return Ok(Vec::new()) };
        let mut values: Vec<T> = read(id, &previous.value).into_iter().collect();
        if previous.version == *current
            && let Some(newer) = self.cache.get_after(&Key::current(id), current, when).await?
        {
            values.push(read(id, &newer.value)?);
        }
        Ok(values)
    }

    /// The version before the last rotation. One that is missing or was never of use proves nothing, and is as good as none.
    async fn previous(&self, id: &str, when: When) -> Result<Option<Kept<SecretString>>, SecretError> {
        match self.cache.get(&Key { id: id.to_owned(), stage: Stage::Previous }, when).await {
            Ok(kept) => Ok(Some(kept)),
            Err(error) if error.is_transient() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn one_per_project(&self) -> bool {
        self.tokens.contains("{project}")
    }

    fn tokens_key(&self, project: &Project) -> Key {
        Key::current(&self.tokens.replace("{project}", &project.path()))
    }

    fn token_in(&self, text: &SecretString, project: &Project) -> Result<Option<SecretString>, SecretError> {
        if self.one_per_project() {
            let token = text.expose_secret().trim();
            return Ok((!token.is_empty()).then(|| SecretString::from(token.to_owned())));
        }
        let map = Object::parse(text.expose_secret()).map_err(|_| not_json(&self.tokens))?;
        let token = spellings(project).into_iter().find_map(|key| map.string(&key));
        Ok(token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()).map(SecretString::from))
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
