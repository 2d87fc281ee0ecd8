//! Schedules in which etcd is restored from a backup, and nobody can tell by a resource version.

use super::{Script, fault, script, work};
use crate::plan::Expected::Exact;
use crate::plan::{Action, Fault, LOCAL, Way, Work};

/// All of them.
pub(super) fn all() -> Vec<Script> {
    const SOURCE: &str = "the source's etcd is restored, and counts past its former resource \
                          version before it is heard";
    const LOCALLY: &str = "the local cluster's etcd is restored, with any number of later writes";
    vec![
        passed(
            Way::Direct,
            "a restored source passes its former revision before a reflector is back",
        ),
        passed(
            Way::Emitters(1),
            "a restored source passes its former revision before an emitter is back",
        )
        .showing(SOURCE),
        passed(
            Way::Emitters(2),
            "a restored source passes its former revision before two emitters are back",
        ),
        passed(
            Way::Relay(2),
            "a restored source passes its former revision behind a relay",
        ),
        here(200, "the restored local cluster passes its former revision").showing(LOCALLY),
        here(0, "the local cluster is restored from a backup"),
    ]
}

/// What happens to a source between its backup and the restore, and just after the restore.
fn storm(restored: &str, n_others: usize) -> Vec<(u64, Action)> {
    let other = Action::Work(restored.to_owned(), Work::Other(n_others));
    vec![
        // The API server is back at 78 s.
        (10, fault(Fault::Restore(restored.to_owned()), 60)),
        (20, work(Work::Create)),
        (22, work(Work::Delete(1))),
        (24, work(Work::Port(2))),
        (26, work(Work::Roll(3))),
        (28, work(Work::Scale(4, 3))),
        (30, work(Work::Create)),
        (72, work(Work::Roll(0))),
        (74, work(Work::Delete(5))),
        (76, other),
        (82, work(Work::Create)),
    ]
}

fn passed(way: Way, name: &'static str) -> Script {
    restored(name, way, storm("east", 200))
}

fn here(n_others: usize, name: &'static str) -> Script {
    restored(name, Way::Emitters(1), storm(LOCAL, n_others))
}

/// Twelve Services, which are right before the restore and a while after it.
fn restored(name: &'static str, way: Way, storm: Vec<(u64, Action)>) -> Script {
    script(name, way, 12, storm)
        .expecting(69, &[Exact])
        .expecting(138, &[Exact])
}
