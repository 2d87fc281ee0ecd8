//! Watches one resource of one cluster, and sends its changes to the controller.
//!
//! Objects are decoded here, in the task of the watch: a source with many events, or with garbage,
//! costs the others nothing.

mod client_provider;
mod endpoints_api;
mod opt_out;

use std::sync::Arc;

use proto_types::resource::ApiResource;
use proto_types::{RawObject, Resource};
use reflector_planner::{
    Change, Exported, LocalChange, LocalList, LocalObject, Mirror, Policy, RelistRequest, Role,
    SourceName, Update, UpstreamContact,
};
use runtime::upstream::Disconnected;
use runtime::{Event, Failure, FailureCause, Watcher};
use tokio::sync::{Notify, mpsc};

use crate::identity::ExpectedIdentity;

pub(crate) use client_provider::{ClientProvider, Progress, RETRY};
pub(crate) use endpoints_api::{EndpointsApi, served};
pub(crate) use opt_out::OptOuts;

/// Resource of a source or of the local cluster that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum WatchTarget {
    /// A source's Services.
    Services(SourceName),
    /// A source's slices.
    Slices(SourceName),
    /// A cluster's Services that join global ones.
    MemberServices(SourceName),
    /// The slices of these.
    MemberSlices(SourceName),
    /// Managed Services of the local cluster.
    LocalServices,
    /// Managed EndpointSlices of the local cluster.
    LocalSlices,
    /// Managed Endpoints of the local cluster, if there are any.
    LocalEndpoints,
}

/// Event of a watch.
#[derive(Debug)]
pub(crate) struct InformerEvent {
    /// Watched resource.
    pub(crate) feed: WatchTarget,
    /// State of the connection to its server.
    pub(crate) sign: ConnectionState,
    /// Change of the index, if it is one.
    pub(crate) update: Option<Update>,
}

/// State of a connection, as an event shows it.
#[derive(Debug)]
pub(crate) enum ConnectionState {
    /// It answers.
    Connected,
    /// A complete list; the history went back to before an earlier list.
    Rewound,
    /// It does not answer.
    Disconnected(Failure),
    /// Nothing: it is about something else.
    Unrelated,
    /// It answers, but what it passes on grows old, for that reason; or does not any more.
    Upstream(Option<Disconnected>),
}

impl InformerEvent {
    /// The resource that endpoints are read from, if this event reports it.
    pub(crate) const fn endpoints_of(&self) -> Option<Resource> {
        match &self.update {
            Some(Update::Endpoints(..) | Update::MemberEndpoints(..)) => Some(Resource::Endpoints),
            Some(Update::Slices(..) | Update::MemberSlices(..)) => Some(Resource::EndpointSlices),
            Some(_) | None => None,
        }
    }
}

// A source that is far ahead of the controller waits; nothing is dropped.
const BACKLOG: usize = 64;

impl WatchTarget {
    /// The resource.
    pub(crate) const fn resource(&self) -> Resource {
        match self {
            Self::Services(_) | Self::MemberServices(_) | Self::LocalServices => Resource::Services,
            Self::Slices(_) | Self::MemberSlices(_) | Self::LocalSlices => Resource::EndpointSlices,
            Self::LocalEndpoints => Resource::Endpoints,
        }
    }

