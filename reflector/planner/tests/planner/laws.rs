//! What holds in all worlds.

mod changed;

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::lab::{Lab, policy, same_name};
use crate::object::{service, slice, with};
use crate::silence::impatient;

/// Something that a source does, or suffers.
#[derive(Debug, Clone)]
enum Operation {
    Apply(usize, u8),
    Delete(usize),
    ApplySlice(usize, u8),
    DeleteSlice(usize),
    Lose,
    /// So many seconds pass, for all.
    Wait(u64),
    Reconnect,
    List(Vec<(usize, u8)>, Vec<(usize, u8)>),
}

const SOURCES: [&str; 3] = ["east", "west", "north"];

/// The n-th Service of a source, in one of its forms.
fn nth_service(n: usize, form: u8) -> Value {
    let plain = service(&format!("demo/s{n}"));
    match form % 6 {
        0 => plain,
        1 => with(plain, "/spec/ports/0/port", json!(81)),
        2 => with(plain, "/spec/clusterIP", json!("None")),
        3 => with(plain, "/spec/ipFamilies", json!(["IPv4", "IPv6"])),
        4 => with(
            plain,
            "/spec",
            json!({"type": "ExternalName", "externalName": "x.example"}),
        ),
        _ => with(plain, "/spec/sessionAffinity", json!("ClientIP")),
    }
}

