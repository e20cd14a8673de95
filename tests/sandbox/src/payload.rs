//! Response bodies that arrive whole, drop by drop, or never in full.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Enough for the first half to leave before the connection is reset under it.
const HALF_TRAVELS: Duration = Duration::from_millis(20);

/// How much of a streamed body comes at once.
const CHUNK_BYTES: usize = 16 << 10;

pub struct Payload {
    bytes: Bytes,
    sent: usize,
    pace: Pace,
    pause: Option<Pin<Box<Sleep>>>,
}

enum Pace {
    AtOnce,
    ByteBySecond,
    HalfThenCut,
    /// In chunks whose number nobody knows beforehand.
    Streamed,
}

#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("cut by the sandbox")
    }
}

impl std::error::Error for Cut {}

impl Payload {
    pub fn at_once(bytes: Vec<u8>) -> Self {
        Self::new(bytes, Pace::AtOnce)
    }

    pub fn byte_by_second(bytes: Vec<u8>) -> Self {
        Self::new(bytes, Pace::ByteBySecond)
    }

    pub fn half_then_cut(bytes: Vec<u8>) -> Self {
        Self::new(bytes, Pace::HalfThenCut)
    }

    pub fn streamed(bytes: Vec<u8>) -> Self {
        Self::new(bytes, Pace::Streamed)
    }

    fn new(bytes: Vec<u8>, pace: Pace) -> Self {
        Self { bytes: bytes.into(), sent: 0, pace, pause: None }
    }

    fn take(&mut self, count: usize) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let end = self.bytes.len().min(self.sent + count);
        let part = self.bytes.slice(self.sent..end);
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn wait(&mut self, context: &mut Context<'_>, time: Duration) -> Poll<()> {
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(pause.as_mut().poll(context));
        self.pause = None;
        Poll::Ready(())
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let half = self.bytes.len() / 2;
        match self.pace {
            _ if self.is_end_stream() => Poll::Ready(None),
            Pace::AtOnce => self.take(usize::MAX / 2),
            Pace::Streamed => self.take(CHUNK_BYTES),
            Pace::ByteBySecond => {
                ready!(self.wait(context, Duration::from_secs(1)));
                self.take(1)
            }
            Pace::HalfThenCut if self.sent < half => self.take(half),
            Pace::HalfThenCut => {
                ready!(self.wait(context, HALF_TRAVELS));
                Poll::Ready(Some(Err(Cut)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.bytes.len() && !matches!(self.pace, Pace::HalfThenCut)
    }

    /// The length announced is the whole one, also where less will come.
    fn size_hint(&self) -> SizeHint {
        if matches!(self.pace, Pace::Streamed) {
            return SizeHint::default();
        }
        SizeHint::with_exact((self.bytes.len() - self.sent) as u64)
    }
}
