//! Mirrors of the predecessors, which are adopted as they are: their addresses are in use.
//!
//! Only what stands exactly where the mirror would, and says that it is the mirror of the same
//! source, is adopted. Their core/v1 Endpoints go when the managed EndpointSlices exist, and the
//! Service gets the ownership metadata last: whatever is interrupted begins again.

use proto_types::RawObject;
use proto_types::label::{self, REFLECTED, REFLECTED_FROM};
use serde_json::Value;

use crate::import::{MIRROR_PREFIX, MIRRORED};
use crate::mirror::{GLOBAL_SERVICE, Version};
use crate::name::Placement;
use crate::policy::SourcePolicy;

/// Existing Service under the name of a mirror, and its Endpoints.
#[derive(Debug, Clone)]
pub struct ExistingObject {
    /// The Service.
    pub service: RawObject,
    /// The Endpoints of the same name.
    pub endpoints: Option<RawObject>,
}

/// A mirror that is being adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adoption {
    /// The Endpoints that go.
    pub(crate) endpoints: Option<Version>,
}

impl Adoption {
    /// After which these Endpoints go.
    pub(crate) fn with(endpoints: Option<&RawObject>) -> Self {
        Self {
            endpoints: endpoints.map(|it| Version {
                uid: it.uid.clone(),
                revision: it.revision,
            }),
        }
    }
}

/// Returns how the mirror of a predecessor is adopted, or `None` if it is no mirror of that source.
pub(crate) fn adoption(policy: &SourcePolicy, met: &ExistingObject) -> Option<Adoption> {
    if !is_mirror_of(policy, &met.service) {
        return None;
    }
    let endpoints = met.endpoints.as_ref();
    let endpoints = endpoints.filter(|it| is_mirror_of(policy, it));
    Some(Adoption::with(endpoints))
}

fn is_mirror_of(policy: &SourcePolicy, object: &RawObject) -> bool {
    let label = |name| object.labels.get(name);
    if label(label::SOURCE).is_some() {
        return false;
    }
    match &policy.placement {
        Placement::Prefixed { prefix, .. } => {
            label(MIRRORED) == Some("true") && label(MIRROR_PREFIX) == Some(prefix.as_str())
        }
        Placement::Global(_) => label(GLOBAL_SERVICE) == Some("true"),
        Placement::SameName => {
            let json: Value = serde_json::from_slice(&object.json).unwrap_or_default();
            let annotations = &json["metadata"]["annotations"];
            let from = annotations[REFLECTED_FROM].as_str().unwrap_or_default();
            let known_as = policy
                .known_as
                .as_deref()
                .map(|it| it.trim_end_matches('/'));
            annotations[REFLECTED] == "true" && known_as == Some(from.trim_end_matches('/'))
        }
    }
}
