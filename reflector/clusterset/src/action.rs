//! The writes that establish a plan.

use std::collections::BTreeMap;

use proto_types::label::{HEADLESS, HELIOGRAPH, MANAGED_BY, SERVICE_NAME, SLICE_MANAGED_BY};
use proto_types::{Labels, ObjectKey, Resource};
use serde_json::{Map, Value, json};

use crate::adopt;
use crate::api::{self, Version};
use crate::conditions::{self, Condition};
use crate::id::ClusterId;
use crate::local::{CopiedSlice, DerivedObject, ImportObject, Observed};
use crate::name;
use crate::plan::{Attachment, Copy, Derived, Desired, Import, ImportStatus, Plan};
use crate::request::{child, create, delete, delete_version, marks, new, update, update_status};
use crate::selection::{Order, RESULTS, has_results, results};
use crate::state::ClusterSet;

pub use crate::request::{Action, Request};

/// Returns the writes that establish a plan, in their order: the derived Service, its
/// EndpointSlices, the import and then statuses; in reverse where an import goes.
#[must_use]
pub fn actions(
    set: &ClusterSet,
    key: &ObjectKey,
    plan: &Plan,
    version: Version,
    now: &str,
) -> Vec<Action> {
    let writer = Writer { set, key, version };
    let (present, absent): (Vec<_>, Vec<_>) = plan
        .slices
        .iter()
        .filter_map(|(key, desired)| {
            Some((
                matches!(desired, Desired::Absent),
                writer.slice(key, desired)?,
            ))
        })
        .partition(|(is_absent, _)| !is_absent);
    let slices = |it: Vec<(bool, Action)>| it.into_iter().map(|(_, action)| action);
    let derived = writer.derived(&plan.derived);
    let import = writer.import(&plan.import);
    let mut actions = Vec::new();
    if matches!(plan.import, Desired::Absent) {
        actions.extend(import);
        actions.extend(slices(absent));
        actions.extend(derived);
    } else {
        let goes = matches!(plan.derived, Desired::Absent);
        // A derived Service of a predecessor keeps its endpoints until there are managed ones.
        let is_last = writer.has_foreign_derived();
        actions.extend(derived.clone().filter(|_| !goes && !is_last));
        actions.extend(slices(present));
        actions.extend(derived.clone().filter(|_| !goes && is_last));
        let is_new = import.is_some();
        actions.extend(import);
        // A write of the import gives it another version, which its status must name.
        actions.extend(
            writer
                .import_status(&plan.import_status, now)
                .filter(|_| !is_new),
        );
        actions.extend(slices(absent));
        actions.extend(plan.left.iter().filter_map(|it| writer.left(it)));
        actions.extend(derived.filter(|_| goes));
    }
    actions.extend(writer.export_status(plan.export.as_deref(), now));
    actions
}

struct Writer<'a> {
    set: &'a ClusterSet,
    key: &'a ObjectKey,
    version: Version,
}

