//! Schedules that show rows of the table in docs/concepts.md.

use super::{Script, fault, node, script, work};
use crate::network::{Direction, Mangle};
use crate::plan::Expected::{Endpoints, Exact, LeastMirrors, LeastReady, Mirrors, Ready, Writes};
use crate::plan::{Fault, Way, Work, api};

/// Ready endpoints of six Services.
pub(super) const OF_SIX: usize = 12;

/// Ready endpoints of twelve Services.
const OF_TWELVE: usize = 24;

/// All schedules that show rows and were not written for a case that was seen.
pub(super) fn all() -> Vec<Script> {
    vec![
        deleted(),
        few_deleted(),
        deleted_unseen(),
        unreachable(),
        stale(),
        source_missing_at_start(),
        refused_by_import(),
        without_slices(),
        other_slices(),
        scaled_to_zero(),
        removed_from_configuration(),
        edited(),
    ]
}

fn deleted() -> Script {
    let storm = vec![(60, work(Work::Delete(1))), (60, work(Work::Toggle(2)))];
    script(
        "one Service is deleted and one loses its label",
        Way::Relay(1),
        6,
        storm,
    )
    .showing("Service deleted, or label removed")
    .expecting(59, &[Mirrors(6)])
    .expecting(61, &[Mirrors(4), Exact])
}

fn few_deleted() -> Script {
    let storm = vec![(60, work(Work::DeleteAllBut(0)))];
    script(
        "all five Services are deleted",
        Way::Emitters(1),
        5,
        storm,
    )
    .showing(
        "five Services or fewer deleted or un-exported within five minutes, also all that there are",
    )
    .expecting(59, &[Mirrors(5)])
    .expecting(61, &[Mirrors(0)])
}

fn deleted_unseen() -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let storm = vec![
        (60, fault(Fault::Partition(link, Direction::Both), 60)),
        (70, work(Work::Delete(0))),
        (200, fault(Fault::Crash(node("reflector-0")), 30)),
        (210, work(Work::Delete(0))),
        (270, work(Work::Create)),
    ];
    script(
        "Services are deleted while the reflector is disconnected or down",
        Way::Emitters(1),
        6,
        storm,
    )
    .showing("a Service deleted while the reflector was down, or could not hear its source")
    .expecting(119, &[Mirrors(6)])
    .expecting(160, &[Mirrors(5), Exact])
    .expecting(229, &[Mirrors(5)])
    .expecting(260, &[Mirrors(4), Exact])
}

/// Every way in which a source can be there and say nothing that counts.
fn unreachable() -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let mangled = |how| fault(Fault::Mangled(link.clone(), how, 100), 30);
    let mut storm = vec![
        (20, fault(Fault::Crash(node("emitter-east-0")), 40)),
        (25, fault(Fault::Usurped("east".to_owned()), 5)),
        (80, fault(Fault::Crash(api("east")), 30)),
        (120, fault(Fault::Slow(link.clone(), 2000, 7000), 30)),
        (160, fault(Fault::HalfOpen(link.clone()), 1)),
    ];
    let refusals = [401, 403, 429, 503].map(Mangle::Status);
    let answers = refusals.into_iter().chain([Mangle::Garbage]);
    for (at, how) in (260..).step_by(40).zip(answers) {
        storm.push((at, mangled(how)));
        storm.push((at + 1, fault(Fault::Reset(link.clone()), 1)));
    }
    let script = script("a source fails in every way", Way::Emitters(1), 6, storm)
        .showing("emitter or API server down, slow, half-open, 401, 403, 429, 5xx, garbage");
    let moments = [24, 58, 79, 109, 149, 259, 289, 329, 369, 409, 449];
    moments.into_iter().fold(script, |script, at| {
        script.expecting(at, &[Mirrors(6), Ready(OF_SIX)])
    })
}

fn stale() -> Script {
    let storm = vec![(60, fault(Fault::Crash(api("east")), 90))];
    let mut script = script(
        "the API server of a source is down longer than both limits",
        Way::Direct,
        6,
        storm,
    )
    .showing("the same, for longer than its `staleness` allows")
    .expecting(65, &[Mirrors(6), Ready(OF_SIX)])
    .expecting(90, &[Mirrors(6), Ready(0), Endpoints(OF_SIX)])
    .expecting(149, &[Mirrors(6), Endpoints(0)]);
    script.plan.fleet.settings.not_ready_after = Some(10);
    script.plan.fleet.settings.drop_after = Some(50);
    script
}

fn source_missing_at_start() -> Script {
    let storm = vec![
        (60, fault(Fault::Crash(node("emitter-east-0")), 120)),
        (70, fault(Fault::Crash(node("reflector-0")), 5)),
    ];
    script(
        "a reflector starts and its source is missing",
        Way::Emitters(1),
        6,
        storm,
    )
    .showing("reflector starts, and a source is not there")
    .expecting(179, &[Mirrors(6), Ready(OF_SIX)])
}

/// Ports change to one that does not come in, and to one that does.
fn refused_by_import() -> Script {
    let mut storm = Vec::new();
    for at in [60, 100] {
        storm.extend((0..12).map(|i| (at, work(Work::Port(i)))));
    }
    let mut script = script(
        "all Services change to a port that is not imported",
        Way::Emitters(1),
        12,
        storm,
    )
    .showing("most Services change to what `import` refuses")
    .expecting(65, &[LeastMirrors(6)])
    .expecting(99, &[LeastMirrors(6)])
    .expecting(105, &[Mirrors(12), Exact]);
    script.plan.fleet.settings.imports_ports = true;
    script
}

fn without_slices() -> Script {
    let mut storm = vec![(60, work(Work::Unslice))];
    storm.extend((0..12).map(|i| (100, work(Work::Roll(i)))));
    script(
        "all slices of all Services are deleted for a while",
        Way::Emitters(1),
        12,
        storm,
    )
    .showing("all slices of a Service are gone, of most Services")
    .expecting(65, &[Mirrors(12), LeastReady(OF_TWELVE / 2)])
    .expecting(99, &[Mirrors(12), LeastReady(OF_TWELVE / 2)])
    .expecting(105, &[Exact])
}

fn other_slices() -> Script {
    let storm = vec![(60, work(Work::Reslice))];
    script(
        "all slices are replaced at once",
        Way::Emitters(1),
        12,
        storm,
    )
    .showing("slices that others replace, also of all Services at once")
    .expecting(62, &[Mirrors(12), Ready(OF_TWELVE), Exact])
}

fn scaled_to_zero() -> Script {
    let storm = vec![(60, work(Work::Scale(0, 0)))];
    script("a Service has an empty slice", Way::Emitters(1), 6, storm)
        .showing("a Service with empty Endpoints, or with an empty slice")
        .expecting(61, &[Mirrors(6), Ready(OF_SIX - 2), Exact])
}

fn removed_from_configuration() -> Script {
    let storm = vec![(60, fault(Fault::Unconfigured("east".to_owned()), 60))];
    script(
        "a source is removed from the configuration for a while",
        Way::Emitters(1),
        6,
        storm,
    )
    .showing("source removed from the configuration")
    .expecting(119, &[Mirrors(6), Ready(OF_SIX)])
}

fn edited() -> Script {
    let edit = |at| (at, fault(Fault::Edited("east".to_owned()), 1));
    let storm = (60..240).map(edit).collect();
    script(
        "another writer changes a mirror once a second",
        Way::Emitters(1),
        6,
        storm,
    )
    .showing("another writer changes a mirror again and again")
    .expecting(240, &[Mirrors(6), Writes(40)])
}
