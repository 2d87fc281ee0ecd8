//! Schedules written by hand: cases that were seen, each as small as it can be.

use std::sync::Arc;

use crate::network::{Direction, Mangle, Node};
use crate::plan::{Action, Fault, Fleet, Plan, SourceSpec, Way, Work, api};

/// Seed of scripts, which leave nothing but delays to it.
const SEED: u64 = 12;

/// Schedule written by hand.
#[derive(Debug, Clone)]
pub struct Script {
    /// Name, which completes the sentence "no invariant breaks when …".
    pub name: &'static str,
    /// The plan.
    pub plan: Plan,
}

/// Cases that broke an invariant when they were last run, and whose fix is not yet checked.
const OPEN: [&str; 7] = [
    "a source of one Service answers an empty list",
    "a source of three Services answers an empty list",
    "a source of ten Services answers an empty list",
    "another cluster answers an emitter",
    "another cluster answers behind a relay",
    "only a stale replica answers",
    "only a stale replica answers a reflector that starts",
];

impl Script {
    /// Returns whether its fix is missing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        OPEN.contains(&self.name)
    }
}

/// All scripts.
#[must_use]
pub fn all() -> Vec<Script> {
    vec![
        stale_replica(),
        stale_replica_at_start(),
        wrong_selector(Way::Emitters(1), "an emitter has a wrong selector"),
        wrong_selector(
            Way::Relay(1),
            "the emitter behind a relay has a wrong selector",
        ),
        impostor(Way::Direct, "another cluster answers a reflector"),
        impostor(Way::Emitters(1), "another cluster answers an emitter"),
        impostor(Way::Relay(1), "another cluster answers behind a relay"),
        empty_list(1),
        empty_list(3),
        empty_list(10),
        mass_deletion(),
        restored(),
        rolled_while_disconnected(),
        roll_of_everything(),
    ]
}

fn node(name: &str) -> Node {
    name.into()
}

fn script(name: &'static str, way: Way, n_services: usize, storm: Vec<(u64, Action)>) -> Script {
    let end = |(at, action): &(u64, Action)| match action {
        Action::Fault(_, lasts) => at * 1000 + lasts,
        Action::Work(..) => at * 1000,
    };
    let storm_millis = storm.iter().map(end).max().unwrap_or_default() + 1000;
    let source = SourceSpec {
        name: "east".to_owned(),
        way,
        n_services,
    };
    let plan = Plan {
        seed: SEED,
        fleet: Fleet {
            sources: vec![source],
            n_reflectors: 1,
        },
        storms: vec![storm.into_iter().map(|(at, it)| (at * 1000, it)).collect()],
        storm_millis,
        defect: None,
    };
    Script { name, plan }
}

fn fault(fault: Fault, seconds: u64) -> Action {
    Action::Fault(fault, seconds * 1000)
}

fn work(work: Work) -> Action {
    Action::Work("east".to_owned(), work)
}

fn disconnected() -> Action {
    let link = (node("emitter-east-1"), api("east"));
    fault(Fault::Partition(link, Direction::Both), 500)
}

/// One of two emitters lost its API server, and is the only one that answers.
fn stale_replica() -> Script {
    let storm = vec![
        (10, disconnected()),
        (130, work(Work::Create)),
        (131, work(Work::Delete(1))),
        (200, fault(Fault::Crash(node("emitter-east-0")), 200)),
    ];
    script("only a stale replica answers", Way::Emitters(2), 6, storm)
}

fn stale_replica_at_start() -> Script {
    let storm = vec![
        (10, disconnected()),
        (130, work(Work::Create)),
        (131, work(Work::Delete(1))),
        (200, fault(Fault::Crash(node("emitter-east-0")), 200)),
        (210, fault(Fault::Crash(node("reflector-0")), 5)),
    ];
    let name = "only a stale replica answers a reflector that starts";
    script(name, Way::Emitters(2), 6, storm)
}

fn wrong_selector(way: Way, name: &'static str) -> Script {
    let storm = vec![(60, fault(Fault::Selector(node("emitter-east-0")), 40))];
    script(name, way, 20, storm)
}

fn impostor(way: Way, name: &'static str) -> Script {
    let storm = vec![(60, fault(Fault::Impostor("east".to_owned()), 240))];
    script(name, way, 20, storm)
}

/// A list without items, of a source that has few Services.
fn empty_list(n_services: usize) -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let mangled = Fault::Mangled(link, Mangle::EmptyList, 100);
    let storm = vec![
        (60, fault(mangled, 30)),
        (61, fault(Fault::Crash(node("reflector-0")), 1)),
    ];
    let name = match n_services {
        1 => "a source of one Service answers an empty list",
        3 => "a source of three Services answers an empty list",
        _ => "a source of ten Services answers an empty list",
    };
    script(name, Way::Emitters(1), n_services, storm)
}

/// A deletion of everything that is meant, and comes by events.
fn mass_deletion() -> Script {
    let storm = vec![(60, work(Work::DeleteAllBut(0)))];
    script(
        "everything is deleted on purpose",
        Way::Emitters(1),
        20,
        storm,
    )
}

fn restored() -> Script {
    let storm = vec![
        (10, fault(Fault::Restore("east".to_owned()), 120)),
        (60, work(Work::Create)),
        (70, work(Work::Delete(2))),
        (80, work(Work::Burst(8))),
    ];
    script(
        "a source is restored from a backup",
        Way::Relay(1),
        12,
        storm,
    )
}

fn rolled_while_disconnected() -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let mut storm = vec![(10, fault(Fault::Partition(link, Direction::Both), 120))];
    storm.extend((0..12).map(|i| (40 + i as u64, work(Work::Roll(i)))));
    let name = "all pods move while the reflector is disconnected";
    script(name, Way::Emitters(1), 12, storm)
}

fn roll_of_everything() -> Script {
    let api = Arc::clone(&api("east"));
    let mut storm = vec![(10, fault(Fault::Crash(api), 100))];
    storm.extend((0..12).map(|i| (40 + i as u64, work(Work::Roll(i)))));
    let name = "all pods move while the API server is down";
    script(name, Way::Emitters(1), 12, storm)
}