impl Writer<'_> {
    fn derived(&self, desired: &Desired<Derived>) -> Option<Action> {
        let key = name::derived_service(self.key);
        let observed = self.set.local().derived.data().and_then(|it| it.get(&key));
        let resource = Resource::Services.names();
        let derived = match (desired, observed) {
            (Desired::Unchanged, _) | (Desired::Absent, None) => return None,
            (Desired::Absent, Some(observed)) => return Some(delete(resource, &key, observed)),
            (Desired::Present(derived), _) => derived,
        };
        let labels = self.managed_labels();
        let annotations = Labels::from([(api::IMPORT.to_owned(), self.key.name().to_owned())]);
        let Some(observed) = observed else {
            let mut object = new(resource, &key);
            marks(&mut object, &labels, &annotations);
            derived.write(&mut object);
            return Some(create(resource, &key, object));
        };
        if let Some(shown) = &observed.shows {
            // The address is for life: another headless-ness or first family is told by
            // the server's rejection, and never by another Service.
            if derived.is_shown_by(shown) && has_marks(observed, &labels, &annotations) {
                return None;
            }
        }
        update(resource, &key, observed, |object| {
            if !observed.is_managed() {
                adopt::strip(object);
            }
            marks(object, &labels, &annotations);
            derived.write(object);
        })
    }

    fn has_foreign_derived(&self) -> bool {
        let key = name::derived_service(self.key);
        let observed = self.set.local().derived.data().and_then(|it| it.get(&key));
        observed.is_some_and(|it| !it.is_managed())
    }

    /// Deletes an EndpointSlice of a predecessor.
    fn left(&self, key: &ObjectKey) -> Option<Action> {
        let derived = name::derived_service(self.key);
        let local = self.set.local();
        let mut all = local.left_of(self.key).chain(local.left_of(&derived));
        let (_, slice) = all.find(|(it, _)| *it == key)?;
        let resource = Resource::EndpointSlices.names();
        Some(delete_version(resource, key, &slice.uid, slice.revision))
    }

    fn slice(&self, key: &ObjectKey, desired: &Desired<Copy>) -> Option<Action> {
        let resource = Resource::EndpointSlices.names();
        let observed = self.set.local().slices.data().and_then(|it| it.get(key));
        let copy = match (desired, observed) {
            (Desired::Unchanged, _) | (Desired::Absent, None) => return None,
            (Desired::Absent, Some(observed)) => return Some(delete(resource, key, observed)),
            (Desired::Present(copy), _) => copy,
        };
        let labels = self.slice_labels(copy);
        let annotations =
            Labels::from([(api::SOURCE_SLICE.to_owned(), copy.source.name().to_owned())]);
        let Some(observed) = observed else {
            let mut object = new(resource, key);
            marks(&mut object, &labels, &annotations);
            copy.spec.write_to(&mut object);
            return Some(create(resource, key, object));
        };
        let is_same = |it: &CopiedSlice| it.spec == copy.spec;
        // A slice that moved between a Service and none keeps no label of before.
        let is_joined = observed.labels.get(SERVICE_NAME) == labels.get(SERVICE_NAME);
        if observed.shows.as_ref().is_some_and(is_same)
            && is_joined
            && has_marks(observed, &labels, &annotations)
        {
            return None;
        }
        let observed_type = observed.shows.as_ref().map(|it| &it.spec.address_type);
        if observed_type.is_some_and(|it| *it != copy.spec.address_type) {
            // The address type is immutable: the next plan creates it again.
            return Some(delete(resource, key, observed));
        }
        update(resource, key, observed, |object| {
            child(child(object, "metadata"), "labels").remove(SERVICE_NAME);
            marks(object, &labels, &annotations);
            copy.spec.write_to(object);
        })
    }

    fn import(&self, desired: &Desired<Import>) -> Option<Action> {
        let resource = self.version.imports();
        let observed = self.observed_import();
        let import = match (desired, observed) {
            (Desired::Unchanged, _) | (Desired::Absent, None) => return None,
            (Desired::Absent, Some(observed)) => return Some(delete(resource, self.key, observed)),
            (Desired::Present(import), _) => import,
        };
        let (labels, mut annotations) = self.import_marks(import);
        let Some(observed) = observed else {
            annotations.insert(api::EXPORTED_BY, joined(&import.exporters));
            let mut object = new(resource, self.key);
            marks(&mut object, &labels, &annotations);
            object.insert("spec".to_owned(), import.spec.clone());
            return Some(create(resource, self.key, object));
        };
        if let Some(exporters) = observed.annotations.get(api::EXPORTED_BY) {
            annotations.insert(api::EXPORTED_BY, exporters);
        }
        let is_same = |it: &ImportObject| it.spec == self.set.kept(&import.spec);
        if observed.shows.as_ref().is_some_and(is_same)
            && observed.labels == labels
            && has_marks(observed, &labels, &annotations)
            && !has_unexpected_fields(observed, &annotations)
        {
            return None;
        }
        update(resource, self.key, observed, |object| {
            let metadata = child(object, "metadata");
            metadata.insert("labels".to_owned(), json!(labels));
            metadata.insert("annotations".to_owned(), json!(annotations));
            object.insert("spec".to_owned(), import.spec.clone());
        })
    }

    fn import_status(&self, desired: &Desired<ImportStatus>, now: &str) -> Option<Action> {
        let Desired::Present(wanted) = desired else {
            return None;
        };
        let observed = self.observed_import()?;
        let status = &observed.shows.as_ref()?.status;
        let order = wanted.order.as_ref();
        let clusters: Vec<_> = wanted
            .clusters
            .iter()
            .map(|it| json!({"cluster": it.as_str()}))
            .collect();
        let is_dropped = |field| self.set.is_dropped(field);
        let is_shown = observed.clusters() == wanted.clusters
            && (is_dropped("status.clusterSelectorResults") || has_results(status, order))
            && (is_dropped("status.conditions") || are_shown(&wanted.conditions, status))
            && (is_dropped("status.endpointSliceObjects")
                || status["endpointSliceObjects"] == json!("Present"));
        if is_shown {
            return None;
        }
        let mut written = status.as_object().cloned().unwrap_or_default();
        written.insert("clusters".to_owned(), json!(clusters));
        written.insert("endpointSliceObjects".to_owned(), json!("Present"));
        match (results(order), order) {
            (Some(results), _) => written.insert(RESULTS.to_owned(), results),
            (None, Some(Order::Unknown)) => None,
            (None, _) => written.remove(RESULTS),
        };
        let merged = merged(&wanted.conditions, status, now, None);
        written.insert("conditions".to_owned(), merged);
        update_status(self.version.imports(), self.key, &observed.json, written)
    }

    fn export_status(&self, wanted: Option<&[Condition]>, now: &str) -> Option<Action> {
        let wanted = wanted?;
        let exports = self.set.local_cluster()?.exports.data()?;
        let json = &exports.get(self.key)?.json;
        let object: Value = serde_json::from_slice(json).ok()?;
        let status = object.get("status").cloned().unwrap_or_default();
        let is_done = are_shown(wanted, &status);
        let has_old_conflict = !wanted.iter().any(|it| it.condition_type == "Conflict")
            && conditions::find(&status, "Conflict").is_some();
        if is_done && !has_old_conflict {
            return None;
        }
        let generation = object["metadata"]["generation"].as_i64();
        let mut written = status.as_object().cloned().unwrap_or_default();
        let mut merged = merged(wanted, &status, now, generation);
        if let (true, Some(all)) = (has_old_conflict, merged.as_array_mut()) {
            all.retain(|it| it["type"] != json!("Conflict"));
        }
        written.insert("conditions".to_owned(), merged);
        update_status(self.version.exports(), self.key, json, written)
    }

    fn observed_import(&self) -> Option<&Observed<ImportObject>> {
        self.set
            .local()
            .imports
            .data()
            .and_then(|it| it.get(self.key))
    }

    fn managed_labels(&self) -> Labels {
        let name = &self.set.settings().name;
        Labels::from([
            (MANAGED_BY.to_owned(), HELIOGRAPH.to_owned()),
            (api::CLUSTERSET.to_owned(), name.to_string()),
        ])
    }

    fn slice_labels(&self, copy: &Copy) -> Labels {
        let mut labels = Labels::from([
            (MANAGED_BY.to_owned(), HELIOGRAPH.to_owned()),
            (SLICE_MANAGED_BY.to_owned(), api::MANAGER.to_owned()),
            (api::SERVICE_NAME.to_owned(), self.key.name().to_owned()),
            (api::SOURCE_CLUSTER.to_owned(), copy.cluster.to_string()),
        ]);
        match &copy.attachment {
            Attachment::Service(service) => {
                labels.insert(SERVICE_NAME, service.name());
            }
            Attachment::Headless => {
                labels.insert(HEADLESS, String::new());
            }
            Attachment::Standby => {}
        }
        labels
    }

    fn import_marks(&self, import: &Import) -> (Labels, Labels) {
        let mut labels = import.labels.clone();
        labels.insert(MANAGED_BY, HELIOGRAPH);
        let mut annotations = import.annotations.clone();
        let name = self.set.settings().name.to_string();
        annotations.insert(api::CLUSTERSET, name);
        if let Some(derived) = &import.derived {
            annotations.insert(api::DERIVED_SERVICE, derived.name());
        }
        (labels, annotations)
    }
}

