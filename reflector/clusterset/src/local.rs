//! Imports, derived Services and EndpointSlices that exist in the local cluster.

mod import;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use proto_types::label::SLICE_MANAGED_BY;
use proto_types::{Labels, ObjectKey, RawObject, ResourceVersion};
use reflector_planner::service::ServiceSpec;
use reflector_planner::slice::EndpointSliceSpec;
use serde::Deserialize;

use crate::api;
use crate::id::ClusterId;
use crate::known::{Change, Known};
use crate::left::{self, Left, LeftSlice};

pub use self::import::ImportObject;

/// An object of the local cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed<T> {
    /// UID.
    pub uid: Box<str>,
    /// Resource version.
    pub revision: ResourceVersion,
    /// The whole object.
    pub json: Bytes,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// Content; `None` if it is invalid.
    pub shows: Option<T>,
}

/// A derived Service of the local cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedObject {
    /// Fields that follow the import.
    pub spec: ServiceSpec,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: Option<Box<str>>,
    /// `spec.clusterIPs`.
    pub cluster_ips: Vec<String>,
    /// `spec.ipFamilies`.
    pub families: Vec<String>,
}

/// A copied EndpointSlice of the local cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct CopiedSlice {
    /// The import that it belongs to.
    pub import: ObjectKey,
    /// The cluster of its endpoints.
    pub cluster: Option<ClusterId>,
    /// Endpoints and ports.
    pub spec: EndpointSliceSpec,
}

/// All that exists in the local cluster for imports.
#[derive(Debug, Default)]
pub struct LocalState {
    /// All ServiceImports, also unmanaged ones.
    pub imports: Known<HashMap<ObjectKey, Observed<ImportObject>>>,
    /// Derived Services: managed ones, and those of Cilium.
    pub derived: Known<HashMap<ObjectKey, Observed<DerivedObject>>>,
    /// Managed EndpointSlices.
    pub slices: Known<HashMap<ObjectKey, Observed<CopiedSlice>>>,
    /// Namespaces that objects can be created in.
    pub namespaces: Known<HashSet<Box<str>>>,
    slices_of: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// EndpointSlices of predecessors.
    pub left: Left,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    labels: Option<Labels>,
    annotations: Option<Labels>,
}

#[derive(Deserialize)]
struct ServiceObject {
    #[serde(default)]
    spec: ServiceFields,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ServiceFields {
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    ip_families: Vec<String>,
    internal_traffic_policy: Option<Box<str>>,
}

impl<T> Observed<T> {
    fn read(object: &RawObject, shows: Option<T>) -> Self {
        let read: Option<Object> = serde_json::from_slice(&object.json).ok();
        let (labels, annotations) = read
            .map(|it| (it.metadata.labels, it.metadata.annotations))
            .unwrap_or_default();
        Self {
            uid: object.uid.clone(),
            revision: object.revision,
            json: object.json.clone(),
            labels: labels.unwrap_or_default(),
            annotations: annotations.unwrap_or_default(),
            shows,
        }
    }
}

impl Observed<DerivedObject> {
    /// Returns whether this program wrote the Service.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.labels.contains_key(api::CLUSTERSET)
    }

    /// Reads a Service; `None` where it is no derived Service of this program or of Cilium.
    #[must_use]
    pub fn derived(object: &RawObject) -> Option<Self> {
        let is_managed = object.labels.contains_key(api::CLUSTERSET);
        if !is_managed && !object.labels.contains_key(api::SERVICE_NAME) {
            return None;
        }
        let fields: Option<ServiceObject> = serde_json::from_slice(&object.json).ok();
        let shows = fields.and_then(|ServiceObject { spec }| {
            Some(DerivedObject {
                spec: ServiceSpec::parse_local(&object.json).ok()?,
                internal_traffic_policy: spec.internal_traffic_policy,
                cluster_ips: spec.cluster_ips,
                families: spec.ip_families,
            })
        });
        let observed = Self::read(object, shows);
        let name = object.key.name();
        let is_of_cilium = left::is_of_cilium(name, &observed.labels, &observed.annotations);
        (is_managed || is_of_cilium).then_some(observed)
    }
}

