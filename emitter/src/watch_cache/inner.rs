//! State behind the lock of a cache: what a view shows of it, and what an event changes.

use std::collections::HashMap;
use std::sync::Weak;

use emitter_cache::store::{
    Applied, Beginning, CurrentState, Expired, RelistOutcome, Store, UnknownField,
};
use emitter_cache::view::Snapshot;
use emitter_cache::{Encoded, Encoding, Joined, View};
use jiff::Timestamp;
use proto_types::evidence::Ruling;
use proto_types::resource::ApiResource;
use proto_types::{RawObject, ResourceVersion};
use runtime::watcher;
use tracing::{info, warn};

use super::WatchCache;
use super::broadcaster::Broadcaster;
use super::publish::Publication;

/// State behind the lock of a cache.
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) joined: Option<Joined>,
    pub(super) feeds: HashMap<View, Weak<Broadcaster>>,
    /// Number of times at which lists may have become others.
    pub(super) generation: u64,
    /// `true` while the store catches up and nothing may be read.
    pub(super) is_past: bool,
}

/// State of a view at one moment.
pub(super) enum Moment {
    /// All objects, of which the view is computed apart from the cache.
    Free(CurrentState),
    /// The view, which depends on Services too.
    Made(Snapshot),
}

impl Moment {
    pub(super) fn snapshot(self, view: &View) -> Snapshot {
        match self {
            Self::Free(present) => present.snapshot(view),
            Self::Made(snapshot) => snapshot,
        }
    }
}

impl Inner {
    /// Returns the resource version up to which a view shows everything.
    pub(super) fn progress(&self, view: &View, cache: &WatchCache) -> ResourceVersion {
        let progress = match self.joined_for(view, cache) {
            Some(joined) => joined.revision(),
            None => self.store.progress(),
        };
        progress.unwrap_or_default()
    }

    /// Returns what a view shows, computed later where it needs no other cache.
    pub(super) fn present(&self, view: &View, cache: &WatchCache) -> Moment {
        match self.joined_for(view, cache) {
            Some(joined) => Moment::Made(joined.snapshot(view)),
            None => Moment::Free(self.store.present()),
        }
    }

    /// Returns the encoded events that a consumer at a resource version has missed.
    pub(super) fn backlog(
        &self,
        view: &View,
        revision: ResourceVersion,
        cache: &WatchCache,
    ) -> Result<Vec<Encoded>, Expired> {
        let missed: Vec<_> = match self.joined_for(view, cache) {
            Some(joined) => {
                joined.check(&view.grant, revision)?;
                joined.since(&self.store, revision)?
            }
            None => self.store.since(revision)?.collect(),
        };
        let (frames, now) = (missed.into_iter(), Timestamp::now());
        let frames = frames.filter_map(|change| change.resumed_frame(view, &cache.encoder, now));
        Ok(frames.collect())
    }

    pub(super) fn replace(
        &mut self,
        resource: &ApiResource,
        listing: watcher::Listing,
        now: Timestamp,
    ) -> Publication {
        let n_objects = listing.objects.len();
        let (revision, is_comparison) = (listing.revision, listing.is_comparison);
        let (replaced, unreadable) = match listing.ruling {
            Ruling::AddOnly(_) => self.store.add(revision, listing.objects, now),
            Ruling::Replace | Ruling::Rewound | Ruling::Ignore(_) => {
                self.store.replace(revision, listing.objects, now)
            }
        };
        for error in unreadable {
            warn!(%resource, %error, "ignored an unreadable object");
        }
        match replaced {
            RelistOutcome::Fresh(Beginning::First) => {
                match self.is_past {
                    true => info!(%resource, from = %revision, "reading the history"),
                    false => info!(%resource, n_objects, %revision, "serving the exported objects"),
                }
                self.close_feeds();
                Publication::Fresh
            }
            RelistOutcome::Fresh(beginning) => {
                warn!(%resource, n_objects, %revision, ?beginning, "started a new history");
                self.close_feeds();
                Publication::Fresh
            }
            RelistOutcome::Continued { changes, after } => {
                let n_missed = changes.len();
                if is_comparison && changes.iter().any(|it| it.after.is_none()) {
                    // Another replica may not have found that yet.
                    self.store.distrust_all(now);
                }
                info!(%resource, n_objects, n_missed, %revision, "listed again");
                Publication::Listed {
                    changes,
                    after,
                    until: revision,
                }
            }
        }
    }

    pub(super) fn set(
        &mut self,
        resource: &ApiResource,
        object: RawObject,
        now: Timestamp,
    ) -> Publication {
        let key = object.key.clone();
        match self.store.set(object, now) {
            Ok(Applied::Unchanged) => Publication::Nothing,
            Ok(Applied::Changed(change)) => Publication::of(Some(change)),
            Ok(Applied::Fresh) => {
                warn!(%resource, %key, "an object changed at a former revision: started a new history");
                self.close_feeds();
                Publication::Fresh
            }
            Err(error) => {
                warn!(%resource, %key, %error, "ignored an unreadable object");
                Publication::Nothing
            }
        }
    }

    pub(super) fn close_feeds(&mut self) {
        let feeds = self.feeds.drain().filter_map(|(_, feed)| feed.upgrade());
        feeds.for_each(|feed| feed.close());
    }

    /// Logs once that an object has a field that protobuf lacks, and ends the watches in protobuf:
    /// their clients reconnect, and are offered another encoding.
    pub(super) fn report_unknown_field(&mut self, resource: &ApiResource, is_known: bool) {
        let Some(UnknownField { key, field }) = self.store.misfit().filter(|_| !is_known) else {
            return;
        };
        warn!(%resource, %key, %field, "no protobuf any more: the upstream has a field that this emitter does not know");
        self.feeds.retain(|view, feed| {
            if !matches!(view.encoding, Encoding::Protobuf(_)) {
                return true;
            }
            if let Some(feed) = feed.upgrade() {
                feed.disconnect();
            }
            false
        });
    }
}
