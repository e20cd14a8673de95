//! The credentials of the Glint client, and how it loads them.

use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;

use crate::deadlines::CallLimits;

/// The client that Glint issued. Its secret signs Glint's deliveries and encrypts secret inputs too.
#[derive(Debug)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: SecretString,
}

/// Which credentials are wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    Current,
    /// Those that came after this version, which Glint refused.
    NewerThan(Arc<str>),
}

/// Credentials with the version of the secret that holds them.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub credentials: Arc<Credentials>,
    pub version: Arc<str>,
}

/// Why there are no credentials. The words name the secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{words}")]
pub struct NoCredentials {
    pub words: String,
    /// Whether they may be there by themselves in a while.
    pub is_transient: bool,
}

/// Loads the credentials; `None` where there are none newer.
pub type LoadCredentials = Box<
    dyn Fn(Wanted, CallLimits) -> Pin<Box<dyn Future<Output = Result<Option<Loaded>, NoCredentials>> + Send>>
        + Send
        + Sync,
>;
