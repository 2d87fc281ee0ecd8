//! Inputs of a plan, and the reasons that it collects.

use std::cell::RefCell;

use proto_types::{ObjectKey, Resource, escape};
use serde::{Deserialize, Serialize};

use super::plan;
use crate::diff::Desired;
use crate::index::{Claim, Index};
use crate::mirror::Role;
use crate::name::{MirrorKey, SourceName};

/// One decision on the way to a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The rule that decided, for machines.
    pub rule: String,
    /// Decision, as a sentence.
    pub text: String,
}

/// One key of one index, and the reasons so far if an explanation was requested.
pub(crate) struct PlanContext<'a> {
    pub(crate) index: &'a Index,
    pub(crate) key: &'a MirrorKey,
    reasons: Option<RefCell<Vec<Reason>>>,
    /// `true` if the needs of other keys count as done.
    is_preview: bool,
}

impl<'a> PlanContext<'a> {
    /// Creates a case without reasons.
    pub(crate) const fn new(index: &'a Index, key: &'a MirrorKey) -> Self {
        Self {
            index,
            key,
            reasons: None,
            is_preview: false,
        }
    }

    /// Creates a case that collects reasons.
    pub(crate) const fn explained(index: &'a Index, key: &'a MirrorKey) -> Self {
        let reasons = Some(RefCell::new(Vec::new()));
        Self {
            index,
            key,
            reasons,
            is_preview: false,
        }
    }

    /// The same, as it is when all other keys are planned and written.
    pub(crate) fn previewed(index: &'a Index, key: &'a MirrorKey) -> Self {
        Self {
            is_preview: true,
            ..Self::explained(index, key)
        }
    }

    /// Returns whether the mirror of a Service is wanted under another key, and does not exist
    /// there yet.
    pub(crate) fn awaits(&self, key: &MirrorKey, service: &ObjectKey) -> bool {
        let local = self.index.local();
        let observed = local.service(key).map(|it| &it.owner);
        let exists = observed.is_some_and(|it| it.service.as_ref() == Some(service));
        if exists || !matches!(plan(self.index, key).service, Desired::Present(_)) {
            return false;
        }
        let write_failure = local.write_failure(Resource::Services, key.object());
        !self.is_preview || write_failure.is_some()
    }

    /// The source that makes a claim.
    pub(crate) fn source(&self, claim: &Claim) -> &'a SourceName {
        &self.index.policy().source(claim.rank).name
    }

    /// Returns the claims of the members of a global Service.
    pub(crate) fn member_claims(&self) -> impl Iterator<Item = &'a Claim> {
        let (index, key) = (self.index, self.key);
        let policy = index.policy();
        let claims = index.claims(key);
        claims.filter(|it| policy.role(it.rank) == Role::Member)
    }

    /// Notes the decision of a rule. The text is created only if reasons are collected.
    pub(crate) fn note(&self, rule: &str, text: impl FnOnce() -> String) {
        if let Some(reasons) = &self.reasons {
            reasons.borrow_mut().push(Reason {
                rule: rule.to_owned(),
                text: escape::text(&text()).into_owned(),
            });
        }
    }

    /// All reasons, in order.
    pub(crate) fn into_reasons(self) -> Vec<Reason> {
        self.reasons.map(RefCell::into_inner).unwrap_or_default()
    }
}
