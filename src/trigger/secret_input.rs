//! Secret inputs: AES-256-GCM, keyed with the first 32 bytes of Glint's client secret.

use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit as _, aead::Aead as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

const KEY: usize = 32;
/// Glint's nonce has 16 bytes, not the 12 that GCM usually has.
const NONCE: usize = 16;
const TAG: usize = 16;

/// The plain text of `sealed`: base64 of nonce, ciphertext and tag. `None` where it is anything else, or sealed with another secret.
pub fn decrypt(sealed: &str, client_secret: &SecretString) -> Option<Zeroizing<String>> {
    let key = client_secret.expose_secret().as_bytes().get(..KEY)?;
    let bytes = BASE64_STANDARD.decode(sealed).ok().filter(|bytes| bytes.len() >= NONCE + TAG)?;
    let (nonce, ciphertext) = bytes.split_at(NONCE);
    let cipher = AesGcm::<Aes256, U16>::new_from_slice(key).ok()?;
    let plain = Zeroizing::new(cipher.decrypt(&Array::try_from(nonce).ok()?, ciphertext).ok()?);
    std::str::from_utf8(&plain).ok().map(|text| Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glints_vectors_open() {
        for (secret, sealed, plain) in [
            (
                "glint-test-client-secret-0123456789abcdef",
                "AAECAwQFBgcICQoLDA0OD+Vz2H2DVoKVrKb4wIUfLj8qedFZp+ajxYG+K1Y=",
                "s3cr3t-value",
            ),
            (&"a".repeat(32), "AAECAwQFBgcICQoLDA0OD1LJmFoeBvsp6Kq9Q/ClKt3vdGM3DWY7fs6YvFk=", "secret_value"),
        ] {
            assert_eq!(decrypt(sealed, &SecretString::from(secret)).unwrap().as_str(), plain);
            assert!(decrypt(sealed, &SecretString::from("b".repeat(32))).is_none());
            assert!(decrypt(sealed, &SecretString::from("short")).is_none());
            assert!(decrypt(&sealed[4..], &SecretString::from(secret)).is_none());
        }
        assert!(decrypt("", &SecretString::from("a".repeat(32))).is_none());
        assert!(decrypt("s3cr3t", &SecretString::from("a".repeat(32))).is_none());
    }
}
