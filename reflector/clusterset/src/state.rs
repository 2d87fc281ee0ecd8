//! All that is known of a clusterset, and which imports a change concerns.

mod losses;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ipnet::IpNet;
use proto_types::ObjectKey;
use reflector_planner::rejected::Rejected;
use reflector_planner::{Age, MonotonicTime};
use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::id::ClusterId;
use crate::known::Change;
use crate::local::LocalState;
use crate::losses::Part;
use crate::name;
use crate::selector::Properties;
use crate::settings::{CLOSED_NAMESPACES, Settings};
use crate::update::{Schema, Update};
use losses::By;

pub use losses::RelistRequest;

/// All that is known of a clusterset.
#[derive(Debug)]
pub struct ClusterSet {
    settings: Settings,
    clusters: BTreeMap<ClusterId, Cluster>,
    local: LocalState,
    now: MonotonicTime,
    /// Writes that the API server rejected, with its words, by import.
    rejections: HashMap<ObjectKey, Box<str>>,
    /// Values of optional fields that the API server rejected.
    rejected_fields: Rejected,
    /// Fields that the installed ServiceImport schema drops, such as `status.conditions`.
    dropped: BTreeSet<Box<str>>,
    /// Lists that were not requested again yet.
    doubts: Vec<RelistRequest>,
}

/// Imports whose plans an update may have changed.
pub type AffectedKeys = HashSet<ObjectKey>;

