//! Probes of the upstream for consistent reads, which see every write that was done before them.
//!
//! A watch reports a change soon, but not before the next request: a client that writes upstream
//! and reads from the emitter could miss its own write. So the read waits at the
//! [barrier](crate::read_barrier), and a probe lists the metadata of all objects upstream. If the
//! store holds the same versions, it is as new as that list; otherwise the watch is about to report
//! the difference.
//!
//! Such a list also confirms the store: objects that it lacks are absent upstream. If the upstream
//! is unavailable, disconnected or older, reads are not confirmed, and their responses state that.
//! An upstream that takes long, or has no capacity, may have taken writes: reads wait for it as
//! long as they would wait for a kube-apiserver.
//!
//! Invariants:
//!
//! * At most one list of each resource is in flight, and it answers all reads that began before it.
//! * Lists take at most a third of the time, however many reads there are: each takes the time of
//!   the upstream too.

mod prober;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proto_types::evidence::Read;
use runtime::watcher::Event;
use tokio::time::Instant;
use tracing::debug;

pub use self::prober::Prober;
use self::prober::{Found, Unlisted};
use crate::watch_cache::WatchCache;

/// Longest time until the watch reports the state of a list, as in a kube-apiserver.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longest time of the first list, before it is requested again, perhaps by another connection.
const FIRST_LIMIT: Duration = Duration::from_secs(15);

/// Longest time of any list: no client waits longer.
const MAX_LIMIT: Duration = Duration::from_secs(60);

/// Shortest interval between the beginnings of two lists. Reads that come in the meantime share
/// one.
const INTERVAL: Duration = Duration::from_millis(25);

/// A list begins no sooner after the former one than so many times the time that it took, ...
const REST: u32 = 3;

/// ... and no later than this.
const MAX_REST: Duration = Duration::from_secs(1);

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// Time without a watch event after which the watch of a starting emitter is taken to be as new as
/// the list that its store equals. Until then the events of objects that came and went before the
/// list may be on their way, and a store that is further could not give them a place in its history.
const QUIET: Duration = Duration::from_millis(100);

/// Result of a comparison.
enum Compared {
    /// The store is as new as the upstream was, or that cannot be known.
    Known(Read),
    /// The upstream may have more than the store.
    Unknown,
}

/// Performs the consistent reads of one cache, indefinitely.
pub async fn answer(cache: Arc<WatchCache>, prober: Prober) {
    let mut asked = cache.barrier().requests();
    let mut limit = FIRST_LIMIT;
    loop {
        let Ok(n_asked) = asked
            .wait_for(|asked| cache.barrier().answered() < *asked)
            .await
            .map(|asked| *asked)
        else {
            return;
        };
        let began = Instant::now();
        match compare(&cache, &prober, limit).await {
            Compared::Known(read) => {
                let took = began.elapsed();
                limit = (2 * took).clamp(FIRST_LIMIT, MAX_LIMIT);
                cache.barrier().answer(n_asked, read);
                let rest = (REST * took).clamp(INTERVAL, MAX_REST.max(took));
                tokio::time::sleep_until(began + rest).await;
            }
            Compared::Unknown => {
                limit = (2 * limit).min(MAX_LIMIT);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Compares the store with the upstream.
async fn compare(cache: &WatchCache, prober: &Prober, limit: Duration) -> Compared {
    let known = *cache.ingested().borrow();
    let began = Instant::now();
    let listed = tokio::select! {
        listed = tokio::time::timeout(limit, prober.list()) => listed,
        () = disconnected(prober) => return Compared::Known(Read::Cached),
    };
    match listed {
        // The history went back, or the answer is of a stale server.
        Ok(Ok(found)) if Some(found.revision) < known => Compared::Known(Read::Cached),
        Ok(Ok(found)) if found.is_confirmed => {
            match wait_for(cache, &found, Duration::ZERO).await {
                true => Compared::Known(Read::Confirmed),
                false => Compared::Unknown,
            }
        }
        // An upstream that gives up at once cannot reach its own one. One that takes its
        // time waits for it.
        Ok(Ok(found)) if found.is_disconnected || began.elapsed() < TIMEOUT => {
            Compared::Known(Read::Cached)
        }
        Ok(Err(Unlisted::Busy(status))) => {
            debug!(resource = %prober.scope.resource, %status, "the upstream is busy");
            Compared::Unknown
        }
        Ok(Ok(_)) | Err(_) => Compared::Unknown,
        // An API server that is unavailable takes no writes: the known state is the best there is,
        // and consumers must go on while an API server restarts.
        Ok(Err(Unlisted::Failed(error))) => {
            debug!(resource = %prober.scope.resource, %error, "cannot probe upstream");
            Compared::Known(Read::Cached)
        }
    }
}

/// Returns when the upstream is known to be disconnected, which each response reports.
async fn disconnected(prober: &Prober) {
    tokio::time::sleep(TIMEOUT).await;
    while !prober.is_disconnected() {
        tokio::time::sleep(AGAIN).await;
    }
}

/// Returns when the store has all that had happened at the time of the call.
pub async fn catch_up(cache: Arc<WatchCache>, prober: Prober) {
    let mut limit = FIRST_LIMIT;
    loop {
        let listed = tokio::time::timeout(limit, prober.list()).await;
        limit = (2 * limit).min(MAX_LIMIT);
        if let Ok(Ok(found)) = listed
            && found.is_confirmed
            && wait_for(&cache, &found, QUIET).await
        {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Returns whether the store came to hold what was found, or newer versions. A store that equals it
/// waits for that time without an event, and then counts as reaching its resource version.
async fn wait_for(cache: &WatchCache, found: &Found, quiet: Duration) -> bool {
    let mut progress = cache.ingested();
    let reached = async {
        loop {
            let reached = progress
                .borrow_and_update()
                .is_some_and(|at| found.revision <= at);
            if reached {
                return;
            }
            let is_held = cache.holds(&found.versions);
            let changed = tokio::select! {
                biased;
                changed = progress.changed() => changed,
                () = pause(quiet), if is_held => {
                    cache.ingest(Event::Progress(found.revision), Timestamp::now());
                    return;
                }
            };
            if changed.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, reached).await.is_ok()
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[cfg(test)]
mod tests;
