//! Imports of other programs that are adopted, where the configuration names the program.
//!
//! An import is adopted as a whole: its derived Service keeps its addresses, its EndpointSlices go
//! after the managed ones exist. It is left alone until all that it needs is known.

use proto_types::ObjectKey;
use reflector_planner::service::clear_pod_selector;
use serde_json::{Map, Value};

use crate::api;
use crate::left::Predecessor;
use crate::local::{ImportObject, Observed};
use crate::name;
use crate::state::ClusterSet;

/// Beginning of annotations of Submariner.
const SUBMARINER_PREFIX: &str = "lighthouse.submariner.io/";

/// Returns the predecessor that wrote an import.
pub(crate) fn writer_of_import(
    set: &ClusterSet,
    key: &ObjectKey,
    import: &Observed<ImportObject>,
) -> Option<Predecessor> {
    let local = set.local();
    let derived = name::derived_service(key);
    if let Some(named) = import.annotations.get(api::DERIVED_SERVICE) {
        // Its derived Service may have been adopted a moment ago.
        let observed = local.derived.data()?.get(&derived);
        return (named == derived.name() && observed.is_some()).then_some(Predecessor::Cilium);
    }
    let is_marked = |it: &str| it.starts_with(SUBMARINER_PREFIX);
    let mut slices = local.left_of(key);
    let has_slices = slices.any(|(_, it)| it.writer == Predecessor::Submariner);
    (has_slices || import.annotations.keys().any(is_marked)).then_some(Predecessor::Submariner)
}

/// Returns whether an import, or its derived Service, is still a predecessor's, and may be adopted.
pub(crate) fn is_foreign(set: &ClusterSet, key: &ObjectKey) -> bool {
    let local = set.local();
    let import = local.imports.data().and_then(|it| it.get(key));
    let derived = local.derived.data();
    let derived = derived.and_then(|it| it.get(&name::derived_service(key)));
    import.is_some_and(|it| !it.is_managed()) || derived.is_some_and(|it| !it.is_managed())
}

/// Returns the EndpointSlices that a predecessor left for an import.
pub(crate) fn left(set: &ClusterSet, key: &ObjectKey) -> Vec<ObjectKey> {
    let derived = name::derived_service(key);
    let local = set.local();
    let all = local.left_of(key).chain(local.left_of(&derived));
    let adopted = all.filter(|(_, it)| set.settings().adopt.contains(&it.writer));
    adopted.map(|(key, _)| key.clone()).collect()
}

/// Removes from a derived Service what its former writer needs of it. Its selector selects no pod
/// then, so that Kubernetes takes away the endpoints that it found by it.
pub(crate) fn strip(object: &mut Map<String, Value>) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        clear_pod_selector(spec);
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    // Deleting the CRD would take the addresses away.
    metadata.remove("ownerReferences");
    for field in ["labels", "annotations"] {
        if let Some(all) = metadata.get_mut(field).and_then(Value::as_object_mut) {
            let is_theirs = |key: &str| {
                key.contains("cilium.io/") || key == api::SERVICE_NAME || key == api::SOURCE_CLUSTER
            };
            all.retain(|key, _| !is_theirs(key));
        }
    }
}
