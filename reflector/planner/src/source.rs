//! What a source says, and how sure that is.

use std::collections::{BTreeMap, HashMap};

use proto_types::{Labels, ObjectKey, RawObject, label};

use crate::brake::{Brake, Moment};
use crate::import::may_come;
use crate::service::ServiceSpec;
use crate::slice::{LeftOut, SliceSpec};
use crate::staleness::{Ages, Contact};
use crate::wire;

/// How much is known of one resource of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourceState<T> {
    /// Never fully listed: nothing is known.
    #[default]
    Unsynced,
    /// Listed and watched: what is missing here does not exist there.
    Synced(T),
    /// Lost after being synced: what is here existed, what is missing may exist.
    Stale(T),
}

/// What a source's reader reports of one resource.
#[derive(Debug, Clone)]
pub enum Change<T> {
    /// A completed list: what it lacks does not exist.
    Listed(Vec<Exported<T>>),
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

/// An object of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported<T> {
    /// Namespace and name there.
    pub key: ObjectKey,
    /// What matters of it; nothing, where it is none of those that are mirrored.
    pub object: Option<T>,
}

/// A Service of a source, or why it cannot be read.
pub type SourceService = Result<ServiceContent, Box<str>>;

/// What a Service of a source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceContent {
    /// What its mirror shows.
    pub spec: ServiceSpec,
    /// When it came to be, as its API server wrote it: texts of one form, which order
    /// as the times do.
    pub created: Option<Box<str>>,
    /// Its labels, where they decide something.
    pub labels: Labels,
    /// Its annotations, where they decide something.
    pub annotations: Labels,
    /// What finds its pods, where it may be told.
    pub selector: Labels,
    /// Whether it is reached from outside of its cluster too.
    pub is_exposed: bool,
}

/// A slice of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSlice {
    /// The Service that it belongs to.
    pub service: ObjectKey,
    /// What it says, or why it cannot be read.
    pub content: Result<SliceContent, Box<str>>,
}

/// What a slice of a source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceContent {
    /// What its mirror shows.
    pub spec: SliceSpec,
    /// What its mirror leaves out.
    pub left_out: Option<LeftOut>,
    /// When the change that it shows was made.
    pub last_change: Option<Box<str>>,
    /// Whether the source itself had no room for all.
    pub is_truncated: bool,
}

/// The Services of a source.
pub type Services = HashMap<ObjectKey, SourceService>;

/// The slices of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slices {
    by_service: HashMap<ObjectKey, BTreeMap<ObjectKey, Result<SliceContent, Box<str>>>>,
    service_of: HashMap<ObjectKey, ObjectKey>,
}

/// All that is known of a source. Its two resources are followed apart, so that
/// either may be lost alone.
#[derive(Debug, Default)]
pub struct Source {
    /// Which cluster it is, by the uid of its `kube-system` namespace.
    pub cluster: Option<Box<str>>,
    /// Its Services.
    pub services: SourceState<Services>,
    /// Its slices.
    pub slices: SourceState<Slices>,
    /// When its Services were last heard.
    pub(crate) services_heard: Moment,
    /// When its slices were last heard.
    pub(crate) slices_heard: Moment,
    /// What its silence means for its endpoints.
    pub ages: Ages,
    /// Holds what a list of its Services would delete in mass.
    pub service_brake: Brake,
    /// Holds what a list of its slices would delete in mass.
    pub slice_brake: Brake,
}

impl<T> Change<T> {
    /// Whether it shows that the source lives, or lived until now.
    pub(crate) const fn is_contact(&self) -> bool {
        !matches!(self, Self::Lost)
    }
}

impl Source {
    /// One of which nothing is known, since then.
    pub(crate) fn unknown_since(now: Moment) -> Self {
        Self {
            services_heard: now,
            slices_heard: now,
            ..Self::default()
        }
    }

    /// How it stands with its two resources.
    pub(crate) const fn contacts(&self) -> [Contact; 2] {
        [
            self.services.contact(self.services_heard),
            self.slices.contact(self.slices_heard),
        ]
    }
}

impl<T> SourceState<T> {
    const fn contact(&self, heard: Moment) -> Contact {
        match self {
            Self::Synced(_) => Contact::Followed,
            Self::Unsynced | Self::Stale(_) => Contact::Lost(heard),
        }
    }

    /// What is known, current or not.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Unsynced => None,
            Self::Synced(known) | Self::Stale(known) => Some(known),
        }
    }

    /// Whether what is missing does not exist.
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

    pub(crate) fn lose(&mut self) {
        *self = match std::mem::take(self) {
            Self::Unsynced => Self::Unsynced,
            Self::Synced(known) | Self::Stale(known) => Self::Stale(known),
        };
    }

    pub(crate) fn resume(&mut self) {
        *self = match std::mem::take(self) {
            Self::Unsynced => Self::Unsynced,
            Self::Synced(known) | Self::Stale(known) => Self::Synced(known),
        };
    }
}

impl Exported<SourceService> {
    /// Reads a Service of a source, which is mirrored.
    #[must_use]
    pub fn service(object: &RawObject) -> Self {
        let mut service = Self::member(object);
        if let Some(Ok(content)) = &mut service.object {
            content.labels.retain(|name, _| may_come(name));
            content.selector = Labels::new();
            content
                .annotations
                .retain(|name, _| may_come(name) || name == label::ALIAS);
        }
        service
    }