    /// The source; none for the local cluster.
    pub(crate) const fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Services(source)
            | Self::Slices(source)
            | Self::MemberServices(source)
            | Self::MemberSlices(source) => Some(source),
            Self::LocalServices | Self::LocalSlices | Self::LocalEndpoints => None,
        }
    }

    /// Returns the role of its objects.
    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::MemberServices(_) | Self::MemberSlices(_) => Role::Member,
            Self::Services(_)
            | Self::Slices(_)
            | Self::LocalServices
            | Self::LocalSlices
            | Self::LocalEndpoints => Role::Mirror,
        }
    }

    /// The watch to which a relist request belongs.
    pub(crate) fn requested_by(doubt: RelistRequest) -> Self {
        let RelistRequest {
            source,
            role,
            resource,
        } = doubt;
        match (role, resource) {
            (Role::Mirror, Resource::Services) => Self::Services(source),
            (Role::Member, Resource::Services) => Self::MemberServices(source),
            (Role::Mirror, Resource::EndpointSlices | Resource::Endpoints) => Self::Slices(source),
            (Role::Member, Resource::EndpointSlices | Resource::Endpoints) => {
                Self::MemberSlices(source)
            }
        }
    }

    /// Everything that is followed of a source.
    pub(crate) fn all_of(source: &SourceName, policy: &Policy) -> Vec<Self> {
        let is_followed = |it: &Self| policy.rank(source, it.role()).is_some();
        Self::every(source)
            .into_iter()
            .filter(is_followed)
            .collect()
    }

    /// Everything that may be followed of a source.
    pub(crate) fn every(source: &SourceName) -> [Self; 4] {
        [
            Self::Services(source.clone()),
            Self::Slices(source.clone()),
            Self::MemberServices(source.clone()),
            Self::MemberSlices(source.clone()),
        ]
    }

    /// For metrics and people.
    pub(crate) const fn resource_name(&self) -> &'static str {
        match (self.role(), self.resource()) {
            (Role::Mirror, resource) => resource.plural(),
            (Role::Member, Resource::Services) => "global-services",
            (Role::Member, Resource::EndpointSlices | Resource::Endpoints) => {
                "global-endpointslices"
            }
        }
    }

    /// The same, where Endpoints stand for slices.
    pub(crate) const fn endpoints_name(&self) -> &'static str {
        match self.role() {
            Role::Mirror => Resource::Endpoints.plural(),
            Role::Member => "global-endpoints",
        }
    }

    /// Creates the channel of events.
    pub(crate) fn channel() -> (mpsc::Sender<InformerEvent>, mpsc::Receiver<InformerEvent>) {
        mpsc::channel(BACKLOG)
    }

    /// Watches until the receiver is dropped. The cluster identity of a source is reported before
    /// its objects. Lists again on request.
    pub(crate) async fn follow(
        self,
        mut reader: Watcher,
        sender: mpsc::Sender<InformerEvent>,
        identity: Option<Arc<ExpectedIdentity>>,
        doubted: Arc<Notify>,
    ) {
        let mut told = None;
        loop {
            let news = tokio::select! {
                event = reader.next() => self.news(event, reader.scope().resource),
                () = doubted.notified() => {
                    reader.list_again();
                    told = None;
                    continue;
                }
                () = sender.closed() => return,
            };
            let cluster = identity.as_ref().and_then(|it| it.cluster());
            if cluster != told {
                told.clone_from(&cluster);
                let news = self.identified(cluster);
                if sender.send(news).await.is_err() {
                    return;
                }
            }
            if sender.send(news).await.is_err() {
                return;
            }
        }
    }

    fn identified(&self, cluster: Option<Box<str>>) -> InformerEvent {
        let source = self.source().cloned();
        let update = source.zip(cluster);
        InformerEvent {
            feed: self.clone(),
            sign: ConnectionState::Connected,
            update: update.map(|(source, cluster)| Update::Identified(source, cluster)),
        }
    }

    /// Returns the event of a server that reports its own connection state.
    pub(crate) fn behind(&self, lost: Option<Disconnected>) -> InformerEvent {
        let contact = match &lost {
            Some(it) => UpstreamContact::LostFor(it.age),
            None => UpstreamContact::Connected,
        };
        let source = self.source().cloned();
        InformerEvent {
            feed: self.clone(),
            sign: ConnectionState::Upstream(lost),
            update: source.map(|source| Update::Upstream(source, contact)),
        }
    }

    /// Translates an event of the watcher. Endpoints may stand for EndpointSlices.
    pub(crate) fn news(&self, event: Event, resource: &ApiResource) -> InformerEvent {
        #[cfg(test)]
        crate::planted::at("reader", &event);
        let sign = match &event {
            Event::Failed(failure) => ConnectionState::Disconnected(failure.clone()),
            Event::Listed(listing) if listing.is_rewound() => ConnectionState::Rewound,
            // The failure that follows it has the cause.
            Event::Listed(listing) if !listing.ruling.absences_count() => {
                ConnectionState::Unrelated
            }
            Event::Listed(_)
            | Event::Applied(_)
            | Event::Deleted(_)
            | Event::Progress(_)
            | Event::Connected => ConnectionState::Connected,
        };
        let update = match self {
            Self::Services(source) => {
                let change = change(event, Exported::service);
                Some(Update::Services(source.clone(), change))
            }
            Self::Slices(source) if *resource == *Resource::Endpoints.names() => {
                let change = change(event, Exported::endpoints);
                Some(Update::Endpoints(source.clone(), change))
            }
            Self::MemberSlices(source) if *resource == *Resource::Endpoints.names() => {
                let change = change(event, Exported::endpoints);
                Some(Update::MemberEndpoints(source.clone(), change))
            }
            Self::Slices(source) => {
                let change = change(event, Exported::slice);
                Some(Update::Slices(source.clone(), change))
            }
            Self::MemberServices(source) => {
                let change = change(event, Exported::member);
                Some(Update::MemberServices(source.clone(), change))
            }
            Self::MemberSlices(source) => {
                let change = change(event, Exported::slice);
                Some(Update::MemberSlices(source.clone(), change))
            }
            Self::LocalServices => local_change(event).map(Update::LocalServices),
            Self::LocalSlices => local_change(event).map(Update::LocalSlices),
            Self::LocalEndpoints => local_change(event).map(Update::LocalEndpoints),
        };
        InformerEvent {
            feed: self.clone(),
            sign,
            update,
        }
    }
}

impl std::fmt::Display for WatchTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let resource = self.resource_name();
        match self.source() {
            Some(source) => write!(f, "{resource} of source {source}"),
            None => write!(f, "local {resource}"),
        }
    }
}

fn change<T>(event: Event, read: fn(&RawObject) -> Exported<T>) -> Change<T> {
    match event {
        Event::Listed(listing) => {
            let objects = listing.objects.iter().map(read).collect();
            match listing.ruling.absences_count() {
                true => Change::Listed(objects),
                false => Change::ListedInPart(objects),
            }
        }
        Event::Applied(object) => Change::Applied(read(&object)),
        Event::Deleted(object) => Change::Deleted(object.key),
        Event::Connected => Change::Connected,
        Event::Progress(_) => Change::Heard,
        // What breaks off was there until then; what does not answer was not.
        Event::Failed(Failure {
            cause: FailureCause::Cut(_) | FailureCause::Brief,
            ..
        }) => Change::Ended,
        Event::Failed(_) => Change::Lost,
    }
}

fn local_change<T: Mirror>(event: Event) -> Option<LocalChange<T>> {
    let seen = |object: &RawObject| (object.key.clone(), LocalObject::read(object));
    match event {
        Event::Listed(listing) => Some(LocalChange::Listed(LocalList {
            revision: listing.revision,
            rewound: listing.is_rewound(),
            objects: listing.objects.iter().map(seen).collect(),
        })),
        Event::Applied(object) => {
            let (key, seen) = seen(&object);
            Some(LocalChange::Applied(key, seen))
        }
        Event::Deleted(object) => Some(LocalChange::Deleted(object.key, object.revision)),
        // What is observed in the local cluster does not go stale: writes name the version they are
        // about.
        Event::Progress(_) | Event::Connected | Event::Failed(_) => None,
    }
}
