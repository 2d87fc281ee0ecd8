//! Ownership of an object, by its labels and annotations.

use std::collections::BTreeSet;

use proto_types::label::{self, HELIOGRAPH};
use proto_types::{Labels, ObjectKey};
use serde_json::{Map, Value, json};

use super::child;
use crate::import::{MIRROR_PREFIX, MIRRORED, may_come};
use crate::name::{MirrorKey, SourceName};
use crate::service::ServiceKind;
use crate::wire;

/// On semaphore-service-mirror's global Services, and so on ours.
pub const GLOBAL_SERVICE: &str = label::GLOBAL_SERVICE;

/// The members of a global Service, as semaphore-service-mirror named them there.
pub const GLOBAL_CLUSTERS: &str = "global-svc-clusters";

/// Value of `endpointslice.kubernetes.io/managed-by` in EndpointSlices of semaphore-service-mirror.
pub const SEMAPHORE: &str = "semaphore-service-mirror";

// On its slices of global Services: that they are, and of which cluster.
const GLOBAL_SLICE: &str = label::GLOBAL_SLICE;
const GLOBAL_SLICE_CLUSTER: &str = "mirror-endpointslice-sync-name";

/// Tells kube-proxy before 1.27 to heed hints, as semaphore-service-mirror did.
pub(crate) const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";

/// Tells kube-proxy from 1.27 on to heed hints. Newer ones heed them anyway.
pub(crate) const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";

// Value of a global Service in the place of a source.
const GLOBAL: &str = "global";

pub(super) const SERVICE_LABELS: [&str; 6] = [
    label::SOURCE,
    label::GLOBAL,
    label::MANAGED_BY,
    MIRRORED,
    MIRROR_PREFIX,
    GLOBAL_SERVICE,
];
pub(super) const SLICE_LABELS: [&str; 5] = [
    label::SOURCE,
    label::GLOBAL,
    label::SERVICE_NAME,
    label::SLICE_MANAGED_BY,
    label::HEADLESS,
];
pub(super) const ENDPOINTS_LABELS: [&str; 8] = [
    label::SOURCE,
    label::GLOBAL,
    label::MANAGED_BY,
    MIRRORED,
    MIRROR_PREFIX,
    GLOBAL_SERVICE,
    label::SKIP_MIRROR,
    label::HEADLESS,
];
const ANNOTATIONS: [&str; 13] = [
    label::SOURCE_SERVICE,
    label::SOURCE_SLICE,
    label::SOURCE_CLUSTER,
    label::MEMBERS,
    label::RELEASE,
    label::CORE_ENDPOINTS,
    label::CARRIED_LABELS,
    label::CARRIED_ANNOTATIONS,
    GLOBAL_CLUSTERS,
    TOPOLOGY_HINTS,
    TOPOLOGY_MODE,
    label::REFLECTED,
    label::REFLECTED_FROM,
];

/// Those labels and annotations of an object that are Heliograph's to set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnershipMetadata {
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
}

/// Role of a managed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It stands for it alone.
    Mirror,
    /// It is a part of a global Service, which its source is a member of.
    Member,
}

/// Source object that a managed object names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReference {
    /// The source, if it is still marked. A global Service has none.
    pub source: Option<SourceName>,
    /// Role of the managed object.
    pub role: Role,
    /// Cluster identity of the source, if it was known.
    pub cluster: Option<Box<str>>,
    /// The source's Service.
    pub service: Option<ObjectKey>,
    /// The source's slice, if it is the mirror of one.
    pub slice: Option<ObjectKey>,
    /// The local Service that a slice belongs to.
    pub attached_to: Option<MirrorKey>,
    /// `true` if its deletion is allowed by annotation.
    pub is_released: bool,
    /// Value of its annotation `vmware.com/syndicate-mode`.
    pub mode: Option<Box<str>>,
}

impl OwnershipMetadata {
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
    pub fn slice(source: &SourceName, service: &ObjectKey, local: &MirrorKey) -> Self {
        Self::default()
            .label(label::SOURCE, source.as_str())
            .label(label::SERVICE_NAME, local.object().name())
            .label(label::SLICE_MANAGED_BY, HELIOGRAPH)
            .annotation(label::SOURCE_SERVICE, service.as_str())
    }

