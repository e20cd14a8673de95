//! Listening, accepting, refusing: HTTP/1.1 connections turned into whole requests.

use crate::http::Request;
use crate::payload::{Cut, Payload};
use crate::tls::Tls;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub type Response = hyper::Response<Payload>;

/// One upstream's address, whether or not it listens just now.
pub struct Port {
    address: SocketAddr,
    /// Unset: connections are plain.
    tls: OnceLock<Arc<Tls>>,
    listening: Mutex<Listening>,
    /// Moves when open connections have to close.
    outages: watch::Sender<u64>,
    opened: AtomicU64,
    /// How many connections are open now.
    open: watch::Sender<usize>,
}

#[derive(Default)]
struct Listening {
    listener: Option<TcpListener>,
    /// The acceptor, asleep while nobody listens.
    waiting: Option<Waker>,
}

impl Port {
    pub fn open(number: u16) -> io::Result<Arc<Self>> {
        let listener = bind((Ipv4Addr::LOCALHOST, number).into())?.listen(1024)?;
        let address = listener.local_addr()?;
        Ok(Arc::new(Self {
            address,
            tls: OnceLock::new(),
            listening: Mutex::new(Listening { listener: Some(listener), waiting: None }),
            outages: watch::Sender::new(0),
            opened: AtomicU64::new(0),
            open: watch::Sender::new(0),
        }))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections are TLS.
    pub fn secure(&self, tls: Arc<Tls>) {
        // It is secured once, before anybody knows its URL.
        let _ = self.tls.set(tls);
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.get().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub fn open_connections(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<TcpStream> {
        let mut listening = self.listening.lock().expect("no holder panics");
        loop {
            let accepted = match &listening.listener {
                Some(listener) => listener.poll_accept(context),
                None => Poll::Pending,
            };
            match accepted {
                Poll::Ready(Ok((stream, _))) => return Poll::Ready(stream),
                // The client left before it was accepted.
                Poll::Ready(Err(_)) => {}
                Poll::Pending => {
                    listening.waiting = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// While it lives, its port is bound but does not listen: connecting is refused, and nobody else can take the port.
pub struct Refusal {
    port: Arc<Port>,
    socket: Option<TcpSocket>,
}

pub fn refuse(port: Arc<Port>) -> Refusal {
    port.listening.lock().expect("no holder panics").listener = None;
    port.outages.send_modify(|count| *count += 1);
    let socket = bind(port.address).expect("the port was ours a moment ago");
    Refusal { port, socket: Some(socket) }
}

impl Refusal {
    /// Returns once every connection that was open is closed and its client had time to notice. Without this a client
    /// may still send on a connection that it believes open, and lose it without an answer.
    pub async fn closed(&self) {
        let mut open = self.port.open_connections();
        // The port keeps the sender.
        let _ = open.wait_for(|open| *open == 0).await;
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        let Some(Ok(listener)) = self.socket.take().map(|socket| socket.listen(1024)) else {
            return;
        };
        let mut listening = self.port.listening.lock().expect("no holder panics");
        listening.listener = Some(listener);
        if let Some(acceptor) = listening.waiting.take() {
            acceptor.wake();
        }
    }
}

/// The connection a request came on, and the way to break it.
#[derive(Clone)]
pub struct Connection {
    pub number: u64,
    resets: Arc<AtomicBool>,
}

impl Connection {
    /// Makes the connection end with RST instead of FIN.
    pub fn reset(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }
}

/// Accepts for ever. A handler that answers `None` has the connection closed.
pub async fn serve<H, F>(port: Arc<Port>, handler: H)
where
    H: Fn(Request, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Response>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = std::future::poll_fn(|context| port.poll_accept(context)).await;
        let number = port.opened.fetch_add(1, Ordering::Relaxed) + 1;
        connections.spawn(serve_connection(port.clone(), stream, number, handler.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection<H, F>(port: Arc<Port>, stream: TcpStream, number: u64, handler: H)
where
    H: Fn(Request, Connection) -> F,
    F: Future<Output = Option<Response>>,
{
    let mut outages = port.outages.subscribe();
    port.open.send_modify(|count| *count += 1);
    // As the servers behind GitLab, Glint and AWS: without it, an answer behind a TLS ticket waits 40 ms for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let connection = Connection { number, resets: Arc::default() };
    let socket = Socket { stream, resets: connection.resets.clone() };
    let service = service_fn(|request| {
        let (connection, handler) = (connection.clone(), &handler);
        async move {
            let request = collect_request(request).await?;
            handler(request, connection).await.ok_or(Cut)
        }
    });
    let serving = async {
        // How it ends is the client's business.
        match port.tls.get() {
            None => drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await),
            Some(tls) => {
                let Ok(stream) = tls.accept(socket).await else { return };
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            }
        }
    };
    tokio::select! {
        () = serving => {}
        _ = outages.changed() => {}
    }
    port.open.send_modify(|count| *count -= 1);
}

async fn collect_request(request: hyper::Request<Incoming>) -> Result<Request, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes().to_vec();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = head.headers.iter();
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect(),
        body,
    })
}

/// A socket that can end in a reset.
struct Socket {
    stream: TcpStream,
    resets: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.resets.load(Ordering::Relaxed) {
            // Fails only on a socket that is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.resets.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
