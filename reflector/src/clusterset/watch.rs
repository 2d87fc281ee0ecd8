//! Lists and watches one resource of one cluster of the set.

use std::sync::Arc;

use proto_types::evidence::Ruling;
use proto_types::resource::{ApiResource, NAMESPACES};
use proto_types::{LabelSelector, RawObject, Resource};
use reflector_clusterset::api::Version;
use reflector_clusterset::{
    Change, ClusterId, Export, ExportedService, LeftSlice, Observed, Part, Update, export,
    namespace,
};
use runtime::multicluster;
use runtime::{Event, FailureCause, Limits, Scope, Watcher};
use tokio::sync::{Notify, mpsc};
use tracing::{info, warn};

use crate::identity::ExpectedIdentity;

/// Cause of a cluster without exports.
const NOT_SERVED: &str = "the Multi-Cluster Services API is not available, retrying";

/// Message of a watch task.
#[derive(Debug)]
pub(super) enum Message {
    /// News for the state.
    Update(Box<Update>),
    /// The version of the API that the local cluster serves.
    Version(Version),
    /// A resource of a cluster is watched.
    Heard(ClusterId, Watched),
    /// A resource of a cluster is not watched, and why.
    Failed(ClusterId, Watched, String),
    /// True if the local cluster has the names that the configuration gives it.
    Named(bool),
}

/// Resource that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watched {
    /// ServiceExports.
    Exports,
    /// Services.
    Services,
    /// EndpointSlices.
    Slices,
    /// ServiceImports of the local cluster.
    Imports,
    /// Namespaces of the local cluster.
    Namespaces,
}

/// Lists and watches one resource of one cluster.
pub(super) struct Watch {
    pub(super) cluster: ClusterId,
    pub(super) is_local: bool,
    pub(super) watched: Watched,
    pub(super) client: kube::Client,
    /// Guards that the source stays the same cluster.
    pub(super) identity: Option<Arc<ExpectedIdentity>>,
    pub(super) line: ControllerChannel,
}

/// Connection between the watches of one cluster and the controller.
#[derive(Clone)]
pub(super) struct ControllerChannel {
    pub(super) sender: mpsc::Sender<Message>,
    pub(super) relists: Relists,
}

impl ControllerChannel {
    /// Returns a channel without requested lists.
    pub(super) fn new(sender: &mpsc::Sender<Message>) -> Self {
        Self {
            sender: sender.clone(),
            relists: Relists::default(),
        }
    }
}

/// Requests to list resources of one cluster again.
#[derive(Debug, Clone, Default)]
pub(super) struct Relists(Arc<[Notify; Part::ALL.len()]>);

impl Relists {
    /// Has a resource listed again.
    pub(super) fn request(&self, part: Part) {
        self.0[part as usize].notify_one();
    }

    /// Returns when a resource is to be listed again.
    async fn requested(&self, watched: Watched) {
        let part = match watched {
            Watched::Exports => Part::Exports,
            Watched::Services => Part::Services,
            Watched::Slices => Part::Slices,
            Watched::Imports | Watched::Namespaces => return std::future::pending().await,
        };
        self.0[part as usize].notified().await;
    }
}

impl Watched {
    /// Returns what is watched of the local cluster, or of another one.
    pub(super) const fn all(is_local: bool) -> &'static [Self] {
        if is_local {
            return &[
                Self::Exports,
                Self::Services,
                Self::Slices,
                Self::Imports,
                Self::Namespaces,
            ];
        }
        &[Self::Exports, Self::Services, Self::Slices]
    }
}

impl Watch {
    /// Watches until the receiver is dropped.
    pub(super) async fn run(self) {
        let sender = self.line.sender.clone();
        tokio::select! {
            () = self.watch() => {}
            () = sender.closed() => {}
        }
    }

    async fn watch(&self) {
        match self.watched {
            Watched::Services => self.follow(Resource::Services.names()).await,
            Watched::Slices => self.follow(Resource::EndpointSlices.names()).await,
            Watched::Namespaces => self.follow(&NAMESPACES).await,
            Watched::Exports => loop {
                let version = self.discover().await;
                self.follow(version.exports()).await;
            },
            Watched::Imports => loop {
                let version = self.discover().await;
                if self
                    .line
                    .sender
                    .send(Message::Version(version))
                    .await
                    .is_err()
                {
                    return;
                }
                self.follow(version.imports()).await;
            },
        }
    }

    /// Waits until the cluster serves the API.
    async fn discover(&self) -> Version {
        let version = multicluster::found(&self.client, |why| {
            warn!(cluster = %self.cluster, why, "{NOT_SERVED}");
            let why = format!("{NOT_SERVED}: {why}");
            // A full channel has news of this cluster already, or soon.
            let _ =
                self.line
                    .sender
                    .try_send(Message::Failed(self.cluster.clone(), self.watched, why));
        });
        let version = version.await;
        let name = version.as_str();
        info!(cluster = %self.cluster, version = name, "found the Multi-Cluster Services API");
        version
    }

