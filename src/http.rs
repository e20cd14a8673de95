//! The one HTTP client of all upstreams: one TLS configuration, no redirects, no decompression, capped bodies, a limit on every wait.

mod connect_ahead;
mod response;
mod tls;
mod url;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use reqwest::{Client, Method, NoProxy, Proxy, Request, Url, redirect};
use secrecy::ExposeSecret as _;

use crate::config::{ProxySettings, TrustedCertificates};
use crate::deadlines::{CONNECT_TIMEOUT, IDLE_TIMEOUT};
use connect_ahead::ConnectAhead;

pub use response::Response;
pub use url::{BaseUrl, percent_encode};

/// Sends requests to one upstream. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
    connections: Arc<Mutex<Connections>>,
}

/// What all upstreams share.
struct Shared {
    tls: rustls::ClientConfig,
    proxy: Option<Proxy>,
    used_at: Mutex<Option<SystemTime>>,
    /// Counts how often idle connections were discarded.
    generation: AtomicU64,
}

/// The connections to one upstream, of one generation.
struct Connections {
    generation: u64,
    client: Client,
    ahead: ConnectAhead,
    /// Whether anything was sent or begun on them.
    used: bool,
}

/// No answer, by what is known of the request's fate. The words say why, without the URL.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing reached the upstream: DNS, refused, TLS, or no connection in time.
    #[error("{0}")]
    NotSent(String),
    /// The request may have been carried out.
    #[error("{0}")]
    ResponseLost(String),
}

impl Http {
    /// A client that trusts the public roots and `trusted`, and calls through `proxy`.
    pub fn new(trusted: &TrustedCertificates, proxy: Option<&ProxySettings>) -> Result<Self, String> {
        let tls = tls::client_config(&trusted.certificates)?;
        let proxy = proxy.map(proxy_for).transpose()?;
        let shared = Shared { tls, proxy, used_at: Mutex::default(), generation: AtomicU64::new(0) };
        Self::with(Arc::new(shared))
    }

    /// The same for another upstream, with connections of its own.
    pub fn for_upstream(&self) -> Result<Self, String> {
        Self::with(Arc::clone(&self.shared))
    }

    fn with(shared: Arc<Shared>) -> Result<Self, String> {
        let connections = shared.connections()?;
        Ok(Self { shared, connections: Arc::new(Mutex::new(connections)) })
    }

    /// Discards the connections of all upstreams that were idle for too long at `now`. To be called when an invocation begins. Whether it
    /// begins without connections.
    pub fn discard_idle_connections(&self, now: SystemTime) -> bool {
        let mut used_at = self.shared.used_at.lock().expect("no panic while the lock is held");
        let is_old = |used_at: SystemTime| now.duration_since(used_at).is_ok_and(|idle| idle > IDLE_TIMEOUT);
        let is_idle = used_at.is_some_and(is_old);
        if is_idle {
            self.shared.generation.fetch_add(1, Ordering::Relaxed);
        }
        used_at.replace(now).is_none() || is_idle
    }

    /// Begins a connection to the server of `url`, unless there is one: its handshakes run beside whatever comes first. Nothing is sent on it.
    pub async fn connect_ahead(&self, url: Url) {
        let (client, ahead) = {
            let mut connections = self.connections();
            // On a connection that is there already, the request that asks for one would be sent.
            if std::mem::replace(&mut connections.used, true) {
                return;
            }
            (connections.client.clone(), connections.ahead.clone())
        };
        ahead.begin(client.execute(Request::new(Method::GET, url))).await;
    }

    /// The connections of the current generation.
    fn connections(&self) -> MutexGuard<'_, Connections> {
        let generation = self.shared.generation.load(Ordering::Relaxed);
        let mut connections = self.connections.lock().expect("no panic while the lock is held");
        if connections.generation != generation
            && let Ok(fresh) = self.shared.connections()
        {
            *connections = fresh;
        }
        connections
    }

    /// Sends `request` and reads at most `cap` bytes of its answer; `limit` is for all of it.
    pub async fn send(&self, request: Request, cap: usize, limit: Duration) -> Result<Response, SendError> {
        let client = {
            let mut connections = self.connections();
            connections.used = true;
            connections.client.clone()
        };
        let exchange = async {
            let mut response = client.execute(request).await.map_err(no_answer)?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| SendError::ResponseLost(cause(error)))? {
                if body.len() + chunk.len() > cap {
                    return Err(SendError::ResponseLost(format!("the answer is longer than {cap} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Response { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body })
        };
        let late = || SendError::ResponseLost(format!("no answer within {:.1} seconds", limit.as_secs_f32()));
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(late()))
    }
}

/// The proxy of all calls but those to loopback that are plain http.
fn proxy_for(settings: &ProxySettings) -> Result<Proxy, String> {
    let proxy = Proxy::https(settings.url.expose_secret()).map_err(|_| "`HTTPS_PROXY` cannot be used".to_owned())?;
    Ok(proxy.no_proxy(settings.exceptions.as_deref().and_then(NoProxy::from_string)))
}

impl Shared {
    /// Fresh connections to one upstream: none is open yet.
    fn connections(&self) -> Result<Connections, String> {
        let ahead = ConnectAhead::default();
        let client = client(&self.tls, self.proxy.as_ref(), ahead.clone())?;
        Ok(Connections { generation: self.generation.load(Ordering::Relaxed), client, ahead, used: false })
    }
}

fn client(tls: &rustls::ClientConfig, proxy: Option<&Proxy>, ahead: ConnectAhead) -> Result<Client, String> {
    // Its own reading of the environment ignores what it cannot parse.
    let builder = Client::builder().no_proxy();
    let builder = proxy.into_iter().fold(builder, |builder, proxy| builder.proxy(proxy.clone()));
    let builder = builder
        .tls_backend_preconfigured(tls.clone())
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .connector_layer(ahead)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("glint-gitlab-trigger/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(cause)
}

fn no_answer(error: reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() || was_closed_before(&error) {
        SendError::NotSent(cause(error))
    } else {
        SendError::ResponseLost(cause(error))
    }
}

/// Whether the connection was closed before anything of the request was written.
fn was_closed_before(error: &reqwest::Error) -> bool {
    let mut sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    sources.any(|source| source.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// The innermost cause in words: reqwest's own name the URL.
fn cause(error: reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs());
    }
    let error = error.without_url();
    let mut innermost: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(fault) = innermost.downcast_ref() {
            return tls::describe(fault).to_owned();
        }
        // An `io::Error` does not give what it wraps as its source.
        let wrapped = innermost.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| innermost.source()) {
            Some(source) => innermost = source,
            None => return innermost.to_string().to_lowercase(),
        }
    }
}
