//! What would be done under a key, and why: the plan's own steps and reasons, for those
//! who ask before anything is written.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use proto_types::{ObjectKey, Resource};
use serde::{Deserialize, Serialize};

use crate::diff::Verdict;
use crate::local::Local;
use crate::name::LocalKey;
use crate::plan::{Case, Plan, Reason, decide};
use crate::step::{Step, steps};
use crate::world::World;

/// What would become of what is under one local key, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prospect {
    /// The local Service, which may not exist.
    pub service: String,
    /// What would be done, in order, and then what would be held.
    #[serde(alias = "deeds")]
    pub actions: Vec<Deed>,
    /// What was decided, in order.
    pub reasons: Vec<Reason>,
    /// What people should know.
    pub problems: Vec<String>,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// `create`, `update`, `replace` or `delete`; `hold` for what stays as it is because
    /// nobody can say what it should be, or because something is in the way.
    pub action: String,
    /// The kind of the object.
    pub kind: String,
    /// Namespace and name.
    pub object: String,
}

/// What is not done though there would be something to do.
const HOLD: &str = "hold";

/// What would become of everything, in the order of the local Services; of what is as it
/// should be, there is nothing to tell.
#[must_use]
pub fn prospects(world: &World) -> Vec<Prospect> {
    let keys: BTreeSet<_> = world.keys().into_iter().collect();
    let prospects = keys.iter().filter_map(|key| prospect(world, key));
    let mut prospects: Vec<_> = prospects.collect();
    // A slice that moves to another Service goes from one and comes to the other.
    let deeds = prospects.iter().flat_map(|it| &it.actions);
    let wanted: HashSet<_> = deeds.filter(|it| it.is_wanted()).map(Deed::id).collect();
    for prospect in &mut prospects {
        let is_news = |it: &Deed| it.is_wanted() || !wanted.contains(&it.id());
        prospect.actions.retain(is_news);
    }
    prospects.retain(|it| !it.actions.is_empty() || !it.problems.is_empty());
    prospects
}

fn prospect(world: &World, key: &LocalKey) -> Option<Prospect> {
    let case = Case::foreseen(world, key);
    let plan = decide(&case);
    let mut deeds = done(&plan, key, world.local());
    deeds.extend(held(&plan, key, world.local()));
    if deeds.is_empty() && plan.problems.is_empty() {
        return None;
    }
    Some(Prospect {
        service: key.to_string(),
        actions: deeds,
        reasons: case.into_reasons(),
        problems: plan.problems.iter().map(ToString::to_string).collect(),
    })
}

/// The steps; nothing goes into a Service that cannot be made.
fn done(plan: &Plan, key: &LocalKey, local: &Local) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut has_service = true;
    for step in steps(plan, key, local) {
        if step.needs_service() && !has_service {
            continue;
        }
        let is_blocked = local.obstacle(step.resource, &step.key).is_some();
        has_service &= !(is_blocked && step.makes_service());
        deeds.push(deed(&step, is_blocked));
    }
    deeds
}

fn deed(step: &Step, is_blocked: bool) -> Deed {
    let action = if is_blocked { HOLD } else { step.write.verb() };
    Deed::new(action, step.resource, &step.key)
}

/// What is here and stays because its plan is not known.
fn held(plan: &Plan, key: &LocalKey, local: &Local) -> Vec<Deed> {
    let service = local.service(key);
    let service = service.filter(|_| plan.service == Verdict::Unknown);
    let service = service.map(|_| Deed::new(HOLD, Resource::Services, key.object()));
    let slices = local.slices_of(key).filter(|(slice, _)| {
        let verdict = plan.slices.get(*slice);
        matches!(verdict, None | Some(Verdict::Unknown))
    });
    let slices = slices.map(|(slice, _)| Deed::new(HOLD, Resource::EndpointSlices, slice));
    service.into_iter().chain(slices).collect()
}

impl Deed {
    fn new(action: &str, resource: Resource, object: &ObjectKey) -> Self {
        Self {
            action: action.to_owned(),
            kind: resource.kind().to_owned(),
            object: object.to_string(),
        }
    }

    /// Whether it writes.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.action != HOLD
    }

    /// Whether the object is there afterwards, as it is to be.
    fn is_wanted(&self) -> bool {
        self.is_write() && self.action != "delete"
    }

    fn id(&self) -> (String, String) {
        (self.kind.clone(), self.object.clone())
    }
}

impl fmt::Display for Prospect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Service {}", self.service)?;
        for Deed {
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
