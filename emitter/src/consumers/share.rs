//! Shares of one consumer in what all consumers have together.
//!
//! Invariant: what was taken is given back exactly once, when its [`Permit`] is dropped.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use proto_types::Status;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::{Caller, Consumers};
use crate::limits::RequestLimits;
use crate::metrics::Limit;

/// Bodies of at least this size count against the budget of bytes. Smaller ones are
/// bounded by the number of requests.
pub const COUNTED_BODY: usize = 64 << 10;

/// Limited item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Watch,
    Request,
    /// A body of that many bytes that is being sent.
    Bytes(usize),
    /// A view that is watched, by the address of its event buffer.
    View(usize),
}

/// Everything that is taken.
#[derive(Debug, Default)]
pub(super) struct Shares {
    all: Share,
    own: HashMap<Arc<str>, Share>,
    /// Bodies that are being sent, by the address of their bytes: consumers share them.
    bodies: HashMap<usize, std::sync::Weak<Charge>>,
    turns: HashMap<Arc<str>, std::sync::Weak<tokio::sync::Mutex<()>>>,
}

/// Items in use by one consumer, or by all together.
#[derive(Debug, Default)]
struct Share {
    n_watches: usize,
    n_requests: usize,
    n_bytes: usize,
    /// Watches by view.
    views: HashMap<usize, usize>,
}

/// Something that was taken, until this is dropped.
#[derive(Debug)]
pub struct Permit {
    consumers: Arc<Consumers>,
    consumer: Arc<str>,
    item: Item,
}

/// A body that is being sent to one consumer or more.
#[derive(Debug)]
pub struct Charge {
    permit: Permit,
    bytes: Bytes,
}

/// A turn at a long computation, until this is dropped. A consumer has one at a time,
/// so that its queue does not delay the others.
#[derive(Debug)]
pub struct Turn {
    _own: OwnedMutexGuard<()>,
    _all: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Share {
    fn is_empty(&self) -> bool {
        let Self {
            n_watches,
            n_requests,
            n_bytes,
            views,
        } = self;
        *n_watches == 0 && *n_requests == 0 && *n_bytes == 0 && views.is_empty()
    }

    /// Returns whether one more item is within a limit. A body is sent in any case if its consumer,
    /// or all together, have no other one in flight: otherwise it could never be sent.
    fn has_room(&self, item: Item, limit: usize) -> bool {
        match item {
            Item::Watch => self.n_watches < limit,
            Item::Request => self.n_requests < limit,
            Item::Bytes(n) => self.n_bytes == 0 || self.n_bytes.saturating_add(n) <= limit,
            Item::View(feed) => self.views.contains_key(&feed) || self.views.len() < limit,
        }
    }

    fn add(&mut self, item: Item) {
        match item {
            Item::Watch => self.n_watches += 1,
            Item::Request => self.n_requests += 1,
            Item::Bytes(n) => self.n_bytes += n,
            Item::View(feed) => *self.views.entry(feed).or_default() += 1,
        }
    }

    fn remove(&mut self, item: Item) {
        match item {
            Item::Watch => self.n_watches -= 1,
            Item::Request => self.n_requests -= 1,
            Item::Bytes(n) => self.n_bytes -= n,
            Item::View(feed) => {
                if let Some(n_watches) = self.views.get_mut(&feed) {
                    *n_watches -= 1;
                    if *n_watches == 0 {
                        self.views.remove(&feed);
                    }
                }
            }
        }
    }
}

impl Item {
    /// The limits of all consumers together, and of one.
    fn limits(self, limits: &RequestLimits) -> [(usize, Limit); 2] {
        match self {
            Self::Watch => [
                (limits.max_watches.get(), Limit::Watches),
                (
                    limits.max_watches_per_consumer.get(),
                    Limit::WatchesPerConsumer,
                ),
            ],
            Self::Request => [
                (limits.max_requests_inflight.get(), Limit::Requests),
                (
                    limits.max_requests_inflight_per_consumer.get(),
                    Limit::RequestsPerConsumer,
                ),
            ],
            Self::Bytes(_) => [
                (limits.max_response_bytes.get(), Limit::ResponseBytes),
                (
                    limits.max_response_bytes_per_consumer.get(),
                    Limit::ResponseBytesPerConsumer,
                ),
            ],
            Self::View(_) => [
                (limits.max_views.get(), Limit::Views),
                (limits.max_views_per_consumer.get(), Limit::ViewsPerConsumer),
            ],
        }
    }
}

impl Consumers {
    /// Takes a slot for a client, or returns the limit that is reached.
    pub(super) fn take(
        self: &Arc<Self>,
        consumer: &Arc<str>,
        item: Item,
    ) -> Result<Permit, Status> {
        let mut shares = self.shares.lock();
        let [(of_all, whole), (of_one, each)] = item.limits(&self.limits);
        let own = shares.own.get(consumer);
        let met = if !shares.all.has_room(item, of_all) {
            Some(whole)
        } else if own.is_some_and(|own| !own.has_room(item, of_one)) {
            Some(each)
        } else {
            None
        };
        if let Some(limit) = met {
            drop(shares);
            return Err(self.refuse(limit));
        }
        shares.all.add(item);
        let own = shares.own.entry(Arc::clone(consumer)).or_default();
        own.add(item);
        drop(shares);
        Ok(Permit {
            consumers: Arc::clone(self),
            consumer: Arc::clone(consumer),
            item,
        })
    }

