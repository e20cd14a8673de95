//! Opens connections before the requests that need them, so that their handshakes run beside other calls.
//!
//! A layer around reqwest's connector: it can begin a connection for a request that is dropped at once, keep it, and give it to the next request.
//! Nothing is sent on it until then. A connection that failed, was closed or grew too old is dropped, and the request opens its own.

use std::collections::VecDeque;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;
use hyper::rt::{Read, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tower_layer::Layer;
use tower_service::Service;

use crate::deadlines::{CONNECT_TIMEOUT, IDLE_TIMEOUT};

/// The connections to one upstream that nobody has used yet. Cloning shares them.
#[derive(Clone, Default)]
pub struct ConnectAhead(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many of the next connections are to be kept for a later request.
    wanted: usize,
    early: VecDeque<EarlyConnection>,
}

struct EarlyConnection {
    begun_at: Instant,
    /// A connection of the connector's own type, which has no name.
    connection: Box<dyn std::any::Any + Send>,
}

impl ConnectAhead {
    /// Begins one connection: `request` is polled until it asks for a connection, and dropped.
    pub async fn begin(&self, request: impl Future) {
        self.state().wanted += 1;
        let mut request = pin!(request);
        poll_fn(|context| {
            drop(request.as_mut().poll(context));
            Poll::Ready(())
        })
        .await;
        // Where a pooled connection was there already, none was asked for.
        self.state().wanted = 0;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the lock is held")
    }

    fn take_wanted(&self) -> bool {
        let mut state = self.state();
        let is_wanted = state.wanted > 0;
        state.wanted = state.wanted.saturating_sub(1);
        is_wanted
    }

    /// The oldest connection that is young enough to be used.
    fn take<C: 'static>(&self) -> Option<oneshot::Receiver<C>> {
        let mut state = self.state();
        while let Some(early) = state.early.pop_front() {
            if early.begun_at.elapsed() < IDLE_TIMEOUT
                && let Ok(connection) = early.connection.downcast()
            {
                return Some(*connection);
            }
        }
        None
    }
}

impl<S> Layer<S> for ConnectAhead {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector { inner, ahead: self.clone() }
    }
}

/// The connector behind the layer.
#[derive(Clone)]
pub struct Connector<S> {
    inner: S,
    ahead: ConnectAhead,
}

impl<S, R> Service<R> for Connector<S>
where
    S: Service<R, Error = Box<dyn Error + Send + Sync>> + Clone + Send + 'static,
    S::Response: Read + Unpin + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if self.ahead.take_wanted() {
            let (sender, receiver) = oneshot::channel::<S::Response>();
            let connecting = timeout(CONNECT_TIMEOUT, self.inner.call(request));
            tokio::spawn(async move {
                if let Ok(Ok(connection)) = connecting.await {
                    // Fails where it was dropped meanwhile.
                    drop(sender.send(connection));
                }
            });
            let early = EarlyConnection { begun_at: Instant::now(), connection: Box::new(receiver) };
            self.ahead.state().early.push_back(early);
            // The request that asked for it is dropped now.
            return Box::pin(std::future::pending());
        }
        let Some(begun) = self.ahead.take::<S::Response>() else { return Box::pin(self.inner.call(request)) };
        let mut inner = self.inner.clone();
        Box::pin(async move {
            if let Ok(mut connection) = begun.await
                && is_alive(&mut connection)
            {
                return Ok(connection);
            }
            poll_fn(|context| inner.poll_ready(context)).await?;
            inner.call(request).await
        })
    }
}

/// Whether the peer has neither closed the connection nor sent anything: an idle HTTP server sends nothing.
fn is_alive(connection: &mut (impl Read + Unpin)) -> bool {
    let mut space = [0; 1];
    let mut buffer = ReadBuf::new(&mut space);
    let mut read = poll_fn(|context| Pin::new(&mut *connection).poll_read(context, buffer.unfilled()));
    let mut context = Context::from_waker(Waker::noop());
    read.poll_unpin(&mut context).is_pending()
}
