//! Handles one request to an upstream: records it, applies its fault, routes it, and answers.

use crate::faults::{Action, Fault, Faults, Met};
use crate::hold::HoldAt;
use crate::http::{Answer, Request};
use crate::journal::{Call, Entry, Journal, Upstream};
use crate::malformed;
use crate::payload::Payload;
use crate::server::{Connection, Response};
use std::sync::Arc;

pub type Handler = dyn Fn(Call, &Request) -> Answer + Send + Sync;

/// What the shared plumbing needs of an upstream.
#[derive(Clone)]
pub struct Service {
    pub upstream: Upstream,
    pub classify: fn(&Request) -> Call,
    pub answer: Arc<Handler>,
}

pub async fn handle(
    service: Service,
    journal: Journal,
    faults: Faults,
    request: Request,
    connection: Connection,
) -> Option<Response> {
    let call = (service.classify)(&request);
    let entry = journal.open(service.upstream, call, &request, connection.number);
    let Met { fault, hold, before, after } = faults.meet(&entry.exchange());
    let run = |actions: &[Action]| actions.iter().for_each(|action: &Action| action(&entry.exchange()));
    run(&before);
    match (&hold, &fault) {
        (Some((HoldAt::Unanswered, gate)), _) => {
            let gate = gate.clone();
            tokio::spawn(async move {
                gate.wait().await;
                apply(&service, call, &request, &entry);
                gate.applied();
            });
            return None;
        }
        (Some((HoldAt::Before, gate)), _) => gate.wait().await,
        (_, Some(Fault::AppliedLate(time))) => {
            let time = *time;
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                apply(&service, call, &request, &entry);
            });
            return None;
        }
        _ => {}
    }
    if let Some(Fault::Delay(time)) = fault {
        tokio::time::sleep(time).await;
    }
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.applies()) {
        return unapplied(fault, &entry, &connection).await;
    }
    let answer = apply(&service, call, &request, &entry);
    run(&after);
    if let Some((HoldAt::After, gate)) = hold {
        gate.wait().await;
    }
    applied(fault, answer, &entry, &connection).await
}

fn apply(service: &Service, call: Call, request: &Request, entry: &Entry) -> Answer {
    let answer = (service.answer)(call, request);
    entry.applied(answer.stray);
    answer
}

async fn unapplied(fault: &Fault, entry: &Entry, connection: &Connection) -> Option<Response> {
    match fault {
        Fault::ResetBefore => connection.reset(),
        Fault::StallBefore => std::future::pending().await,
        Fault::Redirect { status, location } => {
            let answer = Answer::text(*status, "").with("location", location);
            return Some(send(entry, answer));
        }
        Fault::Status { .. } => return Some(send(entry, instead(fault))),
        _ => {}
    }
    None
}

async fn applied(fault: Option<Fault>, mut answer: Answer, entry: &Entry, connection: &Connection) -> Option<Response> {
    let Some(fault) = fault else {
        return Some(send(entry, answer));
    };
    let pace: fn(Vec<u8>) -> Payload = match fault {
        Fault::SlowBody => Payload::byte_by_second,
        Fault::ResetInBody => Payload::half_then_cut,
        _ if answer.streamed => Payload::streamed,
        _ => Payload::at_once,
    };
    match fault {
        Fault::DropAfter => return None,
        Fault::ResetAfter => {
            connection.reset();
            return None;
        }
        Fault::StallAfter => std::future::pending().await,
        Fault::ResetInBody => connection.reset(),
        Fault::Garbage => {
            let html = "<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>";
            answer = Answer::new(answer.status, "text/html; charset=utf-8", html);
        }
        Fault::EmptyBody => answer.body.clear(),
        Fault::WrongTypes => answer.body = malformed::wrong_types(&answer).to_string().into_bytes(),
        Fault::HugeBody => answer.body = malformed::huge(&answer),
        Fault::GzipBomb => {
            answer.body = malformed::gzip_bomb();
            answer = answer.with("content-encoding", "gzip");
        }
        Fault::Status { .. } => answer = instead(&fault),
        _ => {}
    }
    Some(send_as(entry, answer, pace))
}

fn instead(fault: &Fault) -> Answer {
    let Fault::Status { code, body, retry_after, .. } = fault else {
        unreachable!("only a status stands for an answer")
    };
    let kind = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain" };
    let answer = Answer::new(*code, kind, body.clone());
    match retry_after {
        Some(time) => answer.with("retry-after", time),
        None => answer,
    }
}

fn send(entry: &Entry, answer: Answer) -> Response {
    let pace = if answer.streamed { Payload::streamed } else { Payload::at_once };
    send_as(entry, answer, pace)
}

fn send_as(entry: &Entry, answer: Answer, pace: fn(Vec<u8>) -> Payload) -> Response {
    entry.answered(answer.status);
    paced(answer, pace)
}

/// The answer as it is, at once.
pub fn respond(answer: Answer) -> Response {
    paced(answer, Payload::at_once)
}

fn paced(answer: Answer, pace: fn(Vec<u8>) -> Payload) -> Response {
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(pace(answer.body)).expect("the sandbox writes valid heads")
}