impl ClusterSet {
    /// Creates the state of a clusterset of which nothing is known yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let clusters = settings.clusters.iter();
        Self {
            clusters: clusters
                .map(|(id, it)| (id.clone(), Cluster::new(it.max_services())))
                .collect(),
            settings,
            local: LocalState::default(),
            now: MonotonicTime::default(),
            rejections: HashMap::new(),
            rejected_fields: Rejected::default(),
            dropped: BTreeSet::new(),
            doubts: Vec::new(),
        }
    }

    /// Returns the configuration.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the clusters.
    #[must_use]
    pub const fn clusters(&self) -> &BTreeMap<ClusterId, Cluster> {
        &self.clusters
    }

    /// Returns the local cluster as a member of the set.
    #[must_use]
    pub fn local_cluster(&self) -> Option<&Cluster> {
        self.clusters.get(&self.settings.local)
    }

    /// Returns the present time.
    #[must_use]
    pub const fn now(&self) -> MonotonicTime {
        self.now
    }

    /// Returns values of optional fields that the local API server rejected.
    pub(crate) const fn rejected_fields(&self) -> &Rejected {
        &self.rejected_fields
    }

    /// Returns what exists in the local cluster for imports.
    #[must_use]
    pub const fn local(&self) -> &LocalState {
        &self.local
    }

    /// Returns why the local API server rejected the last write for an import.
    #[must_use]
    pub fn rejection(&self, import: &ObjectKey) -> Option<&str> {
        self.rejections.get(import).map(AsRef::as_ref)
    }

    /// Returns whether the installed ServiceImport schema drops a field, such as
    /// `status.conditions`.
    #[must_use]
    pub fn is_dropped(&self, field: &str) -> bool {
        self.dropped.contains(field)
    }

    /// Returns the `spec` of a ServiceImport as the installed schema keeps it.
    #[must_use]
    pub fn kept(&self, spec: &Value) -> Value {
        let fields = spec.as_object().into_iter().flatten();
        let kept = fields.filter(|(field, _)| !self.is_dropped(&format!("spec.{field}")));
        kept.map(|(field, value)| (field.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    }

    /// Returns whether Services of a namespace may be exported.
    #[must_use]
    pub fn is_allowed(&self, namespace: &str) -> bool {
        !CLOSED_NAMESPACES.contains(&namespace)
            || self.settings.allowed_namespaces.contains(namespace)
    }

    /// Returns the rule that holds now for the endpoints of a cluster.
    #[must_use]
    pub fn age(&self, cluster: &ClusterId) -> Age {
        let (Some(known), Some(rule)) = (
            self.clusters.get(cluster),
            self.settings.clusters.get(cluster).map(|it| it.staleness),
        ) else {
            return Age::Fresh;
        };
        if !known.is_stale() {
            return Age::Fresh;
        }
        let silence = self.now.0.saturating_sub(known.last_contact.0);
        let over = |limit: &std::time::Duration| *limit <= silence;
        let dropped = rule.drop_after.filter(over).map(Age::Dropped);
        let not_ready = rule.not_ready_after.filter(over).map(Age::NotReady);
        dropped.or(not_ready).unwrap_or_default()
    }

    /// Applies news. Returns the imports to plan again.
    pub fn update(&mut self, update: Update) -> AffectedKeys {
        match update {
            Update::Exports(id, change) => {
                self.change(&id, Part::Exports, change, Cluster::change_exports)
            }
            Update::Services(id, change) => {
                self.change(&id, Part::Services, change, Cluster::change_services)
            }
            Update::Slices(id, change) => self.change(&id, Part::Slices, change, |it, change| {
                it.slices.apply(change)
            }),
            Update::Imports(change) => {
                let affected = self.change_local(|it| it.apply_imports(change));
                self.release(&affected);
                affected
            }
            Update::Derived(change) => self.change_local(|it| it.apply_derived(change)),
            Update::Copies(change) => self.change_local(|it| it.apply_slices(change)),
            Update::Left(change) => {
                let owners: HashSet<_> = self.local.left.apply(change).into_iter().collect();
                let mut keys = self.keys();
                let is_owner = |key: &ObjectKey| {
                    owners.contains(key) || owners.contains(&name::derived_service(key))
                };
                keys.retain(is_owner);
                keys
            }
            Update::Namespaces(change) => {
                let was_listed = self.local.is_listed();
                let names: HashSet<_> = self.local.apply_namespaces(change).into_iter().collect();
                let mut keys = self.keys();
                if was_listed {
                    keys.retain(|it| names.contains(it.namespace()));
                } else if self.local.is_listed() {
                    self.evaluate_all();
                }
                keys
            }
            Update::Rejected(import, None) => {
                let was_rejected = self.rejections.remove(&import).is_some();
                was_rejected.then_some(import).into_iter().collect()
            }
            Update::Rejected(import, Some(why)) => {
                let before = self.rejections.insert(import.clone(), why.clone());
                (before.as_ref() != Some(&why))
                    .then_some(import)
                    .into_iter()
                    .collect()
            }
            Update::FieldRejected(field, value, message) => {
                let now = self.now;
                self.rejected_fields.insert(field, value, message, now);
                self.keys()
            }
            Update::Properties(id, properties) => self.set_properties(&id, properties),
            Update::LocalRanges(ranges) => self.set_local_cidrs(ranges),
            Update::Schema(schema) => self.apply_schema(schema),
            Update::Tick(now) => self.tick(now),
        }
    }

    fn set_properties(&mut self, id: &ClusterId, properties: Properties) -> AffectedKeys {
        let Some(cluster) = self.clusters.get_mut(id) else {
            return AffectedKeys::new();
        };
        let before = cluster.properties.replace(properties);
        if before == cluster.properties {
            return AffectedKeys::new();
        }
        self.keys()
    }

    fn set_local_cidrs(&mut self, ranges: Vec<IpNet>) -> AffectedKeys {
        let before = std::mem::replace(&mut self.settings.addresses.learned, ranges);
        if before == self.settings.addresses.learned {
            return AffectedKeys::new();
        }
        self.keys()
    }

    fn apply_schema(&mut self, Schema { kept, dropped }: Schema) -> AffectedKeys {
        let n_before = self.dropped.len();
        self.dropped.retain(|it| !kept.contains(it));
        let has_new = self.dropped.len() < n_before || !dropped.is_subset(&self.dropped);
        self.dropped.extend(dropped);
        if has_new {
            return self.keys();
        }
        AffectedKeys::new()
    }

    fn tick(&mut self, now: MonotonicTime) -> AffectedKeys {
        let ages = |it: &Self| {
            let clusters = it.clusters.keys();
            clusters.map(|cluster| it.age(cluster)).collect::<Vec<_>>()
        };
        let before = ages(self);
        self.now = now;
        let is_forgotten = self.rejected_fields.expire(now);
        self.request_relists_of_held();
        if before == ages(self) && !is_forgotten {
            AffectedKeys::new()
        } else {
            self.keys()
        }
    }

    fn change<K, T>(
        &mut self,
        cluster: &ClusterId,
        part: Part,
        change: Change<K, T>,
        apply: impl FnOnce(&mut Cluster, Change<K, T>) -> Vec<ObjectKey>,
    ) -> AffectedKeys {
        let now = self.now;
        let is_contact = !matches!(change, Change::Disconnected);
        let Some(known) = self.clusters.get_mut(cluster) else {
            return AffectedKeys::new();
        };
        let before = known.is_stale();
        if is_contact {
            known.last_contact = now;
        }
        let by = By::of(&change);
        let affected = apply(known, change);
        let is_other = before != known.is_stale();
        let held = self.weigh(cluster, part, by, &affected);
        if by == By::List || is_other {
            // Missing data of a cluster, and its connection, concern all imports.
            return self.keys();
        }
        affected.into_iter().chain(held).collect()
    }

    fn change_local(
        &mut self,
        apply: impl FnOnce(&mut LocalState) -> Vec<ObjectKey>,
    ) -> AffectedKeys {
        let was_listed = self.local.is_listed();
        let affected = apply(&mut self.local).into_iter().collect();
        if was_listed || !self.local.is_listed() {
            return affected;
        }
        self.evaluate_all();
        self.keys()
    }

    /// Returns every import that there is anything to plan for.
    #[must_use]
    pub fn keys(&self) -> AffectedKeys {
        let exports = self.clusters.values().filter_map(|it| it.exports.data());
        let exports = exports.flat_map(HashMap::keys);
        let imports = self
            .local
            .imports
            .data()
            .into_iter()
            .flat_map(HashMap::keys);
        let mut keys: AffectedKeys = exports.chain(imports).cloned().collect();
        keys.extend(self.local.with_slices().cloned());
        let derived = self.local.derived.data().into_iter().flatten();
        keys.extend(derived.filter_map(|(key, it)| {
            let import = it.annotations.get(crate::api::IMPORT)?;
            Some(ObjectKey::new(key.namespace(), import))
        }));
        keys
    }

    /// Continues with another configuration. What is known of clusters that stay is kept, unless
    /// they are read in another way and named in `again`.
    pub fn reconfigure(&mut self, settings: Settings, anew: &BTreeSet<ClusterId>) -> AffectedKeys {
        let mut affected = self.keys();
        let mut known = std::mem::take(&mut self.clusters);
        let now = self.now;
        self.clusters = settings
            .clusters
            .iter()
            .map(|(id, it)| {
                let before = known.remove(id).filter(|_| !anew.contains(id));
                let fresh = || Cluster {
                    last_contact: now,
                    ..Cluster::default()
                };
                let mut cluster = before.unwrap_or_else(fresh);
                cluster.limit(it.max_services());
                (id.clone(), cluster)
            })
            .collect();
        let learned = std::mem::take(&mut self.settings.addresses.learned);
        self.settings = settings;
        self.settings.addresses.learned = learned;
        affected.extend(self.keys());
        affected
    }
}
