//! Schedules in which one side takes nothing, or says nothing, while the other changes.

use super::{Script, fault, node, script, work};
use crate::network::Mangle;
use crate::plan::Expected::{Exact, Mirrors};
use crate::plan::{Fault, LOCAL, Way, Work, api};

/// All of them.
pub(super) fn all() -> Vec<Script> {
    vec![rejected_writes(), silent_watch()]
}

/// The local cluster rejects writes while the source changes.
fn rejected_writes() -> Script {
    let link = (node("reflector-0"), api(LOCAL));
    let storm = vec![
        (60, fault(Fault::Mangled(link, Mangle::NoWrites, 100), 30)),
        (61, work(Work::Create)),
        (62, work(Work::Roll(2))),
        (63, work(Work::Delete(1))),
    ];
    let name = "the local cluster rejects writes for a while";
    script(name, Way::Emitters(1), 6, storm)
        .expecting(89, &[Mirrors(6)])
        .expecting(150, &[Mirrors(6), Exact])
}

/// A watch falls silent, and the source changes.
fn silent_watch() -> Script {
    let link = (node("reflector-0"), node("emitter-east-0"));
    let storm = vec![
        (60, fault(Fault::HalfOpen(link), 1)),
        (65, work(Work::Roll(0))),
        (66, work(Work::Create)),
    ];
    script("a watch falls silent", Way::Emitters(1), 6, storm).expecting(190, &[Mirrors(7), Exact])
}
