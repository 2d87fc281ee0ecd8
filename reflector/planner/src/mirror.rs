//! Mirrors: what should exist here, what is observed of it, and their JSON.

use bytes::Bytes;
use proto_types::label::{self, HELIOGRAPH};
use proto_types::{Labels, ObjectKey, RawObject, Resource, Revision};
use serde_json::{Map, Value, json};

use crate::name::{LocalKey, SourceName};
use crate::service::ServiceSpec;
use crate::slice::SliceSpec;
use crate::wire;

/// On semaphore-service-mirror's mirrors, and so on ours: its users select on it.
pub const MIRRORED: &str = "mirrored-svc";

/// Whose mirror it is by its prefix, as semaphore-service-mirror marked it.
pub const MIRROR_PREFIX: &str = "mirror-svc-prefix-sync";

/// One of the two kinds of object that are mirrored.
pub trait Mirror: Clone + Sized {
    /// What it is here.
    const RESOURCE: Resource;

    /// What an object here shows, and whose it says it is, if it is ours.
    fn observe(json: &[u8]) -> Result<(Self, Option<Owner>), serde_json::Error>;

    /// Whether an object here that shows `observed` needs no write.
    fn agrees(&self, observed: &Self) -> bool;

    /// Whether an API server refuses to change `observed` into this.
    fn must_replace(&self, observed: &Self) -> bool;

    /// Puts this into an object. What others wrote elsewhere in it stays.
    fn write(&self, object: &mut Map<String, Value>);
}

/// A mirror Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorService {
    /// Its marks.
    pub marks: Marks,
    /// What it shows.
    pub spec: ServiceSpec,
    /// Whether it has what a mirror never has. What is wanted never does.
    pub has_strays: bool,
}

/// A mirror slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSlice {
    /// Its marks.
    pub marks: Marks,
    /// What it shows.
    pub spec: SliceSpec,
    /// When the change that it shows was made. It goes with a write, and is no
    /// reason for one.
    pub last_change: Option<Box<str>>,
    /// Whether it has what a mirror never has. What is wanted never does.
    pub has_strays: bool,
}

/// Those labels and annotations of an object that are Heliograph's to set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
}

/// Whose mirror an object of ours says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The source, if it is still marked.
    pub source: Option<SourceName>,
    /// The source's Service.
    pub service: Option<ObjectKey>,
    /// The source's slice, if it is the mirror of one.
    pub slice: Option<ObjectKey>,
    /// The local Service that a slice belongs to.
    pub attached_to: Option<LocalKey>,
}

/// One of our objects, as the local API server last showed it.
#[derive(Debug, Clone)]
pub struct Observed<T> {
    /// Its identity through all versions.
    pub uid: Box<str>,
    /// Which version this is.
    pub revision: Revision,
    /// The whole object, which an update must start from.
    pub json: Bytes,
    /// Whose mirror it is.
    pub owner: Owner,
    /// What it shows; none where it cannot be read, and is to be written anew.
    pub shows: Option<T>,
}

/// An object of the local API server.
#[derive(Debug, Clone)]
pub enum Seen<T> {
    /// It is one of ours.
    Ours(Observed<T>),
    /// It is somebody else's.
    Foreign,
}

const SERVICE_LABELS: [&str; 4] = [label::SOURCE, label::MANAGED_BY, MIRRORED, MIRROR_PREFIX];
const SLICE_LABELS: [&str; 4] = [
    label::SOURCE,
    label::SERVICE_NAME,
    label::SLICE_MANAGED_BY,
    label::HEADLESS,
];
const ANNOTATIONS: [&str; 2] = [label::SOURCE_SERVICE, label::SOURCE_SLICE];

impl<T: Mirror> Seen<T> {
    /// Reads an object as the local API server shows it.
    #[must_use]
    pub fn read(object: &RawObject) -> Self {
        let (shows, owner) = match T::observe(&object.json) {
            Ok((shows, owner)) => (Some(shows), owner),
            Err(_) => (
                None,
                Owner::read(object.key.namespace(), &object.labels, &Labels::new()),
            ),
        };
        let Some(owner) = owner else {
            return Self::Foreign;
        };
        Self::Ours(Observed {
            uid: object.uid.clone(),
            revision: object.revision,
            // A copy: the object may share its bytes with a whole list.
            json: Bytes::copy_from_slice(&object.json),
            owner,
            shows,
        })
    }
}

impl Mirror for MirrorService {
    const RESOURCE: Resource = Resource::Services;

    fn observe(json: &[u8]) -> Result<(Self, Option<Owner>), serde_json::Error> {
        let wire::Service { metadata, spec } = serde_json::from_slice(json)?;
        let (owner, marks) = metadata.read(&SERVICE_LABELS);
        let service = Self {
            marks,
            has_strays: spec.has_strays(),
            spec: ServiceSpec::observed(spec),
        };
        Ok((service, owner))
    }

