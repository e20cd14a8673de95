//! Errors of reading a secret, made from those of AWS.

use std::time::Duration;

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::aws::http_adapter::{error_code, innermost_cause};
use crate::retry::Retry;

/// Why there is no secret. The words name it and never hold it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretError {
    #[error("there is no secret `{0}`")]
    Missing(String),
    /// It was created and nothing was put into it, or what was put into it is blank.
    #[error("the secret `{0}` exists and has no value yet")]
    NoValue(String),
    #[error("the function may not read the secret `{0}`")]
    Denied(String),
    #[error("the function may not decrypt the secret `{id}`: it needs `kms:Decrypt` on {key}")]
    KeyDenied { id: String, key: String },
    /// It is there, and not what it should be.
    #[error("{0}")]
    Unusable(String),
    /// AWS does not accept the function itself: nothing is wrong with the secret.
    #[error("AWS does not accept the function's own credentials (`{0}`)")]
    Identity(String),
    /// Secrets Manager cannot be asked now: nothing is wrong with the secret.
    #[error("Secrets Manager does not answer: {0}")]
    Unavailable(String),
}

impl SecretError {
    /// Whether it may be gone by itself in a while.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Identity(_))
    }

    /// Whether nobody has stored the secret yet, which switches off what is optional.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NoValue(_))
    }

    /// What the operator has to change, for the secret that the setting `variable` names.
    pub fn hint(&self, variable: &str) -> String {
        match self {
            Self::Missing(_) => format!("create it in the function's account and region, or correct `{variable}`"),
            Self::NoValue(_) => "put a value into it".to_owned(),
            Self::Denied(id) => format!("allow `secretsmanager:GetSecretValue` on `{id}` to the function's role"),
            Self::KeyDenied { key, .. } => format!("allow `kms:Decrypt` on {key} to the function's role"),
            Self::Unusable(_) => format!("correct the value of the secret, or `{variable}`"),
            Self::Identity(_) => {
                "look at the function's role: it may have been deleted, or its session be over".to_owned()
            }
            Self::Unavailable(_) => {
                "check the function's way to Secrets Manager: NAT, proxy or VPC endpoint".to_owned()
            }
        }
    }
}

impl Retry for SecretError {
    fn after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable(_)).then_some(Duration::ZERO)
    }

    fn out_of_time() -> Self {
        Self::Unavailable("no time left".to_owned())
    }
}

/// Which of the caller's choices an error of the SDK leaves. Its own words may quote the answer, so only its code is told.
pub fn from_sdk_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    id: &str,
    error: &SdkError<E, HttpResponse>,
) -> SecretError {
    let id = id.to_owned();
    let SdkError::ServiceError(service) = error else {
        return SecretError::Unavailable(innermost_cause(error));
    };
    let words = service.err().message().unwrap_or_default();
    match service.err().code().unwrap_or_default() {
        "ResourceNotFoundException" if words.contains("secret value") => SecretError::NoValue(id),
        "ResourceNotFoundException" => SecretError::Missing(id),
        "AccessDeniedException" if words.contains("KMS") || words.contains("kms:") => {
            SecretError::KeyDenied { id, key: kms_key(words) }
        }
        "AccessDeniedException" => SecretError::Denied(id),
        "InvalidRequestException" => SecretError::Unusable(format!(
            "the secret `{id}` cannot be read: it is scheduled for deletion, or managed by another service"
        )),
        "DecryptionFailure" | "DecryptionFailureException" => SecretError::Unusable(format!(
            "the KMS key of the secret `{id}` cannot decrypt it: it is disabled, about to be deleted, or gone"
        )),
        "InvalidParameterException" | "ValidationException" => {
            SecretError::Unusable(format!("`{id}` is no name that a secret can have"))
        }
        code if IDENTITY_CODES.iter().any(|known| code.starts_with(known)) => SecretError::Identity(error_code(code)),
        "" => SecretError::Unavailable(format!("status {}", service.raw().status())),
        code => SecretError::Unavailable(error_code(code)),
    }
}

/// How the codes begin that say something of the caller's credentials; some services add `Exception`.
const IDENTITY_CODES: [&str; 10] = [
    "UnrecognizedClient",
    "ExpiredToken",
    "InvalidClientTokenId",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidToken",
    "InvalidAccessKeyId",
    "MissingAuthenticationToken",
    "OptInRequired",
];

/// The key that AWS's words name: an ARN of KMS as far as it looks like one.
fn kms_key(words: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || ":/-_".contains(character);
    let arn = words.split(|character| !is_part(character)).find(|word| {
        word.starts_with("arn:aws") && word.contains(":kms:") && word.contains(":key/") && word.len() <= 256
    });
    arn.map_or_else(|| "its KMS key".to_owned(), |arn| format!("the KMS key `{arn}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kms_key_is_named_where_aws_names_it() {
        let words = "User: arn:aws:sts::1:assumed-role/f/f is not authorized to perform: kms:Decrypt on resource: \
                     arn:aws:kms:eu-west-1:1:key/0f-a because no identity-based policy allows it";
        assert_eq!(kms_key(words), "the KMS key `arn:aws:kms:eu-west-1:1:key/0f-a`");
        assert_eq!(kms_key("Access to KMS is not allowed"), "its KMS key");
    }
}
