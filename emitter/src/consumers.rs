//! Watches of all consumers, with their age and lag, and their limits.
//!
//! Invariant: an entry lives exactly as long as its watch.

mod access;
mod sending;
mod share;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use emitter_cache::event_buffer::Cursor;
use emitter_cache::{View, ViewFilter};
use jiff::Timestamp;
use parking_lot::Mutex;
use proto_types::Status;
use proto_types::resource::ApiResource;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::access::{AccessDecision, MinimumResourceVersion};
use crate::connections::Connection;
use crate::limits::RequestLimits;
use crate::metrics::{Eviction, Limit, Metrics};
use crate::notify::Notifier;
use crate::watch_cache::Broadcaster;

pub use self::sending::Sending;
use self::sending::Sendings;
pub use self::share::{COUNTED_BODY, Charge, Permit, Turn};
use self::share::{Item, Shares};

/// The consumers of this process.
#[derive(Debug)]
pub struct Consumers {
    limits: RequestLimits,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
    shares: Mutex<Shares>,
    sendings: Sendings,
    /// Turns at long computations.
    computing: Arc<Semaphore>,
    next: AtomicU64,
    is_closing: AtomicBool,
    begin: Instant,
    /// Milliseconds since the beginning, and never 0; set now and then.
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    watches: HashMap<u64, Arc<Watch>>,
}

/// Client of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Name: its user, or its address if it is anonymous.
    pub name: Arc<str>,
    /// View.
    pub grant: ViewFilter,
    /// Permission; `None` without authentication.
    pub right: Option<Arc<AccessDecision>>,
    /// By which connection it came.
    pub connection: Option<Arc<Connection>>,
    /// Consumers that count its watches.
    pub consumers: Arc<Consumers>,
    /// Its slot for a watch, if it requested one.
    pub place: Option<Arc<Permit>>,
}

/// An open watch.
#[derive(Debug)]
pub struct Watch {
    /// Its number, in the order of opening.
    pub id: u64,
    /// Client.
    pub caller: Caller,
    /// Watched resource.
    pub resource: &'static ApiResource,
    /// Since when.
    pub since: Timestamp,
    /// Event buffer that it reads.
    pub feed: Arc<Broadcaster>,
    /// Events sent.
    pub n_events: AtomicU64,
    /// Their bytes.
    pub n_bytes: AtomicU64,
    cursor: AtomicU64,
    /// Milliseconds since the beginning at which a frame was given out that has not been
    /// followed by another question; 0 if there is none.
    given_at: AtomicU64,
    notifier: Arc<Notifier>,
    _view: Permit,
}

/// A watch's own handle; its entry goes with it.
#[derive(Debug)]
pub struct Session(Arc<Watch>);

/// Number of checks for slow clients within the time that a watch may take nothing.
const CHECKS: u32 = 8;

/// Delay in seconds before a client that met a limit retries.
const RETRY_AFTER: u32 = 1;

impl Consumers {
    /// None yet.
    #[must_use]
    pub fn new(limits: RequestLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            shares: Shares::locked(),
            sendings: Sendings::default(),
            computing: Self::computing(),
            next: AtomicU64::new(1),
            limits,
            metrics,
            open: Mutex::default(),
            is_closing: AtomicBool::new(false),
            begin: Instant::now(),
            clock: AtomicU64::new(1),
        })
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// A number that nothing else of this process has.
    fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn refuse(&self, limit: Limit) -> Status {
        self.metrics.refused(limit);
        let why = match limit {
            Limit::Shutdown => "this server is shutting down, please ask another one",
            Limit::Watches | Limit::WatchesPerConsumer => {
                "Too many watches, please try again later."
            }
            Limit::Views | Limit::ViewsPerConsumer => {
                "Too many watches with different selectors, please try again later."
            }
            _ => "Too many requests, please try again later.",
        };
        Status::too_many_requests(why, RETRY_AFTER)
    }

    /// All open watches.
    #[must_use]
    pub fn watches(&self) -> Vec<Arc<Watch>> {
        self.open.lock().watches.values().cloned().collect()
    }

    /// Opens no more watches.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Returns whether no more watches are opened.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// Ends all watches, evenly over that time and in no order.
    pub async fn drain(&self, spread: Duration) {
        let mut watches = self.watches();
        fastrand::shuffle(&mut watches);
        let n_watches = u32::try_from(watches.len()).unwrap_or(u32::MAX).max(1);
        let begin = Instant::now();
        for (watch, i) in watches.into_iter().zip(0..) {
            tokio::time::sleep_until(begin + spread / n_watches * i).await;
            watch.end(Eviction::Shutdown);
        }
    }

    /// Closes connections, without end, whose client reads nothing of a watch for that time, though
    /// the connection is alive: an HTTP/2 client can block a single stream.
    pub async fn evict_stalled(self: Arc<Self>, patience: Duration) {
        loop {
            tokio::time::sleep(patience / CHECKS).await;
            let now = self.now();
            self.clock.store(now, Ordering::Relaxed);
            self.abort_stalled(patience);
            for watch in self.watches() {
                let given_at = watch.given_at.load(Ordering::Relaxed);
                let waited = Duration::from_millis(now.saturating_sub(given_at));
                // What was given since the last check bears that check's time.
                if given_at == 0 || waited < patience + patience / CHECKS {
                    continue;
                }
                self.metrics.refused(Limit::Write);
                watch.end(Eviction::Stalled);
                if let Some(connection) = &watch.caller.connection {
                    connection.close_now();
                }
            }
        }
    }

    /// Milliseconds since the beginning, and never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).map_or(u64::MAX, |it| it + 1)
    }
}

