//! Every request to an upstream, in order of arrival.

use crate::http::Request;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    GitLab,
    Glint,
    SecretsManager,
    Queue,
    Runtime,
}

/// What a request asks for, whatever its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    Login,
    GetRun,
    FindRuns,
    PatchRun,
    PostLog,
    UpsertEntity,
    Trigger,
    ListPipelines,
    GetPipeline,
    PipelineVariables,
    PipelineJobs,
    Artifact,
    Project,
    GetSecret,
    SendMessage,
    ChangeVisibility,
    QueueAttributes,
    Other,
}

impl Call {
    pub const ALL: [Self; 18] = [
        Self::Login,
        Self::GetRun,
        Self::FindRuns,
        Self::PatchRun,
        Self::PostLog,
        Self::UpsertEntity,
        Self::Trigger,
        Self::ListPipelines,
        Self::GetPipeline,
        Self::PipelineVariables,
        Self::PipelineJobs,
        Self::Artifact,
        Self::Project,
        Self::GetSecret,
        Self::SendMessage,
        Self::ChangeVisibility,
        Self::QueueAttributes,
        Self::Other,
    ];

    /// The call of this name, as `Debug` writes it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| format!("{call:?}") == name)
    }
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its place in the order of arrival, from 1.
    pub number: u64,
    pub upstream: Upstream,
    pub call: Call,
    pub method: String,
    pub path_and_query: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Of the answer that was sent; none while it is awaited, and none for ever where the connection was cut instead.
    pub status: Option<u16>,
    /// The upstream handled it, whatever it answered.
    pub applied: bool,
    /// It met no route, or said something in its URL that belongs in its body.
    pub stray: bool,
    /// A trigger token or another credential stood in the query.
    pub token_in_url: bool,
    /// Numbers the connections of its upstream from 1.
    pub connection: u64,
    pub started: Instant,
    pub ended: Option<Instant>,
}

impl Exchange {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text, for a look at the exact bytes.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A shared list of exchanges that can be waited on.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    exchanges: Mutex<Vec<Exchange>>,
    arrivals: AtomicU64,
    changed: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self(Arc::new(Inner {
            exchanges: Mutex::default(),
            arrivals: AtomicU64::new(0),
            changed: watch::Sender::new(0),
        }))
    }
}

impl Journal {
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().clone()
    }

    pub fn of(&self, call: Call) -> Vec<Exchange> {
        let mut found = self.exchanges();
        found.retain(|exchange| exchange.call == call);
        found
    }

    /// The calls in order of arrival: the shortest description of what was done.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().iter().map(|exchange| exchange.call).collect()
    }

    pub fn count(&self, call: Call) -> usize {
        let exchanges = self.lock();
        exchanges.iter().filter(|one| one.call == call).count()
    }

    /// Requests that met no route, or carried in the URL what belongs in the body.
    pub fn stray(&self) -> Vec<Exchange> {
        let mut found = self.exchanges();
        found.retain(|exchange| exchange.stray);
        found
    }

    /// Forgets what happened so far.
    pub fn clear(&self) {
        self.lock().retain(|exchange| exchange.ended.is_none());
    }

    /// The first exchange, past or to come, of which `wanted` holds; asked again at each change of an exchange.
    pub async fn wait_for(&self, wanted: impl Fn(&Exchange) -> bool) -> Exchange {
        let mut changes = self.0.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.lock().iter().find(|exchange| wanted(exchange)) {
                return found.clone();
            }
            changes.changed().await.expect("the journal outlives its waiters");
        }
    }

    /// Waits until this many such requests have arrived.
    pub async fn wait_for_count(&self, call: Call, count: usize) {
        let mut changes = self.0.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if self.count(call) >= count {
                return;
            }
            changes.changed().await.expect("the journal outlives its waiters");
        }
    }

    pub(super) fn open(&self, upstream: Upstream, call: Call, request: &Request, connection: u64) -> Entry {
        let mut exchanges = self.lock();
        let number = self.0.arrivals.fetch_add(1, Ordering::Relaxed) + 1;
        exchanges.push(Exchange {
            number,
            upstream,
            call,
            method: request.method.clone(),
            path_and_query: request.path_and_query(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            status: None,
            applied: false,
            stray: false,
            token_in_url: request.credential_in_query(),
            connection,
            started: Instant::now(),
            ended: None,
        });
        drop(exchanges);
        self.changed();
        Entry { journal: self.clone(), number }
    }

    fn changed(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.0.exchanges.lock().expect("no holder of the journal panics")
    }
}

/// An exchange under way; it ends when dropped, so also when its client hangs up.
pub(super) struct Entry {
    journal: Journal,
    number: u64,
}

impl Entry {
    pub fn applied(&self, stray: bool) {
        self.change(|exchange| {
            exchange.applied = true;
            exchange.stray = stray;
        });
    }

    pub fn answered(&self, status: u16) {
        self.change(|exchange| exchange.status = Some(status));
    }

    pub fn exchange(&self) -> Exchange {
        let exchanges = self.journal.lock();
        let found = exchanges.iter().rfind(|one| one.number == self.number);
        found.expect("an open exchange is kept").clone()
    }

    fn change(&self, how: impl FnOnce(&mut Exchange)) {
        let mut exchanges = self.journal.lock();
        if let Some(exchange) = exchanges.iter_mut().rfind(|one| one.number == self.number) {
            how(exchange);
        }
        drop(exchanges);
        self.journal.changed();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.change(|exchange| exchange.ended = Some(Instant::now()));
    }
}
