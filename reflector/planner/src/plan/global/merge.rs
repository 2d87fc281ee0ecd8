//! Merging of members: of their ports the union, and of the rest what the first
//! member has, which is the oldest.

use super::ports::{NewPorts, Union};
use crate::plan::routes::Routes;
use crate::problem::Conflict;
use crate::service::{Affinity, Families, Family, ServiceKind, ServiceSpec};

/// Result of a merge.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Content of the global Service.
    pub(crate) spec: ServiceSpec,
    /// Mapping of the ports of each member.
    pub(crate) routes: Vec<Routes>,
    /// Differences between members.
    pub(crate) conflicts: Vec<Difference>,
}

/// One member's difference from one before it.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Index of the member that differs.
    pub(crate) member: usize,
    /// Index of the member that takes precedence.
    pub(crate) winner: usize,
    /// In what.
    pub(crate) conflict: Conflict,
}

/// Merges members in their order; nothing, where there are none.
pub(crate) fn merge(members: &[&ServiceSpec], frame: NewPorts) -> Option<Merged> {
    let first = members.first()?;
    let mut conflicts = Vec::new();
    let mut union = Union::default();
    let mut routes = Vec::with_capacity(members.len());
    for (member, spec) in members.iter().enumerate() {
        let (routed, contradicted) = union.add(member, &spec.ports, frame);
        routes.push(routed);
        let differences = contradicted
            .into_iter()
            .map(|(winner, conflict)| Difference {
                member,
                winner,
                conflict,
            });
        conflicts.extend(differences);
        conflicts.extend(scalars(first, spec).map(|conflict| Difference {
            member,
            winner: 0,
            conflict,
        }));
    }
    let families = families(members);
    for (member, spec) in members.iter().enumerate() {
        if let (Families::Dual(_), Some(Families::Single(family))) = (families, of(&spec.kind)) {
            let other = |it: &&&ServiceSpec| of(&it.kind) != Some(Families::Single(family));
            let winner = members.iter().position(|it| other(&it)).unwrap_or(0);
            let here = family.as_str();
            conflicts.push(Difference {
                member,
                winner,
                conflict: Conflict::Families { here },
            });
        }
    }
    let kind = match first.kind {
        ServiceKind::Headless(_) => ServiceKind::Headless(families),
        ServiceKind::Virtual(_) | ServiceKind::External(_) => ServiceKind::Virtual(families),
    };
    let spec = ServiceSpec {
        kind,
        ports: union.finish(&mut routes),
        ..(*first).clone()
    };
    Some(Merged {
        spec,
        routes,
        conflicts,
    })
}

/// All families that any member has; the first one's first family leads.
fn families(members: &[&ServiceSpec]) -> Families {
    let stated = members.iter().filter_map(|it| of(&it.kind));
    stated.fold(Families::Unstated, |all, families| match (all, families) {
        (all, Families::Unstated) => all,
        (Families::Unstated, families) => families,
        (Families::Single(first), Families::Single(second)) if first == second => all,
        (Families::Single(first) | Families::Dual(first), _) => Families::Dual(first),
    })
}

const fn of(kind: &ServiceKind) -> Option<Families> {
    match kind {
        ServiceKind::Virtual(families) | ServiceKind::Headless(families) => Some(*families),
        ServiceKind::External(_) => None,
    }
}

/// The same, where another family than the observed one's cannot lead: the primary
/// family of a virtual address stays for its life.
pub(crate) fn keep_address(spec: &mut ServiceSpec, observed: &ServiceSpec) {
    let (ServiceKind::Virtual(wanted), ServiceKind::Virtual(observed)) =
        (&mut spec.kind, &observed.kind)
    else {
        return;
    };
    let primary: Option<Family> = match observed {
        Families::Unstated => None,
        Families::Single(primary) | Families::Dual(primary) => Some(*primary),
    };
    if let (Families::Single(only), Some(primary)) = (*wanted, primary)
        && only != primary
    {
        *wanted = Families::Dual(primary);
    }
}

