//! Encoded events of one view, and the watches that wait for them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use emitter_cache::event_buffer::{Cursor, Read};
use emitter_cache::packed::Window;
use emitter_cache::{Encoded, Entry, EventBuffer, View};
use parking_lot::{Mutex, RwLock};
use proto_types::ResourceVersion;
use tokio::time::Instant;

use crate::notify::Notifier;

/// The encoded events of one view.
pub struct Broadcaster {
    pub(super) view: View,
    pub(super) ring: RwLock<EventBuffer>,
    listeners: Mutex<Listeners>,
}

/// Watches that are notified of events.
#[derive(Default)]
struct Listeners {
    next: u64,
    /// Notifiers in the order in which they came: those of one connection are notified together.
    notifiers: BTreeMap<u64, Arc<Notifier>>,
    /// Time until which no notification is sent.
    rest_until: Option<Instant>,
    /// `true` if an event was not notified yet.
    is_owed: bool,
}

/// Registration for notifications, for as long as it lives.
pub struct Listener {
    /// Event buffer that is read.
    pub feed: Arc<Broadcaster>,
    /// Notifier of events and of the end.
    pub notifier: Arc<Notifier>,
    id: u64,
}

/// Beginning of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happened after a resource version.
    After(ResourceVersion),
    /// With everything that is there.
    State,
    /// With what happens from now on.
    Now,
}

/// A place in an event buffer, and what to send before reading it.
pub struct Subscription {
    /// The event buffer.
    pub feed: Arc<Broadcaster>,
    /// Position in the event buffer.
    pub cursor: Cursor,
    /// The state, to be encoded as it is read: a client that takes its time must not hold a copy of
    /// everything in the meantime.
    pub state: Vec<Arc<Entry>>,
    /// The missed changes, whose encoded events are shared.
    pub backlog: Vec<Encoded>,
    /// Everything up to here is in the backlog, or was known before.
    pub revision: ResourceVersion,
}

/// So many clients of an event buffer rest as long as they may; fewer rest for less, in proportion
/// to what it takes to tell them.
const MANY: u32 = 1000;

/// Less is not worth a timer.
const MIN_REST: Duration = Duration::from_millis(2);

impl std::fmt::Debug for Broadcaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({:?})", self.view)
    }
}

impl Broadcaster {
    /// Nothing yet, after what happened until then.
    pub(super) fn new(view: &View, progress: ResourceVersion) -> Arc<Self> {
        Arc::new(Self {
            view: view.clone(),
            ring: RwLock::new(EventBuffer::new(progress)),
            listeners: Mutex::default(),
        })
    }

    /// Ends all watches, to resume at another replica.
    pub(super) fn disconnect(&self) {
        self.ring.write().disconnect();
        self.listeners.lock().notify();
    }

    /// Ends all watches, which then must list again.
    pub(super) fn close(&self) {
        self.ring.write().close();
        self.listeners.lock().notify();
    }

    /// Notifies all watches of an event: now, or together with those that come within the batching
    /// period, no longer than `max`. Returns whether a notification is to be
    /// [settled](Self::settle) that was not before.
    pub(super) fn announce(&self, now: Instant, max: Duration) -> bool {
        let mut listeners = self.listeners.lock();
        let was_owed = std::mem::replace(&mut listeners.is_owed, true);
        listeners.notify_due(now, max).is_some() && !was_owed
    }

    /// Tells what is owed, if they have rested; else returns when they will have.
    pub(super) fn settle(&self, now: Instant, max: Duration) -> Option<Instant> {
        self.listeners.lock().notify_due(now, max)
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Rings that notifier when there may be something to read.
    #[must_use]
    pub fn listen(self: &Arc<Self>, notifier: Arc<Notifier>) -> Listener {
        let mut listeners = self.listeners.lock();
        listeners.next += 1;
        let id = listeners.next;
        listeners.notifiers.insert(id, Arc::clone(&notifier));
        let feed = Arc::clone(self);
        Listener { feed, notifier, id }
    }

    /// The cursor that sees what comes next.
    #[must_use]
    pub fn head(&self) -> Cursor {
        self.ring.read().head()
    }

    /// Returns the last bytes of the events before the end of a range of positions, if they are in
    /// the range.
    #[must_use]
    pub fn window(&self, range: Range<u64>) -> Option<Window> {
        self.ring.read().window(range)
    }

    /// Returns the events from a cursor on.
    #[must_use]
    pub fn read(&self, cursor: Cursor) -> Read {
        self.ring.read().read(cursor)
    }
}

impl Listeners {
    fn notify_due(&mut self, now: Instant, max: Duration) -> Option<Instant> {
        if !self.is_owed {
            return None;
        }
        if let Some(rested) = self.rest_until.filter(|it| now < *it) {
            return Some(rested);
        }
        self.is_owed = false;
        let n_listeners = u32::try_from(self.notifiers.len()).map_or(MANY, |it| it.min(MANY));
        let rest = max * n_listeners / MANY;
        self.rest_until = (MIN_REST <= rest).then(|| now + rest);
        self.notify();
        None
    }

    fn notify(&self) {
        self.notifiers
            .values()
            .for_each(|notifier| notifier.notify());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.listeners.lock().notifiers.remove(&self.id);
    }
}
