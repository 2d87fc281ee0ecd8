//! Search for another replica while the server of an open watch is disconnected.
//!
//! The watch stays open: its server may be the only one, and connect again. Each attempt
//! takes a new connection, after a delay that grows. A word of the open watch ends the search.

use proto_types::ResourceVersion;
use proto_types::evidence::Upstream;
use tokio::time::Instant;

use super::delay::Delays;
use super::request::Pending;
use super::server::Server;
use super::watch::Watch;

/// Search for a connected server.
pub(super) struct ReplicaSearch {
    server: Server,
    from: ResourceVersion,
    delays: Delays,
    attempt: Attempt,
}

enum Attempt {
    Waiting { until: Instant },
    Opening { watch: Pending<Watch> },
}

impl ReplicaSearch {
    /// Creates a search for a watch from that resource version.
    pub(super) fn new(server: Server, from: ResourceVersion) -> Self {
        let mut delays = Delays::new(&server.limits);
        let until = Instant::now() + delays.next(None);
        Self {
            server,
            from,
            delays,
            attempt: Attempt::Waiting { until },
        }
    }

    /// Returns a watch at a connected server. Cancel safe.
    pub(super) async fn next(&mut self) -> Watch {
        loop {
            match &mut self.attempt {
                Attempt::Waiting { until } => {
                    tokio::time::sleep_until(*until).await;
                    let watch = self.server.clone().watch_by_new_connection(self.from);
                    let watch = Box::pin(watch);
                    self.attempt = Attempt::Opening { watch };
                }
                Attempt::Opening { watch } => {
                    let opened = watch.await;
                    let retry_after = opened.as_ref().err().and_then(|it| it.retry_after);
                    self.wait(retry_after);
                    if let Some(watch) = opened.ok().filter(is_connected) {
                        return watch;
                    }
                }
            }
        }
    }

    fn wait(&mut self, retry_after: Option<std::time::Duration>) {
        let until = Instant::now() + self.delays.next(retry_after);
        self.attempt = Attempt::Waiting { until };
    }
}

fn is_connected(watch: &Watch) -> bool {
    watch.origin().evidence.upstream == Upstream::Connected
}
