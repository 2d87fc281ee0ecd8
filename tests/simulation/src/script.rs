//! Schedules written by hand: cases that were seen, each as small as it can be.

mod imports;
mod quiet;
mod replicas;
mod restores;
mod table;

use std::sync::Arc;

use self::table::OF_SIX;
use crate::network::{Direction, Mangle, Node};
use crate::plan::Expected::{Exact, LeastMirrors, Mirrors, Ready};
use crate::plan::{
    Action, Expected, Fault, Fleet, Link, NOTHING, Plan, SourceSpec, Way, Work, api,
};
use crate::settings::{Scene, Settings};

/// Seed of scripts, which leave nothing but delays to it.
const SEED: u64 = 12;

/// Ready endpoints of twenty Services.
const OF_TWENTY: usize = 41;

/// Schedule written by hand.
#[derive(Debug, Clone)]
pub struct Script {
    /// Name, which completes the sentence "no invariant breaks when …".
    pub name: &'static str,
    /// The plan.
    pub plan: Plan,
    /// First cell of the row of the table in docs/concepts.md that it shows.
    pub shows: Option<&'static str>,
}

impl Script {
    /// Names the row of the table in docs/concepts.md that it shows.
    const fn showing(mut self, row: &'static str) -> Self {
        self.shows = Some(row);
        self
    }

    /// Adds what must be so at a second.
    fn expecting(mut self, second: u64, expected: &[Expected]) -> Self {
        let expected = expected.iter().map(|it| (second * 1000, *it));
        self.plan.expected.extend(expected);
        self
    }
}

/// All scripts.
#[must_use]
pub fn all() -> Vec<Script> {
    let mut all = vec![
        broken_list((node("reflector-0"), node("emitter-east-0"))),
        broken_list((node("emitter-east-0"), api("east"))),
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
        relisted_at_same_revision(),
        unreadable_aliased(),
        renamed_while_disconnected(),
        stale_behind_emitter(),
        opted_out(),
        standby_after_restart(),
        narrower_view(),
        usurped(),
    ];
    all.extend(imports::all());
    all.extend(quiet::all());
    all.extend(replicas::all());
    all.extend(restores::all());
    all.extend(table::all());
    all
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
            settings: Settings::default(),
        },
        storms: vec![storm.into_iter().map(|(at, it)| (at * 1000, it)).collect()],
        storm_millis,
        expected: Vec::new(),
        defect: None,
    };
    Script {
        name,
        plan,
        shows: None,
    }
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
        // The reflector follows the other replica then.
        (1, fault(Fault::Crash(node("emitter-east-1")), 5)),
        (20, disconnected()),
        (130, work(Work::Create)),
        (131, work(Work::Delete(1))),
        (200, fault(Fault::Crash(node("emitter-east-0")), 200)),
    ];
    script("only a stale replica answers", Way::Emitters(2), 6, storm)
        .showing(
            "a replica of an emitter that lost its API server answers, and knows less than \
             another one did",
        )
        .expecting(199, &[Mirrors(6), Exact])
        .expecting(399, &[Mirrors(6), Exact])
}

fn stale_replica_at_start() -> Script {
    let storm = vec![
        // The reflector follows the other replica then.
        (1, fault(Fault::Crash(node("emitter-east-1")), 5)),
        (20, disconnected()),
        (130, work(Work::Create)),
        (131, work(Work::Delete(1))),
        (200, fault(Fault::Crash(node("emitter-east-0")), 200)),
        (210, fault(Fault::Crash(node("reflector-0")), 5)),
    ];
    let name = "only a stale replica answers a reflector that starts";
    script(name, Way::Emitters(2), 6, storm)
        .showing("an emitter lists what it could not confirm, or lost its API server")
        .expecting(199, &[Mirrors(6), Exact])
        .expecting(399, &[Mirrors(7)])
}

fn wrong_selector(way: Way, name: &'static str) -> Script {
    let storm = vec![(
        60,
        fault(Fault::Selector(node("emitter-east-0"), NOTHING), 40),
    )];
    script(name, way, 20, storm).expecting(99, &[Mirrors(20), Ready(OF_TWENTY)])
}

fn impostor(way: Way, name: &'static str) -> Script {
    let storm = vec![(60, fault(Fault::Impostor("east".to_owned()), 240))];
    script(name, way, 20, storm)
        .showing(
            "another cluster answers behind the same address, of an emitter or of its API server",
        )
        .expecting(299, &[Mirrors(20), Ready(OF_TWENTY)])
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
        .showing(
            "lists lack more than half of what is mirrored, within five minutes; so any list that \
             is empty, even of one Service",
        )
        .expecting(89, &[Mirrors(n_services)])
}

