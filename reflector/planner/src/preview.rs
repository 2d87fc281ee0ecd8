//! Preview of the writes under a key, with the steps and reasons of the plan itself.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use proto_types::{ObjectKey, Resource};
use serde::{Deserialize, Serialize};

use crate::diff::Desired;
use crate::index::Index;
use crate::local::LocalState;
use crate::name::MirrorKey;
use crate::plan::{Plan, PlanContext, Reason, decide};
use crate::step::{Step, steps};

/// Preview of the changes under one local key, with reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePreview {
    /// The local Service, which may not exist.
    pub service: String,
    /// Actions in the order of execution, then held ones.
    #[serde(alias = "deeds")]
    pub actions: Vec<PlannedAction>,
    /// Decisions, in order.
    pub reasons: Vec<Reason>,
    /// Messages of the problems.
    pub problems: Vec<String>,
}

/// Planned action for one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedAction {
    /// `create`, `update`, `replace` or `delete`; `hold` for an object that stays because its
    /// desired state is unknown or something blocks it.
    pub action: String,
    /// The kind of the object.
    pub kind: String,
    /// Namespace and name.
    pub object: String,
}

/// Action of an object that stays although it differs from the desired state.
const HOLD: &str = "hold";

/// Returns the preview of all keys in the order of the local Services. Keys without an action are
/// left out.
#[must_use]
pub fn previews(index: &Index) -> Vec<ServicePreview> {
    let keys: BTreeSet<_> = index.keys().into_iter().collect();
    let previews = keys.iter().filter_map(|key| preview(index, key));
    let mut previews: Vec<_> = previews.collect();
    // A slice that moves to another Service goes from one and comes to the other.
    let deeds = previews.iter().flat_map(|it| &it.actions);
    let wanted: HashSet<_> = deeds
        .filter(|it| it.is_wanted())
        .map(PlannedAction::id)
        .collect();
    for preview in &mut previews {
        let is_news = |it: &PlannedAction| it.is_wanted() || !wanted.contains(&it.id());
        preview.actions.retain(is_news);
    }
    previews.retain(|it| !it.actions.is_empty() || !it.problems.is_empty());
    previews
}

fn preview(index: &Index, key: &MirrorKey) -> Option<ServicePreview> {
    let case = PlanContext::previewed(index, key);
    let plan = decide(&case);
    let mut deeds = done(&plan, key, index.local());
    deeds.extend(held(&plan, key, index.local()));
    if deeds.is_empty() && plan.problems.is_empty() {
        return None;
    }
    Some(ServicePreview {
        service: key.to_string(),
        actions: deeds,
        reasons: case.into_reasons(),
        problems: plan.problems.iter().map(ToString::to_string).collect(),
    })
}

/// The steps; nothing goes into a Service that cannot be made.
fn done(plan: &Plan, key: &MirrorKey, local: &LocalState) -> Vec<PlannedAction> {
    let mut deeds = Vec::new();
    let mut has_service = true;
    for step in steps(plan, key, local) {
        if step.needs_service() && !has_service {
            continue;
        }
        let is_blocked = local.write_failure(step.resource, &step.key).is_some();
        has_service &= !(is_blocked && step.makes_service());
        deeds.push(deed(&step, is_blocked));
    }
    deeds
}

fn deed(step: &Step, is_blocked: bool) -> PlannedAction {
    let action = if is_blocked { HOLD } else { step.write.verb() };
    PlannedAction::new(action, step.resource, &step.key)
}

/// Returns existing objects that stay because their desired state is unknown.
fn held(plan: &Plan, key: &MirrorKey, local: &LocalState) -> Vec<PlannedAction> {
    let service = local.service(key);
    let service = service.filter(|_| plan.service == Desired::Unknown);
    let service = service.map(|_| PlannedAction::new(HOLD, Resource::Services, key.object()));
    let slices = local.slices_of(key).filter(|(slice, _)| {
        let verdict = plan.slices.get(*slice);
        matches!(verdict, None | Some(Desired::Unknown))
    });
    let slices = slices.map(|(slice, _)| PlannedAction::new(HOLD, Resource::EndpointSlices, slice));
    service.into_iter().chain(slices).collect()
}

impl PlannedAction {
    fn new(action: &str, resource: Resource, object: &ObjectKey) -> Self {
        Self {
            action: action.to_owned(),
            kind: resource.kind().to_owned(),
            object: object.to_string(),
        }
    }

    /// Returns whether it writes.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.action != HOLD
    }

    /// Returns whether the object is there afterwards, as it is to be.
    fn is_wanted(&self) -> bool {
        self.is_write() && self.action != "delete"
    }

    fn id(&self) -> (String, String) {
        (self.kind.clone(), self.object.clone())
    }
}

impl fmt::Display for ServicePreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Service {}", self.service)?;
        for PlannedAction {
            action,
            kind,
            object,
        } in &self.actions
        {
            writeln!(f, "  {action:7} {kind} {object}")?;
        }
        for (reason, i) in self.reasons.iter().zip(1..) {
            writeln!(f, "  {i}. {} [{}]", reason.text, reason.rule)?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem: {problem}")?;
        }
        Ok(())
    }
}
