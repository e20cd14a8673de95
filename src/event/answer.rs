//! Answers each source as it understands.

use std::collections::HashMap;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;
use crate::outcome::{Outcome, Reply, Verdict};

/// Who called, by how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Queue,
    Topic,
    Web,
    Notice,
}

/// The invocation has to fail, so that its source brings the deliveries again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MustComeAgain(pub String);

impl Source {
    /// Answers: `verdicts` are in the order of the deliveries, each with the id that the source gave it.
    pub fn answer(self, verdicts: &[(Option<String>, Verdict)]) -> Result<Box<RawValue>, MustComeAgain> {
        match self {
            Self::Queue => queue_answer(verdicts),
            Self::Topic => topic_answer(verdicts),
            Self::Web => Ok(web_answer(verdicts.first().map(|(_, verdict)| verdict))),
            Self::Notice => notice_answer(verdicts),
        }
    }
}

/// Exactly the ids that must come again. One without an id could not be named, so it fails the batch: AWS would take an empty id so too.
fn queue_answer(verdicts: &[(Option<String>, Verdict)]) -> Result<Box<RawValue>, MustComeAgain> {
    let mut response = SqsBatchResponse::default();
    for (id, _) in verdicts.iter().filter(|(_, verdict)| verdict.again()) {
        let id = id
            .as_ref()
            .filter(|id| !id.is_empty())
            .ok_or_else(|| MustComeAgain("a message without an id must come again".to_owned()))?;
        let mut failure = BatchItemFailure::default();
        failure.item_identifier.clone_from(id);
        response.batch_item_failures.push(failure);
    }
    Ok(json::raw(&response))
}

/// A topic brings the whole batch again. What nobody will ever be able to read or believe must not block its partition.
fn topic_answer(verdicts: &[(Option<String>, Verdict)]) -> Result<Box<RawValue>, MustComeAgain> {
    let passed_over = |verdict: &Verdict| matches!(verdict.outcome, Outcome::Unreadable { .. } | Outcome::Unproven(_));
    let again = verdicts.iter().filter(|(_, verdict)| verdict.again() && !passed_over(verdict)).count();
    if again > 0 {
        return Err(MustComeAgain(format!("{again} of {} records must come again", verdicts.len())));
    }
    Ok(json::raw(&serde_json::json!({})))
}

fn notice_answer(verdicts: &[(Option<String>, Verdict)]) -> Result<Box<RawValue>, MustComeAgain> {
    if let Some((_, verdict)) = verdicts.iter().find(|(_, verdict)| verdict.again()) {
        let run = verdict.run_id.as_ref().map(|id| format!("run `{id}`: ")).unwrap_or_default();
        let reason = verdict.outcome.reason().map_or_else(|| verdict.outcome.name().to_owned(), |(reason, _)| reason);
        return Err(MustComeAgain(run + &reason));
    }
    let mut bodies: Vec<_> = verdicts.iter().map(|(_, verdict)| verdict.body()).collect();
    Ok(if bodies.len() == 1 { json::raw(&bodies.remove(0)) } else { json::raw(&bodies) })
}

/// The answer for the one delivery that a request holds.
fn web_answer(verdict: Option<&Verdict>) -> Box<RawValue> {
    let nothing = || Reply { status: 500, retry_after: None, body: Value::Null };
    response(&verdict.map_or_else(nothing, Verdict::reply))
}

/// `reply` as function URLs and HTTP APIs take it.
pub(super) fn response(reply: &Reply) -> Box<RawValue> {
    let mut headers = HashMap::from([("content-type", "application/json".to_owned())]);
    if let Some(wait) = reply.retry_after {
        headers.insert("retry-after", wait.as_secs().max(1).to_string());
    }
    if reply.status == 405 {
        headers.insert("allow", "POST".to_owned());
    }
    let mut response = LambdaFunctionUrlResponse::default();
    response.status_code = reply.status.into();
    response.body = Some(reply.body.to_string());
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers.insert(name, value);
        }
    }
    json::raw(&response)
}
