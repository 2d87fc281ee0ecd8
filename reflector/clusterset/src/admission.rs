//! Import policies: the part of each cluster's exports that the local cluster imports.
//!
//! Conditions of exports come of all exports as the clusters have them, so that every cluster of
//! the set reports the same. Policies decide afterwards what the local imports show.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proto_types::{Labels, ObjectKey};
use reflector_planner::slice::EndpointSliceSpec;
use reflector_planner::{Import, ImportViolation};

use crate::export::Definition;
use crate::id::ClusterId;
use crate::merge::Member;
use crate::state::ClusterSet;

/// Parts of exports that are not imported, by cluster.
pub type Refusals = BTreeSet<(ClusterId, ImportViolation)>;

/// Label and annotation domain of this program.
const OWN_DOMAIN: &str = "heliograph.dev/";

/// Returns the exports that take part in the local import, each as far as it is admitted.
pub(crate) fn admitted<'a>(
    set: &ClusterSet,
    key: &ObjectKey,
    members: Vec<Member<'a>>,
    refusals: &mut Refusals,
) -> Vec<Member<'a>> {
    let admit = |member: Member<'a>| {
        let id = member.cluster;
        match admit(set, key, member) {
            Ok((member, refusal)) => {
                refusals.extend(refusal.map(|it| (id.clone(), it)));
                Some(member)
            }
            Err(refusal) => {
                refusals.insert((id.clone(), refusal));
                None
            }
        }
    };
    members.into_iter().filter_map(admit).collect()
}

fn admit<'a>(
    set: &ClusterSet,
    key: &ObjectKey,
    mut member: Member<'a>,
) -> Result<(Member<'a>, Option<ImportViolation>), ImportViolation> {
    let Some(import) = policy(set, member.cluster) else {
        return Ok((member, None));
    };
    let quota = set.clusters().get(member.cluster).map(|it| &it.quota);
    if let Some(limit) = quota.and_then(|it| it.refuses(key)) {
        return Err(ImportViolation::TooManyServices { limit });
    }
    let spec = &member.definition.content.spec;
    let (spec, refusal) = import.admit_export(key, spec, &set.settings().addresses)?;
    if refusal.is_some() {
        let mut content = member.definition.content.clone();
        content.spec = spec;
        member.definition = Cow::Owned(Definition {
            content,
            internal_traffic_policy: member.definition.internal_traffic_policy.clone(),
        });
    }
    Ok((member, refusal))
}

/// Returns the admitted part of the EndpointSlices of a cluster for an import.
pub(crate) fn slices<'a>(
    set: &ClusterSet,
    cluster: &ClusterId,
    slices: &[(&'a ObjectKey, &'a EndpointSliceSpec)],
    refusals: &mut Refusals,
) -> Vec<EndpointSliceSpec> {
    let named = slices.iter().map(|(key, spec)| (key.name(), *spec));
    let Some(import) = policy(set, cluster) else {
        return named.map(|(_, it)| it.clone()).collect();
    };
    let (admitted, refused) = import.admit_slices(named, &set.settings().addresses);
    refusals.extend(refused.into_iter().map(|it| (cluster.clone(), it)));
    admitted
}

/// Removes exported labels and annotations that programs of the local cluster may act upon.
pub(crate) fn without_steering(
    set: &ClusterSet,
    cluster: &ClusterId,
    (labels, annotations): (&mut Labels, &mut Labels),
    refusals: &mut Refusals,
) {
    let import = policy(set, cluster);
    let mut cut = |all: &mut Labels, admits: &dyn Fn(&str) -> bool| {
        all.retain(|name, _| {
            let is_admitted = admits(name) && !name.starts_with(OWN_DOMAIN);
            if !is_admitted {
                let refusal = ImportViolation::Exported(name.into());
                refusals.insert((cluster.clone(), refusal));
            }
            is_admitted
        });
    };
    let carry = import.map(|it| &it.carry);
    cut(labels, &|it| {
        carry.is_none_or(|carry| carry.admits_exported_label(it))
    });
    cut(annotations, &|it| {
        carry.is_none_or(|carry| carry.admits_exported_annotation(it))
    });
}

fn policy<'a>(set: &'a ClusterSet, cluster: &ClusterId) -> Option<&'a Import> {
    set.settings().clusters.get(cluster)?.import.as_ref()
}
