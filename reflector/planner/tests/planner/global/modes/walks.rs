//! Two clusters and their reflectors, and what Kubernetes does in each, in any order: at
//! every moment the Service has endpoints in both, and all of them are pods that live.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proto_types::{ObjectKey, Resource};
use serde_json::{Value, json};

use super::{MODE, by_mode, in_mode};
use crate::lab::Lab;
use crate::object::slice;

/// One cluster: where it is reflected to, its pods and what Kubernetes found of them.
struct Side {
    lab: Lab,
    pods: BTreeMap<String, String>,
    found: Option<Value>,
}

struct Walk([Side; 2]);

/// What goes on by itself.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// A reflector hears one cluster, its own or the other.
    Hear(usize, usize),
    /// A reflector writes.
    Write(usize),
    /// Kubernetes follows the selector.
    Find(usize),
}

fn id() -> (Resource, ObjectKey) {
    (Resource::Services, ObjectKey::new("demo", "web"))
}

impl Side {
    fn service(&self) -> Option<&Value> {
        self.lab.cluster.objects.get(&id())
    }

    /// What a user does to the Service.
    fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut service = self.service().unwrap().clone();
        edit(&mut service);
        for update in self.lab.cluster.put(&id(), service) {
            self.lab.update(update);
        }
    }

    fn find(&mut self) {
        let Some(service) = self.service() else {
            self.found = None;
            return;
        };
        let selector = service["spec"]["selector"].as_object();
        let Some(selector) = selector.filter(|it| !it.is_empty()) else {
            // It leaves what it found before.
            return;
        };
        let app = selector.get("app").and_then(Value::as_str);
        let pods = self.pods.iter().filter(|(_, it)| Some(it.as_str()) == app);
        let pods: Vec<_> = pods.map(|(address, _)| address.as_str()).collect();
        let mut found = slice("demo/web-k", "web", &pods);
        let labels = service["metadata"]["labels"].as_object();
        for (name, value) in labels.into_iter().flatten() {
            found["metadata"]["labels"][name] = value.clone();
        }
        self.found = Some(found);
    }

    /// Returns the object as a watch of members shows it.
    fn told(object: Option<&Value>) -> Option<&Value> {
        object.filter(|it| {
            let labels = &it["metadata"]["labels"];
            labels.get("heliograph.dev/source").is_none() && labels["replicated"] != "true"
        })
    }

    /// The addresses behind the Service.
    fn endpoints(&self) -> BTreeSet<String> {
        let objects = self.lab.cluster.objects.iter();
        let ours = objects.filter(|((it, _), _)| *it == Resource::EndpointSlices);
        let slices = ours.map(|(_, it)| it).chain(&self.found);
        let endpoints = slices.flat_map(|it| it["endpoints"].as_array().unwrap().clone());
        let addresses = endpoints.map(|it| it["addresses"][0].as_str().unwrap().to_owned());
        addresses.collect()
    }
}

impl Walk {
    fn new() -> Self {
        let side = |_| Side {
            lab: by_mode(&["other"]),
            pods: BTreeMap::new(),
            found: None,
        };
        Self([0, 1].map(side))
    }

    fn go(&mut self, it: Move) {
        match it {
            Move::Hear(from, to) => {
                let service = Side::told(self.0[from].service()).cloned();
                let found = Side::told(self.0[from].found.as_ref()).cloned();
                let name = if from == to { "home" } else { "other" };
                let lab = &mut self.0[to].lab;
                lab.list_services(name, service.as_slice());
                lab.list_slices(name, found.as_slice());
            }
            Move::Write(i) => self.0[i].lab.work(),
            Move::Find(i) => self.0[i].find(),
        }
    }

    /// All of it, until nothing changes.
    fn settle(&mut self) {
        for _ in 0..5 {
            for i in 0..2 {
                let all = [
                    Move::Find(i),
                    Move::Hear(i, 0),
                    Move::Hear(i, 1),
                    Move::Write(i),
                ];
                self.walk(&all);
            }
        }
        for side in &mut self.0 {
            let writes = side.lab.settle();
            assert_eq!(writes, Vec::<String>::new(), "it does not settle");
        }
    }