    /// Reads a Service of a source, which joins a global one.
    #[must_use]
    pub fn member(object: &RawObject) -> Self {
        let read = serde_json::from_slice(&object.json);
        let hidden = is_own_api(&object.key)
            || match &read {
                Ok(wire::Service { metadata, .. }) => is_mirror(metadata),
                Err(_) => object.labels.contains_key(label::SOURCE),
            };
        let service = read
            .map(|mut service: wire::Service| ServiceContent {
                selector: service.spec.selector.take().unwrap_or_default(),
                is_exposed: service.spec.is_exposed(),
                spec: ServiceSpec::of_source(service.spec),
                created: service.metadata.creation_timestamp,
                labels: service.metadata.labels.unwrap_or_default(),
                annotations: service.metadata.annotations.unwrap_or_default(),
            })
            .map_err(|error| error.to_string().into());
        let service = check_name(&object.key).and(service);
        Self {
            key: object.key.clone(),
            object: (!hidden).then_some(service),
        }
    }
}

impl Exported<SourceSlice> {
    /// Reads a slice of a source. One that belongs to no Service is not mirrored.
    #[must_use]
    pub fn slice(object: &RawObject) -> Self {
        let read = serde_json::from_slice(&object.json);
        let hidden = match &read {
            Ok(wire::Slice { metadata, .. }) => is_mirror(metadata),
            Err(_) => object.labels.contains_key(label::SOURCE),
        };
        let content = read
            .map(|slice: wire::Slice| {
                let last_change = slice.metadata.last_change();
                let (spec, left_out) = SliceSpec::of_source(slice);
                SliceContent {
                    spec,
                    left_out,
                    last_change,
                    is_truncated: false,
                }
            })
            .map_err(|error| error.to_string().into());
        let content = check_name(&object.key).and(content);
        let service = object.labels.get(label::SERVICE_NAME);
        let slice = service.filter(|_| !hidden).map(|name| SourceSlice {
            service: ObjectKey::new(object.key.namespace(), name),
            content,
        });
        Self {
            key: object.key.clone(),
            object: slice,
        }
    }
}

impl Slices {
    /// Over these slices.
    #[must_use]
    pub fn new(slices: Vec<Exported<SourceSlice>>) -> Self {
        let mut all = Self::default();
        for slice in slices {
            all.set(slice);
        }
        all
    }

    /// The slices of a Service, by their keys.
    pub fn of(
        &self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = (&ObjectKey, &Result<SliceContent, Box<str>>)> {
        self.by_service.get(service).into_iter().flatten()
    }

    /// Whether there is such a slice.
    #[must_use]
    pub fn contains(&self, slice: &ObjectKey) -> bool {
        self.service_of.contains_key(slice)
    }

    /// The Services that have slices.
    pub fn services(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_service.keys()
    }

    /// How many slices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.service_of.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.service_of.is_empty()
    }

    /// Takes over what a slice says now; returns the Services that it concerns.
    pub(crate) fn set(&mut self, slice: Exported<SourceSlice>) -> Vec<ObjectKey> {
        let Exported { key, object } = slice;
        let mut concerned = self.remove(&key);
        if let Some(SourceSlice { service, content }) = object {
            self.service_of.insert(key.clone(), service.clone());
            let siblings = self.by_service.entry(service.clone()).or_default();
            siblings.insert(key, content);
            concerned.push(service);
        }
        concerned
    }

    /// Forgets a slice; returns the Service that it concerned.
    pub(crate) fn remove(&mut self, slice: &ObjectKey) -> Vec<ObjectKey> {
        let Some(service) = self.service_of.remove(slice) else {
            return Vec::new();
        };
        if let Some(siblings) = self.by_service.get_mut(&service) {
            siblings.remove(slice);
            if siblings.is_empty() {
                self.by_service.remove(&service);
            }
        }
        vec![service]
    }

    /// Takes over what Endpoints say now, which are all slices of a Service together.
    /// What they cannot say is kept as it was.
    pub(crate) fn replace(
        &mut self,
        service: &ObjectKey,
        parts: Vec<Exported<SourceSlice>>,
    ) -> Vec<ObjectKey> {
        let is_read = |it: &Exported<SourceSlice>| {
            let part = it.object.as_ref();
            part.is_none_or(|it| it.content.is_ok())
        };
        if parts.iter().all(is_read) {
            for part in self
                .by_service
                .remove(service)
                .unwrap_or_default()
                .into_keys()
            {
                self.service_of.remove(&part);
            }
        }
        for part in parts {
            self.set(part);
        }
        vec![service.clone()]
    }

    /// How many endpoints its slices have.
    #[must_use]
    pub fn n_endpoints(&self) -> usize {
        let slices = self.by_service.values().flat_map(BTreeMap::values);
        slices
            .flatten()
            .map(|content| content.spec.endpoints.len())
            .sum()
    }
}

/// Names become parts of paths here. A server that is no API server may say anything.
pub(crate) fn check_name(key: &ObjectKey) -> Result<(), Box<str>> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = key.name().bytes().all(|byte| legal(byte) || byte == b'.');
    let namespace = !key.namespace().is_empty() && key.namespace().bytes().all(legal);
    if name && namespace {
        Ok(())
    } else {
        Err("its namespace or name is not a legal one".into())
    }
}

/// Every cluster has this one, and a mirror of it would lead away from it.
fn is_own_api(service: &ObjectKey) -> bool {
    service.as_str() == "default/kubernetes"
}

/// A mirror is never mirrored again: two clusters that mirror each other would
/// never come to rest.
pub(crate) fn is_mirror(metadata: &wire::Meta) -> bool {
    let none = Labels::new();
    label::is_ours(
        metadata.labels.as_ref().unwrap_or(&none),
        metadata.annotations.as_ref().unwrap_or(&none),
    )
}
