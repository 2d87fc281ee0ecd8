//! A watch as one gzip stream, of frames that are compressed once for all.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use emitter_cache::packed::Stream;
use hyper::body::{Body, Frame};

use super::watcher::Watcher;

/// The compressed body of a watch.
pub(super) struct Compressed {
    watcher: Watcher,
    state: State,
}

enum State {
    /// The header was not sent yet.
    Before,
    Open(Stream),
    Ended,
}

impl Compressed {
    pub(super) const fn new(watcher: Watcher) -> Self {
        Self {
            watcher,
            state: State::Before,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.state {
            // At once, so that the reader can begin to read.
            State::Before => {
                self.state = State::Open(Stream::default());
                Poll::Ready(Some(Stream::head()))
            }
            State::Open(stream) => {
                if let Some(frame) = ready!(self.watcher.poll_next(cx)) {
                    return Poll::Ready(Some(stream.add(&frame)));
                }
                let end = std::mem::take(stream).end();
                self.state = State::Ended;
                Poll::Ready(Some(end))
            }
            State::Ended => Poll::Ready(None),
        }
    }
}

impl Body for Compressed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.watcher.asked();
        let frame = ready!(self.poll_next(cx));
        if let Some(frame) = &frame {
            self.watcher.given(frame.len());
        }
        Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}
