//! Clients of emitters. The checker of watch histories judges what they see.
//!
//! Each lists and watches one resource, cuts its watch at random, and resumes at whichever
//! replica the network chooses.

mod client;

use std::collections::BTreeMap;
use std::sync::Arc;

use consistency::{Event, History, Judge, Seen, Truth, Version, View};
use embedded_cluster::{Change, EmbeddedCluster, Kind};
use parking_lot::Mutex;
use serde_json::Value;

use self::client::Client;
use crate::network::{Mangle, Net};
use crate::plan::{Fault, Fleet, SourceSpec, Way};
use crate::truth::{is_exported, key};

/// Resources that are watched, with their paths.
const RESOURCES: [(Kind, &str, &str); 2] = [
    (Kind::Services, "services", "/api/v1/services"),
    (
        Kind::EndpointSlices,
        "endpointslices",
        "/apis/discovery.k8s.io/v1/endpointslices",
    ),
];

/// History of the exported objects of one source cluster.
#[derive(Debug, Default)]
pub(crate) struct Exports(Mutex<History>);

impl Exports {
    /// Takes in a change of the cluster.
    pub(crate) fn change(&self, change: Change<'_>) {
        let mut history = self.0.lock();
        let was_exported = change.before.is_some_and(is_exported);
        let exported = change.after.filter(|it| is_exported(it));
        // A deletion takes the next resource version of the cluster.
        let revision = change.after.map_or(history.end + 1, revision);
        history.end = revision;
        let resource = RESOURCES.iter().find(|it| it.0 == change.kind);
        let object = exported.or(change.before.filter(|_| was_exported));
        if let (Some((_, resource, _)), Some(object)) = (resource, object) {
            let (namespace, name) = key(object);
            history.events.push(Event {
                revision,
                resource: (*resource).to_owned(),
                key: format!("{namespace}/{name}"),
                version: exported.map(|_| Version::default()),
            });
        }
    }

    /// Begins again with what a cluster has.
    fn begin(&self, cluster: &EmbeddedCluster) {
        let kinds = RESOURCES.iter().map(|it| it.0);
        let objects = kinds.flat_map(|kind| {
            let objects = cluster.list(kind).into_iter();
            objects.map(move |it| (kind, it))
        });
        let mut objects: Vec<_> = objects.collect();
        objects.sort_by_key(|(_, it)| revision(it));
        *self.0.lock() = History::default();
        for (kind, object) in &objects {
            self.change(Change {
                kind: *kind,
                before: None,
                after: Some(object),
            });
        }
        self.0.lock().end = cluster.revision();
    }
}

fn revision(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// Clients of one source's emitters.
struct Watched {
    hosts: Vec<String>,
    exports: Arc<Exports>,
    clients: Vec<Client>,
}

/// Clients of all emitters of a fleet.
pub(crate) struct Consumers {
    net: Arc<Net>,
    seed: u64,
    n_started: u64,
    /// Number of lists, events and bookmarks that stopped clients received.
    n_seen: u64,
    watched: BTreeMap<String, Watched>,
}

impl Consumers {
    /// Creates clients of no source.
    pub(crate) fn new(net: &Arc<Net>, seed: u64) -> Self {
        Self {
            net: Arc::clone(net),
            seed,
            n_started: 0,
            n_seen: 0,
            watched: BTreeMap::new(),
        }
    }

    /// Adds a source. Returns where its changes are noted; nothing if it has no emitter.
    pub(crate) fn add(&mut self, source: &SourceSpec) -> Option<Arc<Exports>> {
        let name = &source.name;
        let hosts = match source.way {
            Way::Direct => return None,
            Way::Emitters(_) => vec![name.clone()],
            Way::Relay(_) => vec![name.clone(), format!("emitter-{name}")],
        };
        let exports = Arc::new(Exports::default());
        let watched = Watched {
            hosts,
            exports: Arc::clone(&exports),
            clients: Vec::new(),
        };
        self.watched.insert(name.clone(), watched);
        Some(exports)
    }

    /// Starts the clients of a source, unless they run.
    pub(crate) fn start(&mut self, source: &str, cluster: &EmbeddedCluster) {
        let Some(watched) = self.watched.get_mut(source) else {
            return;
        };
        if !watched.clients.is_empty() {
            return;
        }
        watched.exports.begin(cluster);
        for (_, resource, path) in RESOURCES {
            for host in &watched.hosts {
                self.n_started += 1;
                let seed = self.seed.wrapping_mul(1000) + self.n_started;
                let client = Client::start(&self.net, host, (resource, path), seed);
                watched.clients.push(client);
            }
        }
    }

    /// Ends the clients of a source. Returns what was illegal in what they saw.
    pub(crate) fn stop(&mut self, source: &str) -> Vec<String> {
        let illegal = self.judge(source, &[]);
        if let Some(watched) = self.watched.get_mut(source) {
            let clients = std::mem::take(&mut watched.clients);
            self.n_seen += n_seen(&clients);
        }
        illegal
    }

    /// Returns what is illegal in what clients saw of a source that has become quiet.
    pub(crate) fn judge_end(&self, source: &str) -> Vec<String> {
        self.judge(source, &[Seen::End])
    }

    fn judge(&self, source: &str, end: &[Seen]) -> Vec<String> {
        let Some(watched) = self.watched.get(source) else {
            return Vec::new();
        };
        let truth = Truth {
            histories: vec![watched.exports.0.lock().clone()],
        };
        let judge = Judge::new(&truth);
        let judged = watched.clients.iter().filter_map(|client| {
            let view = View {
                resource: client.resource.to_owned(),
                ..View::default()
            };
            let mut seen = client.seen();
            seen.extend_from_slice(end);
            let illegal = judge.judge(&[view], &seen).err()?;
            let last = seen.get(illegal.at.saturating_sub(3)..=illegal.at);
            Some(format!("{}: {illegal}; after {last:?}", client.name))
        });
        judged.collect()
    }

    /// Number of lists, events and bookmarks that all clients received.
    pub(crate) fn n_seen(&self) -> u64 {
        let watched = self.watched.values();
        self.n_seen + watched.map(|it| n_seen(&it.clients)).sum::<u64>()
    }
}

fn n_seen(clients: &[Client]) -> u64 {
    let seen = clients.iter().map(|it| it.seen().len() as u64);
    seen.sum()
}

/// Returns the source about which a fault makes emitters say what is not so, or whose
/// history it changes. No replica can know, and the checker judges what it said before.
pub(crate) fn misled<'a>(fault: &'a Fault, fleet: &'a Fleet) -> Option<&'a str> {
    let of_node = |node: &str| {
        let sources = fleet.sources.iter();
        let mut names = sources.map(|it| it.name.as_str());
        names.find(|name| node.split('-').any(|part| part == *name))
    };
    match fault {
        Fault::Restore(source) | Fault::Impostor(source) => Some(source),
        Fault::Selector(node, _) => of_node(node),
        Fault::Mangled(link, Mangle::EmptyList | Mangle::BadPort, _) => of_node(&link.0),
        _ => None,
    }
}
