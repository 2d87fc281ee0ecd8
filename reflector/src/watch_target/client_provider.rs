//! The way to a cluster, which may not be open yet.

use std::time::Duration;

use reflector_planner::{Change, Update};
use runtime::{Access, Failure, FailureCause, Network};
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::{ConnectionState, InformerEvent, WatchTarget};

/// The way to a cluster.
#[derive(Clone)]
pub(crate) enum ClientProvider {
    /// It is open.
    Open(kube::Client),
    /// It opens when what the access needs is there.
    Waiting(watch::Receiver<Progress>),
}

/// State of the opening of a connection.
#[derive(Clone)]
pub(crate) enum Progress {
    /// It began.
    Began,
    /// It failed so far.
    Failed(String),
    /// It is open.
    Open(kube::Client),
}

/// Interval of attempts after a failure.
pub(crate) const RETRY: Duration = Duration::from_secs(5);

impl ClientProvider {
    /// Waits until it is open, and returns the reason for which it is not; `None` if the receiver
    /// was dropped.
    pub(crate) async fn open(
        self,
        feed: &WatchTarget,
        sender: &mpsc::Sender<InformerEvent>,
    ) -> Option<kube::Client> {
        let mut progress = match self {
            Self::Open(client) => return Some(client),
            Self::Waiting(progress) => progress,
        };
        loop {
            let now = progress.borrow_and_update().clone();
            match now {
                Progress::Began => {}
                Progress::Failed(why) => sender.send(feed.unreachable(why)).await.ok()?,
                Progress::Open(client) => return Some(client),
            }
            tokio::select! {
                changed = progress.changed() => changed.ok()?,
                () = sender.closed() => return None,
            }
        }
    }
}

impl ClientProvider {
    /// Returns a client as soon as the way is open, and reports each failure before that. Pending
    /// indefinitely if the way is given up.
    pub(crate) async fn client(self, mut report: impl FnMut(&str)) -> kube::Client {
        let mut progress = match self {
            Self::Open(client) => return client,
            Self::Waiting(progress) => progress,
        };
        loop {
            let now = progress.borrow_and_update().clone();
            match now {
                Progress::Began => {}
                Progress::Failed(why) => report(&why),
                Progress::Open(client) => return client,
            }
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Progress {
    /// Tries once.
    pub(crate) async fn of(network: &Network, access: &Access) -> Self {
        match network.connect(access, crate::USER_AGENT).await {
            Ok(client) => Self::Open(client),
            Err(error) => Self::Failed(runtime::reasons(&error)),
        }
    }

    /// Tries until the way is open.
    pub(crate) async fn until_open(
        network: Network,
        access: Access,
        progress: watch::Sender<Self>,
    ) {
        loop {
            let now = Self::of(&network, &access).await;
            let is_open = matches!(now, Self::Open(_));
            progress.send_replace(now);
            if is_open {
                break;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

impl WatchTarget {
    /// Reports that the source is unavailable.
    pub(crate) fn unreachable(&self, why: String) -> InformerEvent {
        self.lost(Failure {
            verb: runtime::watcher::Verb::List,
            resource: self.resource().names(),
            namespace: None,
            cause: FailureCause::Unreachable(why),
            retry_in: RETRY,
        })
    }

    /// Reports that the watch's task panicked.
    pub(crate) fn panicked(&self, why: String, retry_in: Duration) -> InformerEvent {
        error!(feed = %self, panic = why, restart_in = ?retry_in, "feed panicked");
        self.lost(Failure {
            verb: runtime::watcher::Verb::List,
            resource: self.resource().names(),
            namespace: None,
            cause: FailureCause::Panicked(why),
            retry_in,
        })
    }

    /// Reports a failure without which the watch cannot run.
    pub(crate) fn lost(&self, failure: Failure) -> InformerEvent {
        let update = match self {
            Self::Services(source) => Some(Update::Services(source.clone(), Change::Lost)),
            Self::Slices(source) => Some(Update::Slices(source.clone(), Change::Lost)),
            Self::MemberServices(source) => {
                Some(Update::MemberServices(source.clone(), Change::Lost))
            }
            Self::MemberSlices(source) => Some(Update::MemberSlices(source.clone(), Change::Lost)),
            Self::LocalServices | Self::LocalSlices | Self::LocalEndpoints => None,
        };
        InformerEvent {
            feed: self.clone(),
            sign: ConnectionState::Disconnected(failure),
            update,
        }
    }
}
