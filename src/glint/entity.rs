//! Writes entities of Glint's catalog.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use super::response;
use super::run::{Entity, RunId};
use super::session::Bearer;
use super::{Glint, GlintError, MAX_ERROR_BYTES, MAX_RESPONSE_BYTES, no_answer, request_body};
use crate::deadlines::{CallLimits, GLINT_TIMEOUT};
use crate::http::{Response, percent_encode};

impl Glint {
    /// Writes the entity, merging with what is there: on behalf of `run`, which must be in progress, or of nobody. Nothing is created that it
    /// relates to.
    pub async fn upsert(&self, entity: &Entity, run: Option<&RunId>, limits: CallLimits) -> Result<(), GlintError> {
        let mut body = json!({ "identifier": entity.identifier, "properties": entity.properties });
        let mut path = format!("blueprints/{}/entities?upsert=true&merge=true", percent_encode(&entity.blueprint));
        if let Some(run) = run {
            path.push_str(&format!("&run_id={run}"));
        }
        if !entity.relations.is_empty() {
            body["relations"] = json!(entity.relations);
            path.push_str("&create_missing_related_entities=false");
        }
        let (path, body) = (&path, &request_body(&body));
        self.with_retries(limits, |bearer| async move {
            let mut request = self.request(Method::POST, path, Some(body.clone()))?;
            request.headers_mut().insert(AUTHORIZATION, bearer.header());
            let answer = self.http.send(request, MAX_RESPONSE_BYTES, GLINT_TIMEOUT).await.map_err(no_answer)?;
            if (200..300).contains(&answer.status) { Ok(()) } else { Err(refusal_of_entity(&answer, &bearer)) }
        })
        .await
    }
}

/// What an entity that was not written leaves to do: the run itself could be read, so Glint's no is about the entity.
fn refusal_of_entity(answer: &Response, bearer: &Bearer) -> GlintError {
    let (code, words) = response::error(answer.body.get(..MAX_ERROR_BYTES).unwrap_or(&answer.body));
    match answer.status {
        401 => GlintError::LoginExpired,
        404 if code == "not_found" => GlintError::Refused {
            words: bearer.redactor().sanitize_line(&format!("it knows no such blueprint: {words}")),
            code,
        },
        status @ 400..=499 if !matches!(status, 408 | 425 | 429) => {
            GlintError::Refused { words: bearer.redactor().sanitize_line(&format!("{words} (status {status})")), code }
        }
        status => GlintError::Unavailable { why: format!("status {status}"), after: answer.retry_after() },
    }
}