    /// The marks of a global Service.
    #[must_use]
    pub fn global_service(service: &ObjectKey) -> Self {
        Self::default()
            .label(label::SOURCE, GLOBAL)
            .label(label::GLOBAL, "true")
            .label(label::MANAGED_BY, HELIOGRAPH)
            .label(GLOBAL_SERVICE, "true")
            .annotation(label::SOURCE_SERVICE, service.as_str())
    }

    /// The marks of a member's slice in a global Service.
    #[must_use]
    pub fn global_slice(source: &SourceName, service: &ObjectKey, local: &MirrorKey) -> Self {
        Self::slice(source, service, local).label(label::GLOBAL, "true")
    }

    /// The marks of the Endpoints of a Service with those marks. Kubernetes is to make no
    /// slices of them.
    #[must_use]
    pub(crate) fn endpoints(service: &Self, kind: &ServiceKind) -> Self {
        let labels = service.labels.iter();
        let labels = labels.filter(|(name, _)| ENDPOINTS_LABELS.contains(name));
        let annotations = service.annotations.iter();
        let annotations = annotations.filter(|(name, _)| *name == label::SOURCE_SERVICE);
        let marks = Self {
            labels: labels.collect(),
            annotations: annotations.collect(),
        };
        let marks = marks.label(label::SKIP_MIRROR, "true");
        match kind {
            ServiceKind::Headless(_) => marks.label(label::HEADLESS, ""),
            ServiceKind::Virtual(_) | ServiceKind::External(_) => marks,
        }
    }

    /// With that label too.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name, value);
        self
    }

    /// With that annotation too.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name, value);
        self
    }

    /// Returns whether an object is managed.
    pub(super) fn are_ours(&self) -> bool {
        label::is_managed(&self.labels, &self.annotations)
    }

    /// Those labels that came along from a source.
    pub(crate) fn carried_labels(&self) -> Labels {
        let note = self.annotations.get(label::CARRIED_LABELS);
        let names = carried(note).into_iter();
        let labels = names.filter_map(|name| {
            let value = self.labels.get(&name)?;
            Some((name, value))
        });
        labels.collect()
    }

    /// With what comes along from the source, and a note of its names: what does not
    /// come along any more goes by it.
    #[must_use]
    pub(crate) fn carrying(mut self, labels: &Labels, annotations: &Labels) -> Self {
        let notes = [
            (label::CARRIED_LABELS, labels),
            (label::CARRIED_ANNOTATIONS, annotations),
        ];
        for (note, carried) in notes.map(|(note, carried)| (note, names(carried))) {
            if !carried.is_empty() {
                self.annotations.insert(note, carried);
            }
        }
        self.labels.extend(labels);
        self.annotations.extend(annotations);
        self
    }

    pub(super) fn write(&self, owned: &[&str], metadata: &mut Map<String, Value>) {
        forget_carried(metadata);
        set(child(metadata, "labels"), owned, &self.labels);
        set(
            child(metadata, "annotations"),
            &ANNOTATIONS,
            &self.annotations,
        );
    }
}

impl SourceReference {
    /// Owner of the mirror of a Service.
    pub(crate) const fn new(source: SourceName, service: ObjectKey) -> Self {
        Self {
            source: Some(source),
            role: Role::Mirror,
            cluster: None,
            service: Some(service),
            slice: None,
            attached_to: None,
            is_released: false,
            mode: None,
        }
    }

    /// The global Service of such Services.
    pub(crate) const fn global(service: ObjectKey) -> Self {
        Self {
            source: None,
            role: Role::Member,
            cluster: None,
            service: Some(service),
            slice: None,
            attached_to: None,
            is_released: false,
            mode: None,
        }
    }

    /// Returns the owner of an EndpointSlice of a global Service of semaphore-service-mirror. These
    /// are adopted as they are, and deleted after others took their place.
    fn of_semaphore(namespace: &str, labels: &Labels) -> Option<Self> {
        let label = |name| labels.get(name);
        let is_its = label(label::SLICE_MANAGED_BY) == Some(SEMAPHORE)
            && label(GLOBAL_SLICE) == Some("true");
        let service = label(label::SERVICE_NAME).filter(|_| is_its)?;
        let cluster = as_label(label(GLOBAL_SLICE_CLUSTER)?);
        Some(Self {
            source: cluster.parse().ok(),
            role: Role::Member,
            is_released: false,
            mode: None,
            cluster: None,
            service: None,
            slice: None,
            attached_to: Some(MirrorKey::new(ObjectKey::new(namespace, service))),
        })
    }

