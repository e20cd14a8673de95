//! Parses Glint's responses: both shapes of a run, and errors that are strings or objects.

use std::borrow::Cow;

use chrono::DateTime;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::glint::run::{RunId, RunState, RunStatus};
use crate::json::{self, Object};

/// The run of an answer. `None` where it shows none, or one without an id and a status.
pub fn run(body: &[u8]) -> Option<RunState> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        run: Object<'a>,
    }
    state(&serde_json::from_slice::<Response>(body).ok()?.run)
}

/// What the answer to a PATCH shows of the run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VisibleFields {
    pub label: Option<String>,
    pub external_id: Option<String>,
    pub links: Vec<String>,
}

/// What a protocol step needs of the run in an answer. `None` where the answer shows no run, or one without an id and a status.
pub fn visible_fields(body: &[u8]) -> Option<VisibleFields> {
    #[derive(Deserialize)]
    struct Response {
        run: Run,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Run {
        #[serde(rename = "id")]
        _id: IgnoredAny,
        #[serde(rename = "status")]
        _status: IgnoredAny,
        status_label: Option<String>,
        external_run_id: Option<String>,
        link: Option<Box<RawValue>>,
    }
    let run = serde_json::from_slice::<Response>(body).ok()?.run;
    let links = run.link.map(|link| links(&link)).unwrap_or_default();
    Some(VisibleFields { label: run.status_label, external_id: run.external_run_id, links })
}

/// Some of the runs that Glint was asked for.
pub struct RunPage {
    pub runs: Vec<RunState>,
    /// What the rest is asked for with. Only its absence means that there is none: a page may be short, or empty, and have one.
    pub next: Option<String>,
}

/// The runs of a list. Those that cannot be read are left out.
pub fn runs(body: &[u8]) -> Option<RunPage> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        runs: Vec<&'a RawValue>,
        #[serde(default)]
        next: Value,
    }
    let answer: Response = serde_json::from_slice(body).ok()?;
    let runs = answer.runs.into_iter().filter_map(|run| state(&Object::parse(run.get()).ok()?)).collect();
    let next = answer.next.as_str().filter(|token| !token.is_empty()).map(str::to_owned);
    Some(RunPage { runs, next })
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

fn state(run: &Object) -> Option<RunState> {
    let text = |name: &str| run.string(name).map(Cow::into_owned).filter(|text| !text.is_empty());
    let time = |name: &str| Some(DateTime::parse_from_rfc3339(&text(name)?).ok()?.to_utc());
    let payload = run.object("payload").ok().flatten().unwrap_or_default();
    Some(RunState {
        id: RunId::parse(&text("id")?)?,
        status: status(&text("status")?),
        has_succeeded: text("status").as_deref() == Some("SUCCESS"),
        label: text("statusLabel"),
        links: run.get("link").map(links).unwrap_or_default(),
        external_id: text("externalRunId"),
        created_at: time("createdAt"),
        updated_at: time("updatedAt"),
        ended_at: time("endedAt"),
        inputs: run.get("properties").map(RawValue::to_owned),
        started_by: started_by(run),
        synchronized: payload.is_true("synchronized"),
        action_url: payload.string("url").map(Cow::into_owned),
        action_body: payload.get("body").map(RawValue::to_owned),
    })
}

fn status(word: &str) -> RunStatus {
    match word {
        "IN_PROGRESS" => RunStatus::InProgress,
        "WAITING_FOR_APPROVAL" => RunStatus::WaitingForApproval,
        "SUCCESS" | "FAILURE" | "DECLINED" => RunStatus::Ended,
        // Told to people, so only as long as it looks like Glint's other words.
        other if other.len() <= 40 && other.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
            RunStatus::Unknown(other.to_owned())
        }
        _ => RunStatus::Unknown("?".to_owned()),
    }
}

/// `link` is a string or a list.
fn links(value: &RawValue) -> Vec<String> {
    let links = json::string(value).map(|link| vec![link.into_owned()]);
    let links = links.or_else(|| serde_json::from_str(value.get()).ok()).unwrap_or_default();
    links.into_iter().filter(|link| !link.is_empty()).collect()
}

/// `createdBy` is a user id; newer answers may carry the user, with an e-mail address, instead.
fn started_by(run: &Object) -> Option<String> {
    let user = run.object("createdBy").ok().flatten();
    let email = user.and_then(|user| user.string("email").map(Cow::into_owned));
    email.or_else(|| run.string("createdBy").map(Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_run_are_read() {
        let older = run(br#"{"ok":true,"run":{"id":"r_1","status":"IN_PROGRESS","action":"deploy","endedAt":null,"source":"UI","properties":{"a":1}}}"#).unwrap();
        assert_eq!((older.status, older.label, older.links), (RunStatus::InProgress, None, Vec::new()));
        let newer = run(br#"{"run":{"id":"r_1","status":"SUCCESS","action":{"identifier":"d"},"statusLabel":"x","link":["https://a"],"externalRunId":"gl_1_2","updatedAt":"2024-03-27T09:12:03.120Z","payload":{"synchronized":true}}}"#).unwrap();
        assert_eq!(
            (newer.status, newer.links.as_slice(), newer.external_id.as_deref()),
            (RunStatus::Ended, ["https://a".to_owned()].as_slice(), Some("gl_1_2"))
        );
        assert!(newer.synchronized && newer.updated_at.is_some());
        assert_eq!(run(br#"{"run":{"id":"r_1","status":"IN_PROGRESS","link":[]}}"#).unwrap().links, [""; 0]);
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
