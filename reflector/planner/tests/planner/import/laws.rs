//! What holds for every import policy, whatever a source says.

use proptest::prelude::*;
use reflector_planner::import::NameRules;
use reflector_planner::{Desired, Import, MirrorKey, plan};

use super::{guarded, lab, patterns, ports};
use crate::lab::Lab;
use crate::object::{service, slice};

fn rules() -> impl Strategy<Value = Import> {
    let names = || prop::sample::select(vec!["demo", "prod", "s*", "s1", "*"]);
    let names = move || prop::collection::vec(names(), 0..3);
    let rules = (names(), names()).prop_map(|(allow, deny)| NameRules {
        allow: patterns(&allow),
        deny: patterns(&deny),
    });
    let ranges = vec!["10.1.0.0/16", "10.0.0.0/8", "fd00::/8", "0.0.0.0/0"];
    let ranges = prop::collection::vec(prop::sample::select(ranges), 0..3);
    let limit = || prop::option::of(0..4usize);
    (rules.clone(), rules, ranges, limit(), limit()).prop_map(
        |(namespaces, names, ranges, max_services, max_endpoints)| Import {
            namespaces,
            names,
            ports: ports(&[]),
            target_ports: ports(&["8080"]),
            addresses: ranges.iter().map(|it| it.parse().unwrap()).collect(),
            max_services,
            max_endpoints,
            ..Import::default()
        },
    )
}

fn said() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..10u8, 0..5), 0..5)
}

const ADDRESSES: [&str; 10] = [
    "10.1.0.1",
    "10.2.0.1",
    "10.96.0.1",
    "127.0.0.1",
    "169.254.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "192.168.0.1",
    "::1",
    "nonsense",
];

fn world_of(import: Import, said: &[Vec<u8>], backwards: bool) -> Lab {
    let mut lab = lab(guarded(import, &["10.96.0.0/12"]));
    let n = said.len();
    let objects = said.iter().enumerate().map(|(i, said)| {
        let said: Vec<_> = said.iter().map(|it| ADDRESSES[usize::from(*it)]).collect();
        let namespace = ["demo", "prod"][i % 2];
        let web = service(&format!("{namespace}/s{i}"));
        (
            web,
            slice(&format!("{namespace}/s{i}-1"), &format!("s{i}"), &said),
        )
    });
    let objects: Vec<_> = objects.collect();
    lab.list("east", &[], &[]);
    for i in 0..n {
        let i = if backwards { n - 1 - i } else { i };
        lab.apply_slice("east", &objects[i].1);
        lab.apply_service("east", &objects[i].0);
    }
    lab
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(128)
    })]

    #[test]
    fn no_refused_address_is_ever_planned(import in rules(), said in said()) {
        let mut lab = world_of(import.clone(), &said, false);
        lab.settle();
        for key in lab.index.local().services().map(|(key, _)| MirrorKey::new(key.clone())).collect::<Vec<_>>() {
            let plan = plan(&lab.index, &key);
            let wanted = plan.slices.values().filter_map(|it| match it {
                Desired::Present(slice) => Some(&slice.spec),
                Desired::Absent | Desired::Unknown => None,
            });
            let endpoints: Vec<_> = wanted.flat_map(|it| &it.endpoints).collect();
            if let Some(limit) = import.max_endpoints {
                prop_assert!(endpoints.len() <= limit);
            }
            for address in endpoints.iter().flat_map(|it| &it.addresses) {
                let address: std::net::IpAddr = address.parse().unwrap();
                let admitted = &import.addresses;
                prop_assert!(admitted.is_empty() || admitted.iter().any(|it| it.contains(&address)));
                prop_assert!(["10.1.0.1", "10.2.0.1", "192.168.0.1"].contains(&&*address.to_string()));
            }
        }
        if let Some(limit) = import.max_services {
            prop_assert!(lab.services().len() <= limit);
        }
    }

    #[test]
    fn the_imported_set_does_not_depend_on_the_order(import in rules(), said in said()) {
        let mut one = world_of(import.clone(), &said, false);
        let mut other = world_of(import, &said, true);
        one.settle();
        other.settle();
        prop_assert_eq!(one.services(), other.services());
        prop_assert_eq!(one.slices(), other.slices());
        prop_assert_eq!(one.problems(), other.problems());
    }
}
