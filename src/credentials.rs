//! How the function identifies itself to Glint, and how GitLab's hooks identify themselves to the function.

use secrecy::SecretString;

/// The client that Glint issued. Its secret signs Glint's deliveries and encrypts secret inputs too.
#[derive(Debug)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: SecretString,
}

/// What a hook must prove, as far as it is set.
#[derive(Debug)]
pub struct HookKeys {
    /// `whsec_` and the base64 of the key.
    pub signing_token: Option<SecretString>,
    /// The plain secret token.
    pub token: Option<SecretString>,
}
