//! How the function identifies itself to Glint.

use secrecy::SecretString;

/// The client that Glint issued. Its secret signs Glint's deliveries and encrypts secret inputs too.
#[derive(Debug)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: SecretString,
}
