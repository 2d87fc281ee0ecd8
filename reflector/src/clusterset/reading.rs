//! Reads all clusters of a clusterset once, for a plan.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_types::ObjectKey;
use reflector_clusterset::api::Version;
use reflector_clusterset::{Change, ClusterId, ClusterSet, ImportExplanation, Update};
use runtime::Network;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Configuration;
use super::answer::explained;
use super::follow::{watch_cluster, watch_own};
use super::property::ExpectedProperties;
use super::watch::{ControllerChannel, Message};
use crate::pins::Pins;

/// A list may take a minute.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Time for another attempt, where each cluster that has not answered has failed.
const PATIENCE: Duration = Duration::from_secs(8);

/// A clusterset, as its clusters answered.
#[derive(Debug)]
pub(crate) struct Read {
    /// The state.
    pub(crate) set: ClusterSet,
    /// The version of the API that the local cluster serves.
    pub(crate) version: Version,
    /// Cause of each cluster that was not read.
    pub(crate) failures: BTreeMap<ClusterId, String>,
}

impl Read {
    /// Explains an import as the clusters answered.
    pub(crate) fn explained(&self, import: &ObjectKey) -> Option<ImportExplanation> {
        explained(&self.set, Some(self.version), import)
    }
}

/// Reads the clusters of a clusterset. A local cluster without the CRDs has no exports and no
/// imports yet.
pub(crate) async fn read(configuration: Configuration, client: kube::Client) -> Read {
    let Configuration { settings, sources } = configuration;
    let local = settings.local.clone();
    let (sender, mut messages) = mpsc::channel(64);
    let mut watches = JoinSet::new();
    let names = |cluster: &ClusterId| ExpectedProperties {
        cluster: cluster.clone(),
        set: settings.name.clone(),
    };
    let line = || ControllerChannel::new(&sender);
    watches.spawn(watch_own(names(&local), client, line()));
    for source in sources {
        let Ok(cluster) = source.name.as_str().parse::<ClusterId>() else {
            continue;
        };
        let way = (Network::System, names(&cluster), Pins::unavailable());
        watches.spawn(watch_cluster(source, way, line()));
    }
    let mut reading = Reading {
        version: None,
        failures: BTreeMap::new(),
        set: ClusterSet::new(settings),
    };
    let begun = Instant::now();
    while !reading.is_complete() {
        let limit = if reading.all_failed() {
            PATIENCE
        } else {
            TIMEOUT
        };
        match tokio::time::timeout_at(begun + limit, messages.recv()).await {
            Ok(Some(message)) => reading.take(message),
            Ok(None) | Err(_) => break,
        }
    }
    reading.finish(&local)
}

struct Reading {
    set: ClusterSet,
    version: Option<Version>,
    failures: BTreeMap<ClusterId, String>,
}

impl Reading {
    fn take(&mut self, message: Message) {
        match message {
            Message::Update(update) => drop(self.set.update(*update)),
            Message::Version(version) => self.version = Some(version),
            Message::Failed(cluster, _, why) => drop(self.failures.insert(cluster, why)),
            Message::Heard(..) | Message::Named(_) => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.set.local().is_listed() && self.missing().next().is_none()
    }

    /// Clusters of which something was not listed.
    fn missing(&self) -> impl Iterator<Item = &ClusterId> {
        let clusters = self.set.clusters().iter();
        let missing =
            clusters.filter(|(_, it)| reflector_clusterset::explain::state(it) == "unsynced");
        missing.map(|(id, _)| id)
    }

    /// Returns whether each cluster that is missing has failed.
    fn all_failed(&self) -> bool {
        let local = &self.set.settings().local;
        let is_local_failed = self.set.local().is_listed() || self.failures.contains_key(local);
        is_local_failed && self.missing().all(|it| self.failures.contains_key(it))
    }

    fn finish(mut self, local: &ClusterId) -> Read {
        let services = self.set.local_cluster().map(|it| it.services.is_unlisted());
        let is_read = services == Some(false) && !self.set.local().namespaces.is_unlisted();
        if is_read && self.version.is_none() {
            self.set.update(Update::Imports(Change::Listed(Vec::new())));
            let none = Update::Exports(local.clone(), Change::Listed(Vec::new()));
            self.set.update(none);
        }
        let missing: Vec<_> = self.missing().cloned().collect();
        let Self {
            set,
            version,
            mut failures,
        } = self;
        for cluster in missing {
            let why = || format!("no answer in {TIMEOUT:?}");
            failures.entry(cluster).or_insert_with(why);
        }
        Read {
            set,
            version: version.unwrap_or(Version::V1Beta1),
            failures,
        }
    }
}
