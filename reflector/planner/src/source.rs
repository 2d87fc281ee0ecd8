//! State of a source, and its certainty.

mod export;
mod slices;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use proto_types::{Labels, ObjectKey};

use crate::hold::{DeletionHold, MonotonicTime};
use crate::service::ServiceSpec;
use crate::slice::{EndpointSliceSpec, LeftOut};
use crate::staleness::{Ages, Contact};

pub(crate) use export::{check_name, is_mirror};
pub(crate) use slices::EndpointsOf;
pub use slices::Slices;

/// Known state of one resource of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourceState<T> {
    /// Never fully listed: nothing is known.
    #[default]
    Unsynced,
    /// Listed and watched: an object that is missing does not exist in the source.
    Synced(T),
    /// Lost after being synced: a known object existed, a missing one may exist.
    Stale(T),
}

/// Change of one resource of a source.
#[derive(Debug, Clone)]
pub enum Change<T> {
    /// A completed list: what it lacks does not exist.
    Listed(Vec<Exported<T>>),
    /// A list whose absences do not count: it adds and changes. The source stays not synced.
    ListedInPart(Vec<Exported<T>>),
    /// An object came to be, or changed.
    Applied(Exported<T>),
    /// An object is gone.
    Deleted(ObjectKey),
    /// It lives, and nothing is new.
    Heard,
    /// The source is followed again from where it was lost.
    Connected,
    /// It lived until now, and is not followed any more.
    Ended,
    /// The source is not followed.
    Lost,
}

/// Contact of a source with the API server behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamContact {
    /// The source is connected to its API server, or is one.
    Connected,
    /// The source is disconnected from its API server since this long.
    LostFor(Duration),
}

/// An object of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported<T> {
    /// Namespace and name there.
    pub key: ObjectKey,
    /// Content; `None` for an object that is not exported.
    pub object: Option<T>,
}

/// A Service of a source, or why it cannot be read.
pub type SourceService = Result<ServiceContent, Box<str>>;

/// Content of a source Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceContent {
    /// Content that the mirror shows.
    pub spec: ServiceSpec,
    /// Creation time as the API server wrote it. Texts of that form order as the times do.
    pub created: Option<Box<str>>,
    /// Its labels, where they decide something.
    pub labels: Labels,
    /// Its annotations, where they decide something.
    pub annotations: Labels,
    /// Selector of its pods, if it is exported.
    pub selector: Labels,
    /// `true` if the Service has a selector, by which Kubernetes creates its EndpointSlices.
    pub has_selector: bool,
    /// `true` if the Service is reachable from outside of its cluster.
    pub is_exposed: bool,
}

/// A slice of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSlice {
    /// The Service that it belongs to.
    pub service: ObjectKey,
    /// Content, or the error for which it is invalid.
    pub content: Result<SliceContent, Box<str>>,
}

/// Content of a source EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceContent {
    /// Content that the mirror shows.
    pub spec: EndpointSliceSpec,
    /// Parts that the mirror leaves out.
    pub left_out: Vec<LeftOut>,
    /// Time of the change that it shows.
    pub last_change: Option<Box<str>>,
    /// `true` if the source had no room for all endpoints.
    pub is_truncated: bool,
}

impl SliceContent {
    /// The same, with nothing left out and no endpoints yet.
    pub(crate) fn without_left_out(&self) -> Self {
        Self {
            spec: EndpointSliceSpec {
                address_type: self.spec.address_type.clone(),
                ports: Box::default(),
                endpoints: Box::default(),
            },
            left_out: Vec::new(),
            last_change: self.last_change.clone(),
            is_truncated: self.is_truncated,
        }
    }
}

/// The Services of a source.
pub type Services = HashMap<ObjectKey, SourceService>;

