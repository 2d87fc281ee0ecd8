//! The desired state of one namespaced name.

use std::collections::{BTreeMap, BTreeSet};

use proto_types::ObjectKey;
use reflector_planner::RemovedSources;
use serde_json::json;

use crate::admission::{self, Refusals};
use crate::adopt;
use crate::cluster::{Cluster, Contribution};
use crate::conditions::{self, Condition, ExportState, ImportState};
use crate::conflict::Conflict;
use crate::exports::{Exports, exports};
use crate::id::ClusterId;
use crate::left::Predecessor;
use crate::local::{DerivedObject, Observed};
use crate::losses::Part;
use crate::merge::{self, ImportType, Member, Merged};
use crate::name;
use crate::ports::{self, PortNames};
use crate::selection::{self, Order, Selection};
use crate::state::ClusterSet;
use crate::unsupported::{self, Unsupported};
use crate::wanted::{derived_service, shown_ports, wanted_import};

pub use crate::wanted::{Attachment, Copy, Derived, Desired, Import};

/// Desired state of an import and of all that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The derived Service.
    pub derived: Desired<Derived>,
    /// EndpointSlices.
    pub slices: BTreeMap<ObjectKey, Desired<Copy>>,
    /// EndpointSlices of a predecessor that go.
    pub left: Vec<ObjectKey>,
    /// The ServiceImport.
    pub import: Desired<Import>,
    /// The status of the ServiceImport.
    pub import_status: Desired<ImportStatus>,
    /// Conditions of the local cluster's ServiceExport, where there is one.
    pub export: Option<Vec<Condition>>,
    /// Values that the local API server rejects.
    pub unsupported: BTreeSet<Unsupported>,
    /// Clusters that serve.
    pub selection: Selection,
    /// Parts of exports that the import policies of their clusters do not admit.
    pub refusals: Refusals,
}

/// Desired status of a ServiceImport.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportStatus {
    /// Exporting clusters.
    pub clusters: BTreeSet<ClusterId>,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Order of the clusters, where cluster selectors decide.
    pub(crate) order: Option<Order>,
}

/// Returns the desired state of an import. `None` while the local cluster is not listed.
#[must_use]
pub fn plan(set: &ClusterSet, key: &ObjectKey) -> Option<Plan> {
    let local = set.local();
    if !local.is_listed() {
        return None;
    }
    let mut exports = exports(set, key);
    let observed = local.imports.data().and_then(|it| it.get(key));
    let merged = merge::merge(&exports.members);
    let conflicts = merged.map_or(Vec::new(), |(_, conflicts)| conflicts);
    let mut plan = Plan {
        derived: Desired::Unchanged,
        slices: BTreeMap::new(),
        left: Vec::new(),
        import: Desired::Unchanged,
        import_status: Desired::Unchanged,
        unsupported: BTreeSet::new(),
        export: export_conditions(set, key, &conflicts, &exports.unlisted),
        selection: Selection::All,
        refusals: Refusals::new(),
    };
    exports.members = admission::admitted(set, key, exports.members, &mut plan.refusals);
    let merged = shown(set, &exports.members, &mut plan.refusals);
    if is_occupied(set, key) {
        // Objects of another writer stay; managed EndpointSlices under them must not.
        plan.slices = local
            .slices_of(key)
            .map(|(key, _)| (key.clone(), Desired::Absent))
            .collect();
        return Some(plan);
    }
    let is_foreign = adopt::is_foreign(set, key);
    let held = held(set, key, &exports.unknown);
    let has_namespace = local
        .namespaces
        .data()
        .is_some_and(|it| it.contains(key.namespace()));
    if is_foreign && !(merged.is_some() && held.is_empty() && exports.are_listed(set)) {
        return Some(plan);
    }
    match &merged {
        Some(merged) if has_namespace => {
            let is_held = !held.is_empty() && observed.is_some();
            present(
                set,
                key,
                merged,
                &exports,
                &mut plan,
                is_held.then_some(&held),
            );
        }
        _ if held.is_empty() => absent(set, key, &mut plan),
        _ => plan.import_status = status(set, key, &held),
    }
    plan.unsupported = unsupported::weaken(set, key, &mut plan.derived, &mut plan.slices);
    Some(plan)
}

