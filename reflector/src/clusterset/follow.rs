//! Watches one cluster of the set, while it has the names that the configuration gives it.

use std::sync::Arc;
use std::time::Duration;

use reflector_clusterset::{Change, ClusterId, Update};
use runtime::Network;
use tokio::sync::mpsc;
use tracing::warn;

use super::property::{self, Answer, Names};
use super::watch::{Message, Watch, Watched};
use crate::config::SourceConfig;
use crate::following::Opened;
use crate::identity::{Clusters, Identity};
use crate::pins::{Pins, Record};

/// Interval between two looks at the names of a cluster that is read.
const NAMES: Duration = Duration::from_secs(60);

/// Interval between two looks at the identity of a cluster that is not known yet.
const RECORD: Duration = Duration::from_secs(1);

/// Watches all resources of a source, as soon as there is a client for it.
pub(super) async fn watch_cluster(
    source: SourceConfig,
    (network, names, pins): (Network, Names, Pins),
    sender: mpsc::Sender<Message>,
) {
    let cluster = names.cluster.clone();
    let mut told = None;
    let mut complain = |why: &str| {
        if told.as_deref() != Some(why) {
            warn!(%cluster, why, "could not connect to a cluster of the clusterset, retrying");
            told = Some(why.to_owned());
        }
    };
    let (way, opening) = loop {
        match Opened::new(&network, source.clone()).await {
            Ok(opened) => break opened.into_parts(),
            Err(error) => complain(&runtime::reasons(error.as_ref())),
        }
        tokio::time::sleep(crate::feed::RETRY).await;
    };
    let open = async {
        if let Some(opening) = opening {
            opening.await;
        }
        std::future::pending::<()>().await;
    };
    let watch = async {
        let client = way.client(&mut complain).await;
        watch_named(&source, (&names, &pins), &client, &sender).await;
    };
    tokio::select! {
        () = open => {}
        () = watch => {}
    }
}

/// Watches a cluster while its names agree with the configuration.
async fn watch_named(
    source: &SourceConfig,
    (names, pins): (&Names, &Pins),
    client: &kube::Client,
    sender: &mpsc::Sender<Message>,
) {
    let cluster = &names.cluster;
    let mut told = None;
    loop {
        let why = match property::ask(client, names).await {
            Answer::Agrees => {
                told = None;
                let identity = pinned(source, pins).await;
                tokio::select! {
                    () = watch_all(&identity, cluster, client, sender) => return,
                    () = record(source, &identity, pins) => {}
                    () = until_it_differs(client, names) => {}
                }
                for message in disconnected(cluster) {
                    if sender.send(message).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            Answer::Differs(why) | Answer::Unknown(why) => why,
        };
        if told.as_ref() != Some(&why) {
            warn!(%cluster, why, "the cluster is not read, retrying");
            let failed = Message::Failed(cluster.clone(), Watched::Exports, why.clone());
            if sender.send(failed).await.is_err() {
                return;
            }
            told = Some(why);
        }
        tokio::time::sleep(crate::feed::RETRY).await;
    }
}

/// Returns when a cluster has other names than it had.
async fn until_it_differs(client: &kube::Client, names: &Names) {
    loop {
        tokio::time::sleep(NAMES).await;
        if let Answer::Differs(_) = property::ask(client, names).await {
            return;
        }
    }
}

fn disconnected(cluster: &ClusterId) -> [Message; 3] {
    let cluster = || cluster.clone();
    [
        Update::Exports(cluster(), Change::Disconnected),
        Update::Services(cluster(), Change::Disconnected),
        Update::Slices(cluster(), Change::Disconnected),
    ]
    .map(|it| Message::Update(Box::new(it)))
}

/// Returns the identity of a source, which is the cluster that was recorded for it.
async fn pinned(source: &SourceConfig, pins: &Pins) -> Arc<Identity> {
    let identity = Arc::new(Identity::new(source));
    let clusters = pins.read().await.of(&source.name);
    identity.expect(clusters.unwrap_or_default());
    identity
}

/// Has the cluster recorded, as soon as it is known. A cluster with another UID is then not
/// read after a restart either.
async fn record(source: &SourceConfig, identity: &Identity, pins: &Pins) {
    loop {
        if let Some(cluster) = identity.cluster() {
            let clusters = Clusters::from([cluster]);
            pins.want(Record::from([(source.name.clone(), clusters)]));
            return std::future::pending().await;
        }
        tokio::time::sleep(RECORD).await;
    }
}

async fn watch_all(
    identity: &Arc<Identity>,
    cluster: &ClusterId,
    client: &kube::Client,
    sender: &mpsc::Sender<Message>,
) {
    let watches = Watched::all(false).iter().map(|watched| {
        let watch = Watch {
            cluster: cluster.clone(),
            is_local: false,
            watched: *watched,
            client: client.clone(),
            identity: Some(Arc::clone(identity)),
            sender: sender.clone(),
        };
        watch.run()
    });
    futures::future::join_all(watches).await;
}
