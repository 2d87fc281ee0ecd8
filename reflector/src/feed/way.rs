//! The way to a cluster, which may not be open yet.

use std::time::Duration;

use reflector_planner::{Change, Update};
use runtime::{Access, Cause, Failure};
use tokio::sync::{mpsc, watch};

use super::{Feed, News, Sign};
use crate::authority::Progress;

/// The way to a cluster.
#[derive(Clone)]
pub(crate) enum Way {
    /// It is open.
    Open(kube::Client),
    /// It opens when the authority is there that the access needs.
    Waiting {
        /// How the cluster is reached.
        access: Access,
        /// How far the authority is.
        progress: watch::Receiver<Progress>,
    },
}

// As often as the authority is asked for where it cannot be had.
const RETRY: Duration = Duration::from_secs(5);

impl Way {
    /// Waits until it is open, and tells why it is not; nothing, if nobody listens.
    pub(crate) async fn open(
        self,
        feed: &Feed,
        sender: &mpsc::Sender<News>,
    ) -> Option<kube::Client> {
        let (access, mut progress) = match self {
            Self::Open(client) => return Some(client),
            Self::Waiting { access, progress } => (access, progress),
        };
        loop {
            let now = progress.borrow_and_update().clone();
            let why = match now {
                Progress::Began => None,
                Progress::Failed(why) => Some(why),
                Progress::Fetched => match runtime::connect(&access, crate::USER_AGENT).await {
                    Ok(client) => return Some(client),
                    Err(error) => Some(format!("{:#}", anyhow::Error::from(error))),
                },
            };
            if let Some(why) = why {
                sender.send(feed.unreachable(why)).await.ok()?;
            }
            tokio::select! {
                changed = progress.changed() => changed.ok()?,
                () = sender.closed() => return None,
            }
        }
    }
}

impl Feed {
    fn unreachable(&self, why: String) -> News {
        let update = match self {
            Self::Services(source) => Some(Update::Services(source.clone(), Change::Lost)),
            Self::Slices(source) => Some(Update::Slices(source.clone(), Change::Lost)),
            Self::MemberServices(source) => {
                Some(Update::MemberServices(source.clone(), Change::Lost))
            }
            Self::MemberSlices(source) => Some(Update::MemberSlices(source.clone(), Change::Lost)),
            Self::LocalServices | Self::LocalSlices => None,
        };
        News {
            feed: self.clone(),
            sign: Sign::Lost(Failure {
                verb: runtime::follow::Verb::List,
                resource: self.resource(),
                namespace: None,
                cause: Cause::Unreachable(why),
                retry_in: RETRY,
            }),
            update,
        }
    }
}
