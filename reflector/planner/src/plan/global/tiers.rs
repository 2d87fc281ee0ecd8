//! Active and standby clusters of a global Service.
//!
//! Clusters are tiers, in the requested order. Those up to the first that suffices serve; the
//! endpoints of the others are published as not ready. Where none suffices, all serve. Going down
//! the tiers takes no time; going back up waits, and then takes steps, so that what has just
//! recovered is neither believed nor loaded at once.
//!
//! After a restart a disconnected cluster counts with what is published of it. What stood by then
//! is known by its conditions, see [`recall`], and may serve again.

use std::collections::BTreeMap;

use proto_types::{ObjectKey, label};

use super::member::{Member, Members};
use crate::diff::Desired;
use crate::index::STEPS;
use crate::mirror::MirrorSlice;
use crate::name::SourceName;
use crate::plan::staleness::shown_anew;
use crate::plan::{Plan, PlanContext};
use crate::policy::{PolicyRight, Rank};
use crate::problem::{Problem, ProblemCause};
use crate::slice::EndpointSliceSpec;
use crate::source::Slices;

/// Name of the local cluster in a failover order.
const LOCAL: &str = "local";

/// Former name of the local cluster in a failover order; still read.
const HERE: &str = "here";

/// Failover threshold: the ready endpoints that a position needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailoverThreshold {
    /// So many endpoints.
    Ready(usize),
    /// That share of its endpoints, in hundredths.
    Share(usize),
}

impl FailoverThreshold {
    /// One endpoint by default.
    const DEFAULT: Self = Self::Ready(1);

    /// Reads `2`, or `50%`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, make): (_, fn(usize) -> Self) = match text.strip_suffix('%') {
            Some(share) => (share.parse().ok().filter(|it| *it <= 100), Self::Share),
            None => (text.parse().ok(), Self::Ready),
        };
        number.filter(|it| 0 < *it).map(make)
    }

    const fn is_met(self, n_ready: usize, n_all: usize) -> bool {
        match self {
            Self::Ready(n) => n <= n_ready,
            Self::Share(share) => 0 < n_ready && share * n_all <= 100 * n_ready,
        }
    }
}

/// Slices of disconnected members.
pub(super) type Recalled = BTreeMap<ObjectKey, MirrorSlice>;

/// Takes endpoints of clusters that stand by out of service; returns what serves again, or not any
/// more, of disconnected ones.
pub(super) fn stand_by(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    plan: &mut Plan,
) -> Recalled {
    let Some((order, enough)) = requested(context, members, plan) else {
        return Recalled::new();
    };
    let unheard = members
        .all
        .iter()
        .filter(|it| slices_of(context, it).is_none());
    let unheard = unheard.flat_map(|it| published(context, &it.name));
    let mut recalled: Recalled = unheard.collect();
    choose(context, members, (&order, enough), plan, &mut recalled);
    let is_shown = |slice: &ObjectKey, it: &MirrorSlice| {
        let shown = context.index.local().slice(slice);
        let shown = shown.and_then(|it| it.shows.as_ref());
        shown.is_some_and(|shown| shown.spec == it.spec)
    };
    recalled.retain(|slice, it| !is_shown(slice, it));
    recalled
}

fn choose(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    (order, enough): (&[SourceName], FailoverThreshold),
    plan: &mut Plan,
    recalled: &mut Recalled,
) {
    let tiers = tiers(members, order);
    let all_met = tiers
        .iter()
        .map(|tier| met(context, members, (tier, enough)));
    let all_met: Vec<_> = all_met.collect();
    let found = all_met.iter().position(|it| *it != Met::No);
    let Some((n, met)) = found.map(|n| (n, all_met[n])) else {
        context.note("AllServe", || {
            "no tier of clusters suffices, so that all of them serve".to_owned()
        });
        return;
    };
    if met == Met::Unknown {
        context.note("ThresholdUnknown", || {
            "the endpoints of a cluster are not listed yet: no later cluster begins to serve"
                .to_owned()
        });
    }
    let sufficient = all_met.iter().enumerate();
    let sufficient = sufficient.filter(|(_, it)| **it == Met::Yes);
    plan.failing_back.sufficient = sufficient.map(|(tier, _)| tier).collect();
    for (tier, members) in tiers.iter().enumerate().skip(n + 1) {
        for member in members {
            let name = &*member.name;
            let step = match (met, serves(context, name)) {
                (_, false) => STEPS, // Who was not serving does not begin to.
                (Met::Unknown, true) => 0,
                (Met::Yes | Met::No, true) => {
                    plan.failing_back.clusters.insert(name.clone(), tier);
                    context.index.failback_step(context.key, name)
                }
            };
            context.note("ClusterOnStandby", || {
                let done = 100 * step / STEPS;
                format!("earlier clusters suffice: {done} % of the endpoints of {name} stand by")
            });
            withdraw(plan, recalled, name, step);
        }
    }
}

