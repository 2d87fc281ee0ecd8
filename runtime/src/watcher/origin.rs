//! Origin of responses.

use proto_types::evidence::{Evidence, Expected};

use super::comparison::Tier;

/// Origin of a list or of a watch, and the clusters that are accepted.
pub(super) struct Origin {
    pub(super) evidence: Evidence,
    pub(super) expected: Expected,
    pub(super) tier: Tier,
}
