//! The frames of one view, and who waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use emitter_cache::ring::{Cursor, Read};
use emitter_cache::{Encoded, Entry, Ring, View};
use parking_lot::{Mutex, RwLock};
use proto_types::Revision;
use tokio::time::Instant;

use crate::bell::Bell;

/// The frames of one view.
pub struct Feed {
    pub(super) view: View,
    pub(super) ring: RwLock<Ring>,
    listeners: Mutex<Listeners>,
}

/// Who is told of news.
#[derive(Default)]
struct Listeners {
    next: u64,
    /// In the order in which they came: those that share a connection are told together.
    bells: BTreeMap<u64, Arc<Bell>>,
    /// They are told nothing more until then.
    rest_until: Option<Instant>,
    /// There is something that they have not been told.
    is_owed: bool,
}

/// A place among those who are told of news, for as long as it lives.
pub struct Listener {
    /// What is read.
    pub feed: Arc<Feed>,
    /// What rings.
    pub bell: Arc<Bell>,
    id: u64,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happened after a revision.
    After(Revision),
    /// With everything that is there.
    State,
    /// With what happens from now on.
    Now,
}

/// A place in a feed, and what to send before reading it.
pub struct Subscription {
    /// The feed.
    pub feed: Arc<Feed>,
    /// Where to read on.
    pub cursor: Cursor,
    /// The state, to be encoded as it is read: a reader that takes its time must not
    /// hold a copy of everything meanwhile.
    pub state: Vec<Arc<Entry>>,
    /// The missed changes, whose frames are shared.
    pub backlog: Vec<Encoded>,
    /// Everything up to here is in the backlog, or was known before.
    pub revision: Revision,
}

/// So many readers of a feed rest as long as they may; fewer rest for less, in proportion
/// to what it takes to tell them.
const MANY: u32 = 1000;

/// Less is not worth a timer.
const MIN_REST: Duration = Duration::from_millis(2);

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({:?})", self.view)
    }
}

impl Feed {
    /// Nothing yet, after what happened until then.
    pub(super) fn new(view: &View, progress: Revision) -> Arc<Self> {
        Arc::new(Self {
            view: view.clone(),
            ring: RwLock::new(Ring::new(progress)),
            listeners: Mutex::default(),
        })
    }

    /// Sends all who read away, to resume elsewhere.
    pub(super) fn leave_behind(&self) {
        self.ring.write().leave_behind();
        self.listeners.lock().ring();
    }

    /// Ends all watches: who reads on must list again.
    pub(super) fn close(&self) {
        self.ring.write().close();
        self.listeners.lock().ring();
    }

    /// Tells all who read that there is something new: now, or together with what comes
    /// until they have rested, no longer than `max`. Whether that is to be
    /// [settled](Self::settle) which was not before.
    pub(super) fn announce(&self, now: Instant, max: Duration) -> bool {
        let mut listeners = self.listeners.lock();
        let was_owed = std::mem::replace(&mut listeners.is_owed, true);
        listeners.tell(now, max).is_some() && !was_owed
    }

    /// Tells what is owed, if they have rested; else returns when they will have.
    pub(super) fn settle(&self, now: Instant, max: Duration) -> Option<Instant> {
        self.listeners.lock().tell(now, max)
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Rings that bell when there may be something to read.
    #[must_use]
    pub fn listen(self: &Arc<Self>, bell: Arc<Bell>) -> Listener {
        let mut listeners = self.listeners.lock();
        listeners.next += 1;
        let id = listeners.next;
        listeners.bells.insert(id, Arc::clone(&bell));
        let feed = Arc::clone(self);
        Listener { feed, bell, id }
    }

    /// The cursor that sees what comes next.
    #[must_use]
    pub fn head(&self) -> Cursor {
        self.ring.read().head()
    }

    /// What is there from a cursor on.
    #[must_use]
    pub fn read(&self, cursor: Cursor) -> Read {
        self.ring.read().read(cursor)
    }
}

impl Listeners {
    fn tell(&mut self, now: Instant, max: Duration) -> Option<Instant> {
        if !self.is_owed {
            return None;
        }
        if let Some(rested) = self.rest_until.filter(|it| now < *it) {
            return Some(rested);
        }
        self.is_owed = false;
        let n_listeners = u32::try_from(self.bells.len()).map_or(MANY, |it| it.min(MANY));
        let rest = max * n_listeners / MANY;
        self.rest_until = (MIN_REST <= rest).then(|| now + rest);
        self.ring();
        None
    }

    fn ring(&self) {
        self.bells.values().for_each(|bell| bell.ring());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.listeners.lock().bells.remove(&self.id);
    }
}
