//! Reads that see every write that was done before them.
//!
//! A watch tells of a change soon, but not before the next request: who writes
//! upstream and reads here could miss its own write. So a reader asks first, and a
//! probe lists upstream what there is, metadata only. Where the store holds the same
//! versions it is as new as that list; where not, the stream is about to tell.
//!
//! Such a list is also what confirms the store: what it lacks is absent upstream. Where
//! the upstream does not respond, is disconnected or older, reads are not confirmed.
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
use tracing::debug;

pub use self::prober::{Prober, Versions};
use crate::hub::Hub;

/// How long the stream may take to tell what the list showed, as in a kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(3);

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
    pub async fn ask(&self) -> Result<Option<Read>, Unanswered> {
        match self.is_on_demand.load(Ordering::Relaxed) {
            true => Ok(self.unasked()),
            false => self.confirm().await,
        }
    }

    /// The same, also where only readers that require it are answered.
    pub async fn confirm(&self) -> Result<Option<Read>, Unanswered> {
        if self.unasked().is_none() {
            return Ok(None);
        }
        let mut answered = self.answered.subscribe();
        let mut mine = 0;
        self.asked.send_modify(|n_asked| {
            *n_asked += 1;
            mine = *n_asked;
        });
        // One probe may be under way that began before this question.
        let answer = answered.wait_for(|(answered, _)| mine <= *answered);
        match tokio::time::timeout(2 * PATIENCE, answer).await {
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

/// Answers the questions of one hub's readers, for ever.
pub async fn answer(hub: Arc<Hub>, prober: Prober) {
    let mut asked = hub.questions().asked.subscribe();
    loop {
        let Ok(n_asked) = asked
            .wait_for(|asked| hub.questions().answered.borrow().0 < *asked)
            .await
            .map(|asked| *asked)
        else {
            return;
        };
        if let Some(read) = compare(&hub, &prober).await {
            hub.questions().answered.send_replace((n_asked, read));
        }
    }
}

/// Compares the store with the upstream. Returns `None` if it is not as new in time.
async fn compare(hub: &Hub, prober: &Prober) -> Option<Read> {
    let known = *hub.ingested().borrow();
    match tokio::time::timeout(PATIENCE, prober.list()).await {
        // The history went back, or the answer is of a stale server.
        Ok(Ok(found)) if Some(found.revision) < known => Some(Read::Cached),
        Ok(Ok(found)) if found.is_confirmed => {
            let is_known = wait_for(hub, &found.versions, found.revision).await;
            is_known.then_some(Read::Confirmed)
        }
        Ok(Ok(_)) | Err(_) => Some(Read::Cached),
        // Nobody can have written where nobody answers: what is known is the best
        // there is, and consumers must go on while an API server restarts.
        Ok(Err(error)) => {
            debug!(resource = %prober.scope.resource, %error, "cannot probe upstream");
            Some(Read::Cached)
        }
    }
}

/// Returns when the store has all that had happened at the time of the call.
pub async fn catch_up(hub: Arc<Hub>, prober: Prober) {
    loop {
        let listed = tokio::time::timeout(PATIENCE, prober.list()).await;
        if let Ok(Ok(found)) = listed
            && found.is_confirmed
            && wait_for(&hub, &found.versions, found.revision).await
        {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Between two attempts to catch up.
const AGAIN: Duration = Duration::from_millis(500);

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
mod tests {
    use super::{Questions, Read};

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_an_answer_but_not_for_ever() {
        let questions = Questions::default();
        let read = questions.ask().await;
        assert!(matches!(read, Ok(None)), "where nobody probes");
        let _prober = questions.asked.subscribe();
        assert!(questions.ask().await.is_err(), "where nothing comes of it");
        let (asked, ()) = tokio::join!(questions.ask(), async {
            tokio::task::yield_now().await;
            questions.answered.send_replace((2, Read::Confirmed));
        });
        assert!(matches!(asked, Ok(Some(Read::Confirmed))));
        questions.on_demand();
        assert!(matches!(questions.ask().await, Ok(Some(Read::Cached))));
        assert!(
            questions.confirm().await.is_err(),
            "which is asked all the same"
        );
    }
}
