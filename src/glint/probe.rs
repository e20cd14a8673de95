//! Reads what the check needs of Glint: its clock, and what it shows of runs.

use std::borrow::Cow;
use std::time::SystemTime;

use reqwest::Method;
use serde::Deserialize;

use super::{Glint, GlintError, unreadable};
use crate::deadlines::CallLimits;
use crate::json::Object;

/// What one answer of Glint shows.
#[derive(Debug)]
pub struct Probe {
    /// Glint's clock, as it stamps its answers; `None` where it does not.
    pub clock: Option<SystemTime>,
    /// How many runs were looked at.
    pub runs: usize,
    /// Whether any of them carries what this function writes. One that was never written to carries nothing.
    pub has_link: bool,
    pub has_label: bool,
    pub has_external_id: bool,
}

impl Glint {
    /// Looks at the latest runs.
    pub async fn probe(&self, limits: CallLimits) -> Result<Probe, GlintError> {
        #[derive(Deserialize)]
        struct Runs<'a> {
            #[serde(borrow)]
            runs: Vec<Object<'a>>,
        }
        let path = "actions/runs?limit=10&version=v2";
        let answer = self.with_retries(limits, |bearer| async move {
            self.call_for(super::MAX_LIST_BYTES, Method::GET, path, None, &bearer).await
        });
        let answer = answer.await?;
        let Runs { runs } = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
        let any = |name: &str| runs.iter().any(|run| run.string(name).is_some_and(|text: Cow<str>| !text.is_empty()));
        let is_ours = |run: &Object| run.string("externalRunId").is_some_and(|id| id.starts_with("gl_"));
        Ok(Probe {
            clock: answer.date().map(Into::into),
            runs: runs.len(),
            has_link: runs.iter().any(|run| run.get("link").is_some_and(|link| !matches!(link.get(), "\"\"" | "[]"))),
            has_label: any("statusLabel"),
            has_external_id: runs.iter().any(is_ours),
        })
    }
}
