//! Writes that wait for the end of a turn.
//!
//! The HTTP/2 library writes and flushes each frame of each stream by itself. When a
//! change concerns all streams of a connection, that is a TLS record and a system call for
//! each of them. Here they are put together, and leave when the library has said all that
//! it has to say for now.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Maximum size of a TLS record in bytes; so much is sent even within a turn.
const MAX_GATHERED: usize = 16 << 10;

/// A stream that two hold: one writes to it, the other ends the turn.
pub(super) struct Gathered<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    gathered: Vec<u8>,
    /// Number of bytes that were written.
    n_written: usize,
    is_flushed: bool,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Creates the writer, and the handle that ends the turn.
    pub(super) fn new(stream: S) -> (Self, Self) {
        let inner = Arc::new(Mutex::new(Inner {
            stream,
            gathered: Vec::new(),
            n_written: 0,
            is_flushed: true,
        }));
        (Self(Arc::clone(&inner)), Self(inner))
    }

    /// Sends what was gathered. Where that has to wait, the task is woken to try again.
    pub(super) fn end_turn(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.is_flushed {
            return Poll::Ready(Ok(()));
        }
        ready!(inner.drain(cx))?;
        ready!(Pin::new(&mut inner.stream).poll_flush(cx))?;
        inner.is_flushed = true;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.n_written < self.gathered.len() {
            let rest = &self.gathered[self.n_written..];
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.n_written += n;
        }
        // A stream without data needs no buffer.
        self.gathered = Vec::new();
        self.n_written = 0;
        Poll::Ready(Ok(()))
    }

    /// Returns the number of bytes that can be added before some must be written.
    fn room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if MAX_GATHERED <= self.gathered.len() {
            ready!(self.drain(cx))?;
        }
        Poll::Ready(Ok(MAX_GATHERED - self.gathered.len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let room = ready!(inner.room(cx))?;
        inner.is_flushed = false;
        let mut n_taken = 0;
        for buffer in buffers {
            let n = buffer.len().min(room - n_taken);
            inner.gathered.extend_from_slice(&buffer[..n]);
            n_taken += n;
        }
        Poll::Ready(Ok(n_taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the end of the turn is near.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.end_turn(cx))?;
        Pin::new(&mut self.0.lock().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn nothing_leaves_before_the_turn_ends_and_then_all_does() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let (mut writer, turn) = Gathered::new(server);
        for part in ["a", "b", "c"] {
            writer.write_all(part.as_bytes()).await.unwrap();
            writer.flush().await.unwrap();
        }
        let mut read = [0; 8];
        let early = poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut read);
            Poll::Ready(Pin::new(&mut client).poll_read(cx, &mut buffer).is_ready())
        });
        assert!(!early.await);
        poll_fn(|cx| turn.end_turn(cx)).await.unwrap();
        let n = client.read(&mut read).await.unwrap();
        assert_eq!(&read[..n], b"abc");
        assert_eq!(turn.0.lock().gathered.capacity(), 0);
    }

    #[tokio::test]
    async fn a_narrow_pipe_gets_every_byte_in_order() {
        let (mut client, server) = tokio::io::duplex(7);
        let (mut writer, turn) = Gathered::new(server);
        let sent: Vec<u8> = (0..100_000_u32).map(|it| (it % 251) as u8).collect();
        let write = async {
            for part in sent.chunks(999) {
                writer.write_all(part).await.unwrap();
            }
            poll_fn(|cx| turn.end_turn(cx)).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let (all, ()) = tokio::join!(client.read_to_end(&mut read), write);
        assert_eq!(all.unwrap(), sent.len());
        assert!(read == sent);
    }
}