impl Caller {
    /// Returns the least resource version from which its watch may resume.
    #[must_use]
    pub fn floor(&self) -> MinimumResourceVersion {
        let right = self.right.as_ref();
        right.map(|it| it.floor.clone()).unwrap_or_default()
    }

    /// Returns the name of its view.
    #[must_use]
    pub fn view(&self) -> &str {
        self.right.as_ref().map_or("all", |it| &it.view)
    }

    /// Notes a watch, if its view is not one too many.
    pub fn watch(
        &self,
        resource: &'static ApiResource,
        feed: &Arc<Broadcaster>,
        cursor: Cursor,
    ) -> Result<Session, Status> {
        let view = Item::View(Arc::as_ptr(feed).addr());
        let view = self.consumers.take(&self.name, view)?;
        let watch = Arc::new(Watch {
            id: self.consumers.next_id(),
            caller: self.clone(),
            resource,
            since: Timestamp::now(),
            feed: Arc::clone(feed),
            n_events: AtomicU64::new(0),
            n_bytes: AtomicU64::new(0),
            cursor: AtomicU64::new(cursor.position()),
            given_at: AtomicU64::new(0),
            notifier: Arc::default(),
            _view: view,
        });
        let mut open = self.consumers.open.lock();
        // It may be too late to end it with the others.
        if self.consumers.is_closing() {
            watch.end(Eviction::Shutdown);
        }
        open.watches.insert(watch.id, Arc::clone(&watch));
        drop(open);
        // The check of watches after a change of permissions may have run just before.
        if self.right.as_ref().is_some_and(|right| !right.is_current()) {
            watch.end(Eviction::Access);
        }
        Ok(Session(watch))
    }
}

impl Watch {
    /// Ends it, at its next opportunity. Of several reasons the strongest counts.
    pub fn end(&self, why: Eviction) {
        self.notifier.set_signal(why as u8);
    }

    /// Returns the watched view.
    #[must_use]
    pub fn view(&self) -> &View {
        self.feed.view()
    }

    /// Returns the number of events that were not sent yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let cursor = self.cursor.load(Ordering::Relaxed);
        self.feed.head().position().saturating_sub(cursor)
    }
}

impl Session {
    /// Returns the notifier of its end and of its events.
    #[must_use]
    pub fn notifier(&self) -> Arc<Notifier> {
        Arc::clone(&self.0.notifier)
    }

    /// Returns the reason for which the watch was ended, if it was.
    #[must_use]
    pub fn is_ended(&self) -> Option<Eviction> {
        Eviction::of_word(self.0.notifier.signal())
    }

    /// The connection has room for more.
    pub fn mark_ready(&self) {
        self.0.given_at.store(0, Ordering::Relaxed);
    }

    /// A frame goes to the client.
    pub fn given(&self, n_bytes: usize) {
        let watch = &self.0;
        let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
        watch.n_events.fetch_add(1, Ordering::Relaxed);
        watch.n_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        let now = watch.caller.consumers.clock.load(Ordering::Relaxed);
        watch.given_at.store(now, Ordering::Relaxed);
    }

    /// Frames up to there have been read.
    pub fn read(&self, cursor: Cursor) {
        self.0.cursor.store(cursor.position(), Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut open = self.0.caller.consumers.open.lock();
        open.watches.remove(&self.0.id);
    }
}