    /// Lists and watches. Returns when the resource is not served any more, which only
    /// those that are found by discovery may do.
    async fn follow(&self, resource: &'static ApiResource) {
        let scope = Scope {
            resource,
            namespace: None,
            selector: LabelSelector::default(),
        };
        let reader = Watcher::new(self.client.clone(), scope, Limits::default());
        let mut reader = match &self.identity {
            Some(identity) => reader.guarded(identity.guard()),
            None => reader,
        };
        loop {
            let event = tokio::select! {
                event = reader.next() => event,
                () = self.line.relists.requested(self.watched) => {
                    reader.list_again();
                    continue;
                }
            };
            let is_custom = matches!(self.watched, Watched::Exports | Watched::Imports);
            let is_gone = match &event {
                Event::Failed(failure) => {
                    warn!(cluster = %self.cluster, %resource, reason = failure.reason(), "lost the watch: {failure}");
                    is_custom && matches!(failure.cause, FailureCause::NotServed(_))
                }
                _ => false,
            };
            let updates = self.updates(&event).into_iter();
            let updates = updates.map(|it| Message::Update(Box::new(it)));
            for message in self.health(&event).into_iter().chain(updates) {
                if self.line.sender.send(message).await.is_err() {
                    return;
                }
            }
            if is_gone {
                return;
            }
        }
    }

    /// Returns what an event means for the status of the cluster.
    fn health(&self, event: &Event) -> Option<Message> {
        let cluster = self.cluster.clone();
        match event {
            Event::Listed(_) | Event::Connected => Some(Message::Heard(cluster, self.watched)),
            Event::Failed(failure) => match failure.cause {
                // A watch that ends is opened again at once.
                FailureCause::Cut(_) | FailureCause::Brief => None,
                _ => Some(Message::Failed(cluster, self.watched, failure.to_string())),
            },
            Event::Applied(_) | Event::Deleted(_) | Event::Progress(_) => None,
        }
    }

    fn updates(&self, event: &Event) -> Vec<Update> {
        let cluster = || self.cluster.clone();
        let key = |object: &RawObject| object.key.clone();
        match self.watched {
            Watched::Exports => {
                let change = change(event, key, |it| Some(Export::read(it)));
                change
                    .map(|it| Update::Exports(cluster(), it))
                    .into_iter()
                    .collect()
            }
            Watched::Services => {
                let derived = self.is_local.then(|| change(event, key, Observed::derived));
                let services = change(event, key, |it| Some(ExportedService::read(it)));
                let derived = derived.flatten().map(Update::Derived);
                let services = services.map(|it| Update::Services(cluster(), it));
                derived.into_iter().chain(services).collect()
            }
            Watched::Slices => {
                let copies = self.is_local.then(|| change(event, key, Observed::slice));
                let slices = change(event, key, |it| Some(export::slice(it)));
                let copies = copies.flatten().map(Update::Copies);
                let left = self.is_local.then(|| change(event, key, LeftSlice::read));
                let left = left.flatten().map(Update::Left);
                let copies = copies.into_iter().chain(left);
                let slices = slices.map(|it| Update::Slices(cluster(), it));
                copies.into_iter().chain(slices).collect()
            }
            Watched::Imports => {
                let change = change(event, key, |it| Some(Observed::import(it)));
                change.map(Update::Imports).into_iter().collect()
            }
            Watched::Namespaces => {
                let name = |object: &RawObject| Box::from(object.key.name());
                let change = change(event, name, |it| Some(namespace::is_open(it)));
                change.map(Update::Namespaces).into_iter().collect()
            }
        }
    }
}

/// Returns what an event means for objects of one kind. An object that is none of them
/// counts as deleted.
fn change<K, T>(
    event: &Event,
    key: impl Fn(&RawObject) -> K,
    read: impl Fn(&RawObject) -> Option<T>,
) -> Option<Change<K, T>> {
    match event {
        Event::Listed(listing) => {
            let objects = listing.objects.iter();
            let all = objects
                .filter_map(|it| Some((key(it), read(it)?)))
                .collect();
            Some(match listing.ruling {
                Ruling::Replace | Ruling::Rewound => Change::Listed(all),
                Ruling::AddOnly(_) | Ruling::Ignore(_) => Change::ListedUnconfirmed(all),
            })
        }
        Event::Applied(object) => Some(match read(object) {
            Some(read) => Change::Applied(key(object), read),
            None => Change::Deleted(key(object)),
        }),
        Event::Deleted(object) => Some(Change::Deleted(key(object))),
        Event::Connected => Some(Change::Connected),
        Event::Progress(_) => None,
        Event::Failed(failure) => match failure.cause {
            // A watch that ends is opened again at once.
            FailureCause::Cut(_) | FailureCause::Brief => None,
            _ => Some(Change::Disconnected),
        },
    }
}
