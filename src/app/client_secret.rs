//! Verifies with each version of Glint's client secret that is still valid.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::context::Context;
use crate::aws::secrets::{OtherVersion, SecretError};
use crate::deadlines::ROTATION_OVERLAP;

/// The first result of `verify`, which is given the current client secret, then the others: each that holds for what was signed at `signed_at`,
/// or all of them where that is `None`, for what this function signed itself, perhaps days ago.
pub async fn match_client_secret<T>(
    context: &Context,
    signed_at: Option<DateTime<Utc>>,
    mut verify: impl FnMut(&SecretString) -> Option<T>,
) -> Result<Option<T>, SecretError> {
    let current = context.credentials().await?;
    if let Some(result) = verify(&current.value.client_secret) {
        return Ok(Some(result));
    }
    let others = context.app.secrets.other_glint_versions(&current, context.call_limits()).await?;
    let mut others = others.iter().filter(|other| signed_at.is_none_or(|signed_at| is_version_valid(other, signed_at)));
    Ok(others.find_map(|other| verify(&other.value.client_secret)))
}

/// Whether what another version of a key signed at this time holds: an hour after the next one was stored every sender has that, and more
/// would leave a leaked key in use.
pub fn is_version_valid<T>(other: &OtherVersion<T>, signed_at: DateTime<Utc>) -> bool {
    other.superseded_at.is_none_or(|at| signed_at < DateTime::<Utc>::from(at) + ROTATION_OVERLAP)
}