/// Returns what the import of these exports shows.
fn shown(set: &ClusterSet, members: &[Member<'_>], refusals: &mut Refusals) -> Option<Merged> {
    let (mut merged, _) = merge::merge(members)?;
    let oldest = members.first()?.cluster;
    let deciding = selection::deciding(set, members, refusals);
    merged.selectors = deciding.and_then(Member::selectors).cloned();
    let maps = (&mut merged.labels, &mut merged.annotations);
    admission::without_steering(set, oldest, maps, refusals);
    Some(merged)
}

/// Returns whether another writer has the import or its derived Service.
fn is_occupied(set: &ClusterSet, key: &ObjectKey) -> bool {
    occupant(set, key).is_some()
}

/// Returns what another writer has of the import, and what to do.
pub(crate) fn occupant(set: &ClusterSet, key: &ObjectKey) -> Option<String> {
    let local = set.local();
    let adopts =
        |writer: Option<Predecessor>| writer.is_some_and(|it| set.settings().adopt.contains(&it));
    let told = |what: &str, writer: Option<Predecessor>| {
        let adopt = writer.map_or_else(String::new, |it| {
            format!(", or have it taken over with clusterSet.adopt: [{it}]")
        });
        format!("{what} was not written by this program; delete it to have it replaced{adopt}")
    };
    let import = local.imports.data().and_then(|it| it.get(key));
    if let Some(import) = import.filter(|it| !it.is_managed()) {
        let writer = adopt::writer_of_import(set, key, import);
        if !adopts(writer) {
            return Some(told("the ServiceImport of this name", writer));
        }
    }
    let derived = name::derived_service(key);
    let observed = local.derived.data().and_then(|it| it.get(&derived));
    let services = set.local_cluster().and_then(|it| it.services.data());
    let exists = services.is_some_and(|it| it.contains_key(&derived));
    let writer = observed.map(|_| Predecessor::Cilium);
    let is_managed = observed.is_some_and(Observed::<DerivedObject>::is_managed);
    (exists && !is_managed && !adopts(writer))
        .then(|| told("the derived Service of the import exists and", writer))
}

/// Returns the clusters that contributed to the import as it is now, and whose absence is not
/// known. One that is not configured any more contributes with its EndpointSlices alone: the status
/// may have names that a predecessor gave to clusters.
fn held(set: &ClusterSet, key: &ObjectKey, unknown: &BTreeSet<ClusterId>) -> BTreeSet<ClusterId> {
    let (local, settings) = (set.local(), set.settings());
    let import = local.imports.data().and_then(|it| it.get(key));
    let slices = local.slices_of(key);
    let slices = slices.filter_map(|(_, it)| it.shows.as_ref()?.cluster.clone());
    let slices: BTreeSet<_> = slices.collect();
    let is_removed = |it: &ClusterId| {
        settings.removed == RemovedSources::Keep && !settings.clusters.contains_key(it)
    };
    let recorded = import.map(Observed::contributors).unwrap_or_default();
    let mut held: BTreeSet<_> = recorded.intersection(unknown).cloned().collect();
    held.extend(
        slices
            .into_iter()
            .filter(|it| unknown.contains(it) || is_removed(it)),
    );
    held
}

fn absent(set: &ClusterSet, key: &ObjectKey, plan: &mut Plan) {
    plan.derived = Desired::Absent;
    plan.import = Desired::Absent;
    let slices = set.local().slices_of(key);
    plan.slices = slices
        .map(|(key, _)| (key.clone(), Desired::Absent))
        .collect();
}

/// Plans an import that has exports. While contributions of `held` clusters are not known
/// their EndpointSlices stay, and so do the type, the ports and the address.
fn present(
    set: &ClusterSet,
    key: &ObjectKey,
    merged: &Merged,
    exports: &Exports<'_>,
    plan: &mut Plan,
    held: Option<&BTreeSet<ClusterId>>,
) {
    let none = BTreeSet::new();
    let held_clusters = held.unwrap_or(&none);
    let derived = name::derived_service(key);
    let local = set.local();
    let observed = local.derived.data().and_then(|it| it.get(&derived));
    let import = local.imports.data().and_then(|it| it.get(key));
    let shown = import.and_then(|it| it.shows.as_ref());
    let is_headless = match (held, shown) {
        (Some(_), Some(shown)) => shown.spec["type"] == json!("Headless"),
        _ => merged.import_type == ImportType::Headless,
    };
    let import_ports = match (held, shown) {
        (Some(_), Some(shown)) => shown_ports(shown),
        _ => merged.ports.clone(),
    };
    if held.is_none() {
        let service = observed.and_then(|it| it.shows.as_ref());
        plan.derived = match is_headless {
            true => Desired::Absent,
            false => Desired::Present(derived_service(merged, service)),
        };
        let exporters = exports.members.iter().map(|it| it.cluster);
        plan.import = wanted_import(key, merged, service, exporters);
    }
    for (slice, observed) in local.slices_of(key) {
        let cluster = observed.shows.as_ref().and_then(|it| it.cluster.as_ref());
        let is_kept = cluster.is_some_and(|it| is_unknown(set, key, it, held_clusters));
        let desired = if is_kept {
            Desired::Unchanged
        } else {
            Desired::Absent
        };
        plan.slices.insert(slice.clone(), desired);
    }
    for member in &exports.members {
        let names = ports::names(&import_ports, member.ports());
        let service = (!is_headless).then(|| derived.clone());
        copies((set, key, member.cluster), &names, service.as_ref(), plan);
    }
    let order = selection::order(set, &exports.members, merged.selectors.as_ref());
    let ways = (set, key);
    plan.selection = selection::apply(ways, &order, held.is_some(), &mut plan.slices);
    let mut clusters: BTreeSet<_> = exports
        .members
        .iter()
        .map(|it| it.cluster.clone())
        .collect();
    clusters.extend(held_clusters.iter().cloned());
    if plan_writes_import(&plan.import) && exports.are_listed(set) {
        plan.left = adopt::left(set, key);
    }
    if plan_writes_import(&plan.import) || import.is_some() {
        plan.import_status = status(set, key, &clusters);
        if let Desired::Present(status) = &mut plan.import_status {
            status.order = merged.selectors.as_ref().map(|_| order);
        }
    }
}

const fn plan_writes_import(import: &Desired<Import>) -> bool {
    matches!(import, Desired::Present(_))
}

/// Returns whether the EndpointSlices of a cluster for an import are not known now.
fn is_unknown(
    set: &ClusterSet,
    key: &ObjectKey,
    cluster: &ClusterId,
    held: &BTreeSet<ClusterId>,
) -> bool {
    let is_kept =
        |it: &Cluster| it.slices.is_unlisted() || it.losses.hold(Part::Slices).holds(key).is_some();
    held.contains(cluster) || set.clusters().get(cluster).is_some_and(is_kept)
}

/// Plans the copies of the EndpointSlices of a cluster.
fn copies(
    (set, key, cluster): (&ClusterSet, &ObjectKey, &ClusterId),
    names: &PortNames,
    service: Option<&ObjectKey>,
    plan: &mut Plan,
) {
    let known = set.clusters().get(cluster).and_then(|it| it.slices.data());
    let known: Vec<_> = known.into_iter().flat_map(|it| it.of(key)).collect();
    let readable = known
        .iter()
        .filter_map(|(key, spec)| Some((*key, (*spec)?)));
    let readable: Vec<_> = readable.collect();
    let admitted = admission::slices(set, cluster, &readable, &mut plan.refusals);
    let age = set.age(cluster);
    for ((source, _), spec) in readable.iter().zip(admitted) {
        let desired = Desired::Present(Copy {
            cluster: cluster.clone(),
            source: (*source).clone(),
            attachment: service.map_or(Attachment::Headless, |it| Attachment::Service(it.clone())),
            spec: age.applied_to(&ports::renamed(&spec, names)),
        });
        plan.slices
            .insert(name::copied_slice(key, cluster, source), desired);
    }
    // A slice that cannot be read is not a slice without endpoints.
    for (source, _) in known.iter().filter(|(_, spec)| spec.is_none()) {
        let copy = name::copied_slice(key, cluster, source);
        plan.slices.insert(copy, Desired::Unchanged);
    }
}

fn status(
    set: &ClusterSet,
    key: &ObjectKey,
    clusters: &BTreeSet<ClusterId>,
) -> Desired<ImportStatus> {
    let is_silent = |it: &&ClusterId| {
        let known = set.clusters().get(*it);
        known.is_none_or(|it| it.is_stale() || it.exports.is_unlisted())
    };
    let silent = clusters.iter().filter(is_silent).cloned().collect();
    let mut held: BTreeSet<_> = set.held(key).into_keys().collect();
    held.retain(|it| clusters.contains(it));
    let state = set
        .rejection(key)
        .map_or(ImportState::Ready, ImportState::Rejected);
    Desired::Present(ImportStatus {
        clusters: clusters.clone(),
        conditions: conditions::of_import(&state, &silent, &held),
        order: None,
    })
}

fn export_conditions(
    set: &ClusterSet,
    key: &ObjectKey,
    conflicts: &[Conflict],
    unknown: &BTreeSet<ClusterId>,
) -> Option<Vec<Condition>> {
    let occupant = occupant(set, key);
    let state = match set.local_cluster()?.contribution(key) {
        Contribution::None | Contribution::Unknown | Contribution::Held(..) => return None,
        Contribution::Invalid(_, why) => ExportState::Invalid(why),
        Contribution::Exported(..) if !set.is_allowed(key.namespace()) => {
            ExportState::ClosedNamespace
        }
        Contribution::Exported(..) => {
            let failure = occupant.as_deref().or_else(|| set.rejection(key));
            failure.map_or(ExportState::Exported, ExportState::Failed)
        }
    };
    Some(conditions::of_export(&state, conflicts, unknown))
}
