//! Parses GitLab's response to a trigger.

use serde::Deserialize;
use serde_json::Value;

use super::TriggerError;
use crate::gitlab::types::{Pipeline, Project, pipeline_page};
use crate::http::Response;
use crate::telemetry::redaction::Redactor;

/// GitLab's words for its limit of pipelines a minute, which it sends as a 400 and without a wait.
const THROTTLED: &str = "Too many pipelines created in the last minute";

/// Sorts `answer`, of a trigger of `project` at the GitLab of `base_url`, into what a caller can do about it. GitLab's words are shown to
/// people, behind `redactor`, which is made only where there are words.
pub fn decode(
    answer: &Response,
    base_url: &str,
    project: &Project,
    redactor: impl Fn() -> Redactor,
) -> Result<Pipeline, TriggerError> {
    let message = || {
        let words = redactor().sanitize_line(&words(&answer.body));
        if words.is_empty() {
            format!("status {}", answer.status)
        } else {
            format!("{words} (status {})", answer.status)
        }
    };
    Err(match answer.status {
        201 => {
            let created = parse_created(&answer.body, base_url, project, redactor)
                .ok_or_else(|| TriggerError::Unknown("GitLab's 201 cannot be read".to_owned()))?;
            match created {
                Created { pipeline, has_failed: false } => return Ok(pipeline),
                Created { pipeline, has_failed: true } => TriggerError::Failed(pipeline),
            }
        }
        401 | 404 => TriggerError::TokenRefused(message()),
        400 if words(&answer.body).contains(THROTTLED) => TriggerError::Throttled(None),
        429 => TriggerError::Throttled(answer.retry_after()),
        // GitLab may have created the pipeline before it said so.
        408 | 409 | 425 => TriggerError::Unknown(message()),
        400..=499 => TriggerError::Rejected(message()),
        300..=399 => TriggerError::Rejected(format!(
            "GitLab answered with a redirect (status {}), which is not followed; check `GITLAB_URL`",
            answer.status
        )),
        _ => TriggerError::Unknown(message()),
    })
}

/// A pipeline that a 201 tells of.
struct Created {
    pipeline: Pipeline,
    /// Older versions of GitLab answer 201 for a pipeline that failed as it was created.
    has_failed: bool,
}

fn parse_created(body: &[u8], base_url: &str, project: &Project, redactor: impl Fn() -> Redactor) -> Option<Created> {
    #[derive(Deserialize)]
    struct Body {
        id: u64,
        project_id: Option<u64>,
        #[serde(default)]
        web_url: Value,
        #[serde(default)]
        status: Value,
    }
    let Body { id, project_id, web_url, status } = serde_json::from_slice(body).ok()?;
    let path = if project.is_numeric() { String::new() } else { project.path() };
    let built = pipeline_page("", base_url, &path, id);
    let given = pipeline_page(web_url.as_str().unwrap_or_default(), base_url, &path, id);
    // The page that is built repeats no secret.
    let is_clean = given == built || redactor().redact(&given) == given;
    let url = if is_clean { given } else { built };
    Some(Created { pipeline: Pipeline { id, project_id, url }, has_failed: status == "failed" })
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
            "https://gitlab.example.com",
            &Project::parse_path("g/p").unwrap(),
            || Redactor::new([&SecretString::from("glptt-secret-token")]),
        )
    }

    #[test]
    fn a_created_pipeline_is_read_leniently() {
        let pipeline =
            decoded(201, r#"{"id":257,"project_id":123,"web_url":"http://127.0.0.1/g/p/-/pipelines/257","new":{}}"#)
                .unwrap();
        assert_eq!(pipeline.external_id().as_deref(), Some("gl_123_257"));
        let older = decoded(201, r#"{"id":257,"web_url":"http://127.0.0.1/g/p/-/pipelines/257","status":"created"}"#);
        assert_eq!(older.unwrap().external_id(), None);
    }

    #[test]
    fn a_pipeline_that_failed_as_it_was_created_is_told_from_one_that_runs() {
        let failed = decoded(201, r#"{"id":7,"project_id":1,"status":"failed"}"#);
        assert!(matches!(failed, Err(TriggerError::Failed(Pipeline { id: 7, .. }))));
    }

    #[test]
    fn a_link_that_is_not_the_pipeline_s_page_is_built_instead() {
        let page = "https://gitlab.example.com/g/p/-/pipelines/7";
        for given in [
            page.to_owned(),
            format!("{page}?glptt-secret-token"),
            "https://glptt-secret-token.example.com/g/p/-/pipelines/7".to_owned(),
            "javascript:alert(1)".to_owned(),
            "https://gitlab.example.com/g/other/-/pipelines/7".to_owned(),
            String::new(),
        ] {
            let body = format!(r#"{{"id":7,"project_id":1,"web_url":"{given}"}}"#);
            assert_eq!(decoded(201, &body).unwrap().url, page, "{given}");
        }
        let public = "https://git.example.org/sub/G/p/-/pipelines/7";
        let body = format!(r#"{{"id":7,"project_id":1,"web_url":"{public}"}}"#);
        assert_eq!(decoded(201, &body).unwrap().url, public);
    }

    #[test]
    fn an_answer_that_proves_nothing_is_unknown() {
        for (status, body) in [
            (200, "{}"),
            (202, ""),
            (201, ""),
            (201, "<html>"),
            (201, r#"{"id":"257"}"#),
            (201, r#"{"id":-1,"project_id":2}"#),
            (408, ""),
            (409, r#"{"message":"409 Conflict: Resource lock"}"#),
            (425, ""),
            (500, ""),
            (502, "<html>"),
            (504, ""),
            (600, ""),
        ] {
            assert!(matches!(decoded(status, body), Err(TriggerError::Unknown(_))), "{status} {body}");
        }
    }

    #[test]
    fn every_other_4xx_is_gitlab_s_no() {
        for status in (400..500).filter(|status| ![401, 404, 408, 409, 425, 429].contains(status)) {
            let said = decoded(status, r#"{"message":"no"}"#);
            assert_eq!(said, Err(TriggerError::Rejected(format!("no (status {status})"))));
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
            decode(&answer, "", &Project::by_id("1").unwrap(), || Redactor::new([])),
            Err(TriggerError::Throttled(Some(Duration::from_secs(9))))
        );
    }
}
