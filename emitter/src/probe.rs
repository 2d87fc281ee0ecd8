//! Reads that see every write that was done before them.
//!
//! A watch tells of a change soon, but not before the next request: who writes
//! upstream and reads here could miss its own write. So a reader asks first, and a
//! probe lists upstream what there is, metadata only. Where the store holds the same
//! versions it is as new as that list; where not, the stream is about to tell.
//!
//! Such a list is also what confirms the store: what it lacks is absent upstream. Where
//! the upstream cannot be reached, is disconnected or older, reads are not confirmed, and
//! their answers say so. An upstream that takes long, or has no time, may have taken writes:
//! readers wait for it as long as they would wait for a kube-apiserver.
//!
//! Invariant: there is at most one list under way for each resource, and it answers
//! all who asked before it began.

mod prober;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use proto_types::Revision;
use proto_types::evidence::Read;
use runtime::follow::Event;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use self::prober::Unlisted;
pub use self::prober::{Prober, Versions};
use crate::hub::Hub;

/// How long the stream may take to tell what the list showed, as in a kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a reader that is told the relation to the present waits for its confirmation. It
/// waits 30 s for an answer (`runtime::follow::Limits`), and has to hear it.
const CONFIRMATION: Duration = Duration::from_secs(15);

/// How long the first list may take before it is asked for again, perhaps by another connection.
const FIRST_LIMIT: Duration = Duration::from_secs(15);

/// How long any list may take: no reader waits longer.
const MAX_LIMIT: Duration = Duration::from_secs(60);

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// Questions of readers, and how many of them have been answered.
#[derive(Debug)]
pub struct Questions {
    asked: watch::Sender<u64>,
    answered: watch::Sender<(u64, Read)>,
    /// Whether only a reader that requires it is answered by the upstream.
    is_on_demand: AtomicBool,
}

/// The store did not become as new as the question in time.
#[derive(Debug)]
pub struct Unanswered;

impl Default for Questions {
    fn default() -> Self {
        Self {
            asked: watch::Sender::default(),
            answered: watch::Sender::new((0, Read::Cached)),
            is_on_demand: AtomicBool::new(false),
        }
    }
}

impl Questions {
    /// Answers only questions of readers that require it.
    pub fn on_demand(&self) {
        self.is_on_demand.store(true, Ordering::Relaxed);
    }

    /// Returns when the store has all that had happened at the time of the call, and
    /// whether the upstream confirmed that. Without a prober it returns `None` at once.
    pub async fn ask(&self, within: Duration) -> Result<Option<Read>, Unanswered> {
        match self.is_on_demand.load(Ordering::Relaxed) {
            true => Ok(self.unasked()),
            false => self.answered(within).await,
        }
    }

    /// The same for a reader that is told the relation to the present, also where only such
    /// readers are answered. What cannot be confirmed soon is cached.
    pub async fn confirm(&self, within: Duration) -> Result<Option<Read>, Unanswered> {
        let answered = self.answered(within.min(CONFIRMATION)).await;
        match answered {
            Err(Unanswered) if CONFIRMATION <= within => Ok(Some(Read::Cached)),
            answered => answered,
        }
    }

    async fn answered(&self, within: Duration) -> Result<Option<Read>, Unanswered> {
        if self.unasked().is_none() {
            return Ok(None);
        }
        let mut answered = self.answered.subscribe();
        let mut mine = 0;
        self.asked.send_modify(|n_asked| {
            *n_asked += 1;
            mine = *n_asked;
        });
        let answer = answered.wait_for(|(answered, _)| mine <= *answered);
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(answer)) => Ok(Some(answer.1)),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }

    /// Returns the relation to the present of a read without a question; `None` without a
    /// prober.
    #[must_use]
    pub fn unasked(&self) -> Option<Read> {
        (self.asked.receiver_count() != 0).then_some(Read::Cached)
    }
}

/// What came of a comparison.
enum Compared {
    /// The store is as new as the upstream was, or nobody can tell.
    Known(Read),
    /// The upstream may have more than the store.
    Unknown,
}

/// Answers the questions of one hub's readers, for ever.
pub async fn answer(hub: Arc<Hub>, prober: Prober) {
    let mut asked = hub.questions().asked.subscribe();
    let mut limit = FIRST_LIMIT;
    loop {
        let Ok(n_asked) = asked
            .wait_for(|asked| hub.questions().answered.borrow().0 < *asked)
            .await
            .map(|asked| *asked)
        else {
            return;
        };
        let began = Instant::now();
        match compare(&hub, &prober, limit).await {
            Compared::Known(read) => {
                limit = (2 * began.elapsed()).clamp(FIRST_LIMIT, MAX_LIMIT);
                hub.questions().answered.send_replace((n_asked, read));
            }
            Compared::Unknown => {
                limit = (2 * limit).min(MAX_LIMIT);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Compares the store with the upstream.
async fn compare(hub: &Hub, prober: &Prober, limit: Duration) -> Compared {
    let known = *hub.ingested().borrow();
    let began = Instant::now();
    let listed = tokio::select! {
        listed = tokio::time::timeout(limit, prober.list()) => listed,
        () = disconnected(prober) => return Compared::Known(Read::Cached),
    };
    match listed {
        // The history went back, or the answer is of a stale server.
        Ok(Ok(found)) if Some(found.revision) < known => Compared::Known(Read::Cached),
        Ok(Ok(found)) if found.is_confirmed => {
            match wait_for(hub, &found.versions, found.revision).await {
                true => Compared::Known(Read::Confirmed),
                false => Compared::Unknown,
            }
        }
        // An upstream that gives up at once cannot reach its own one. One that takes its
        // time waits for it.
        Ok(Ok(found)) if found.is_disconnected || began.elapsed() < PATIENCE => {
            Compared::Known(Read::Cached)
        }
        Ok(Err(Unlisted::Busy(status))) => {
            debug!(resource = %prober.scope.resource, %status, "the upstream is busy");
            Compared::Unknown
        }
        Ok(Ok(_)) | Err(_) => Compared::Unknown,
        // Nobody can have written where nobody answers: what is known is the best
        // there is, and consumers must go on while an API server restarts.
        Ok(Err(Unlisted::Failed(error))) => {
            debug!(resource = %prober.scope.resource, %error, "cannot probe upstream");
            Compared::Known(Read::Cached)
        }
    }
}

/// Returns when the upstream is known to be disconnected, which each answer says.
async fn disconnected(prober: &Prober) {
    tokio::time::sleep(PATIENCE).await;
    while !prober.is_disconnected() {
        tokio::time::sleep(AGAIN).await;
    }
}

/// Returns when the store has all that had happened at the time of the call.
pub async fn catch_up(hub: Arc<Hub>, prober: Prober) {
    let mut limit = FIRST_LIMIT;
    loop {
        let listed = tokio::time::timeout(limit, prober.list()).await;
        limit = (2 * limit).min(MAX_LIMIT);
        if let Ok(Ok(found)) = listed
            && found.is_confirmed
            && wait_for(&hub, &found.versions, found.revision).await
        {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether the store came to hold those versions, or newer ones.
async fn wait_for(hub: &Hub, versions: &Versions, revision: Revision) -> bool {
    let mut progress = hub.ingested();
    let reached = async {
        loop {
            let reached = progress
                .borrow_and_update()
                .is_some_and(|at| revision <= at);
            if reached {
                return;
            }
            if hub.holds(versions) {
                hub.ingest(Event::Progress(revision), Timestamp::now());
                return;
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.is_ok()
}

#[cfg(test)]
mod tests;
