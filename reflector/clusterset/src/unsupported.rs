//! Values of optional fields that the local API server rejects, removed from plans of imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proto_types::ObjectKey;
use reflector_planner::rejected::Lost;

use crate::name;
use crate::state::ClusterSet;
use crate::wanted::{Copy, Derived, Desired};

/// Value that an object of an import lacks, because the local API server rejects it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsupported {
    kind: &'static str,
    object: ObjectKey,
    field: &'static str,
    exported: Box<str>,
    used: &'static str,
    message: Box<str>,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            object,
            field,
            exported,
            used,
            message,
        } = self;
        write!(
            f,
            "{kind} {object} has {field} {used} where the export has {exported:?}, because the \
             local API server rejects that: {message}; upgrade the local cluster, or change the \
             field in the exported Service"
        )
    }
}

/// Removes values that the local API server rejects from an import, and returns them.
pub(crate) fn weaken(
    set: &ClusterSet,
    key: &ObjectKey,
    derived: &mut Desired<Derived>,
    slices: &mut BTreeMap<ObjectKey, Desired<Copy>>,
) -> BTreeSet<Unsupported> {
    let rejected = set.rejected_fields();
    if rejected.is_empty() {
        return BTreeSet::new();
    }
    let mut all = Vec::new();
    if let Desired::Present(derived) = derived {
        let lost = rejected.weaken_service(&mut derived.spec);
        all.push(("Service", name::derived_service(key), lost));
    }
    for (slice, desired) in slices {
        if let Desired::Present(copy) = desired {
            let lost = rejected.weaken_slice(&mut copy.spec);
            all.push(("EndpointSlice", slice.clone(), lost));
        }
    }
    let mut found = BTreeSet::new();
    for (kind, object, lost) in all {
        let lost = lost.into_iter();
        found.extend(lost.map(|it| unsupported(kind, &object, it)));
    }
    found
}

fn unsupported(kind: &'static str, object: &ObjectKey, lost: Lost) -> Unsupported {
    Unsupported {
        kind,
        object: object.clone(),
        field: lost.field.as_str(),
        exported: lost.asked,
        used: lost.used.unwrap_or("none"),
        message: lost.message,
    }
}
