//! What holds for global Services in all worlds.

use proptest::prelude::*;
use proptest::sample::select;
use reflector_planner::PolicyRight;
use serde_json::{Value, json};

use super::{collected, global_policy};
use crate::lab::{Lab, name};
use crate::object::{service, slice, with};

const CLUSTERS: [&str; 4] = ["a", "b", "c", "d"];

/// What a cluster says of its two Services: their years and forms, and their slices.
type State = Vec<(usize, u16, u8)>;

/// Something that a cluster does, or suffers.
#[derive(Debug, Clone)]
enum Operation {
    Is(State),
    Apply(usize, u16, u8),
    Delete(usize),
    Lose,
    Reconnect,
    Restart,
}

fn nth_service(n: usize, year: u16, form: u8) -> Value {
    let created = json!(format!("202{year}-01-01T00:00:00Z"));
    let plain = with(
        service(&format!("demo/s{n}")),
        "/metadata/creationTimestamp",
        created,
    );
    let port = |name: &str, port: u16| json!([{"name": name, "port": port, "protocol": "TCP"}]);
    match form % 8 {
        0 => plain,
        1 => with(plain, "/spec/ports", port("http", 81)),
        2 => with(plain, "/spec/ports", port("web", 80)),
        3 => with(plain, "/spec/clusterIP", json!("None")),
        4 => with(plain, "/spec/sessionAffinity", json!("ClientIP")),
        5 => with(plain, "/spec/ipFamilies", json!(["IPv6"])),
        6 => with(plain, "/spec/ports", port("", 82)),
        _ => with(
            plain,
            "/spec",
            json!({"type": "ExternalName", "externalName": "x.example"}),
        ),
    }
}

fn nth_slice(n: usize, form: u8) -> Value {
    let address = format!("10.0.0.{}", 1 + form % 3);
    slice(&format!("demo/x{n}"), &format!("s{n}"), &[&address])
}

