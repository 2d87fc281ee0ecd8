//! Laws that hold for all histories.

use proptest::prelude::{Strategy, prop, proptest};
use proptest::prop_oneof;
use reflector_clusterset::{Change, Update, plan};
use serde_json::{Value, json};

use crate::lab::{Lab, exported, http, id, service, slice, web};

#[derive(Debug, Clone)]
enum Op {
    Export(&'static str, u8),
    Unexport(&'static str),
    Service(&'static str, u8),
    Slice(&'static str, u8),
    Disconnect(&'static str),
    Connect(&'static str),
}

fn op() -> impl Strategy<Value = Op> {
    let cluster = || prop::sample::select(&["east", "west", "north"][..]);
    prop_oneof![
        (cluster(), 0..4_u8).prop_map(|(it, n)| Op::Export(it, n)),
        cluster().prop_map(Op::Unexport),
        (cluster(), 0..5_u8).prop_map(|(it, n)| Op::Service(it, n)),
        (cluster(), 0..4_u8).prop_map(|(it, n)| Op::Slice(it, n)),
        cluster().prop_map(Op::Disconnect),
        cluster().prop_map(Op::Connect),
    ]
}

fn a_service(n: u8) -> Value {
    match n {
        0 => http(),
        1 => service(&json!([{"name": "http", "port": 81}])),
        2 => service(&json!([{"port": 80}])),
        3 => service(&json!([{"name": "web", "port": 80}, {"name": "http", "port": 82}])),
        _ => {
            let mut headless = http();
            headless["spec"]["clusterIP"] = json!("None");
            headless
        }
    }
}

fn perform(lab: &mut Lab, op: &Op) {
    match op {
        Op::Export(cluster, day) => {
            lab.export(
                cluster,
                &exported(&format!("2025-01-0{}T00:00:00Z", day + 1)),
            );
        }
        Op::Unexport(cluster) => lab.unexport(cluster),
        Op::Service(cluster, n) => lab.service(cluster, &a_service(*n)),
        Op::Slice(cluster, n) => {
            let name = format!("web-{}", n % 2);
            lab.slice(cluster, &slice(&name, &format!("10.0.{n}.1")));
        }
        Op::Disconnect(cluster) => lab.disconnect(cluster),
        Op::Connect(cluster) => {
            lab.set
                .update(Update::Exports(id(cluster), Change::Connected));
            lab.set
                .update(Update::Services(id(cluster), Change::Connected));
            lab.set
                .update(Update::Slices(id(cluster), Change::Connected));
        }
    }
}

proptest! {
    #[test]
    fn performing_a_plan_leaves_nothing_to_do(ops in prop::collection::vec(op(), 0..30)) {
        let mut lab = Lab::new();
        for op in &ops {
            perform(&mut lab, op);
            lab.settle();
            proptest::prop_assert!(lab.due(&web()).is_empty());
        }
    }

    #[test]
    fn the_way_does_not_matter(ops in prop::collection::vec(op(), 0..30)) {
        let (mut each, mut at_once) = (Lab::new(), Lab::new());
        for op in &ops {
            perform(&mut each, op);
            each.settle();
            perform(&mut at_once, op);
        }
        each.settle();
        at_once.settle();
        let spec = |lab: &Lab| lab.import().map(|it| it["spec"].clone());
        proptest::prop_assert_eq!(spec(&each), spec(&at_once));
        proptest::prop_assert_eq!(each.copies(), at_once.copies());
    }

    #[test]
    fn all_clusters_compute_the_same_import(ops in prop::collection::vec(op(), 0..30)) {
        let (mut lab, mut other) = (Lab::new(), Lab::new());
        for op in &ops {
            perform(&mut lab, op);
            perform(&mut other, op);
        }
        let mut settings = other.set.settings().clone();
        settings.local = id("west");
        other.set.reconfigure(settings, &[].into());
        let import = |lab: &Lab| plan(&lab.set, &web()).map(|it| (it.derived, it.slices));
        proptest::prop_assert_eq!(import(&lab), import(&other));
    }
}
