//! Schedules in which one of two replicas is worse than the other.

use super::{Script, disconnected, fault, node, script, work};
use crate::plan::Expected::{Exact, Mirrors};
use crate::plan::{Fault, Way, Work};

/// All of them.
pub(super) fn all() -> Vec<Script> {
    vec![
        left(
            Way::Emitters(2),
            "the replica that a reflector watches loses its API server",
        ),
        left(
            Way::Relay(2),
            "the replica that a relay watches loses its API server",
        ),
    ]
}

/// One of two emitters loses its API server while its readers watch it.
fn left(way: Way, name: &'static str) -> Script {
    let storm = vec![
        // Its readers watch the other replica then.
        (1, fault(Fault::Crash(node("emitter-east-0")), 5)),
        // It notices after 90 s, and tells with a bookmark within 60 s more.
        (20, disconnected()),
        (190, work(Work::Create)),
        (191, work(Work::Delete(1))),
    ];
    script(name, way, 6, storm)
        .expecting(189, &[Mirrors(6)])
        .expecting(205, &[Mirrors(6), Exact])
}