/// Result of the comparison of a failover position with the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Yes,
    No,
    /// The endpoints of one of its members are not listed yet.
    Unknown,
}

fn met(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    (tier, enough): (&[&Member<'_>], FailoverThreshold),
) -> Met {
    let counts = tier.iter().map(|it| count(context, members, it));
    let (n_ready, n_all) = counts.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    if enough.is_met(n_ready, n_all) {
        Met::Yes
    } else if tier.iter().any(|it| is_awaited(context, it)) {
        Met::Unknown
    } else {
        Met::No
    }
}

/// Returns whether nothing is known of the endpoints of a member, neither from it nor by what
/// is published of it, and a list is still to be expected. Unknown is not zero, but it keeps
/// other clusters from serving for a limited time.
fn is_awaited(context: &PlanContext<'_>, member: &Member<'_>) -> bool {
    let is_listed = slices_of(context, member).is_some();
    let awaited = member.rank.filter(|_| !is_listed);
    awaited.is_some_and(|rank| context.index.awaits_slices(rank))
        && published(context, &member.name).next().is_none()
}

/// Returns whether endpoints of a member are published as ready.
fn serves(context: &PlanContext<'_>, name: &SourceName) -> bool {
    let slices = context.index.local().slices_of(context.key);
    let mut its = slices.filter(|(_, it)| it.owner.source.as_ref() == Some(name));
    its.any(|(_, it)| it.shows.as_ref().is_some_and(|it| 0 < n_ready(&it.spec)))
}

/// The failover order, if there is one, and the threshold.
fn requested(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    plan: &mut Plan,
) -> Option<(Vec<SourceName>, FailoverThreshold)> {
    let policy = context.index.policy();
    let global = policy.global()?;
    report_missing_permission(context, members, plan);
    let may_decide = |it: &&Member<'_>| policy.has_right(&it.name, PolicyRight::Failover);
    let first = members.all.iter().find(may_decide);
    let Some(first) = first else {
        return configured(context);
    };
    let order = first.failover.as_ref().or(global.failover.as_ref())?;
    let mut tell = |cause| {
        plan.problems.push(Problem {
            source: first.name.clone().into_owned(),
            object: members.service.clone(),
            cause,
        });
    };
    let mut clusters = Vec::new();
    for name in order.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let name = if [LOCAL, HERE].contains(&name) {
            global.cluster.as_str()
        } else {
            name
        };
        let known = context
            .index
            .policy()
            .members()
            .iter()
            .find(|it| it.name.as_str() == name);
        match known {
            Some(member) => clusters.push(member.name.clone()),
            None => tell(ProblemCause::UnknownFailoverCluster { name: name.into() }),
        }
    }
    let enough = match &first.failover_min {
        None => FailoverThreshold::DEFAULT,
        Some(text) => FailoverThreshold::parse(text).unwrap_or_else(|| {
            tell(ProblemCause::InvalidFailoverThreshold {
                value: text.clone(),
            });
            FailoverThreshold::DEFAULT
        }),
    };
    // Without any known cluster there is no order.
    (!clusters.is_empty()).then_some((clusters, enough))
}

/// Reports members with a failover order that they may not set.
fn report_missing_permission(context: &PlanContext<'_>, members: &Members<'_>, plan: &mut Plan) {
    for member in &members.all {
        let asked = [
            (label::FAILOVER, &member.failover),
            (label::FAILOVER_MIN, &member.failover_min),
        ];
        let asked = asked.into_iter().find(|(_, it)| it.is_some());
        let has_right = context
            .index
            .policy()
            .has_right(&member.name, PolicyRight::Failover);
        if let (Some((annotation, _)), false) = (asked, has_right) {
            plan.problems.push(Problem {
                source: member.name.clone().into_owned(),
                object: members.service.clone(),
                cause: ProblemCause::PolicyNotAllowed {
                    annotation,
                    right: PolicyRight::Failover,
                },
            });
        }
    }
}

/// The failover order of the configuration.
fn configured(context: &PlanContext<'_>) -> Option<(Vec<SourceName>, FailoverThreshold)> {
    let policy = context.index.policy();
    let global = policy.global()?;
    let names = global.failover.as_ref()?.split(',').map(str::trim);
    let clusters = names.filter_map(|name| {
        let name = if [LOCAL, HERE].contains(&name) {
            global.cluster.as_str()
        } else {
            name
        };
        let mut members = policy.members().iter();
        let member = members.find(|it| it.name.as_str() == name)?;
        Some(member.name.clone())
    });
    let clusters: Vec<_> = clusters.collect();
    (!clusters.is_empty()).then_some((clusters, FailoverThreshold::DEFAULT))
}

/// Members by tier. Those that are not named are the last one.
fn tiers<'m, 'a>(members: &'m Members<'a>, order: &[SourceName]) -> Vec<Vec<&'m Member<'a>>> {
    let of = |name: &SourceName| members.all.iter().filter(|it| *it.name == *name).collect();
    let mut tiers: Vec<Vec<_>> = order.iter().map(of).collect();
    let others = members.all.iter().filter(|it| !order.contains(&it.name));
    tiers.push(others.collect());
    tiers
}

/// Returns the numbers of ready endpoints and of all endpoints of a member.
pub(super) fn count(
    context: &PlanContext<'_>,
    members: &Members<'_>,
    member: &Member<'_>,
) -> (usize, usize) {
    let counts = |spec: &EndpointSliceSpec| (n_ready(spec), spec.endpoints.len());
    let sum = |sum: (usize, usize), it: (usize, usize)| (sum.0 + it.0, sum.1 + it.1);
    match slices_of(context, member) {
        Some((rank, slices)) => {
            let age = context.index.age(rank, &members.service);
            let slices = slices.of(&members.service);
            let specs = slices.filter_map(|(_, it)| it.as_ref().ok());
            specs.map(|it| counts(&age.of(&it.spec))).fold((0, 0), sum)
        }
        None => {
            let specs = published(context, &member.name);
            specs.map(|(_, it)| counts(&it.spec)).fold((0, 0), sum)
        }
    }
}

/// Returns the EndpointSlices of a member, if they were listed.
fn slices_of<'a>(context: &PlanContext<'a>, member: &Member<'_>) -> Option<(Rank, &'a Slices)> {
    let rank = member.rank?;
    Some((rank, context.index.source(rank).slices.known()?))
}

