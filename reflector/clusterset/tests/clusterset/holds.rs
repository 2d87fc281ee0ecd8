//! Deletion hold of imports: losses in mass wait until another list confirms them.

use proto_types::{ObjectKey, Resource};
use reflector_clusterset::{
    Change, Export, ExportedService, Part, Update, explain, export, plan, problems,
};
use reflector_planner::RemovedSources;
use serde_json::{Value, json};

use crate::lab::{self, Lab, VERSION, id, raw};

const OLD: &str = "2025-01-01T00:00:00Z";

/// Resources that a cluster has of some exports.
#[derive(Clone, Copy, PartialEq)]
struct Has {
    exports: bool,
    services: bool,
    slices: bool,
}

const ALL: Has = Has {
    exports: true,
    services: true,
    slices: true,
};
const NOTHING: Has = Has {
    exports: false,
    services: false,
    slices: false,
};

fn named(mut object: Value, n: usize) -> Value {
    object["metadata"]["name"] = json!(format!("web-{n}"));
    if object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"]["kubernetes.io/service-name"] = json!(format!("web-{n}"));
    }
    object
}

fn key(n: usize) -> ObjectKey {
    ObjectKey::new("demo", &format!("web-{n}"))
}

/// Lists a cluster in which `0..n` are exported, of which those in `lacks` are as `has` says.
fn list(lab: &mut Lab, n: usize, lacks: impl Fn(usize) -> bool, has: Has) {
    for part in Part::ALL {
        relist(lab, part, n, &lacks, has);
    }
}

fn relist(lab: &mut Lab, part: Part, n: usize, lacks: impl Fn(usize) -> bool, has: Has) {
    let all = || (0..n).filter(|it| !lacks(*it) || has.has(part));
    let west = id("west");
    let update = match part {
        Part::Exports => {
            let all = all().map(|n| raw(VERSION.exports(), &named(lab::exported(OLD), n)));
            let all = all.map(|it| (it.key.clone(), Export::read(&it)));
            Update::Exports(west, Change::Listed(all.collect()))
        }
        Part::Services => {
            let all = all().map(|n| raw(Resource::Services.names(), &named(lab::http(), n)));
            let all = all.map(|it| (it.key.clone(), ExportedService::read(&it)));
            Update::Services(west, Change::Listed(all.collect()))
        }
        Part::Slices => {
            let slice = |n| named(lab::slice("", &format!("10.2.0.{n}")), n);
            let all = all().map(|n| raw(Resource::EndpointSlices.names(), &slice(n)));
            let all = all.map(|it| (it.key.clone(), export::slice(&it)));
            Update::Slices(west, Change::Listed(all.collect()))
        }
    };
    lab.set.update(update);
}

impl Has {
    const fn has(self, part: Part) -> bool {
        match part {
            Part::Exports => self.exports,
            Part::Services => self.services,
            Part::Slices => self.slices,
        }
    }
}

/// Number of imports and of copied EndpointSlices.
fn counts(lab: &Lab) -> (usize, usize) {
    let imports = lab.objects.keys();
    let imports = imports.filter(|(it, _)| *it == "serviceimports").count();
    (imports, lab.copies().len())
}

/// Number of what a loss of that resource takes away.
fn n_left(lab: &Lab, part: Part) -> usize {
    let (imports, slices) = counts(lab);
    match part {
        Part::Exports | Part::Services => imports,
        Part::Slices => slices,
    }
}

fn doubts(lab: &mut Lab) -> Vec<Part> {
    let doubts = lab.set.relist_requests().into_iter();
    doubts
        .map(|it| {
            assert_eq!(it.cluster, id("west"));
            it.part
        })
        .collect()
}

fn lab_of(n: usize) -> Lab {
    let mut lab = Lab::new();
    list(&mut lab, n, |_| false, ALL);
    lab.settle();
    assert_eq!(counts(&lab), (n, n));
    lab
}

/// The same API server with a reflector that was just started, whose local lists come last.
fn restarted(lab: Lab) -> Lab {
    let mut fresh = Lab::unlisted(RemovedSources::Keep);
    fresh.objects = lab.objects;
    for cluster in ["east", "north"] {
        fresh.list(cluster);
    }
    fresh
}

const LOSSES: [Has; 4] = [
    NOTHING,
    Has {
        exports: false,
        ..ALL
    },
    Has {
        services: false,
        ..ALL
    },
    Has {
        slices: false,
        ..ALL
    },
];