    fn walk(&mut self, moves: &[Move]) {
        for it in moves {
            self.go(*it);
            self.check(&format!("{it:?}"));
        }
    }

    /// Nothing would be lost now.
    fn check(&self, after: &str) {
        let pods: BTreeSet<_> = self.0.iter().flat_map(|it| it.pods.keys()).collect();
        for (i, side) in self.0.iter().enumerate() {
            let endpoints = side.endpoints();
            assert!(
                !endpoints.is_empty(),
                "cluster {i} serves nothing after {after}"
            );
            let dead: Vec<_> = endpoints.iter().filter(|it| !pods.contains(it)).collect();
            assert!(dead.is_empty(), "cluster {i} serves {dead:?} after {after}");
        }
    }

    fn serves(&self, expected: &[&str]) {
        for (i, side) in self.0.iter().enumerate() {
            let endpoints: Vec<_> = side.endpoints().into_iter().collect();
            assert_eq!(endpoints, expected, "cluster {i}");
        }
    }

    /// The Service is in the first cluster, with a pod, and replicated to the second.
    fn begin() -> Self {
        let mut walk = Self::new();
        let first = &mut walk.0[0];
        first.lab.cluster.objects.insert(id(), super::web(2020));
        first.pods.insert("10.1.0.1".to_owned(), "web".to_owned());
        for it in [
            Move::Find(0),
            Move::Hear(0, 0),
            Move::Hear(0, 1),
            Move::Hear(1, 1),
            Move::Write(1),
        ] {
            walk.go(it);
        }
        walk.settle();
        walk.serves(&["10.1.0.1"]);
        walk
    }

    fn annotate(&mut self, side: usize, mode: &str) {
        self.0[side].edit(|it| *it = in_mode(it.clone(), mode));
    }

    fn mode(&self, side: usize) -> &Value {
        &self.0[side].service().unwrap()["metadata"]["annotations"][MODE]
    }

    /// A pod of the second cluster has taken the place of the first one's.
    fn end(&mut self) {
        self.serves(&["10.2.0.1"]);
        self.0[0].pods.clear();
        self.settle();
        self.serves(&["10.2.0.1"]);
        let labels = &self.0[0].service().unwrap()["metadata"]["labels"];
        assert_eq!(labels["heliograph.dev/source"], "global");
    }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0..2usize, 0..2usize).prop_map(|(from, to)| Move::Hear(from, to)),
        (0..2usize).prop_map(Move::Write),
        (0..2usize).prop_map(Move::Find),
    ];
    prop::collection::vec(one, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_stateless_workload_moves_and_no_moment_is_without_it(
        steps in prop::collection::vec(moves(), 3),
        pod_first in any::<bool>(),
    ) {
        let mut walk = Walk::begin();
        let pod = ("10.2.0.1".to_owned(), "web".to_owned());
        if pod_first {
            walk.0[1].pods.extend([pod.clone()]);
        }
        walk.annotate(0, "union");
        walk.walk(&steps[0]);
        walk.settle();
        walk.0[1].pods.extend([pod]);
        walk.walk(&steps[1]);
        walk.settle();
        walk.serves(&["10.1.0.1", "10.2.0.1"]);
        prop_assert_eq!(walk.mode(1), "union");
        walk.annotate(1, "source");
        walk.walk(&steps[2]);
        walk.settle();
        walk.end();
    }

    #[test]
    fn a_stateful_workload_moves_and_no_moment_is_without_it(
        steps in prop::collection::vec(moves(), 3),
        pod_first in any::<bool>(),
    ) {
        let mut walk = Walk::begin();
        let pod = ("10.2.0.1".to_owned(), "moved".to_owned());
        walk.annotate(0, "receiver");
        walk.walk(&steps[0]);
        walk.settle();
        walk.serves(&["10.1.0.1"]);
        prop_assert_eq!(walk.mode(1), "source");
        if pod_first {
            walk.0[1].pods.extend([pod.clone()]);
        }
        walk.0[1].edit(|it| it["spec"]["selector"] = json!({"app": "moved"}));
        walk.walk(&steps[1]);
        walk.settle();
        walk.0[1].pods.extend([pod]);
        walk.walk(&steps[2]);
        walk.settle();
        walk.end();
    }
}