/// Returns the published EndpointSlices of a member, as if it were active.
fn published<'c>(
    context: &'c PlanContext<'_>,
    member: &'c SourceName,
) -> impl Iterator<Item = (ObjectKey, MirrorSlice)> + use<'c> {
    let slices = context.index.local().slices_of(context.key);
    let its = slices.filter(move |(_, it)| it.owner.source.as_ref() == Some(member));
    its.filter_map(|(slice, it)| Some((slice.clone(), shown_anew(context, it, recall)?)))
}

/// Endpoints that serve and are not ready without terminating are those that were taken out of
/// service in the local cluster: Kubernetes writes no others, nor do we for silence.
fn recall(spec: &mut EndpointSliceSpec) {
    for endpoint in &mut spec.endpoints {
        let is_withdrawn = endpoint.ready == Some(false)
            && endpoint.serving == Some(true)
            && endpoint.terminating != Some(true);
        if is_withdrawn {
            endpoint.ready = Some(true);
        }
    }
}

fn n_ready(spec: &EndpointSliceSpec) -> usize {
    let endpoints = spec.endpoints.iter();
    endpoints.filter(|it| it.ready != Some(false)).count()
}

/// Takes so many steps' share of a member's ready endpoints out of service: always the
/// last ones, so that those that serve stay the same.
fn withdraw(plan: &mut Plan, recalled: &mut Recalled, member: &SourceName, step: usize) {
    let its = plan
        .slices
        .values_mut()
        .filter_map(|verdict| match verdict {
            Desired::Present(slice) => Some(slice),
            Desired::Absent | Desired::Unknown => None,
        });
    let its = its.chain(recalled.values_mut());
    let its = its.filter(|it| it.marks.labels.get(label::SOURCE) == Some(member.as_str()));
    let mut its: Vec<_> = its.collect();
    let n_all: usize = its.iter().map(|it| n_ready(&it.spec)).sum();
    let n_left = (n_all * (STEPS - step)).div_ceil(STEPS);
    let endpoints = its.iter_mut().flat_map(|it| &mut it.spec.endpoints);
    let ready = endpoints.filter(|it| it.ready != Some(false));
    for endpoint in ready.skip(n_left) {
        endpoint.ready = Some(false);
        endpoint.serving.get_or_insert(true);
    }
}

#[cfg(test)]
mod tests {
    use super::FailoverThreshold;

    #[test]
    fn a_threshold_is_a_number_or_a_share() {
        let check = |text, n_ready, n_all| {
            FailoverThreshold::parse(text).map(|it| it.is_met(n_ready, n_all))
        };
        assert_eq!(check("2", 1, 9), Some(false));
        assert_eq!(check(" 2 ", 2, 9), Some(true));
        assert_eq!(check("50%", 1, 3), Some(false));
        assert_eq!(check("50%", 2, 4), Some(true));
        assert_eq!(check("1%", 0, 0), Some(false));
        for text in ["", "0", "0%", "101%", "many", "-1", "1.5"] {
            assert_eq!(check(text, 1, 1), None, "{text}");
        }
    }
}
