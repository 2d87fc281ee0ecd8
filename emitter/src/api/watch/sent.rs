//! The body of a watch: encoded events as they are, or coded once for all.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use emitter_cache::packed::Stream;
use hyper::body::{Body, Frame};
use proto_types::ResourceVersion;

use super::super::gzip::Coding;
use super::watcher::WatchStream;

/// Numbers of sent events and bytes of a watch.
pub(super) struct Sent {
    watcher: WatchStream,
    form: Form,
}

enum Form {
    /// Encoded events as they are.
    Plain,
    /// A gzip stream whose header was not sent yet.
    Unopened,
    Gzip(Stream),
    /// Records for a client that holds what it was sent since a resource version.
    Records(Option<ResourceVersion>),
    Ended,
}

impl Sent {
    pub(super) const fn new(watcher: WatchStream, coding: Coding) -> Self {
        let form = match coding {
            Coding::Plain => Form::Plain,
            Coding::Gzip => Form::Unopened,
            Coding::Delta { held_since } => Form::Records(held_since),
        };
        Self { watcher, form }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let stream = match &mut self.form {
            Form::Plain => {
                let frame = ready!(self.watcher.poll_next(cx));
                return Poll::Ready(frame.map(|it| it.bytes().clone()));
            }
            // At once, so that the client can begin to read.
            Form::Unopened => {
                self.form = Form::Gzip(Stream::default());
                return Poll::Ready(Some(Stream::head()));
            }
            Form::Gzip(stream) => stream,
            Form::Records(held_since) => {
                let held_since = *held_since;
                let frame = ready!(self.watcher.poll_next(cx));
                return Poll::Ready(frame.map(|it| it.record(held_since)));
            }
            Form::Ended => return Poll::Ready(None),
        };
        if let Some(frame) = ready!(self.watcher.poll_next(cx)) {
            let window = |range| self.watcher.window(range);
            return Poll::Ready(Some(stream.add(&frame, window)));
        }
        let end = std::mem::take(stream).end();
        self.form = Form::Ended;
        Poll::Ready(Some(end))
    }
}

impl Body for Sent {
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
