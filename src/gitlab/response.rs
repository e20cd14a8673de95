//! What GitLab's answer to a trigger means.

use serde::Deserialize;
use serde_json::Value;

use super::TriggerError;
use crate::gitlab::types::Pipeline;
use crate::http::Response;
use crate::telemetry::redaction::Redactor;

/// GitLab's words for its limit of pipelines a minute, which it sends as a 400 and without a wait.
const THROTTLED: &str = "Too many pipelines created in the last minute";

/// Sorts `answer`, of the project at `project_url`, into what a caller can do about it. Its words are sanitize_line to people, behind `redactor`, which
/// is made only where there are words.
pub fn decode(answer: &Response, project_url: &str, redactor: impl Fn() -> Redactor) -> Result<Pipeline, TriggerError> {
    let sanitize_line = || {
        let words = redactor().sanitize_line(&words(&answer.body));
        if words.is_empty() {
            format!("status {}", answer.status)
        } else {
            format!("{words} (status {})", answer.status)
        }
    };
    Err(match answer.status {
        201 => {
            let unreadable = || TriggerError::Unknown("GitLab's 201 cannot be read".to_owned());
            return created(&answer.body, project_url, redactor).ok_or_else(unreadable);
        }
        401 | 404 => TriggerError::TokenRefused(sanitize_line()),
        400 if words(&answer.body).contains(THROTTLED) => TriggerError::Throttled(None),
        400 | 403 | 405 | 413 | 422 => TriggerError::Rejected(sanitize_line()),
        300..=399 => TriggerError::Rejected(format!(
            "GitLab answered with a redirect (status {}), which is not followed; check `GITLAB_URL`",
            answer.status
        )),
        429 => TriggerError::Throttled(answer.retry_after()),
        _ => TriggerError::Unknown(sanitize_line()),
    })
}

fn created(body: &[u8], project_url: &str, redactor: impl Fn() -> Redactor) -> Option<Pipeline> {
    #[derive(Deserialize)]
    struct Created {
        id: u64,
        project_id: u64,
        web_url: String,
    }
    let Created { id, project_id, web_url } = serde_json::from_slice(body).ok()?;
    let is_link = web_url.starts_with("https://") || web_url.starts_with("http://");
    // The project's page and a number repeat no secret.
    let is_known = web_url == format!("{project_url}/-/pipelines/{id}");
    (is_link && !web_url.contains(char::is_control) && web_url.len() <= 2048).then(|| Pipeline {
        id,
        project_id,
        url: if is_known { web_url } else { redactor().redact(&web_url) },
    })
}

/// GitLab's `message` or `error`, which may be a string, a list, or an object of lists; a body that is no JSON says nothing to a user.
fn words(body: &[u8]) -> String {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else { return String::new() };
    let mut words = Vec::new();
    for name in ["message", "error", "error_description"] {
        if let Some(value) = object.get(name) {
            collect(value, None, &mut words);
        }
    }
    words.join("; ")
}

fn collect(value: &Value, name: Option<&str>, words: &mut Vec<String>) {
    match value {
        Value::String(text) => words.push(match name {
            Some(name) if name != "base" && name != "error" => format!("{name}: {text}"),
            _ => text.clone(),
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, words)),
        Value::Object(members) => members.iter().for_each(|(name, member)| collect(member, Some(name), words)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
    use secrecy::SecretString;
    use std::time::Duration;

    fn decoded(status: u16, body: &str) -> Result<Pipeline, TriggerError> {
        decode(
            &Response { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() },
            "https://gitlab.example.com/g/p",
            || Redactor::new([&SecretString::from("glptt-secret-token")]),
        )
    }

    #[test]
    fn a_created_pipeline_is_read_leniently() {
        let pipeline =
            decoded(201, r#"{"id":257,"project_id":123,"web_url":"http://127.0.0.1/g/p/-/pipelines/257","new":{}}"#)
                .unwrap();
        assert_eq!(pipeline.external_id(), "gl_123_257");
    }

    #[test]
    fn a_page_that_repeats_the_token_is_shown_without_it() {
        let url = |url: &str| decoded(201, &format!(r#"{{"id":7,"project_id":1,"web_url":"{url}"}}"#)).unwrap().url;
        let page = "https://gitlab.example.com/g/p/-/pipelines/7";
        assert_eq!(url(page), page);
        assert_eq!(url(&format!("{page}?glptt-secret-token")), format!("{page}?[redacted]"));
    }

    #[test]
    fn an_answer_that_proves_nothing_is_unknown() {
        for (status, body) in [
            (200, "{}"),
            (202, ""),
            (201, ""),
            (201, "<html>"),
            (201, r#"{"id":"257"}"#),
            (201, r#"{"id":1,"project_id":2,"web_url":"javascript:x"}"#),
            (409, r#"{"message":"409 Conflict: Resource lock"}"#),
            (500, ""),
            (502, "<html>"),
            (504, ""),
        ] {
            assert!(matches!(decoded(status, body), Err(TriggerError::Unknown(_))), "{status} {body}");
        }
    }

    #[test]
    fn gitlabs_words_reach_the_reader_without_the_token() {
        for (status, body, expected) in [
            (400, r#"{"message":{"base":["Reference not found"]}}"#, "Reference not found (status 400)"),
            (400, r#"{"error":"ref is missing"}"#, "ref is missing (status 400)"),
            (403, r#"{"message":"403 Forbidden"}"#, "403 Forbidden (status 403)"),
            (422, r#"{"message":{"yaml":["bad","worse"]}}"#, "yaml: bad; yaml: worse (status 422)"),
            (400, r#"{"message":"no glptt-secret-token here"}"#, "no [redacted] here (status 400)"),
            (413, "<html>too large</html>", "status 413"),
        ] {
            assert_eq!(decoded(status, body), Err(TriggerError::Rejected(expected.to_owned())));
        }
        assert!(matches!(decoded(404, r#"{"message":"404 Not Found"}"#), Err(TriggerError::TokenRefused(_))));
        assert!(matches!(decoded(401, ""), Err(TriggerError::TokenRefused(_))));
        assert!(matches!(decoded(302, ""), Err(TriggerError::Rejected(_))));
    }

    #[test]
    fn throttles_are_told_from_refusals() {
        let throttled = r#"{"message":{"base":["Too many pipelines created in the last minute. Try again later."]}}"#;
        assert_eq!(decoded(400, throttled), Err(TriggerError::Throttled(None)));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("9"));
        let answer = Response { status: 429, headers, body: b"Retry later".to_vec() };
        assert_eq!(
            decode(&answer, "", || Redactor::new([])),
            Err(TriggerError::Throttled(Some(Duration::from_secs(9))))
        );
    }
}
