//! Watches one cluster of the set, while it has the names that the configuration gives it.

use std::sync::Arc;
use std::time::Duration;

use reflector_clusterset::selector::Properties;
use reflector_clusterset::{Change, ClusterId, Update};
use runtime::Network;
use tokio::sync::mpsc;
use tracing::warn;

use super::property::{self, Answer, ExpectedProperties};
use super::watch::{ControllerChannel, Message, Watch, Watched};
use crate::config::SourceConfig;
use crate::identity::{Clusters, ExpectedIdentity};
use crate::informers::Opened;
use crate::pins::{Pins, Record};

/// Interval between two looks at the names of a cluster that is read.
const NAMES: Duration = Duration::from_secs(60);

/// Interval between two looks at the identity of a cluster that is not known yet.
const RECORD: Duration = Duration::from_secs(1);

/// Watches all resources of a source, as soon as there is a client for it.
pub(super) async fn watch_cluster(
    source: SourceConfig,
    (network, names, pins): (Network, ExpectedProperties, Pins),
    line: ControllerChannel,
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
        tokio::time::sleep(crate::watch_target::RETRY).await;
    };
    let open = async {
        if let Some(opening) = opening {
            opening.await;
        }
        std::future::pending::<()>().await;
    };
    let watch = async {
        let client = way.client(&mut complain).await;
        watch_named(&names, Some((&source, &pins)), &client, &line).await;
    };
    tokio::select! {
        () = open => {}
        () = watch => {}
    }
}

/// Watches the local cluster while its names agree with the configuration.
pub(super) async fn watch_own(
    names: ExpectedProperties,
    client: kube::Client,
    line: ControllerChannel,
) {
    watch_named(&names, None, &client, &line).await;
}

/// Watches a cluster until there is no receiver.
async fn watch(
    names: &ExpectedProperties,
    source: Option<(&SourceConfig, &Pins)>,
    client: &kube::Client,
    line: &ControllerChannel,
) {
    let Some((source, pins)) = source else {
        return watch_all(None, &names.cluster, client, line).await;
    };
    let identity = pinned(source, pins).await;
    tokio::select! {
        () = watch_all(Some(&identity), &names.cluster, client, line) => {}
        () = record(source, &identity, pins) => {}
    }
}

/// Watches a cluster while its names agree with the configuration. The local one has no source.
async fn watch_named(
    names: &ExpectedProperties,
    source: Option<(&SourceConfig, &Pins)>,
    client: &kube::Client,
    line: &ControllerChannel,
) {
    let is_local = source.is_none();
    let cluster = &names.cluster;
    let mut told = None;
    loop {
        let (why, is_other) = match property::request_properties(client, names).await {
            Answer::Agrees(properties) => {
                told = None;
                let named = is_local.then_some(Message::Named(true));
                let properties = known(cluster, properties);
                if !send(&line.sender, named.into_iter().chain(properties)).await {
                    return;
                }
                tokio::select! {
                    () = watch(names, source, client, line) => return,
                    () = until_it_differs(client, names, line) => {}
                }
                if !send(&line.sender, disconnected(cluster)).await {
                    return;
                }
                continue;
            }
            Answer::Differs(why) => (why, true),
            Answer::Unknown(why) => (why, false),
        };
        if told.as_ref() != Some(&why) {
            warn!(%cluster, why, "the cluster is not read, retrying");
            let named = (is_local && is_other).then_some(Message::Named(false));
            let failed = Message::Failed(cluster.clone(), Watched::Exports, why.clone());
            if !send(&line.sender, named.into_iter().chain([failed])).await {
                return;
            }
            told = Some(why);
        }
        tokio::time::sleep(crate::watch_target::RETRY).await;
    }
}

/// Sends messages; returns whether there is a receiver.
async fn send(sender: &mpsc::Sender<Message>, messages: impl IntoIterator<Item = Message>) -> bool {
    for message in messages {
        if sender.send(message).await.is_err() {
            return false;
        }
    }
    true
}

/// Sends the properties of a cluster now and then. Returns when it has other names than it had.
async fn until_it_differs(
    client: &kube::Client,
    names: &ExpectedProperties,
    line: &ControllerChannel,
) {
    loop {
        tokio::time::sleep(NAMES).await;
        match property::request_properties(client, names).await {
            Answer::Agrees(properties) => {
                let properties = known(&names.cluster, properties);
                send(&line.sender, properties).await;
            }
            Answer::Differs(_) => return,
            Answer::Unknown(_) => {}
        }
    }
}

/// Returns the message with the properties of a cluster, if they are known.
fn known(cluster: &ClusterId, properties: Option<Properties>) -> Option<Message> {
    let update = |it| Update::Properties(cluster.clone(), it);
    properties.map(|it| Message::Update(Box::new(update(it))))
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
async fn pinned(source: &SourceConfig, pins: &Pins) -> Arc<ExpectedIdentity> {
    let identity = Arc::new(ExpectedIdentity::new(source));
    let clusters = pins.read().await.of(&source.name);
    identity.expect(clusters.unwrap_or_default());
    identity
}

/// Has the cluster recorded, as soon as it is known. A cluster with another UID is then not
/// read after a restart either.
async fn record(source: &SourceConfig, identity: &ExpectedIdentity, pins: &Pins) {
    loop {
        if let Some(cluster) = identity.cluster() {
            let clusters = Clusters::from([cluster]);
            pins.want(Record::from([(source.name.clone(), clusters)]));
            return std::future::pending().await;
        }
        tokio::time::sleep(RECORD).await;
    }
}

/// Watches all resources of a cluster; of the local one, which has no identity to compare, more.
async fn watch_all(
    identity: Option<&Arc<ExpectedIdentity>>,
    cluster: &ClusterId,
    client: &kube::Client,
    line: &ControllerChannel,
) {
    let is_local = identity.is_none();
    let watches = Watched::all(is_local).iter().map(|watched| {
        let watch = Watch {
            cluster: cluster.clone(),
            is_local,
            watched: *watched,
            client: client.clone(),
            identity: identity.map(Arc::clone),
            line: line.clone(),
        };
        watch.run()
    });
    futures::future::join_all(watches).await;
}
