//! Mirrors: what should exist in the local cluster, what is observed of it, and their JSON.

mod endpoints;
mod kept;
mod ownership;

use bytes::Bytes;
use proto_types::label;
use proto_types::{Labels, RawObject, Resource, ResourceVersion};
use serde_json::{Map, Value, json};

use crate::name::SourceName;
use crate::service::{self, ServiceSpec};
use crate::slice::EndpointSliceSpec;
use crate::wire;

pub use endpoints::{EndpointsSpec, MirrorEndpoints};
use kept::kept;
pub use ownership::{
    GLOBAL_CLUSTERS, GLOBAL_SERVICE, OwnershipMetadata, Role, SEMAPHORE, SourceReference,
};
use ownership::{SERVICE_LABELS, SLICE_LABELS};
pub(crate) use ownership::{TOPOLOGY_HINTS, TOPOLOGY_MODE};

/// One of the kinds of object that are written.
pub trait Mirror: Clone + Sized {
    /// Resource of the managed object.
    const RESOURCE: Resource;

    /// Reads an object of the local cluster, with its owner if it is a managed object.
    fn observe(json: &[u8]) -> Result<(Self, Option<SourceReference>), serde_json::Error>;

    /// Its marks.
    fn marks(&self) -> &OwnershipMetadata;

    /// Returns the time of the change that it shows, if the source states it.
    fn last_change(&self) -> Option<&str>;

    /// Returns whether a local object that shows `observed` needs no write.
    fn agrees(&self, observed: &Self) -> bool;

    /// Returns whether an API server refuses to change `observed` into this.
    fn must_replace(&self, observed: &Self) -> bool;

    /// Puts this into an object. What others wrote elsewhere in it stays.
    fn write(&self, object: &mut Map<String, Value>);
}

/// A mirror Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorService {
    /// Its marks.
    pub marks: OwnershipMetadata,
    /// Content.
    pub spec: ServiceSpec,
    /// `true` if an observed Service has fields that a mirror never has. A desired one never does.
    pub has_unexpected_fields: bool,
    /// That it is not to be managed any more. No observed object has this value.
    pub hand_over: Option<HandOver>,
}

/// Handover of a managed Service to the local cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// Value of its annotation `vmware.com/syndicate-mode` afterwards.
    pub mode: &'static str,
    /// Selector of its pods; empty if the operator sets it.
    pub selector: Labels,
}

/// A mirror slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSlice {
    /// Its marks.
    pub marks: OwnershipMetadata,
    /// Content.
    pub spec: EndpointSliceSpec,
    /// Time of the change that it shows. It is written with other changes, and causes no write.
    pub last_change: Option<Box<str>>,
    /// `true` if an observed EndpointSlice has fields that a mirror never has. A desired one never
    /// does.
    pub has_unexpected_fields: bool,
}

/// A managed object, as the local API server last showed it.
#[derive(Debug, Clone)]
pub struct Observed<T> {
    /// Its identity through all versions.
    pub uid: Box<str>,
    /// Resource version.
    pub revision: ResourceVersion,
    /// The object that an update must start from, without its `managedFields`.
    pub json: Bytes,
    /// Source and source object, as the marks state.
    pub owner: SourceReference,
    /// Content; `None` if it is invalid and must be written again.
    pub shows: Option<T>,
}

/// One version of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// UID of the object.
    pub uid: Box<str>,
    /// Resource version of the object.
    pub revision: ResourceVersion,
}

/// An object of the local API server.
#[derive(Debug, Clone)]
pub enum LocalObject<T> {
    /// It is a managed object.
    Managed(Observed<T>),
    /// It is an unmanaged object.
    Unmanaged,
}

impl<T> Observed<T> {
    /// Returns the version that was observed.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            uid: self.uid.clone(),
            revision: self.revision,
        }
    }
}

impl<T: Mirror> LocalObject<T> {
    /// Reads an object as the local API server shows it.
    #[must_use]
    pub fn read(object: &RawObject) -> Self {
        let (shows, owner) = match T::observe(&object.json) {
            Ok((shows, owner)) => (Some(shows), owner),
            Err(_) => (
                None,
                SourceReference::read(object.key.namespace(), &object.labels, &Labels::new()),
            ),
        };
        let Some(owner) = owner else {
            return Self::Unmanaged;
        };
        Self::Managed(Observed {
            uid: object.uid.clone(),
            revision: object.revision,
            json: kept(&object.json),
            owner,
            shows,
        })
    }
}

impl Mirror for MirrorService {
    const RESOURCE: Resource = Resource::Services;

