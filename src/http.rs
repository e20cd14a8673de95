//! The one HTTP client of all upstreams: one TLS configuration, no redirects, no decompression, capped bodies, a limit on every wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use reqwest::{Client, Request, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

const CONNECT: Duration = Duration::from_secs(2);
/// A connection unused for longer is not trusted with a request that must not be sent twice: while the sandbox was frozen its other end
/// may have hung up.
const IDLE: Duration = Duration::from_secs(30);

/// Sends requests. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct Http {
    tls: rustls::ClientConfig,
    pool: Arc<Mutex<Pool>>,
}

struct Pool {
    client: Client,
    used_at: Option<SystemTime>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// No answer, by what is known of the request's fate. The words say why, without the URL.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing reached the upstream: DNS, refused, TLS, or no connection in time.
    #[error("{0}")]
    NotSent(String),
    /// The request may have been carried out.
    #[error("{0}")]
    Lost(String),
}

impl Http {
    /// A client that trusts the public roots, and those in the PEM file `extra_roots`.
    pub fn new(extra_roots: Option<&str>) -> Result<Self, String> {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = extra_roots {
            let unusable = |error: &dyn std::fmt::Display| {
                format!(
                    "`SSL_CERT_FILE` cannot be used: {error}\n  hint: give the path of a PEM file with your CA's certificates"
                )
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
                roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = client(&tls)?;
        Ok(Self { tls, pool: Arc::new(Mutex::new(Pool { client, used_at: None })) })
    }

    /// Starts afresh with connections if the last use lies too far back at `now`. To be called when an invocation begins.
    pub fn thaw(&self, now: SystemTime) {
        let mut pool = self.pool.lock().expect("no panic while the lock is held");
        let idle = pool.used_at.is_some_and(|used_at| now.duration_since(used_at).is_ok_and(|idle| idle > IDLE));
        if idle && let Ok(client) = client(&self.tls) {
            pool.client = client;
        }
        pool.used_at = Some(now);
    }

    /// Sends `request` and reads at most `cap` bytes of its answer; `limit` is for all of it.
    pub async fn send(&self, request: Request, cap: usize, limit: Duration) -> Result<Answer, NoAnswer> {
        let client = self.pool.lock().expect("no panic while the lock is held").client.clone();
        let exchange = async {
            let mut response = client.execute(request).await.map_err(no_answer)?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer::Lost(cause(error)))? {
                if body.len() + chunk.len() > cap {
                    return Err(NoAnswer::Lost(format!("the answer is longer than {cap} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
        };
        let late = || NoAnswer::Lost(format!("no answer within {:.1} seconds", limit.as_secs_f32()));
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(late()))
    }
}

fn client(tls: &rustls::ClientConfig) -> Result<Client, String> {
    let builder =
        Client::builder().tls_backend_preconfigured(tls.clone()).redirect(redirect::Policy::none()).referer(false);
    let builder = builder
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("glint-gitlab-trigger/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(cause)
}

fn no_answer(error: reqwest::Error) -> NoAnswer {
    if error.is_connect() || error.is_builder() {
        NoAnswer::NotSent(cause(error))
    } else {
        NoAnswer::Lost(cause(error))
    }
}

/// The innermost cause in words: reqwest's own name the URL.
fn cause(error: reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return format!("no connection within {} seconds", CONNECT.as_secs());
    }
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().to_lowercase()
}