    fn agrees(&self, observed: &Self) -> bool {
        self.marks == observed.marks
            && self.has_strays == observed.has_strays
            && self.spec.agrees(&observed.spec)
    }

    fn must_replace(&self, observed: &Self) -> bool {
        self.spec.must_replace(&observed.spec)
    }

    fn write(&self, object: &mut Map<String, Value>) {
        self.marks.write(&SERVICE_LABELS, child(object, "metadata"));
        self.spec.write(child(object, "spec"));
    }
}

impl Mirror for MirrorSlice {
    const RESOURCE: Resource = Resource::EndpointSlices;

    fn observe(json: &[u8]) -> Result<(Self, Option<Owner>), serde_json::Error> {
        let slice: wire::Slice = serde_json::from_slice(json)?;
        let last_change = slice.metadata.last_change();
        let has_strays = slice.has_strays();
        let (spec, metadata) = SliceSpec::read(slice);
        let (owner, marks) = metadata.read(&SLICE_LABELS);
        let slice = Self {
            marks,
            last_change,
            has_strays,
            spec,
        };
        Ok((slice, owner))
    }

    fn agrees(&self, observed: &Self) -> bool {
        self.marks == observed.marks
            && self.has_strays == observed.has_strays
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

impl Marks {
    /// The marks of the mirror of a source's Service.
    #[must_use]
    pub fn service(source: &SourceName, service: &ObjectKey) -> Self {
        Self::default()
            .label(label::SOURCE, source.as_str())
            .label(label::MANAGED_BY, HELIOGRAPH)
            .annotation(label::SOURCE_SERVICE, service.as_str())
    }

    /// The marks of the mirror of a source's slice.
    #[must_use]
    pub fn slice(source: &SourceName, service: &ObjectKey, local: &LocalKey) -> Self {
        Self::default()
            .label(label::SOURCE, source.as_str())
            .label(label::SERVICE_NAME, local.object().name())
            .label(label::SLICE_MANAGED_BY, HELIOGRAPH)
            .annotation(label::SOURCE_SERVICE, service.as_str())
    }

    /// With that label too.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With that annotation too.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    fn write(&self, owned: &[&str], metadata: &mut Map<String, Value>) {
        set(child(metadata, "labels"), owned, &self.labels);
        set(
            child(metadata, "annotations"),
            &ANNOTATIONS,
            &self.annotations,
        );
    }
}

impl Observed<MirrorService> {
    /// A Service that is taken over; nothing, if it cannot be read.
    pub(crate) fn adopted(object: &RawObject, owner: Owner) -> Option<Self> {
        let (shows, _) = MirrorService::observe(&object.json).ok()?;
        Some(Self {
            uid: object.uid.clone(),
            revision: object.revision,
            json: Bytes::copy_from_slice(&object.json),
            owner,
            shows: Some(shows),
        })
    }
}

impl Owner {
    /// Whoever mirrors that Service.
    pub(crate) const fn new(source: SourceName, service: ObjectKey) -> Self {
        Self {
            source: Some(source),
            service: Some(service),
            slice: None,
            attached_to: None,
        }
    }

    fn read(namespace: &str, labels: &Labels, annotations: &Labels) -> Option<Self> {
        if !label::is_ours(labels, annotations) {
            return None;
        }
        let service = annotations
            .get(label::SOURCE_SERVICE)
            .and_then(|joined| ObjectKey::parse(joined));
        let slice = match (&service, annotations.get(label::SOURCE_SLICE)) {
            (Some(service), Some(name)) => Some(ObjectKey::new(service.namespace(), name)),
            (_, _) => None,
        };
        let attached_to = labels.get(label::SERVICE_NAME);
        Some(Self {
            source: labels.get(label::SOURCE).and_then(|name| name.parse().ok()),
            service,
            slice,
            attached_to: attached_to.map(|name| LocalKey::new(ObjectKey::new(namespace, name))),
        })
    }
}

impl wire::Meta {
    /// Whose mirror this is, and those of its labels and annotations that are
    /// Heliograph's to set.
    fn read(self, owned: &[&str]) -> (Option<Owner>, Marks) {
        let mut labels = self.labels.unwrap_or_default();
        let mut annotations = self.annotations.unwrap_or_default();
        let owner = Owner::read(&self.namespace, &labels, &annotations);
        labels.retain(|name, _| owned.contains(&name.as_str()));
        annotations.retain(|name, _| ANNOTATIONS.contains(&name.as_str()));
        (
            owner,
            Marks {
                labels,
                annotations,
            },
        )
    }

    /// When the change that a slice shows was made.
    pub(crate) fn last_change(&self) -> Option<Box<str>> {
        let last_change = self.annotations.as_ref()?.get(label::LAST_CHANGE)?;
        Some(last_change.as_str().into())
    }
}

fn set(object: &mut Map<String, Value>, owned: &[&str], wanted: &Labels) {
    for name in owned {
        object.remove(*name);
    }
    for (name, value) in wanted {
        object.insert(name.clone(), json!(value));
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