#[test]
fn a_list_that_lacks_everything_is_held_and_then_believed() {
    for (n, lost) in [1, 3, 20]
        .into_iter()
        .flat_map(|n| LOSSES.map(|it| (n, it)))
    {
        let mut lab = lab_of(n);
        lab.tick(10);
        list(&mut lab, n, |_| true, lost);
        let done = lab.settle();
        assert_eq!(counts(&lab), (n, n), "{done:?}");
        let is_told = |it: &String| it == "update status serviceimport";
        assert!(done.len() == n && done.iter().all(is_told), "{done:?}");
        // Time alone deletes nothing: another list is asked for.
        lab.tick(69);
        assert_eq!(doubts(&mut lab), []);
        lab.tick(70);
        let asked = doubts(&mut lab);
        let lacks = Part::ALL.into_iter().filter(|it| !lost.has(*it));
        assert_eq!(asked, lacks.collect::<Vec<_>>());
        assert_eq!(lab.settle(), [""; 0]);
        list(&mut lab, n, |_| true, lost);
        lab.settle();
        let expected = if lost.exports && lost.services { n } else { 0 };
        assert_eq!(counts(&lab), (expected, 0), "{asked:?}");
    }
}

#[test]
fn a_list_that_has_it_again_ends_the_hold_without_a_trace() {
    for lost in LOSSES {
        let mut lab = lab_of(4);
        list(&mut lab, 4, |it| it != 0, lost);
        lab.settle();
        assert_eq!(counts(&lab), (4, 4));
        list(&mut lab, 4, |_| false, ALL);
        lab.settle();
        assert_eq!(counts(&lab), (4, 4));
        let west = &lab.set.clusters()[&id("west")];
        assert!(
            Part::ALL
                .iter()
                .all(|it| west.losses.hold(*it).held().is_none())
        );
        lab.tick(200);
        assert_eq!(doubts(&mut lab), []);
    }
}

#[test]
fn a_restart_between_does_not_make_an_empty_list_true() {
    for lost in LOSSES {
        for local_first in [true, false] {
            let mut lab = restarted(lab_of(7));
            if local_first {
                lab.list_local();
            }
            list(&mut lab, 7, |_| true, lost);
            if !local_first {
                lab.list_local();
            }
            lab.settle();
            assert_eq!(counts(&lab), (7, 7), "{local_first}");
            lab.tick(61);
            assert!(!doubts(&mut lab).is_empty());
            list(&mut lab, 7, |_| true, lost);
            lab.settle();
            assert_eq!(counts(&lab).1, 0, "{local_first}");
        }
    }
}

#[test]
fn a_list_that_lacks_a_few_is_believed_at_once() {
    let mut lab = lab_of(10);
    list(&mut lab, 10, |it| it < 3, NOTHING);
    lab.settle();
    assert_eq!(counts(&lab), (7, 7));
    // What goes within five minutes counts together.
    list(&mut lab, 10, |it| it < 6, NOTHING);
    lab.settle();
    assert_eq!(counts(&lab), (7, 7));
}

#[test]
fn events_that_delete_most_are_held_after_five() {
    for part in [Part::Exports, Part::Services, Part::Slices] {
        let mut lab = lab_of(12);
        for n in 0..12 {
            delete(&mut lab, part, n);
        }
        lab.settle();
        assert_eq!(
            n_left(&lab, part),
            12,
            "all were held before the first was written"
        );
        let mut lab = lab_of(12);
        for n in 0..12 {
            delete(&mut lab, part, n);
            lab.settle();
        }
        assert_eq!(
            n_left(&lab, part),
            6,
            "{part:?}: the seventh makes them most"
        );
        lab.tick(61);
        assert_eq!(doubts(&mut lab), [part]);
    }
}

fn delete(lab: &mut Lab, part: Part, n: usize) {
    let west = id("west");
    let update = match part {
        Part::Exports => Update::Exports(west, Change::Deleted(key(n))),
        Part::Services => Update::Services(west, Change::Deleted(key(n))),
        Part::Slices => Update::Slices(west, Change::Deleted(key(n))),
    };
    lab.set.update(update);
}

#[test]
fn services_that_turn_into_something_that_is_not_exported_are_held_too() {
    let mut lab = lab_of(4);
    let external = |n| {
        let mut service = named(lab::http(), n);
        service["spec"] = json!({"type": "ExternalName", "externalName": "example.com"});
        let service = raw(Resource::Services.names(), &service);
        (service.key.clone(), ExportedService::read(&service))
    };
    let all = (0..4).map(external).collect();
    lab.set
        .update(Update::Services(id("west"), Change::Listed(all)));
    lab.settle();
    assert_eq!(counts(&lab), (4, 4));
}

