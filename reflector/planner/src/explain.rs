//! Explanations of mirrors: the reasons that the planner itself gave.

use proto_types::ObjectKey;
use serde::{Deserialize, Serialize};

use crate::diff::{Action, Desired, diff};
use crate::index::Index;
use crate::mirror::{Mirror, Observed};
use crate::name::MirrorKey;
use crate::plan::{PlanContext, Reason, decide};
use crate::policy::Rank;

/// Explanation of the state of the objects under one local key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The local Service, which may not exist.
    pub service: String,
    /// State of the key at each source, in the order of the configuration.
    pub sources: Vec<SourceReport>,
    /// Decisions, in order.
    pub reasons: Vec<Reason>,
    /// Actions for each object, the Service first.
    pub objects: Vec<Outcome>,
    /// Messages of the problems.
    pub problems: Vec<String>,
}

/// State of a key at one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// The source.
    pub source: String,
    /// State of the Services of the source: `synced`, `stale` or `unsynced`.
    pub services: String,
    /// State of the EndpointSlices of the source: `synced`, `stale` or `unsynced`.
    pub slices: String,
    /// Those of its Services that belong under the key.
    pub claims: Vec<String>,
}

/// Action for one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its kind.
    pub kind: String,
    /// Namespace and name.
    pub object: String,
    /// Desired state: `present`, `absent` or `unchanged`.
    pub verdict: String,
    /// `true` if the managed object exists.
    pub exists: bool,
    /// `create`, `update`, `replace`, `delete` or `nothing`.
    #[serde(alias = "toDo")]
    pub action: String,
}

/// Explains a Service, by its local name or by its name in a source; one explanation for each local
/// Service that it is about.
#[must_use]
pub fn explain(index: &Index, service: &ObjectKey) -> Vec<Explanation> {
    let here = MirrorKey::new(service.clone());
    let is_source_of = |rank: Rank| {
        let known = index.source(rank).services.known();
        known.is_some_and(|services| services.contains_key(service))
    };
    let ranks = index.policy().ranks().filter(|rank| is_source_of(*rank));
    let mut keys: Vec<_> = ranks.map(|rank| index.key_of(rank, service)).collect();
    // What is held or left behind is known here alone.
    let made_for = index
        .local()
        .services()
        .filter(|(_, it)| it.owner.source.is_some() && it.owner.service.as_ref() == Some(service));
    keys.extend(made_for.map(|(key, _)| MirrorKey::new(key.clone())));
    let is_about_here =
        index.claims(&here).next().is_some() || index.local().service(&here).is_some();
    if is_about_here || keys.is_empty() {
        keys.push(here);
    }
    keys.sort();
    keys.dedup();
    keys.iter().map(|key| explained(index, key)).collect()
}

fn explained(index: &Index, key: &MirrorKey) -> Explanation {
    let case = PlanContext::explained(index, key);
    let plan = decide(&case);
    let local = index.local();
    let mut objects = vec![outcome(&plan.service, key.object(), local.service(key))];
    let slices = plan.slices.iter();
    objects.extend(slices.map(|(slice, verdict)| outcome(verdict, slice, local.slice(slice))));
    let unnamed = local
        .slices_of(key)
        .filter(|(slice, _)| !plan.slices.contains_key(*slice));
    objects.extend(unnamed.map(|(slice, seen)| outcome(&Desired::Unknown, slice, Some(seen))));
    let endpoints = local.endpoints(key);
    if endpoints.is_some() || matches!(plan.endpoints, Desired::Present(_)) {
        objects.push(outcome(&plan.endpoints, key.object(), endpoints));
    }
    let mut reasons = case.into_reasons();
    if local.service(key).is_none() {
        for reason in reasons.iter_mut().filter(|it| it.rule == "NotExported") {
            reason.text = format!("{}; {}", reason.text, how_to_export(key.object()));
        }
    }
    Explanation {
        service: key.to_string(),
        sources: index
            .policy()
            .ranks()
            .map(|rank| said(index, key, rank))
            .collect(),
        reasons,
        objects,
        problems: plan.problems.iter().map(ToString::to_string).collect(),
    }
}

/// Returns what to do where no source exports a Service.
fn how_to_export(service: &ObjectKey) -> String {
    format!(
        "a source shows only Services that carry its export label: label it in its cluster, as by \
         kubectl --namespace {} label service {} heliograph.dev/export=true, or by the label that \
         the emitter's --selector names",
        service.namespace(),
        service.name()
    )
}

fn said(index: &Index, key: &MirrorKey, rank: Rank) -> SourceReport {
    let source = index.source(rank);
    let claims = index.claims(key).filter(|claim| claim.rank == rank);
    SourceReport {
        source: index.policy().source(rank).name.to_string(),
        services: source.services.as_str().to_owned(),
        slices: source.slices.as_str().to_owned(),
        claims: claims.map(|claim| claim.service.to_string()).collect(),
    }
}

fn outcome<T: Mirror>(
    verdict: &Desired<T>,
    object: &ObjectKey,
    observed: Option<&Observed<T>>,
) -> Outcome {
    let action = match diff(verdict, observed) {
        Some(Action::Create(_)) => "create",
        Some(Action::Update(_)) => "update",
        Some(Action::Replace(_)) => "replace",
        Some(Action::Delete) => "delete",
        None => "nothing",
    };
    let verdict = match verdict {
        Desired::Present(_) => "present",
        Desired::Absent => "absent",
        Desired::Unknown => "unchanged",
    };
    Outcome {
        kind: T::RESOURCE.kind().to_owned(),
        object: object.to_string(),
        verdict: verdict.to_owned(),
        exists: observed.is_some(),
        action: action.to_owned(),
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Service {}", self.service)?;
        for SourceReport {
            source,
            services,
            slices,
            claims,
        } in &self.sources
        {
            let claims = if claims.is_empty() {
                "nothing".to_owned()
            } else {
                claims.join(", ")
            };
            writeln!(
                f,
                "  source {source} (services {services}, endpointslices {slices}) exports {claims}"
            )?;
        }
        for (reason, i) in self.reasons.iter().zip(1..) {
            writeln!(f, "  {i}. {} [{}]", reason.text, reason.rule)?;
        }
        for it in &self.objects {
            let exists = if it.exists {
                "exists"
            } else {
                "does not exist"
            };
            let Outcome {
                kind,
                object,
                verdict,
                action,
                ..
            } = it;
            writeln!(
                f,
                "  {kind} {object}: {verdict}, {exists}; action: {action}"
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem: {problem}")?;
        }
        Ok(())
    }
}
