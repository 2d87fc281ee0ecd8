//! Opening of the connection to a source.

use futures::FutureExt;
use futures::future::BoxFuture;
use runtime::Network;
use tokio::sync::watch;

use crate::ca_fetcher::Authority;
use crate::config::{Origin, SourceConfig};
use crate::watch_target::{ClientProvider, Progress};

/// A source, and the way to it.
pub(crate) struct Opened {
    /// The source.
    pub(crate) source: SourceConfig,
    pub(super) way: ClientProvider,
    /// Task that opens the connection, until it is open.
    pub(super) opening: Option<BoxFuture<'static, ()>>,
}

impl Opened {
    /// Connects to a source, or begins to. A discovered source may be half written, and delays no
    /// other. A credential plugin may take its time.
    pub(crate) async fn new(network: &Network, source: SourceConfig) -> anyhow::Result<Self> {
        let (way, opening) = if let Some(url) = source.ca_url.clone() {
            let (authority, progress) = Authority::new(url)?;
            let access = source.access_by(authority.file());
            (
                ClientProvider::Waiting(progress),
                Some(authority.run(access).boxed()),
            )
        } else if source.origin == Origin::Found {
            let (sender, progress) = watch::channel(Progress::Began);
            let opening = Progress::until_open(network.clone(), source.access.clone(), sender);
            (ClientProvider::Waiting(progress), Some(opening.boxed()))
        } else {
            let client = network.connect(&source.access, crate::USER_AGENT).await?;
            (ClientProvider::Open(client), None)
        };
        Ok(Self {
            source,
            way,
            opening,
        })
    }

    /// Splits into the way to the source and the task that opens it, where there is one.
    /// The task also renews what the access needs, for as long as it runs.
    pub(crate) fn into_parts(self) -> (ClientProvider, Option<BoxFuture<'static, ()>>) {
        (self.way, self.opening)
    }
}