/// Returns the differences of a member from the first one.
fn scalars(first: &ServiceSpec, spec: &ServiceSpec) -> impl Iterator<Item = Conflict> {
    let (here, there) = (is_headless(spec), is_headless(first));
    let word = |headless: bool| if headless { "headless" } else { "not headless" };
    let kind = (here != there).then(|| Conflict::Kind {
        here: word(here),
        there: word(there),
    });
    let affinity = (spec.affinity != first.affinity).then(|| Conflict::Affinity {
        here: affinity(spec.affinity),
        there: affinity(first.affinity),
    });
    let distribution = |it: &ServiceSpec| it.traffic_distribution.clone().unwrap_or("none".into());
    let differs = spec.traffic_distribution != first.traffic_distribution;
    let distribution = differs.then(|| Conflict::Distribution {
        here: distribution(spec),
        there: distribution(first),
    });
    let (here, there) = (spec.publish_not_ready, first.publish_not_ready);
    let not_ready = (here != there).then_some(Conflict::NotReady { here, there });
    let all = [kind, affinity, distribution, not_ready];
    all.into_iter().flatten()
}

const fn is_headless(spec: &ServiceSpec) -> bool {
    matches!(spec.kind, ServiceKind::Headless(_))
}

fn affinity(affinity: Affinity) -> Box<str> {
    match affinity {
        Affinity::None => "None".into(),
        Affinity::ClientIp(seconds) => format!("ClientIP ({seconds} s)").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{NewPorts, keep_address, merge};
    use crate::service::{Affinity, Families, Family, ServiceKind, ServiceSpec};

    fn spec(kind: ServiceKind) -> ServiceSpec {
        ServiceSpec {
            kind,
            ports: Box::default(),
            affinity: Affinity::None,
            publish_not_ready: false,
            traffic_distribution: None,
        }
    }

    fn reasons(members: &[&ServiceSpec]) -> (ServiceKind, Vec<(usize, &'static str)>) {
        let merged = merge(members, NewPorts::Union).unwrap();
        let conflicts = merged.conflicts.iter();
        let reasons = conflicts.map(|it| (it.member, it.conflict.reason()));
        (merged.spec.kind, reasons.collect())
    }

    const V4: Families = Families::Single(Family::V4);
    const V6: Families = Families::Single(Family::V6);
    const DUAL: Families = Families::Dual(Family::V4);

    #[test]
    fn the_first_decides_what_is_not_merged_and_the_others_are_told() {
        let first = spec(ServiceKind::Headless(V4));
        let mut second = spec(ServiceKind::Virtual(V4));
        second.affinity = Affinity::ClientIp(10);
        second.traffic_distribution = Some("PreferSameZone".into());
        second.publish_not_ready = true;
        let (kind, reasons) = reasons(&[&first, &second, &first]);
        assert_eq!(kind, ServiceKind::Headless(V4));
        let expected = [
            (1, "TypeConflict"),
            (1, "SessionAffinityConflict"),
            (1, "TrafficDistributionConflict"),
            (1, "PublishNotReadyAddressesConflict"),
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn families_are_those_of_all_members() {
        let check = |members: &[Families], expected: Families, n_conflicts: usize| {
            let specs: Vec<_> = members
                .iter()
                .map(|it| spec(ServiceKind::Virtual(*it)))
                .collect();
            let (kind, reasons) = reasons(&specs.iter().collect::<Vec<_>>());
            assert_eq!(kind, ServiceKind::Virtual(expected), "{members:?}");
            assert_eq!(reasons.len(), n_conflicts, "{members:?}");
        };
        check(&[V4, V4, Families::Unstated], V4, 0);
        check(&[V4, V6], DUAL, 2);
        check(&[V4, Families::Dual(Family::V6)], DUAL, 1);
        check(&[Families::Unstated, V6], V6, 0);
    }

    #[test]
    fn an_address_outlives_the_members_of_its_family() {
        let mut wanted = spec(ServiceKind::Virtual(V6));
        keep_address(&mut wanted, &spec(ServiceKind::Virtual(DUAL)));
        assert_eq!(wanted.kind, ServiceKind::Virtual(DUAL));
        let mut wanted = spec(ServiceKind::Virtual(V4));
        keep_address(&mut wanted, &spec(ServiceKind::Virtual(DUAL)));
        assert_eq!(wanted.kind, ServiceKind::Virtual(V4));
    }
}
