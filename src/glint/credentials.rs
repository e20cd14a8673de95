//! How the function identifies itself to Glint.

use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;

use crate::deadlines::Freshness;

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

/// Loads the credentials; `None` where there are none newer. The error names the secret.
pub type LoadCredentials = Box<
    dyn Fn(Wanted, Freshness) -> Pin<Box<dyn Future<Output = Result<Option<Loaded>, String>> + Send>> + Send + Sync,
>;