impl Observed<CopiedSlice> {
    /// Reads an EndpointSlice; `None` where it is no managed copy.
    #[must_use]
    pub fn slice(object: &RawObject) -> Option<Self> {
        let import = object.labels.get(api::SERVICE_NAME)?;
        let cluster = object.labels.get(api::SOURCE_CLUSTER)?;
        let manager = object.labels.get(SLICE_MANAGED_BY);
        if manager != Some(api::MANAGER) {
            return None;
        }
        let spec = EndpointSliceSpec::parse_local(&object.json).ok();
        let shows = spec.map(|spec| CopiedSlice {
            import: ObjectKey::new(object.key.namespace(), import),
            cluster: cluster.parse().ok(),
            spec,
        });
        Some(Self::read(object, shows))
    }
}

impl LocalState {
    /// Returns whether all resources were listed, so that plans can be made.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        !(self.imports.is_unlisted()
            || self.derived.is_unlisted()
            || self.slices.is_unlisted()
            || self.namespaces.is_unlisted())
    }

    /// Returns the managed EndpointSlices of an import.
    pub fn slices_of(
        &self,
        import: &ObjectKey,
    ) -> impl Iterator<Item = (&ObjectKey, &Observed<CopiedSlice>)> {
        let keys = self.slices_of.get(import).into_iter().flatten();
        keys.filter_map(|key| self.slices.data()?.get_key_value(key))
    }

    /// Returns the EndpointSlices of predecessors for an import or a derived Service.
    pub fn left_of(&self, owner: &ObjectKey) -> impl Iterator<Item = (&ObjectKey, &LeftSlice)> {
        self.left.of(owner)
    }

    /// Returns whether an import of this program records a cluster as a contributor.
    #[must_use]
    pub fn names(&self, import: &ObjectKey, cluster: &ClusterId) -> bool {
        let import = self.imports.data().and_then(|it| it.get(import));
        let import = import.filter(|it| it.is_managed());
        import.is_some_and(|it| it.contributor_names().any(|it| it == cluster.as_str()))
    }

    /// Returns all imports that have EndpointSlices.
    pub fn with_slices(&self) -> impl Iterator<Item = &ObjectKey> {
        self.slices_of.keys()
    }

    /// Applies a change of ServiceImports.
    pub fn apply_imports(
        &mut self,
        change: Change<ObjectKey, Observed<ImportObject>>,
    ) -> Vec<ObjectKey> {
        apply(&mut self.imports, change)
    }

    /// Applies a change of derived Services. Returns the derived Services concerned.
    pub fn apply_derived(
        &mut self,
        change: Change<ObjectKey, Observed<DerivedObject>>,
    ) -> Vec<ObjectKey> {
        let owner = |it: &Observed<DerivedObject>, key: &ObjectKey| {
            let name = it.annotations.get(api::IMPORT)?;
            Some(ObjectKey::new(key.namespace(), name))
        };
        let owners = |known: &Known<HashMap<ObjectKey, Observed<DerivedObject>>>,
                      keys: &[ObjectKey]| {
            let data = known.data();
            let found = keys.iter().filter_map(|key| owner(data?.get(key)?, key));
            found.collect::<Vec<_>>()
        };
        let mut affected = match &change {
            Change::Listed(_) | Change::ListedUnconfirmed(_) => {
                let all = self.derived.data().into_iter().flat_map(HashMap::keys);
                owners(&self.derived, &all.cloned().collect::<Vec<_>>())
            }
            Change::Applied(key, _) | Change::Deleted(key) => {
                owners(&self.derived, std::slice::from_ref(key))
            }
            Change::Connected | Change::Disconnected => Vec::new(),
        };
        let keys = apply(&mut self.derived, change);
        affected.extend(owners(&self.derived, &keys));
        affected
    }

    /// Applies a change of copied EndpointSlices. Returns the imports concerned.
    pub fn apply_slices(
        &mut self,
        change: Change<ObjectKey, Observed<CopiedSlice>>,
    ) -> Vec<ObjectKey> {
        let is_list = matches!(change, Change::Listed(_) | Change::ListedUnconfirmed(_));
        let mut affected: Vec<_> = match &change {
            Change::Applied(key, _) | Change::Deleted(key) => {
                let slice = self
                    .slices
                    .data()
                    .and_then(|it| it.get(key)?.shows.as_ref());
                slice.map(|it| it.import.clone()).into_iter().collect()
            }
            _ if is_list => self.slices_of.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let keys = apply(&mut self.slices, change);
        if is_list {
            self.slices_of.clear();
            let all = self
                .slices
                .data()
                .into_iter()
                .flat_map(HashMap::keys)
                .cloned();
            for key in all.collect::<Vec<_>>() {
                affected.extend(self.index(&key));
            }
            return affected;
        }
        for key in keys {
            for import in &affected {
                if let Some(slices) = self.slices_of.get_mut(import) {
                    slices.remove(&key);
                    if slices.is_empty() {
                        self.slices_of.remove(import);
                    }
                }
            }
            affected.extend(self.index(&key));
        }
        affected
    }

    fn index(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        let slice = self.slices.data()?.get(key)?.shows.as_ref()?;
        let import = slice.import.clone();
        self.slices_of
            .entry(import.clone())
            .or_default()
            .insert(key.clone());
        Some(import)
    }

    /// Applies a change of namespaces, given by their names. Returns those concerned.
    pub fn apply_namespaces(&mut self, change: Change<Box<str>, bool>) -> Vec<Box<str>> {
        match change {
            Change::Listed(all) => {
                let open = all.into_iter().filter(|(_, is_open)| *is_open);
                let open: HashSet<Box<str>> = open.map(|(name, _)| name).collect();
                let before = std::mem::replace(&mut self.namespaces, Known::Current(open.clone()));
                let before = before.data().cloned().unwrap_or_default();
                before.symmetric_difference(&open).cloned().collect()
            }
            Change::ListedUnconfirmed(_) | Change::Connected | Change::Disconnected => Vec::new(),
            Change::Applied(name, is_open) => {
                let Some(known) = self.namespaces.data_mut() else {
                    return Vec::new();
                };
                let changed = if is_open {
                    known.insert(name.clone())
                } else {
                    known.remove(&name)
                };
                changed.then_some(name).into_iter().collect()
            }
            Change::Deleted(name) => {
                let known = self.namespaces.data_mut();
                let removed = known.is_some_and(|it| it.remove(&name));
                removed.then_some(name).into_iter().collect()
            }
        }
    }
}

fn apply<T>(
    known: &mut Known<HashMap<ObjectKey, Observed<T>>>,
    change: Change<ObjectKey, Observed<T>>,
) -> Vec<ObjectKey> {
    match change {
        // The local API server speaks for itself: each of its lists counts.
        Change::Listed(all) | Change::ListedUnconfirmed(all) => {
            let all: HashMap<_, _> = all.into_iter().collect();
            let mut affected: BTreeMap<ObjectKey, ()> = BTreeMap::new();
            affected.extend(all.keys().map(|it| (it.clone(), ())));
            let before = std::mem::replace(known, Known::Current(all));
            let keys = before.data().into_iter().flat_map(HashMap::keys);
            affected.extend(keys.map(|it| (it.clone(), ())));
            affected.into_keys().collect()
        }
        Change::Applied(key, object) => {
            if let Some(data) = known.data_mut() {
                data.insert(key.clone(), object);
            }
            vec![key]
        }
        Change::Deleted(key) => {
            if let Some(data) = known.data_mut() {
                data.remove(&key);
            }
            vec![key]
        }
        Change::Connected | Change::Disconnected => Vec::new(),
    }
}