/// The n-th slice of a source, in one of its forms.
fn nth_slice(n: usize, form: u8) -> Value {
    let service = format!("s{}", (n + usize::from(form) / 4) % 4);
    let addresses = [["10.0.0.1"], ["10.0.0.2"], ["127.0.0.1"], ["10.0.0.3"]];
    let slice = slice(
        &format!("demo/x{n}"),
        &service,
        &addresses[usize::from(form) % 4],
    );
    match form % 5 {
        4 => with(slice, "/addressType", json!("FQDN")),
        _ => slice,
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let object = || (0..4usize, 0..12u8);
    let objects = || prop::collection::btree_map(0..4usize, 0..12u8, 0..4);
    prop_oneof![
        4 => object().prop_map(|(n, form)| Operation::Apply(n, form)),
        2 => (0..4usize).prop_map(Operation::Delete),
        4 => object().prop_map(|(n, form)| Operation::ApplySlice(n, form)),
        2 => (0..4usize).prop_map(Operation::DeleteSlice),
        1 => Just(Operation::Lose),
        1 => (0..25u64).prop_map(Operation::Wait),
        1 => Just(Operation::Reconnect),
        2 => (objects(), objects()).prop_map(|(services, slices)| {
            Operation::List(services.into_iter().collect(), slices.into_iter().collect())
        }),
    ]
}

fn operations() -> impl Strategy<Value = Vec<(&'static str, Operation)>> {
    prop::collection::vec((select(&SOURCES[..]), operation()), 0..30)
}

impl Lab {
    /// East has a prefix, and ages when it is silent; west and north share names.
    fn of_three() -> Self {
        let mut policy = policy(vec![impatient(), same_name("west"), same_name("north")]);
        policy.hold = Duration::ZERO;
        Self::over(Cluster::default(), policy)
    }

    fn suffer(&mut self, source: &str, operation: &Operation) {
        match operation {
            Operation::Apply(n, form) => self.apply_service(source, &nth_service(*n, *form)),
            Operation::Delete(n) => self.delete_service(source, &format!("demo/s{n}")),
            Operation::ApplySlice(n, form) => self.apply_slice(source, &nth_slice(*n, *form)),
            Operation::DeleteSlice(n) => self.delete_slice(source, &format!("demo/x{n}")),
            Operation::Lose => self.lose(source),
            Operation::Wait(seconds) => self.wait(*seconds),
            Operation::Reconnect => self.reconnect(source),
            Operation::List(services, slices) => {
                let services: Vec<_> = services.iter().map(|it| nth_service(it.0, it.1)).collect();
                let slices: Vec<_> = slices.iter().map(|it| nth_slice(it.0, it.1)).collect();
                self.list_confirmed(source, &services, &slices);
            }
        }
    }

    /// What is here, without what an API server made up.
    fn shown(&self) -> Vec<String> {
        let objects = self.cluster.objects.iter().map(|((_, key), object)| {
            let mut object = object.clone();
            for field in ["uid", "resourceVersion"] {
                object["metadata"].as_object_mut().unwrap().remove(field);
            }
            format!("{key} {object}")
        });
        objects.collect()
    }

    /// What is here of one source.
    fn shown_of(&self, source: &str) -> Vec<String> {
        let mark = format!("\"heliograph.dev/source\":\"{source}\"");
        let mut shown = self.shown();
        shown.retain(|it| it.contains(&mark));
        shown
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A failure is told with its input, which belongs into a test of its own.
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    /// `settle` fails where the steps do not make the plan true, where they are
    /// without end, where an API server refuses one, and where something is left
    /// to do for a key that was not touched.
    #[test]
    fn doing_what_the_plan_needs_makes_it_true_and_then_nothing_is_needed(operations in operations()) {
        let mut lab = Lab::of_three();
        for (source, operation) in &operations {
            lab.suffer(source, operation);
            lab.settle();
        }
        let again = lab.settle();
        prop_assert!(again.is_empty());
    }

    #[test]
    fn a_restart_writes_nothing_that_was_not_needed_before(operations in operations()) {
        let mut lab = Lab::of_three();
        for (source, operation) in &operations {
            lab.suffer(source, operation);
        }
        lab.settle();
        let mut lab = lab.restarted();
        prop_assert!(lab.settle().is_empty());
    }

    #[test]
    fn only_a_source_that_is_followed_deletes(operations in operations()) {
        let mut lab = Lab::of_three();
        let full: Vec<_> = (0..4).map(|n| (n, 0)).collect();
        for source in SOURCES {
            lab.suffer(source, &Operation::List(full.clone(), full.clone()));
        }
        lab.settle();
        for source in SOURCES {
            lab.suffer(source, &Operation::Lose);
        }
        for (source, operation) in &operations {
            if !matches!(operation, Operation::Reconnect | Operation::List(..)) {
                lab.suffer(source, operation);
                let writes = lab.settle();
                let n_deletes = writes.iter().filter(|it| it.starts_with("delete Service")).count();
                prop_assert_eq!(n_deletes, 0);
            }
        }
    }

    #[test]
    fn the_state_depends_on_the_present_and_not_on_the_history(
        operations in operations(),
        last in prop::collection::vec((0..12u8, 0..12u8), 12),
    ) {
        let last = |lab: &mut Lab| {
            for (i, source) in SOURCES.iter().enumerate() {
                let forms = last[4 * i..4 * i + 4].iter().enumerate();
                let services = forms.clone().map(|(n, form)| (n, form.0)).collect();
                let slices = forms.map(|(n, form)| (n, form.1)).collect();
                lab.suffer(source, &Operation::List(services, slices));
            }
            lab.settle();
        };
        let mut eventful = Lab::of_three();
        for (source, operation) in &operations {
            eventful.suffer(source, operation);
            eventful.settle();
        }
        last(&mut eventful);
        let mut fresh = Lab::of_three();
        last(&mut fresh);
        // When a change was made is shown with the write that it was worth.
        prop_assert!(eventful.shown() == fresh.shown());
    }

    #[test]
    fn one_source_never_changes_what_another_mirrors(operations in operations()) {
        let mut all = Lab::of_three();
        let mut without_east = Lab::of_three();
        for (source, operation) in &operations {
            all.suffer(source, operation);
            all.settle();
            if *source != "east" {
                without_east.suffer(source, operation);
                without_east.settle();
            }
        }
        for source in ["west", "north"] {
            prop_assert!(all.shown_of(source) == without_east.shown_of(source));
        }
    }

    #[test]
    fn a_later_source_changes_nothing_for_the_first_one(
        operations in operations(),
    ) {
        // West is followed from the start, so that north never mirrors in its place.
        let start = |lab: &mut Lab| lab.suffer("west", &Operation::List(vec![(0, 0), (1, 0)], vec![]));
        let mut both = Lab::of_three();
        let mut west = Lab::of_three();
        start(&mut both);
        start(&mut west);
        for (source, operation) in &operations {
            let is_west = *source == "west" && !matches!(operation, Operation::Lose);
            if is_west || *source == "north" {
                both.suffer(source, operation);
                both.suffer("north", &Operation::Reconnect);
            }
            if is_west {
                west.suffer(source, operation);
            }
        }
        both.settle();
        west.settle();
        prop_assert!(both.shown_of("west") == west.shown_of("west"));
    }
}
