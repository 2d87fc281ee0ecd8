//! A connection of which some has been read already.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Beginning of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the head of a usual request.
const FIRST_READ: usize = 1 << 10;

/// Version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1, and 1.0.
    One,
    /// HTTP/2.
    Two,
}

/// A stream, and what was read of it before.
pub(super) struct Rewound<S> {
    stream: S,
    read: Bytes,
    /// `true` if bytes may not have reached the stream yet.
    unflushed: Arc<AtomicBool>,
}

impl<S> Rewound<S> {
    pub(super) fn new(stream: S, read: Bytes) -> Self {
        Self {
            stream,
            read,
            unflushed: Arc::default(),
        }
    }

    /// True after a write, until a flush.
    pub(super) const fn unflushed(&self) -> &Arc<AtomicBool> {
        &self.unflushed
    }

    /// The stream, and what is still to be read before it.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.read)
    }
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// Waits for what a client begins with.
    pub(super) async fn listen(mut stream: S) -> io::Result<(Protocol, Self)> {
        let mut read = BytesMut::with_capacity(FIRST_READ);
        loop {
            let n = read.len().min(PREFACE.len());
            let protocol = if read[..n] != PREFACE[..n] {
                Protocol::One
            } else if n == PREFACE.len() {
                Protocol::Two
            } else if stream.read_buf(&mut read).await? == 0 {
                // The client sends nothing.
                Protocol::One
            } else {
                continue;
            };
            return Ok((protocol, Self::new(stream, read.freeze())));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let n = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..n]);
        self.read.advance(n);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unflushed.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unflushed.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.unflushed.store(false, Ordering::Relaxed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
