//! A long response over HTTP/1.1: a watch.
//!
//! The HTTP library keeps buffers of 8 KiB for the request, for the next one and for what is to be
//! written. A watch needs none of them: it waits. So an answer without a known length is taken from
//! the library and written here, in chunks (RFC 9112, section 7.1), all that are ready at once;
//! afterwards the library continues with the connection.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Body;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// No more is taken from an answer while so much of it, in bytes, waits for the client.
const MAX_PENDING: usize = 64 << 10;

/// And not so many chunks.
const MAX_PIECES: usize = 16;

/// So much of further requests is read while one is being answered, in bytes.
const MAX_READ: usize = 8 << 10;

/// An answer that is being written.
pub(super) struct LongAnswer<S, B> {
    stream: S,
    body: B,
    pieces: VecDeque<Piece>,
    n_pending: usize,
    /// Number of bytes of the first piece that were written.
    n_written: usize,
    is_flushed: bool,
    has_ended: bool,
    read: BytesMut,
}

/// A part of what is written: a chunk, mostly.
struct Piece {
    size: Size,
    data: Bytes,
    end: &'static [u8],
}

/// A chunk's size in hexadecimal digits, and the end of that line.
#[derive(Default)]
struct Size {
    text: [u8; 18],
    len: usize,
}

impl<S, B> LongAnswer<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes> + Unpin,
{
    /// An answer to a request after which `read` has been read.
    pub(super) fn new(stream: S, read: &[u8], response: Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let head = Piece::whole(head(parts.status, &parts.headers));
        Self {
            stream,
            body,
            n_pending: head.len(),
            pieces: VecDeque::from([head]),
            n_written: 0,
            is_flushed: false,
            has_ended: false,
            read: BytesMut::from(read),
        }
    }

    /// The stream, and what has been read of further requests.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.read.freeze())
    }

    /// Until all has been written; an error where the client has left.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let has_more = self.gather(cx)?.is_ready();
            if self.poll_write(cx)?.is_pending() {
                break;
            }
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            if !has_more {
                break;
            }
        }
        self.listen(cx)
    }

    /// Takes what is ready; pending where there is nothing more now.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_ended && self.n_pending < MAX_PENDING && self.pieces.len() < MAX_PIECES {
            let piece = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => Piece::chunk(data),
                    Ok(_) | Err(_) => continue,
                },
                Some(Err(_)) => return Poll::Ready(Err(io::Error::other("the answer broke off"))),
                None => {
                    self.has_ended = true;
                    Piece::whole(Bytes::from_static(b"0\r\n\r\n"))
                }
            };
            self.n_pending += piece.len();
            self.pieces.push_back(piece);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3 * MAX_PIECES];
            let parts = self.pieces.iter().flat_map(Piece::parts);
            let mut skipped = self.n_written;
            let mut n_slices = 0;
            for part in parts {
                let n = skipped.min(part.len());
                skipped -= n;
                if n < part.len() {
                    slices[n_slices] = IoSlice::new(&part[n..]);
                    n_slices += 1;
                }
            }
            let stream = Pin::new(&mut self.stream);
            let n = ready!(stream.poll_write_vectored(cx, &slices[..n_slices]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_flushed = false;
            self.written(n);
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, n: usize) {
        self.n_written += n;
        self.n_pending -= n;
        while let Some(first) = self.pieces.front()
            && first.len() <= self.n_written
        {
            self.n_written -= first.len();
            self.pieces.pop_front();
        }
    }

    /// Detects that the client disconnects; keeps its next requests.
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.read.len() < MAX_READ {
            let mut bytes = [0; 512];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.read.extend_from_slice(buffer.filled());
        }
        Poll::Pending
    }
}

impl Piece {
    const fn whole(data: Bytes) -> Self {
        Self {
            size: Size {
                text: [0; 18],
                len: 0,
            },
            data,
            end: b"",
        }
    }

    fn chunk(data: Bytes) -> Self {
        let mut size = Size::default();
        let room = size.text.len();
        let mut rest = &mut size.text[..];
        write!(rest, "{:x}\r\n", data.len()).expect("a length has at most 16 digits");
        size.len = room - rest.len();
        Self {
            size,
            data,
            end: b"\r\n",
        }
    }

    fn parts(&self) -> [&[u8]; 3] {
        [&self.size.text[..self.size.len], &self.data, self.end]
    }

    fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

/// The lines before the answer, as the HTTP library writes them.
fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = BytesMut::new();
    let _ = write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    for (name, value) in headers {
        // RFC 9112, section 6.2: a length beside the transfer coding is forbidden.
        if matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    if !headers.contains_key(header::DATE)
        && let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now())
    {
        let _ = write!(head, "date: {date}\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.freeze()
}
