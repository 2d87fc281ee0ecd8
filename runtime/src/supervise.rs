//! Containment of panics.
//!
//! Work on what another party sent may meet a bug of this program. The panic is that
//! party's loss alone: its work is reported, and starts again after a delay that grows.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

/// First delay before work that panicked starts again.
const FIRST: Duration = Duration::from_secs(1);

/// Longest delay before work that panicked starts again.
const LONGEST: Duration = Duration::from_secs(300);

/// Work that ran for so long had recovered: its next panic counts as the first.
const RECOVERED: Duration = Duration::from_secs(600);

/// Delays between a panic and the restart of the work.
#[derive(Debug)]
pub struct Restarts {
    next: Duration,
    began: Instant,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            next: FIRST,
            began: Instant::now(),
        }
    }
}

impl Restarts {
    /// Returns the delay after a panic that happened now.
    pub fn delay(&mut self) -> Duration {
        let now = Instant::now();
        if RECOVERED <= now.saturating_duration_since(self.began) {
            self.next = FIRST;
        }
        let delay = self.next;
        self.next = (2 * delay).min(LONGEST);
        self.began = now + delay;
        delay
    }
}

/// Returns what the work returns, or the message of its panic.
///
/// State that the work shares must be renewed after a panic, which may leave it half
/// changed.
pub async fn contain<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.map_err(|panic| message(&*panic))
}

/// Returns what the function returns, or the message of its panic; see [`contain`].
pub fn contain_call<T>(function: impl FnOnce() -> T) -> Result<T, String> {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(function));
    outcome.map_err(|panic| message(&*panic))
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_grow_until_work_recovers() {
        let mut restarts = Restarts::default();
        let delays: Vec<u64> = (0..10).map(|_| restarts.delay().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        tokio::time::advance(RECOVERED + LONGEST).await;
        assert_eq!(restarts.delay(), FIRST);
    }

    #[tokio::test]
    async fn a_panic_becomes_its_message() {
        assert_eq!(contain_call(|| 1), Ok(1));
        let panic = contain_call(|| if true { panic!("because of {}", 1) } else { 2 });
        assert_eq!(panic, Err("because of 1".to_owned()));
        let panic = contain(async {
            if true {
                panic!("no reason")
            }
        })
        .await;
        assert_eq!(panic, Err("no reason".to_owned()));
    }
}
