//! Lambda's Runtime API: hands invocations to a runtime and waits for what becomes of them.

use crate::clock::Clock;
use crate::http::{Answer, Request};
use crate::server::{Connection, Port, Response};
use crate::service::respond;
use crate::{ACCOUNT, FUNCTION, REGION};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

/// Lambda's limit for a cold start: a runtime that asks for nothing within it is dead.
const INIT: Duration = Duration::from_secs(10);
/// A runtime may open its next connection after closing its last.
const RECONNECT: Duration = Duration::from_millis(250);

/// What became of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Response(Value),
    /// `errorType` and `errorMessage` as the runtime reported them.
    Error(Value),
    /// No word until the deadline, or the runtime is gone. Whoever started the process has to end it.
    Died,
}

impl Reply {
    /// The response, as `Queue::acknowledge` takes it; anything else is a failed invocation.
    pub fn into_response(self) -> Option<Value> {
        match self {
            Self::Response(value) => Some(value),
            Self::Error(_) | Self::Died => None,
        }
    }
}

#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
    clock: Clock,
    port: Arc<Port>,
}

struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Invocation>,
    running: HashMap<String, oneshot::Sender<Reply>>,
    asked_for_next: bool,
    init_error: Option<Value>,
    count: u64,
}

struct Invocation {
    id: String,
    event: Value,
    time: Duration,
    client_context: Option<String>,
    started: oneshot::Sender<()>,
    done: oneshot::Sender<Reply>,
}

impl Runtime {
    pub fn new(clock: Clock, port: Arc<Port>) -> Self {
        let inner = Inner { state: Mutex::default(), changed: watch::Sender::new(0) };
        Self { inner: Arc::new(inner), clock, port }
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Gives the event to the next runtime that asks; its deadline starts when it is handed over.
    pub async fn invoke(&self, event: Value, time: Duration) -> Reply {
        self.invoke_from(None, event, time).await
    }

    /// The same for a direct invoke whose caller sends this client context, as the Runtime API passes it on: decoded, and not looked at.
    pub async fn invoke_from(&self, client_context: Option<&str>, event: Value, time: Duration) -> Reply {
        let client_context = client_context.map(str::to_owned);
        let (started, has_started) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let id = self.enqueue(|id| Invocation { id, event, time, client_context, started, done });
        let reply = tokio::select! {
            reply = is_done => reply.unwrap_or(Reply::Died),
            () = self.given_up(has_started, time) => Reply::Died,
        };
        self.forget(&id);
        reply
    }

    fn enqueue(&self, invocation: impl FnOnce(String) -> Invocation) -> String {
        let mut state = self.lock();
        state.count += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012}", state.count);
        state.waiting.push_back(invocation(id.clone()));
        drop(state);
        self.change();
        id
    }

    fn forget(&self, id: &str) {
        let mut state = self.lock();
        state.running.remove(id);
        state.waiting.retain(|invocation| invocation.id != id);
    }

    /// Returns once a runtime has asked for its first invocation.
    pub async fn waiting_for_next(&self) {
        let mut changes = self.inner.changed.subscribe();
        while !self.lock().asked_for_next {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What a runtime reported when it could not start.
    pub fn init_error(&self) -> Option<Value> {
        self.lock().init_error.clone()
    }

    /// Returns when nothing more is to be hoped for.
    async fn given_up(&self, started: oneshot::Receiver<()>, time: Duration) {
        if !matches!(timeout(INIT, started).await, Ok(Ok(()))) {
            return;
        }
        tokio::select! {
            () = sleep(time) => {}
            () = self.left() => {}
        }
    }

    async fn left(&self) {
        let mut open = self.port.open_connections();
        loop {
            if open.wait_for(|open| *open == 0).await.is_err() {
                return;
            }
            if timeout(RECONNECT, open.wait_for(|open| *open > 0)).await.is_err() {
                return;
            }
        }
    }

    async fn next(&self) -> Answer {
        let mut changes = self.inner.changed.subscribe();
        self.lock().asked_for_next = true;
        self.change();
        loop {
            changes.mark_unchanged();
            let next = self.lock().waiting.pop_front();
            if let Some(invocation) = next {
                return self.hand_over(invocation);
            }
            if changes.changed().await.is_err() {
                return error(500, "InternalServerError");
            }
        }
    }

    fn hand_over(&self, invocation: Invocation) -> Answer {
        let deadline = self.clock.now() + invocation.time;
        let trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";
        let mut answer = Answer::json(200, &invocation.event)
            .with("lambda-runtime-aws-request-id", &invocation.id)
            .with("lambda-runtime-deadline-ms", deadline.timestamp_millis())
            .with("lambda-runtime-invoked-function-arn", function_arn())
            .with("lambda-runtime-trace-id", trace);
        if let Some(client_context) = &invocation.client_context {
            answer = answer.with("lambda-runtime-client-context", client_context);
        }
        self.lock().running.insert(invocation.id, invocation.done);
        // Nobody listens any more where the invoker was dropped.
        let _ = invocation.started.send(());
        answer
    }

    fn finish(&self, id: &str, reply: Reply) -> Answer {
        match self.lock().running.remove(id) {
            Some(done) => {
                let _ = done.send(reply);
                Answer::json(202, &json!({ "status": "OK" }))
            }
            None => error(400, "InvalidRequestID"),
        }
    }

    fn fail_init(&self, body: Value) -> Answer {
        let mut state = self.lock();
        state.init_error = Some(body);
        state.waiting.clear();
        drop(state);
        self.change();
        Answer::json(202, &json!({ "status": "OK" }))
    }

    fn change(&self) {
        self.inner.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("no holder of the runtime panics")
    }
}

pub async fn serve(host: Runtime, request: Request, _connection: Connection) -> Option<Response> {
    let (method, route) = request.route();
    let text = || json!(String::from_utf8_lossy(&request.body));
    let body = request.json().unwrap_or_else(text);
    let answer = match (method, route.as_slice()) {
        ("GET", ["2018-06-01", "runtime", "invocation", "next"]) => host.next().await,
        ("POST", ["2018-06-01", "runtime", "invocation", id, "response"]) => host.finish(id, Reply::Response(body)),
        ("POST", ["2018-06-01", "runtime", "invocation", id, "error"]) => host.finish(id, Reply::Error(body)),
        ("POST", ["2018-06-01", "runtime", "init", "error"]) => host.fail_init(body),
        _ => error(404, "NotFound"),
    };
    Some(respond(answer))
}

pub fn function_arn() -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}")
}

fn error(status: u16, kind: &str) -> Answer {
    Answer::json(status, &json!({ "errorMessage": kind, "errorType": kind }))
}