    /// Waits for a turn at a long computation.
    pub(crate) async fn turn(&self, consumer: &Arc<str>) -> Turn {
        let own = {
            let mut shares = self.shares.lock();
            shares.turns.retain(|_, turn| 0 < turn.strong_count());
            let known = shares
                .turns
                .get(consumer)
                .and_then(std::sync::Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                let weak = Arc::downgrade(&turn);
                shares.turns.insert(Arc::clone(consumer), weak);
                turn
            })
        };
        let own = own.lock_owned().await;
        let all = Arc::clone(&self.computing).acquire_owned().await;
        Turn {
            _own: own,
            _all: all.ok(),
        }
    }

    /// Returns the semaphore of long computations: one permit for each processor.
    pub(super) fn computing() -> Arc<Semaphore> {
        let n = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Arc::new(Semaphore::new(n))
    }
}

impl Caller {
    /// Takes a place for a request that is no watch.
    pub fn take_request(&self) -> Result<Permit, Status> {
        self.consumers.take(&self.name, Item::Request)
    }

    /// Takes a place for a watch, which it keeps; before anything is done for it.
    pub fn take_watch(&mut self) -> Result<(), Status> {
        if self.consumers.is_closing() {
            return Err(self.consumers.refuse(Limit::Shutdown));
        }
        let place = self.consumers.take(&self.name, Item::Watch)?;
        self.place = Some(Arc::new(place));
        Ok(())
    }

    /// Takes the bytes of a body that is to be sent. Those of a list that is being sent
    /// to another consumer already are counted once.
    pub fn take_bytes(&self, bytes: &Bytes) -> Result<Option<Arc<Charge>>, Status> {
        if bytes.len() < COUNTED_BODY {
            return Ok(None);
        }
        let address = bytes.as_ptr().addr();
        let known = self.consumers.shares.lock().bodies.get(&address).cloned();
        if let Some(known) = known.and_then(|it| it.upgrade()) {
            return Ok(Some(known));
        }
        let permit = self.consumers.take(&self.name, Item::Bytes(bytes.len()))?;
        let charge = Arc::new(Charge {
            permit,
            bytes: bytes.clone(),
        });
        let mut shares = self.consumers.shares.lock();
        shares.bodies.insert(address, Arc::downgrade(&charge));
        Ok(Some(charge))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut shares = self.consumers.shares.lock();
        shares.all.remove(self.item);
        if let Some(own) = shares.own.get_mut(&self.consumer) {
            own.remove(self.item);
            if own.is_empty() {
                shares.own.remove(&self.consumer);
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut shares = self.permit.consumers.shares.lock();
        let address = self.bytes.as_ptr().addr();
        // Another may have been made in the meantime, for the same bytes.
        let is_own = shares.bodies.get(&address);
        if is_own.is_some_and(|it| it.strong_count() == 0) {
            shares.bodies.remove(&address);
        }
    }
}

impl Shares {
    pub(super) fn locked() -> Mutex<Self> {
        Mutex::default()
    }

    /// Returns whether nothing is taken.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.all.is_empty() && self.own.is_empty() && self.bodies.is_empty()
    }
}
