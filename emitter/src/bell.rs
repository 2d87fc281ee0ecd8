//! How one task is told that there is something new, by anybody and without a queue.
//!
//! A task that waits for several things at once has one bell for all of them, and looks
//! for itself at what there is when it rings: telling costs no lock, and waiting nothing.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

/// Wakes one task, and keeps the strongest word that was said to it.
#[derive(Debug, Default)]
pub struct Bell {
    waker: AtomicWaker,
    word: AtomicU8,
}

impl Bell {
    /// Tells that there may be something new.
    pub fn ring(&self) {
        self.waker.wake();
    }

    /// Says a word for good, unless a stronger one has been said.
    pub fn say(&self, word: u8) {
        self.word.fetch_max(word, Ordering::AcqRel);
        self.ring();
    }

    /// The strongest word so far; 0 if none was said.
    #[must_use]
    pub fn word(&self) -> u8 {
        self.word.load(Ordering::Acquire)
    }

    /// Wakes this task when it rings next. To be asked before looking at what there is:
    /// what happens in between is not missed then.
    pub fn listen(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Returns when a word has been said that is at least so strong.
    pub async fn hears(&self, word: u8) {
        poll_fn(|cx| {
            self.listen(cx);
            match word <= self.word() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_word_reaches_who_waits_and_the_strongest_stays() {
        let bell = Arc::new(Bell::default());
        let says = Arc::clone(&bell);
        let said = async move {
            tokio::task::yield_now().await;
            says.say(1);
            tokio::task::yield_now().await;
            says.say(3);
            says.say(2);
        };
        tokio::join!(bell.hears(2), said);
        assert_eq!(bell.word(), 3);
    }
}
