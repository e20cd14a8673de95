//! Reads Glint's answers: both shapes of a run, and errors that may be words or objects.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::Object;
use crate::run::{RunId, Standing, Status};

/// The run of an answer. `None` where it shows none, or one without an id and a status.
pub fn run(body: &[u8]) -> Option<Standing> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        run: Object<'a>,
    }
    standing(&serde_json::from_slice::<Answer>(body).ok()?.run)
}

/// The label of the run that an answer shows, which may bear none. `None` where the answer shows no run, or one without an id and a status.
pub fn label(body: &[u8]) -> Option<Option<String>> {
    #[derive(Deserialize)]
    struct Answer {
        run: Labelled,
    }
    #[derive(Deserialize)]
    struct Labelled {
        #[serde(rename = "id")]
        _id: IgnoredAny,
        #[serde(rename = "status")]
        _status: IgnoredAny,
        #[serde(rename = "statusLabel")]
        label: Option<String>,
    }
    serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.run.label)
}

/// The runs of a list. Those that cannot be read are left out.
pub fn runs(body: &[u8]) -> Option<Vec<Standing>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        runs: Vec<&'a RawValue>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    Some(answer.runs.into_iter().filter_map(|run| standing(&Object::parse(run.get()).ok()?)).collect())
}

/// The code and the words of an error: `error` is a string, or on newer routes an object.
pub fn error(body: &[u8]) -> (String, String) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let error = &value["error"];
    let code = if error.is_object() { text(&error["name"]) } else { text(error) };
    let words = [&value["message"], &error["message"]].into_iter().map(text).find(|words| !words.is_empty());
    (code.clone(), words.unwrap_or(code))
}

fn standing(run: &Object) -> Option<Standing> {
    let text = |name: &str| run.string(name).map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty());
    Some(Standing {
        id: RunId::parse(&text("id")?)?,
        status: status(&text("status")?),
        label: text("statusLabel"),
        link: text("link").or_else(|| first_link(run)),
        external_id: text("externalRunId"),
        updated_at: text("updatedAt")
            .and_then(|at| DateTime::parse_from_rfc3339(&at).ok())
            .map(|at| at.with_timezone(&Utc)),
        inputs: run.get("properties").map(RawValue::to_owned),
        started_by: started_by(run),
        synchronized: run.object("payload").ok().flatten().is_some_and(|payload| payload.is_true("synchronized")),
    })
}

fn status(word: &str) -> Status {
    match word {
        "IN_PROGRESS" => Status::InProgress,
        "WAITING_FOR_APPROVAL" => Status::WaitingForApproval,
        "SUCCESS" | "FAILURE" | "DECLINED" => Status::Ended,
        // Told to people, so only as long as it looks like Glint's other words.
        other if other.len() <= 40 && other.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
            Status::Unknown(other.to_owned())
        }
        _ => Status::Unknown("?".to_owned()),
    }
}

/// `link` may be a list.
fn first_link(run: &Object) -> Option<String> {
    let links: Vec<String> = serde_json::from_str(run.get("link")?.get()).ok()?;
    links.into_iter().find(|link| !link.is_empty())
}

/// `createdBy` is a user id; newer answers may carry the user, with an e-mail address, instead.
fn started_by(run: &Object) -> Option<String> {
    let user = run.object("createdBy").ok().flatten();
    let email = user.and_then(|user| user.string("email").map(std::borrow::Cow::into_owned));
    email.or_else(|| run.string("createdBy").map(std::borrow::Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_run_are_read() {
        let older = run(br#"{"ok":true,"run":{"id":"r_1","status":"IN_PROGRESS","action":"deploy","endedAt":null,"source":"UI","properties":{"a":1}}}"#).unwrap();
        assert_eq!((older.status, older.label, older.link), (Status::InProgress, None, None));
        let newer = run(br#"{"run":{"id":"r_1","status":"SUCCESS","action":{"identifier":"d"},"statusLabel":"x","link":["https://a"],"externalRunId":"gl_1_2","updatedAt":"2024-03-27T09:12:03.120Z","payload":{"synchronized":true}}}"#).unwrap();
        assert_eq!(
            (newer.status, newer.link.as_deref(), newer.external_id.as_deref()),
            (Status::Ended, Some("https://a"), Some("gl_1_2"))
        );
        assert!(newer.synchronized && newer.updated_at.is_some());
        assert_eq!(run(br#"{"run":{"id":"r_1","status":"IN_PROGRESS","link":[]}}"#).unwrap().link, None);
    }

    #[test]
    fn what_is_no_run_is_not_guessed() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"run":null}"#,
            r#"{"run":{"id":"r_1"}}"#,
            r#"{"run":{"status":"IN_PROGRESS"}}"#,
            r#"{"run":{"id":7,"status":1}}"#,
        ] {
            assert!(run(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn errors_are_read_as_words_or_objects() {
        assert_eq!(error(br#"{"ok":false,"error":"not_found","message":"no"}"#), ("not_found".into(), "no".into()));
        assert_eq!(
            error(br#"{"error":{"name":"run_synchronized_error","message":"sync"}}"#),
            ("run_synchronized_error".into(), "sync".into())
        );
        assert_eq!(error(b"<html>"), (String::new(), String::new()));
    }
}