    fn observe(json: &[u8]) -> Result<(Self, Option<SourceReference>), serde_json::Error> {
        let wire::Service { metadata, spec } = serde_json::from_slice(json)?;
        let (owner, marks) = metadata.read(&SERVICE_LABELS);
        let service = Self {
            marks,
            has_unexpected_fields: spec.has_unexpected_fields(),
            spec: ServiceSpec::observed(spec),
            hand_over: None,
        };
        Ok((service, owner))
    }

    fn marks(&self) -> &OwnershipMetadata {
        &self.marks
    }

    fn last_change(&self) -> Option<&str> {
        None
    }

    fn agrees(&self, observed: &Self) -> bool {
        if self.hand_over.is_some() {
            return !observed.marks.are_ours();
        }
        self.marks == observed.marks
            && self.has_unexpected_fields == observed.has_unexpected_fields
            && self.spec.agrees(&observed.spec)
    }

    fn must_replace(&self, observed: &Self) -> bool {
        self.spec.must_replace(&observed.spec)
    }

    fn write(&self, object: &mut Map<String, Value>) {
        self.marks.write(&SERVICE_LABELS, child(object, "metadata"));
        let spec = child(object, "spec");
        self.spec.write(spec);
        if let Some(HandOver { mode, selector }) = &self.hand_over {
            spec.insert("selector".to_owned(), json!(selector));
            let annotations = child(child(object, "metadata"), "annotations");
            annotations.insert(label::SYNDICATE_MODE.to_owned(), json!(mode));
        }
    }
}

impl Mirror for MirrorSlice {
    const RESOURCE: Resource = Resource::EndpointSlices;

    fn observe(json: &[u8]) -> Result<(Self, Option<SourceReference>), serde_json::Error> {
        let slice: wire::Slice = serde_json::from_slice(json)?;
        let last_change = slice.metadata.last_change();
        let has_unexpected_fields = slice.has_unexpected_fields();
        let (spec, metadata) = EndpointSliceSpec::read(slice);
        let (owner, marks) = metadata.read(&SLICE_LABELS);
        let slice = Self {
            marks,
            last_change,
            has_unexpected_fields,
            spec,
        };
        Ok((slice, owner))
    }

    fn marks(&self) -> &OwnershipMetadata {
        &self.marks
    }

    fn last_change(&self) -> Option<&str> {
        self.last_change.as_deref()
    }

    fn agrees(&self, observed: &Self) -> bool {
        self.marks == observed.marks
            && self.has_unexpected_fields == observed.has_unexpected_fields
            && self.spec == observed.spec
    }

    fn must_replace(&self, observed: &Self) -> bool {
        self.spec.address_type != observed.spec.address_type
    }

    fn write(&self, object: &mut Map<String, Value>) {
        let metadata = child(object, "metadata");
        self.marks.write(&SLICE_LABELS, metadata);
        let annotations = child(metadata, "annotations");
        match &self.last_change {
            Some(last_change) => {
                annotations.insert(label::LAST_CHANGE.to_owned(), json!(last_change))
            }
            None => annotations.remove(label::LAST_CHANGE),
        };
        self.spec.write(object);
    }
}

impl Observed<MirrorService> {
    /// Returns whether a global Service records a source as a member.
    pub(crate) fn names(&self, source: &SourceName) -> bool {
        let clusters = self
            .shows
            .as_ref()
            .and_then(|it| it.marks.annotations.get(GLOBAL_CLUSTERS));
        let mut clusters = clusters.into_iter().flat_map(|it| it.split(','));
        clusters.any(|it| it == source.as_str() || ownership::as_label(it) == source.as_str())
    }

    /// Members that a global Service records.
    pub(crate) fn members(&self) -> impl Iterator<Item = SourceName> {
        let shows = self.shows.as_ref();
        let clusters = shows.and_then(|it| it.marks.annotations.get(GLOBAL_CLUSTERS));
        let names = clusters.into_iter().flat_map(|it| it.split(','));
        names.filter_map(|it| it.parse().ok())
    }

    /// A Service that is adopted; nothing, if it cannot be read.
    pub(crate) fn adopted(object: &RawObject, owner: SourceReference) -> Option<Self> {
        let mut whole: Map<String, Value> = serde_json::from_slice(&object.json).ok()?;
        service::clear_pod_selector(child(&mut whole, "spec"));
        let json = Bytes::from(Value::Object(whole).to_string());
        let (shows, _) = MirrorService::observe(&json).ok()?;
        Some(Self {
            uid: object.uid.clone(),
            revision: object.revision,
            json,
            owner,
            shows: Some(shows),
        })
    }
}

/// The object under a name, made where there is none.
pub(crate) fn child<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> &'a mut Map<String, Value> {
    let value = object.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made one")
}
