//! Schedules in which a clusterset imports what the sources export.

use std::sync::Arc;

use super::{Script, fault, node, script, work};
use crate::network::{Direction, Mangle};
use crate::plan::Expected::{Exact, Imported, Imports, LeastImports};
use crate::plan::{Action, Fault, Link, SourceSpec, Way, Work, api};
use crate::settings::Scene;

/// Ready endpoints of six Services.
const OF_SIX: usize = super::OF_SIX;

/// All of them.
pub(super) fn all() -> Vec<Script> {
    vec![
        few_deleted(),
        mass_deletion(),
        empty_lists(
            Way::Emitters(1),
            "the lists of an exporting cluster are empty",
        ),
        empty_lists(Way::Direct, "an exporting API server lists nothing"),
        empty_at_start(),
        unreachable(),
        impostor(
            Way::Relay(1),
            "another cluster answers behind a relay of exports",
        ),
        impostor(Way::Direct, "another cluster answers for an exporting one"),
        unconfigured(),
        without_slices(),
        restored(),
        two_clusters(),
    ]
}

fn imports(name: &'static str, way: Way, n_services: usize, storm: Vec<(u64, Action)>) -> Script {
    let mut script = script(name, way, n_services, storm);
    script.plan.fleet.settings.scene = Scene::Imports;
    script
}

fn few_deleted() -> Script {
    let storm = vec![(60, work(Work::Delete(1))), (60, work(Work::Toggle(2)))];
    let name = "two exports of six end";
    imports(name, Way::Relay(1), 6, storm)
        .expecting(59, &[Imports(6)])
        .expecting(61, &[Imports(4), Exact])
}

fn mass_deletion() -> Script {
    let storm = vec![(60, work(Work::DeleteAllBut(0)))];
    let name = "a cluster deletes all of its twelve exports";
    imports(name, Way::Emitters(1), 12, storm)
        .expecting(90, &[LeastImports(6)])
        .expecting(150, &[Imports(0), Exact])
}

/// A reader has missed more than its server remembers, and lists again.
fn relisted(link: &Link) -> Vec<(u64, Action)> {
    let mangled = Fault::Mangled(link.clone(), Mangle::EmptyList, 100);
    vec![
        (58, fault(mangled, 42)),
        (
            59,
            fault(Fault::Partition(link.clone(), Direction::Both), 3),
        ),
        (59, fault(Fault::Reset(link.clone()), 1)),
        (60, work(Work::Other(50))),
        (61, fault(Fault::Compact("east".to_owned()), 1)),
    ]
}

fn empty_lists(way: Way, name: &'static str) -> Script {
    let server = if way == Way::Direct {
        api("east")
    } else {
        node("emitter-east-0")
    };
    let mut storm = relisted(&(node("reflector-0"), Arc::clone(&server)));
    if way != Way::Direct {
        storm.push((61, fault(Fault::Crash(server), 1)));
    }
    imports(name, way, 6, storm)
        .expecting(75, &[Imports(6), Imported(OF_SIX)])
        .expecting(99, &[Imports(6), Imported(OF_SIX)])
        .expecting(180, &[Exact])
}

/// The first lists that a reflector hears are empty.
fn empty_at_start() -> Script {
    let link = (node("reflector-0"), api("east"));
    let storm = vec![
        (60, fault(Fault::Mangled(link, Mangle::EmptyList, 100), 40)),
        (61, fault(Fault::Crash(node("reflector-0")), 2)),
    ];
    let name = "a reflector starts and an exporting cluster lists nothing";
    imports(name, Way::Direct, 3, storm)
        .expecting(75, &[Imports(3)])
        .expecting(99, &[Imports(3)])
        .expecting(180, &[Exact])
}

fn unreachable() -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let mangled = |how| fault(Fault::Mangled(link.clone(), how, 100), 30);
    let mut storm = vec![
        (20, fault(Fault::Crash(node("emitter-east-0")), 40)),
        (80, fault(Fault::Crash(api("east")), 30)),
        (
            120,
            fault(Fault::Partition(link.clone(), Direction::Both), 30),
        ),
        (130, fault(Fault::Crash(node("reflector-0")), 2)),
    ];
    let refusals = [401, 403, 404, 429, 503].map(Mangle::Status);
    let answers = refusals
        .into_iter()
        .chain([Mangle::Garbage, Mangle::Hollow]);
    for (at, how) in (200..).step_by(40).zip(answers) {
        storm.push((at, mangled(how)));
        storm.push((at + 1, fault(Fault::Reset(link.clone()), 1)));
    }
    let name = "an exporting cluster fails in every way";
    let script = imports(name, Way::Emitters(1), 6, storm);
    let moments = [58, 79, 109, 149, 229, 269, 309, 349, 389, 429, 469];
    moments.into_iter().fold(script, |script, at| {
        script.expecting(at, &[Imports(6), Imported(OF_SIX)])
    })
}

fn impostor(way: Way, name: &'static str) -> Script {
    let storm = vec![
        (60, fault(Fault::Impostor("east".to_owned()), 60)),
        (70, fault(Fault::Crash(node("reflector-0")), 2)),
    ];
    imports(name, way, 6, storm).expecting(119, &[Imports(6), Imported(OF_SIX)])
}

fn unconfigured() -> Script {
    let storm = vec![(60, fault(Fault::Unconfigured("east".to_owned()), 60))];
    let name = "an exporting cluster leaves the configuration for a while";
    imports(name, Way::Emitters(1), 6, storm).expecting(119, &[Imports(6), Imported(OF_SIX)])
}

fn without_slices() -> Script {
    let mut storm = vec![(60, work(Work::Unslice))];
    storm.extend((0..6).map(|i| (100, work(Work::Roll(i)))));
    let name = "all EndpointSlices of all exports are deleted for a while";
    imports(name, Way::Emitters(1), 6, storm)
        .expecting(99, &[Imports(6)])
        .expecting(180, &[Exact])
}

/// A cluster is restored to a moment before its exports.
fn restored() -> Script {
    let storm = vec![
        (20, fault(Fault::Restore("east".to_owned()), 60)),
        (40, work(Work::Create)),
        (45, work(Work::Delete(0))),
    ];
    let name = "an exporting cluster is restored from a backup";
    imports(name, Way::Emitters(1), 6, storm).expecting(79, &[Imports(6)])
}

/// Two clusters export the same names, and one of them lists nothing.
fn two_clusters() -> Script {
    let storm = relisted(&(node("reflector-0"), api("east")));
    let name = "one of two exporting clusters lists nothing";
    let mut script = imports(name, Way::Direct, 6, storm);
    script.plan.fleet.sources.push(SourceSpec {
        name: "west".to_owned(),
        way: Way::Emitters(1),
        n_services: 6,
    });
    script
        .expecting(75, &[Imports(6), Imported(2 * OF_SIX)])
        .expecting(99, &[Imports(6), Imported(2 * OF_SIX)])
        .expecting(180, &[Exact])
}
