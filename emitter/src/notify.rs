//! Notification of one task by others, without a queue.
//!
//! A task that waits for several things at once has one notifier for all of them, and checks each
//! when it is notified. A notification takes no lock, and waiting takes no memory.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

/// Notifier of one task, with the strongest signal that was set.
#[derive(Debug, Default)]
pub struct Notifier {
    waker: AtomicWaker,
    signal: AtomicU8,
}

impl Notifier {
    /// Wakes the task.
    pub fn notify(&self) {
        self.waker.wake();
    }

    /// Sets a signal, unless a stronger one was set, and wakes the task.
    pub fn set_signal(&self, signal: u8) {
        self.signal.fetch_max(signal, Ordering::AcqRel);
        self.notify();
    }

    /// Returns the strongest signal so far; 0 if none was set.
    #[must_use]
    pub fn signal(&self) -> u8 {
        self.signal.load(Ordering::Acquire)
    }

    /// Registers the current task for the next notification. It must be called before the task
    /// checks its conditions, so that no change in between is missed.
    pub fn listen(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Returns when a signal was set that is at least so strong.
    pub async fn wait_for(&self, signal: u8) {
        poll_fn(|cx| {
            self.listen(cx);
            match signal <= self.signal() {
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
    async fn a_signal_reaches_the_waiting_task_and_the_strongest_stays() {
        let notifier = Arc::new(Notifier::default());
        let sender = Arc::clone(&notifier);
        let said = async move {
            tokio::task::yield_now().await;
            sender.set_signal(1);
            tokio::task::yield_now().await;
            sender.set_signal(3);
            sender.set_signal(2);
        };
        tokio::join!(notifier.wait_for(2), said);
        assert_eq!(notifier.signal(), 3);
    }
}