/// All that is known of a source. Its two resources are followed apart, so that
/// either may be lost alone.
#[derive(Debug, Default)]
pub struct Source {
    /// Cluster identity: UID of its namespace `kube-system`.
    pub cluster: Option<Box<str>>,
    /// Cluster identity when its mirrors were last written.
    pub(crate) recorded_cluster: Option<Box<str>>,
    /// Its Services.
    pub services: SourceState<Services>,
    /// Its slices.
    pub slices: SourceState<Slices>,
    /// Its namespaces that keep their Services to themselves, where that is heeded.
    pub opted_out: BTreeSet<Box<str>>,
    /// `true` if the last list of its Services was not confirmed. Services that it lacks may exist.
    pub(crate) services_in_part: bool,
    /// The same of its slices.
    pub(crate) slices_in_part: bool,
    /// Last contact of the watch of its Services.
    pub(crate) services_heard: MonotonicTime,
    /// Last contact of the watch of its EndpointSlices.
    pub(crate) slices_heard: MonotonicTime,
    /// Time of the last contact of the source with its API server, while it is disconnected.
    pub(crate) upstream_lost: Option<MonotonicTime>,
    /// Staleness of its endpoints.
    pub ages: Ages,
    /// Hold of the deletions of its Services.
    pub service_hold: DeletionHold,
    /// Hold of the deletions of all endpoints of a Service.
    pub slice_hold: DeletionHold,
}

impl<T> Change<T> {
    /// Returns whether it shows that the source lives, or lived until now.
    pub(crate) const fn is_contact(&self) -> bool {
        !matches!(self, Self::Lost | Self::ListedInPart(_))
    }
}

impl Source {
    /// One of which nothing is known, since then.
    pub(crate) fn unknown_since(now: MonotonicTime) -> Self {
        Self {
            services_heard: now,
            slices_heard: now,
            ..Self::default()
        }
    }

    /// Returns the cluster identity, as known now or before this process began.
    pub(crate) fn any_cluster(&self) -> Option<&str> {
        let cluster = self.cluster.as_ref().or(self.recorded_cluster.as_ref());
        cluster.map(|it| &**it)
    }

    /// Returns the contact of its watches and of its upstream.
    pub(crate) fn contacts(&self) -> [Contact; 3] {
        [
            self.services.contact(self.services_heard),
            self.slices.contact(self.slices_heard),
            self.upstream_lost.map_or(Contact::Followed, Contact::Lost),
        ]
    }
}

impl<T> SourceState<T> {
    const fn contact(&self, heard: MonotonicTime) -> Contact {
        match self {
            Self::Synced(_) => Contact::Followed,
            Self::Unsynced | Self::Stale(_) => Contact::Lost(heard),
        }
    }

    /// Returns the known objects, synced or stale.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Unsynced => None,
            Self::Synced(known) | Self::Stale(known) => Some(known),
        }
    }

    /// Returns whether what is missing does not exist.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        matches!(self, Self::Synced(_))
    }

    /// For metrics and people.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unsynced => "unsynced",
            Self::Synced(_) => "synced",
            Self::Stale(_) => "stale",
        }
    }

    pub(crate) const fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Unsynced => None,
            Self::Synced(known) | Self::Stale(known) => Some(known),
        }
    }

    pub(crate) fn mark_stale(&mut self) {
        *self = match std::mem::take(self) {
            Self::Unsynced => Self::Unsynced,
            Self::Synced(known) | Self::Stale(known) => Self::Stale(known),
        };
    }

    /// Returns the known objects to add to, which are not current.
    pub(crate) fn stale_mut(&mut self) -> &mut T
    where
        T: Default,
    {
        *self = match std::mem::take(self) {
            Self::Unsynced => Self::Stale(T::default()),
            Self::Synced(known) | Self::Stale(known) => Self::Stale(known),
        };
        match self {
            Self::Synced(known) | Self::Stale(known) => known,
            Self::Unsynced => unreachable!("it was just made stale"),
        }
    }

    pub(crate) fn resume(&mut self) {
        *self = match std::mem::take(self) {
            Self::Unsynced => Self::Unsynced,
            Self::Synced(known) | Self::Stale(known) => Self::Synced(known),
        };
    }
}