    pub(super) fn read(namespace: &str, labels: &Labels, annotations: &Labels) -> Option<Self> {
        if !label::is_managed(labels, annotations) {
            return Self::of_semaphore(namespace, labels);
        }
        let service = annotations
            .get(label::SOURCE_SERVICE)
            .and_then(ObjectKey::parse);
        let slice = match (&service, annotations.get(label::SOURCE_SLICE)) {
            (Some(service), Some(name)) => Some(ObjectKey::new(service.namespace(), name)),
            (_, _) => None,
        };
        let attached_to = labels.get(label::SERVICE_NAME);
        let role = if labels.contains_key(label::GLOBAL) {
            Role::Member
        } else {
            Role::Mirror
        };
        let source = labels.get(label::SOURCE).and_then(|name| name.parse().ok());
        Some(Self {
            // A global Service has many.
            source: source.filter(|_| role == Role::Mirror || attached_to.is_some()),
            role,
            cluster: annotations.get(label::SOURCE_CLUSTER).map(Into::into),
            service,
            slice,
            attached_to: attached_to.map(|name| MirrorKey::new(ObjectKey::new(namespace, name))),
            is_released: annotations
                .get(label::RELEASE)
                .is_some_and(|it| it == "true"),
            mode: annotations.get(label::SYNDICATE_MODE).map(Into::into),
        })
    }
}

impl wire::Meta {
    /// Returns the owner, and the labels and annotations that Heliograph sets.
    pub(super) fn read(self, owned: &[&str]) -> (Option<SourceReference>, OwnershipMetadata) {
        let mut labels = self.labels.unwrap_or_default();
        let mut annotations = self.annotations.unwrap_or_default();
        let owner = SourceReference::read(&self.namespace, &labels, &annotations);
        let carried = |note| carried(annotations.get(note));
        let carried_labels = carried(label::CARRIED_LABELS);
        let carried_annotations = carried(label::CARRIED_ANNOTATIONS);
        labels.retain(|name, _| owned.contains(&name) || carried_labels.contains(name));
        annotations
            .retain(|name, _| ANNOTATIONS.contains(&name) || carried_annotations.contains(name));
        (
            owner,
            OwnershipMetadata {
                labels,
                annotations,
            },
        )
    }

    /// Returns the time of the change that an EndpointSlice shows.
    pub(crate) fn last_change(&self) -> Option<Box<str>> {
        let last_change = self.annotations.as_ref()?.get(label::LAST_CHANGE)?;
        Some(last_change.into())
    }
}

fn names(carried: &Labels) -> String {
    let names: Vec<_> = carried.keys().collect();
    names.join(",")
}

/// Reads the names in an annotation. It may have been edited, and must not name others' labels.
fn carried(note: Option<&str>) -> BTreeSet<String> {
    let names = note.unwrap_or_default().split(',');
    names.filter(|it| may_come(it)).map(str::to_owned).collect()
}

fn forget_carried(metadata: &mut Map<String, Value>) {
    for (note, kind) in [
        (label::CARRIED_LABELS, "labels"),
        (label::CARRIED_ANNOTATIONS, "annotations"),
    ] {
        let names = carried(
            child(metadata, "annotations")
                .get(note)
                .and_then(Value::as_str),
        );
        child(metadata, kind).retain(|name, _| !names.contains(name));
    }
}

fn set(object: &mut Map<String, Value>, owned: &[&str], wanted: &Labels) {
    for name in owned {
        object.remove(*name);
    }
    for (name, value) in wanted {
        object.insert(name.to_owned(), json!(value));
    }
}

/// A cluster's name as semaphore-service-mirror wrote it, as the label that it is called
/// by here.
pub(super) fn as_label(name: &str) -> String {
    let lower = name.to_lowercase();
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let label: String = lower.chars().map(legal).collect();
    label.trim_matches('-').to_owned()
}