/// Lists that break off, when their reader starts.
fn broken_list(link: Link) -> Script {
    let reader = Arc::clone(&link.0);
    let name = match reader.starts_with("reflector") {
        true => "lists break off on their way to a reflector",
        false => "lists break off on their way to an emitter",
    };
    let truncated = Mangle::Truncated { is_clean: false };
    let storm = vec![
        (60, fault(Fault::Mangled(link, truncated, 100), 30)),
        (61, fault(Fault::Crash(reader), 1)),
        (70, work(Work::Create)),
    ];
    script(name, Way::Emitters(1), 6, storm)
        .expecting(89, &[Mirrors(6), Ready(OF_SIX)])
        .expecting(130, &[Mirrors(7), Exact])
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
    .showing(
        "more than five Services deleted by watch events within five minutes, and more than half \
         of what is mirrored",
    )
    .expecting(61, &[LeastMirrors(9)])
    .expecting(118, &[LeastMirrors(9)])
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
    .showing("the source's etcd is restored from a backup")
    .expecting(190, &[Mirrors(12), Exact])
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

/// A relay lists other objects at a resource version that it had already.
fn relisted_at_same_revision() -> Script {
    let storm = vec![
        (
            60,
            fault(Fault::Selector(node("emitter-east-0"), NOTHING), 40),
        ),
        (70, fault(Fault::Crash(node("reflector-0")), 1)),
    ];
    let name = "a relay lists something else at the same revision";
    script(name, Way::Relay(1), 20, storm)
}

/// The Service of an aliased mirror cannot be read for a while.
fn unreadable_aliased() -> Script {
    let link = (node("reflector-0"), api("east"));
    let mangled = Fault::Mangled(link, Mangle::BadPort, 100);
    let storm = vec![
        (10, work(Work::Alias(0))),
        (60, fault(mangled, 120)),
        (61, fault(Fault::Crash(node("reflector-0")), 1)),
        (120, fault(Fault::Compact("east".to_owned()), 1)),
    ];
    let name = "the Service of an aliased mirror is unreadable";
    script(name, Way::Direct, 6, storm)
        .showing("a source's object that cannot be read")
        .expecting(179, &[Mirrors(6), Ready(OF_SIX)])
}

fn renamed_while_disconnected() -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let storm = vec![
        (50, fault(Fault::Partition(link, Direction::Both), 120)),
        (60, fault(Fault::Renamed("east".to_owned()), 240)),
        (62, fault(Fault::Crash(node("reflector-0")), 1)),
    ];
    let name = "a source gets another name while it is disconnected";
    let mut script = script(name, Way::Emitters(1), 6, storm)
        .showing("source configured under another name")
        .expecting(169, &[Mirrors(6), Ready(OF_SIX)])
        .expecting(240, &[Mirrors(6), Ready(OF_SIX)]);
    script.plan.fleet.settings.deletes_removed = true;
    script
}

fn stale_behind_emitter() -> Script {
    let storm = vec![(60, fault(Fault::Crash(api("east")), 60))];
    let name = "the API server behind an emitter is down longer than notReadyAfter";
    let mut script = script(name, Way::Emitters(1), 6, storm);
    script.plan.fleet.settings.not_ready_after = Some(10);
    script
}

/// A server answers 404 where namespaces are read, of which one keeps its Services.
fn opted_out() -> Script {
    let link = (node("reflector-0"), api("east"));
    let mangled = Fault::Mangled(link.clone(), Mangle::NoNamespaces, 100);
    let storm = vec![
        (60, fault(mangled, 60)),
        (61, fault(Fault::Reset(link), 1)),
        (80, fault(Fault::Crash(node("reflector-0")), 1)),
    ];
    let name = "namespaces are answered with 404, and one had opted out";
    let mut script = script(name, Way::Direct, 3, storm);
    script.plan.fleet.settings.scene = Scene::Replicas;
    script
}

/// Members' endpoints are listed later than their Services when the reflector starts.
fn standby_after_restart() -> Script {
    let link = (node("reflector-0"), api("local"));
    let late = Fault::Mangled(link, Mangle::LateSlices(3000), 100);
    let storm = vec![
        (59, fault(late, 30)),
        (60, fault(Fault::Crash(node("reflector-0")), 1)),
    ];
    let name = "a reflector starts and the endpoints of the first cluster come last";
    let mut script = script(name, Way::Emitters(1), 1, storm);
    script.plan.fleet.settings.scene = Scene::Failover;
    script
}

/// Something changes that an emitter does not see for a while, and something that it sees.
fn narrower_view() -> Script {
    let narrow = "heliograph.dev/export=true,part=0";
    let storm = vec![
        (
            60,
            fault(Fault::Selector(node("emitter-east-0"), narrow), 40),
        ),
        (70, work(Work::Roll(1))),
        (80, work(Work::Roll(0))),
    ];
    let name = "an emitter shows one Service of five for a while";
    script(name, Way::Emitters(1), 20, storm).expecting(99, &[Mirrors(20)])
}

/// A Service is deleted whose mirror has become an unmanaged Service, unseen.
fn usurped() -> Script {
    let link = (node("reflector-0"), api("local"));
    let storm = vec![
        (60, fault(Fault::HalfOpen(link), 1)),
        (62, fault(Fault::Usurped("east".to_owned()), 200)),
        (64, work(Work::Delete(0))),
    ];
    let name = "a mirror becomes an unmanaged Service and its source is deleted";
    script(name, Way::Emitters(1), 6, storm)
}
