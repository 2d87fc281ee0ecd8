//! What holds when the configuration changes, and when somebody asks beforehand.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use reflector_planner::import::NameRules;
use reflector_planner::{Naming, Placement, Policy, RemovedSources, SourcePolicy, previews};

use super::{Operation, SOURCES, operations};
use crate::lab::{Lab, name, policy, prefixed, same_name};
use crate::silence::impatient;

/// A source in one of the forms that it may be configured in, if it is at all.
fn configured(source: &str, form: u8) -> Option<SourcePolicy> {
    let elsewhere = Placement::Prefixed {
        prefix: format!("{source}x").parse().unwrap(),
        namespace: "others".parse().unwrap(),
    };
    let denied = NameRules {
        deny: vec!["s1".parse().unwrap(), "s2".parse().unwrap()],
        ..NameRules::default()
    };
    let mut it = match form % 7 {
        0 => return None,
        1 => same_name(source),
        2 => SourcePolicy::new(name(source), elsewhere),
        3 if source == "east" => impatient(),
        _ => prefixed(source),
    };
    match form % 7 {
        4 => it.import.names = denied,
        5 => it.import.max_services = Some(1),
        6 => {
            it.naming = Naming {
                template: Some(
                    "{source}-{name}-6d6972726f720a-{namespace}"
                        .parse()
                        .unwrap(),
                ),
                ..Naming::default()
            }
        }
        _ => {}
    }
    Some(it)
}

/// Any order of any sources in any form.
fn policies() -> impl Strategy<Value = Policy> {
    let forms = prop::collection::vec(0..7u8, 3);
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let removed = [RemovedSources::Keep, RemovedSources::Delete];
    (forms, select(orders.to_vec()), select(removed.to_vec())).prop_map(
        |(forms, order, removed)| {
            let sources = order
                .iter()
                .filter_map(|i| configured(SOURCES[*i], forms[*i]));
            let mut policy = policy(sources.collect());
            policy.removed_sources = removed;
            policy.hold = Duration::ZERO;
            policy
        },
    )
}

/// What each source has in the end.
type Last = Vec<(u8, u8)>;

fn list(lab: &mut Lab, last: &Last) {
    for (i, source) in SOURCES.iter().enumerate() {
        let forms = last[4 * i..4 * i + 4].iter().enumerate();
        let services = forms.clone().map(|(n, form)| (n, form.0)).collect();
        let slices = forms.map(|(n, form)| (n, form.1)).collect();
        // Nobody hears one that is not configured.
        lab.suffer(source, &Operation::List(services, slices));
    }
}

/// A reflector that runs by one policy, and has done all that it can.
fn running(policy: Policy, operations: &[(&str, Operation)], last: &Last) -> Lab {
    let mut lab = Lab::over(crate::cluster::Cluster::default(), policy);
    for (source, operation) in operations {
        lab.suffer(source, operation);
    }
    lab.settle();
    list(&mut lab, last);
    lab.settle();
    lab
}

/// Which objects are written, and which are only deleted. What is replaced, or moves to
/// another Service, may be deleted on the way.
fn outcome(writes: impl Iterator<Item = String>) -> BTreeMap<String, bool> {
    let mut outcome = BTreeMap::new();
    for write in writes {
        let (verb, object) = write.split_once(' ').unwrap();
        *outcome.entry(object.to_owned()).or_insert(false) |= verb != "delete";
    }
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(96)
    })]

    #[test]
    fn another_configuration_comes_to_the_same_as_a_restart_with_it(
        first in policies(),
        then in policies(),
        anew in prop::collection::vec(select(&SOURCES[..]), 0..3),
        operations in operations(),
        last in prop::collection::vec((0..12u8, 0..12u8), 12),
    ) {
        let mut changed = running(first.clone(), &operations, &last);
        let is_new = |it: &&str| {
            let has = |policy: &Policy| policy.sources().iter().any(|its| its.name.as_str() == *it);
            has(&then) && (!has(&first) || anew.contains(it))
        };
        let heard: Vec<_> = SOURCES.into_iter().filter(is_new).collect();
        let anew: HashSet<_> = anew.iter().map(|it| name(it)).collect();
        changed.reconfigure(then.clone(), &anew);
        changed.settle();
        // Only who is new, or asked again, says again what it has.
        for (i, source) in SOURCES.iter().enumerate().filter(|(_, it)| heard.contains(it)) {
            let forms = last[4 * i..4 * i + 4].iter().enumerate();
            let services = forms.clone().map(|(n, form)| (n, form.0)).collect();
            let slices = forms.map(|(n, form)| (n, form.1)).collect();
            changed.suffer(source, &Operation::List(services, slices));
        }
        changed.settle();

        let before = running(first, &operations, &last);
        let mut restarted = Lab::over(before.cluster, then);
        list(&mut restarted, &last);
        restarted.settle();
        prop_assert_eq!(changed.shown(), restarted.shown());
    }

    #[test]
    fn the_preview_is_what_is_written(
        first in policies(),
        then in policies(),
        operations in operations(),
        more in operations(),
        last in prop::collection::vec((0..12u8, 0..12u8), 12),
    ) {
        let mut lab = running(first, &operations, &last);
        lab.reconfigure(then, &HashSet::new());
        for (source, operation) in &more {
            lab.suffer(source, operation);
        }
        let previews = previews(&lab.index);
        let operations = previews.iter().flat_map(|it| &it.actions).filter(|it| it.is_write());
        let previewed = outcome(operations.map(|it| format!("{} {} {}", it.action, it.kind, it.object)));
        prop_assert_eq!(previewed, outcome(lab.settle().into_iter()));
    }
}
