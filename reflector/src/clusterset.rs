//! The Multi-Cluster Services API in a running reflector.
//!
//! ```text
//!  clusters ─▶ watch tasks ─▶ controller (ClusterSet ─plan─▶ Action) ─▶ local API server
//! ```
//!
//! | module | does |
//! |---|---|
//! | `watcher` | watches one cluster, while it has the right names |
//! | `watch` | lists and watches one resource of one cluster |
//! | `property` | requests the ClusterProperties of a cluster |
//! | `reading` | reads all clusters once, for a plan |
//! | `write` | performs actions |
//! | `controller` | owns the state |
//! | `report` | logs and measures deletion holds and problems |
//! | `answer` | answers questions about it |
//!
//! It shares nothing with mirrors and global Services but the configuration, the Lease
//! and the clients. What should exist is decided in `reflector-clusterset`.

mod answer;
mod controller;
mod follow;
mod property;
mod question;
mod reading;
mod report;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::convert::Infallible;

use reflector_clusterset::{ClusterId, ClusterSettings, Settings};
use reflector_planner::import::LocalAddresses;
use runtime::Network;
use tokio::sync::{mpsc, watch as channel};
use tokio_util::sync::CancellationToken;

use crate::config::{ClusterSetConfig, Config, SourceConfig};
use crate::events::EventRecorder;
use crate::local_ranges::Ranges;
use crate::pins::Pins;
use crate::write::Writer;

pub(crate) use controller::Configuration;
use controller::Controller;
pub(crate) use controller::now;
pub(crate) use question::{Answered, Question};
pub(crate) use reading::{Read, read};

/// Returns where the configuration of the clusterset is published, where there is one.
pub(crate) fn configuration(config: &Config) -> Option<channel::Sender<Configuration>> {
    let set = config.cluster_set.as_ref()?;
    let settings = settings(set, config);
    let sources = members(&config.sources).cloned().collect();
    Some(channel::Sender::new(Configuration { settings, sources }))
}

/// Runs the controller of the clusterset until `shutdown`.
pub(crate) async fn run(
    (network, pins, writer, announcer): (Network, Pins, Writer, EventRecorder),
    asked: (channel::Receiver<Configuration>, mpsc::Receiver<Question>),
    local_ranges: Option<Ranges>,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let controller = Controller::new((network, pins), asked, (writer, announcer), local_ranges);
    controller.run(shutdown).await
}

/// Returns the settings of a clusterset.
pub(crate) fn settings(set: &ClusterSetConfig, config: &Config) -> Settings {
    let local = ClusterSettings {
        decides_selection: true,
        ..ClusterSettings::default()
    };
    let mut clusters = BTreeMap::from([(set.cluster.clone(), local)]);
    for source in members(&config.sources) {
        if let Ok(id) = source.name.as_str().parse::<ClusterId>() {
            let import = set.imports.get(&id).cloned().unwrap_or_default();
            let settings = ClusterSettings {
                staleness: source.staleness,
                decides_selection: set.deciding.contains(&id),
                import: Some(import),
            };
            clusters.insert(id, settings);
        }
    }
    Settings {
        name: set.name.as_str().into(),
        local: set.cluster.clone(),
        clusters,
        removed: config.policy.removed_sources,
        deletion_hold: config.policy.hold,
        confirm_deletions: config.policy.confirm_deletions,
        allowed_namespaces: set.allowed_namespaces.clone(),
        adopt: set.adopt.clone(),
        failover: set.failover.clone(),
        addresses: LocalAddresses {
            closed: config.policy.local_ranges.clone(),
            learned: Vec::new(),
            domains: config.policy.local_domains.clone(),
        },
    }
}

/// Returns the sources that are clusters of the set.
pub(crate) fn members(sources: &[SourceConfig]) -> impl Iterator<Item = &SourceConfig> {
    sources.iter().filter(|it| it.in_cluster_set)
}
