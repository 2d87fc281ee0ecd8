//! Graceful shutdown.
//!
//! First load balancers stop to send clients here, then watches end one after the other, and at
//! last connections do. The upstream is watched until then, so that clients get current data.

use std::sync::Arc;
use std::time::Duration;

use runtime::Flag;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::consumers::Consumers;
use crate::limits::Drain;
use crate::serve::End;

/// Parts that a shutdown ends.
pub struct Shutdown {
    /// Settings.
    pub drain: Drain,
    /// Lowered first.
    pub ready: Flag,
    /// Consumers whose watches end.
    pub consumers: Arc<Consumers>,
    /// Ends connections.
    pub end: End,
}

impl Shutdown {
    /// Waits for the request to shut down, or until the program has ended for another reason. Then
    /// ends everything in order, and returns when the program has ended.
    pub async fn follow(self, asked: CancellationToken, stopped: CancellationToken) {
        self.ready.raise();
        let drain = tokio::select! {
            () = asked.cancelled() => self.drain,
            () = stopped.cancelled() => Drain {
                shutdown_delay: Duration::ZERO,
                shutdown_spread: Duration::ZERO,
            },
        };
        self.ready.lower("shutting down");
        self.consumers.close();
        tokio::time::sleep(drain.shutdown_delay).await;
        self.end.closing.cancel();
        let n_watches = self.consumers.watches().len();
        info!(n_watches, "ending watches");
        self.consumers.drain(drain.shutdown_spread).await;
        self.end.ended.cancel();
        stopped.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RequestLimits;
    use crate::metrics::Metrics;
    use runtime::Readiness;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn readiness_goes_first_and_connections_go_last() {
        let readiness = Readiness::default();
        let end = End::default();
        let consumers = Consumers::new(RequestLimits::standard(), Arc::new(Metrics::default()));
        let shutdown = Shutdown {
            drain: Drain {
                shutdown_delay: Duration::from_secs(3),
                shutdown_spread: Duration::from_secs(5),
            },
            ready: readiness.flag("shutdown", "not serving yet"),
            consumers: Arc::clone(&consumers),
            end: end.clone(),
        };
        let (asked, stopped) = (CancellationToken::new(), CancellationToken::new());
        let begin = Instant::now();
        let story = async {
            tokio::task::yield_now().await;
            assert!(readiness.is_ready());
            asked.cancel();
            tokio::task::yield_now().await;
            assert!(!readiness.is_ready() && consumers.is_closing());
            assert!(!end.closing.is_cancelled());
            end.closing.cancelled().await;
            assert_eq!(begin.elapsed(), Duration::from_secs(3));
            end.ended.cancelled().await;
            stopped.cancel();
        };
        tokio::join!(shutdown.follow(asked.clone(), stopped.clone()), story);
    }
}