impl Derived {
    fn is_shown_by(&self, observed: &DerivedObject) -> bool {
        let policy = observed
            .internal_traffic_policy
            .as_deref()
            .unwrap_or("Cluster");
        self.spec.is_shown_by(&observed.spec) && *self.internal_traffic_policy == *policy
    }

    fn write(&self, object: &mut Map<String, Value>) {
        let spec = child(object, "spec");
        self.spec.write_to(spec);
        let policy = json!(self.internal_traffic_policy);
        spec.insert("internalTrafficPolicy".to_owned(), policy);
    }
}

fn joined(clusters: &[ClusterId]) -> String {
    let names: Vec<_> = clusters.iter().map(ClusterId::as_str).collect();
    names.join(",")
}

fn are_shown(wanted: &[Condition], status: &Value) -> bool {
    wanted.iter().all(|it| {
        let observed = conditions::find(status, it.condition_type);
        observed.is_some_and(|observed| it.is_shown_by(observed))
    })
}

/// Returns all conditions: the wanted ones, and those of other writers as they are.
fn merged(wanted: &[Condition], status: &Value, now: &str, generation: Option<i64>) -> Value {
    let observed = status.get("conditions").and_then(Value::as_array);
    let mut all: BTreeMap<&str, Value> = BTreeMap::new();
    for condition in observed.into_iter().flatten() {
        if let Some(name) = condition.get("type").and_then(Value::as_str) {
            all.insert(name, condition.clone());
        }
    }
    for condition in wanted {
        let before = conditions::find(status, condition.condition_type);
        let written = condition.written(before, now, generation);
        all.insert(condition.condition_type, written);
    }
    all.into_values().collect()
}

fn has_marks<T>(observed: &Observed<T>, labels: &Labels, annotations: &Labels) -> bool {
    let holds =
        |all: &Labels, some: &Labels| some.iter().all(|(key, value)| all.get(key) == Some(value));
    holds(&observed.labels, labels) && holds(&observed.annotations, annotations)
}

/// Returns whether an import has annotations of no export. Those of kubectl stay, since they are
/// its own record.
fn has_unexpected_fields(observed: &Observed<ImportObject>, wanted: &Labels) -> bool {
    let is_stray =
        |key: &str| !wanted.contains_key(key) && !key.starts_with("kubectl.kubernetes.io/");
    observed.annotations.keys().any(is_stray)
}
