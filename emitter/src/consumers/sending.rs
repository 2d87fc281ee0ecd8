//! Answers that are being sent, and the end of those that a client does not take.
//!
//! An HTTP/2 client can keep the window of a single stream at 0: its connection is alive, and the
//! body of that stream waits indefinitely with all that it holds.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use super::{Charge, Consumers, Permit};
use crate::connections::Connection;
use crate::metrics::Limit;

/// Maximum size of one frame in bytes, so that progress within a large body is seen.
const FRAME: usize = 64 << 10;

/// Answers that are being sent.
#[derive(Debug, Default)]
pub(super) struct Sendings(Mutex<HashMap<u64, Arc<Progress>>>);

/// Progress of one answer.
#[derive(Debug)]
struct Progress {
    connection: Option<Arc<Connection>>,
    begun: u64,
    /// Milliseconds of the process at which the client last took something.
    taken: AtomicU64,
}

/// The body of an answer. What it holds is given back when it has been sent, or when the
/// client is cut off.
pub struct Sending {
    body: Body,
    /// Rest of a frame that was too large.
    rest: Bytes,
    id: u64,
    progress: Arc<Progress>,
    consumers: Arc<Consumers>,
    _permit: Permit,
    _charge: Option<Arc<Charge>>,
}

impl Sending {
    /// Sends a body over that connection.
    pub fn new(
        consumers: &Arc<Consumers>,
        connection: Option<Arc<Connection>>,
        (permit, charge): (Permit, Option<Arc<Charge>>),
        body: Body,
    ) -> Self {
        let now = consumers.now();
        let progress = Arc::new(Progress {
            connection,
            begun: now,
            taken: AtomicU64::new(now),
        });
        let id = consumers.next_id();
        let mut all = consumers.sendings.0.lock();
        all.insert(id, Arc::clone(&progress));
        drop(all);
        Self {
            body,
            rest: Bytes::new(),
            id,
            progress,
            consumers: Arc::clone(consumers),
            _permit: permit,
            _charge: charge,
        }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let now = self.consumers.now();
        self.progress.taken.store(now, Ordering::Relaxed);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(FRAME);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        if let Some(exact) = hint.exact() {
            hint = SizeHint::with_exact(exact.saturating_add(rest));
        }
        hint
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.consumers.sendings.0.lock().remove(&self.id);
    }
}

impl Consumers {
    /// Cuts off the clients that took nothing of an answer for `patience`, or have not
    /// taken all of it within the deadline of an answer.
    pub(super) fn abort_stalled(&self, patience: Duration) {
        let now = self.now();
        let deadline = self.limits.response_timeout;
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let all = self.sendings.0.lock();
        for it in all.values() {
            let limit = if patience < since(it.taken.load(Ordering::Relaxed)) {
                Limit::Write
            } else if deadline < since(it.begun) {
                Limit::Response
            } else {
                continue;
            };
            if let Some(connection) = &it.connection
                && !connection.is_cut()
            {
                self.metrics.refused(limit);
                connection.close_now();
            }
        }
    }
}
