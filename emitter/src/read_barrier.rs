//! Barrier of consistent reads: a read waits until the store has every write that was done
//! before it.
//!
//! [`probe`](crate::probe) lifts it with a list of the upstream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proto_types::evidence::Read;
use proto_types::{ObjectKey, ResourceVersion};
use tokio::sync::watch;

/// UID and resource version of each object of a list.
pub type Versions = HashMap<ObjectKey, (Box<str>, ResourceVersion)>;

/// Longest time that a read waits for its confirmation. The client waits 30 s for a response
/// (`runtime::watcher::Limits`), and must receive one.
const CONFIRMATION: Duration = Duration::from_secs(15);

/// Reads that wait for the store, and how many of them were answered.
#[derive(Debug)]
pub struct ReadBarrier {
    asked: watch::Sender<u64>,
    answered: watch::Sender<(u64, Read)>,
    /// `true` if only reads that require a confirmation wait for the upstream.
    is_on_demand: AtomicBool,
}

/// The store did not reach the state of the upstream in time.
#[derive(Debug)]
pub struct Timeout;

impl Default for ReadBarrier {
    fn default() -> Self {
        Self {
            asked: watch::Sender::default(),
            answered: watch::Sender::new((0, Read::Cached)),
            is_on_demand: AtomicBool::new(false),
        }
    }
}

impl ReadBarrier {
    /// Lets all reads pass at once except those that require a confirmation.
    pub fn on_demand(&self) {
        self.is_on_demand.store(true, Ordering::Relaxed);
    }

    /// Waits until the store has all that had happened at the time of the call. Returns whether
    /// the upstream confirmed that, and `None` at once if nothing compares with the upstream.
    pub async fn wait(&self, within: Duration) -> Result<Option<Read>, Timeout> {
        match self.is_on_demand.load(Ordering::Relaxed) {
            true => Ok(self.pass()),
            false => self.wait_for_answer(within).await,
        }
    }

    /// Waits as [`wait`](Self::wait) does, also if the barrier is on demand. A state that is not
    /// confirmed soon is reported as cached.
    pub async fn confirm(&self, within: Duration) -> Result<Option<Read>, Timeout> {
        let answered = self.wait_for_answer(within.min(CONFIRMATION)).await;
        match answered {
            Err(Timeout) if CONFIRMATION <= within => Ok(Some(Read::Cached)),
            answered => answered,
        }
    }

    async fn wait_for_answer(&self, within: Duration) -> Result<Option<Read>, Timeout> {
        if self.pass().is_none() {
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
            Ok(Err(_)) | Err(_) => Err(Timeout),
        }
    }

    /// Returns the state of a read that does not wait; `None` if nothing compares with the
    /// upstream.
    #[must_use]
    pub fn pass(&self) -> Option<Read> {
        (self.asked.receiver_count() != 0).then_some(Read::Cached)
    }

    /// Returns a receiver of the number of reads that have waited so far.
    pub(crate) fn requests(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Returns the number of reads that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.borrow().0
    }

    /// Answers the first `n_asked` reads.
    pub(crate) fn answer(&self, n_asked: u64, read: Read) {
        self.answered.send_replace((n_asked, read));
    }
}

#[cfg(test)]
mod tests;