#[test]
fn a_service_that_cannot_be_read_is_there() {
    let mut lab = lab_of(1);
    let unreadable = ExportedService::Unreadable("spec.ports: invalid".into());
    let change = Change::Applied(key(0), unreadable);
    lab.set.update(Update::Services(id("west"), change));
    lab.settle();
    lab.tick(600);
    assert_eq!(counts(&lab), (1, 1));
}

#[test]
fn while_an_export_is_held_its_endpoints_follow_the_cluster() {
    let mut lab = lab_of(1);
    relist(&mut lab, Part::Exports, 1, |_| true, NOTHING);
    let slice = named(lab::slice("", "10.2.0.99"), 0);
    lab.slice("west", &slice);
    lab.settle();
    assert_eq!(lab.copies()[0].1, "10.2.0.99");
}

#[test]
fn a_hold_is_told_and_can_be_ended_by_hand() {
    let mut lab = lab_of(3);
    list(&mut lab, 3, |_| true, NOTHING);
    lab.settle();
    let planned = plan(&lab.set, &key(0)).unwrap();
    let told = problems(&lab.set, &key(0), &planned);
    let told: Vec<_> = told.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(told, ["DeletionHeld"]);
    let explained = explain(&lab.set, &key(0), &planned, &[]);
    let west = explained.clusters.iter().find(|it| it.cluster == "west");
    let says = &west.unwrap().says;
    assert!(says.contains("deletion is held"), "{says}");
    let conclusion = &explained.conclusion;
    assert!(
        conclusion.contains("lacks everything that is imported"),
        "{conclusion}"
    );
    let import = |n| ("serviceimports", key(n));
    let stale = lab::condition(&lab.objects[&import(0)], "Stale").unwrap();
    assert_eq!(
        (stale.0.as_str(), stale.1.as_str()),
        ("True", "DeletionHeld")
    );
    // One is allowed by hand, and the others stay.
    let object = lab.objects.get_mut(&import(0)).unwrap();
    object["metadata"]["annotations"]["heliograph.dev/allow-deletion"] = json!("true");
    lab.tell(VERSION.imports(), &key(0));
    lab.settle();
    assert_eq!(counts(&lab), (2, 2));
}

#[test]
fn the_annotation_holds_for_one_time_only() {
    let mut lab = lab_of(1);
    let import = ("serviceimports", key(0));
    let object = lab.objects.get_mut(&import).unwrap();
    object["metadata"]["annotations"]["heliograph.dev/allow-deletion"] = json!("true");
    lab.tell(VERSION.imports(), &key(0));
    lab.settle();
    let annotations = &lab.objects[&import]["metadata"]["annotations"];
    assert!(annotations["heliograph.dev/allow-deletion"].is_null());
    list(&mut lab, 1, |_| true, NOTHING);
    lab.settle();
    assert_eq!(counts(&lab), (1, 1));
}

#[test]
fn every_deletion_is_confirmed_where_that_is_configured() {
    let mut lab = lab_of(9);
    let mut settings = lab.set.settings().clone();
    settings.confirm_deletions = true;
    lab.set.reconfigure(settings, &[].into());
    delete(&mut lab, Part::Exports, 0);
    lab.settle();
    assert_eq!(counts(&lab), (9, 9));
    lab.tick(1);
    assert_eq!(doubts(&mut lab), [Part::Exports]);
    list(&mut lab, 9, |it| it == 0, NOTHING);
    lab.settle();
    assert_eq!(counts(&lab), (8, 8));
}

#[test]
fn an_import_of_two_clusters_keeps_the_endpoints_of_the_one_that_lists_nothing() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.exports("north", OLD, "10.3.0.1");
    lab.settle();
    lab.list("west");
    lab.settle();
    assert_eq!(lab.copies().len(), 2);
    let import = lab.import().unwrap();
    assert_eq!(import["status"]["clusters"].as_array().unwrap().len(), 2);
    assert_eq!(import["spec"]["ports"].as_array().unwrap().len(), 1);
}

#[test]
fn the_local_cluster_speaks_for_itself() {
    let mut lab = Lab::new();
    lab.exports("east", OLD, "10.1.0.1");
    lab.settle();
    lab.unexport("east");
    lab.settle();
    assert!(lab.import().is_none());
}