fn state() -> impl Strategy<Value = State> {
    let states = prop::collection::btree_map(0..2usize, (0..3u16, 0..8u8), 0..3);
    states.prop_map(|it| {
        it.into_iter()
            .map(|(n, (year, form))| (n, year, form))
            .collect()
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => state().prop_map(Operation::Is),
        4 => (0..2usize, 0..3u16, 0..8u8).prop_map(|(n, year, form)| Operation::Apply(n, year, form)),
        2 => (0..2usize).prop_map(Operation::Delete),
        2 => Just(Operation::Lose),
        1 => Just(Operation::Reconnect),
        1 => Just(Operation::Restart),
    ]
}

fn operations() -> impl Strategy<Value = Vec<(&'static str, Operation)>> {
    prop::collection::vec((select(&CLUSTERS[..]), operation()), 0..30)
}

/// What every cluster says in the end.
fn states() -> impl Strategy<Value = Vec<State>> {
    prop::collection::vec(state(), CLUSTERS.len())
}

impl Lab {
    /// One of the clusters, with the others as members.
    fn at(cluster: &str) -> Self {
        let others = CLUSTERS.into_iter().filter(|it| *it != cluster);
        let mut policy = global_policy(cluster, collected(), &others.collect::<Vec<_>>());
        policy.hold = std::time::Duration::ZERO;
        // What the clusters are to agree on is configured in each.
        Self::global_with(&policy, |it| {
            it.precedence = CLUSTERS.map(name).into();
            for member in &mut it.members {
                member.rights = [PolicyRight::Failover, PolicyRight::Routing].into();
            }
        })
    }

    fn is(&mut self, cluster: &str, state: &State) {
        let services: Vec<_> = state
            .iter()
            .map(|it| nth_service(it.0, it.1, it.2))
            .collect();
        let slices: Vec<_> = state.iter().map(|it| nth_slice(it.0, it.2)).collect();
        self.list_confirmed(cluster, &services, &slices);
    }

    fn meets(mut self, cluster: &str, operation: &Operation) -> Self {
        match operation {
            Operation::Is(state) => self.is(cluster, state),
            Operation::Apply(n, year, form) => {
                self.apply_service(cluster, &nth_service(*n, *year, *form));
                self.apply_slice(cluster, &nth_slice(*n, *form));
            }
            Operation::Delete(n) => {
                self.delete_service(cluster, &format!("demo/s{n}"));
                self.delete_slice(cluster, &format!("demo/x{n}"));
            }
            Operation::Lose => self.lose(cluster),
            Operation::Reconnect => self.reconnect(cluster),
            Operation::Restart => return self.restarted(),
        }
        self
    }

    /// What is here, without what an API server made up.
    fn global_picture(&self) -> Vec<String> {
        let objects = self.cluster.objects.iter().map(|((_, key), object)| {
            let mut object = object.clone();
            for field in ["uid", "resourceVersion"] {
                object["metadata"].as_object_mut().unwrap().remove(field);
            }
            if object["spec"]["clusterIP"] != "None" {
                // Which family leads is of the time when the address was given.
                object["spec"]["ipFamilies"] = json!(null);
                object["spec"]["ipFamilyPolicy"] = json!(null);
            }
            format!("{key} {object}")
        });
        objects.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A failure is told with its input, which belongs into a test of its own.
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    /// `settle` fails where the steps do not make the plan true, where they are
    /// without end, and where something is left to do that was not touched.
    #[test]
    fn all_clusters_compute_the_same_whatever_happened_in_whatever_order(
        operations in operations(),
        last in states(),
        order in Just(CLUSTERS.to_vec()).prop_shuffle(),
    ) {
        let mut eventful = Lab::at("a");
        for (cluster, operation) in &operations {
            eventful = eventful.meets(cluster, operation);
            eventful.settle();
        }
        for (cluster, state) in CLUSTERS.iter().zip(&last) {
            eventful.is(cluster, state);
        }
        eventful.settle();
        for cluster in ["b", "d"] {
            let mut other = Lab::at(cluster);
            for name in &order {
                let i = CLUSTERS.iter().position(|it| it == name).unwrap();
                other.is(name, &last[i]);
                other.settle();
            }
            prop_assert_eq!(eventful.global_picture(), other.global_picture());
            prop_assert_eq!(eventful.reasons(), other.reasons());
        }
    }

    #[test]
    fn a_restart_writes_nothing_whoever_can_be_asked(
        operations in operations(),
        last in states(),
        heard in prop::collection::vec(any::<bool>(), CLUSTERS.len()),
    ) {
        let mut lab = Lab::at("a");
        for (cluster, operation) in &operations {
            lab = lab.meets(cluster, operation);
            lab.settle();
        }
        for (cluster, state) in CLUSTERS.iter().zip(&last) {
            lab.is(cluster, state);
        }
        lab.settle();
        let mut lab = lab.restarted();
        for ((cluster, state), heard) in CLUSTERS.iter().zip(&last).zip(heard) {
            if heard {
                lab.is(cluster, state);
            }
            let writes = lab.settle();
            prop_assert!(writes.is_empty(), "{:?}", writes);
        }
    }

    #[test]
    fn a_source_that_cannot_be_asked_loses_nothing(operations in operations(), last in states()) {
        let mut lab = Lab::at("a");
        for (cluster, state) in CLUSTERS.iter().zip(&last) {
            lab.is(cluster, state);
        }
        lab.settle();
        let part = |lab: &Lab| {
            let mark = "\"heliograph.dev/source\":\"b\"";
            let mut picture = lab.global_picture();
            picture.retain(|it| it.contains(mark));
            picture.len()
        };
        let before = part(&lab);
        lab.lose("b");
        for (cluster, operation) in &operations {
            if *cluster != "b" {
                lab = lab.meets(cluster, operation);
                lab.settle();
            }
        }
        prop_assert_eq!(part(&lab), before);
    }
}
