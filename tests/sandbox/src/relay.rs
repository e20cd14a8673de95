//! A network distance on loopback: passes bytes on after half a round trip, the TCP handshake included.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};

/// A listener in front of a server that is `round_trip` away. It stops when it is dropped.
pub struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port and connects to `server`.
    pub async fn start(server: SocketAddr, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, round_trip));
            }
        });
        Ok(Self { address, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes one connection on, both ways.
async fn pass(client: TcpStream, server: SocketAddr, round_trip: Duration) {
    // The kernel has accepted already: what the client sends counts from where its handshake would have ended.
    let established = Instant::now() + round_trip;
    let Ok(server) = TcpStream::connect(server).await else { return };
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        one_way(from_client, to_server, round_trip / 2, established),
        one_way(from_server, to_client, round_trip / 2, established)
    );
}

/// Waits until `at`. Timers are a millisecond late, so the last part is spent awake.
async fn wait_until(at: Instant) {
    const TIMER: Duration = Duration::from_millis(2);
    if let Some(early) = at.checked_sub(TIMER) {
        sleep_until(early).await;
    }
    while Instant::now() < at {
        yield_now().await;
    }
}

/// Passes bytes on, each after `delay`, and none as if sent before `established`.
async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, established: Instant) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let sent_at = Instant::now().max(established);
            if sender.send((sent_at + delay, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            wait_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        drop(to.shutdown().await);
    };
    tokio::join!(read, write);
}
