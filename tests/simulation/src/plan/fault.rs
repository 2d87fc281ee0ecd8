//! Kinds of faults, and the sources that a fault concerns.

use std::collections::BTreeSet;

use super::{Fault, Fleet, LOCAL};
use crate::network::{Direction, Mangle};

impl Fault {
    /// Name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Partition(_, Direction::Both) => "partition",
            Self::Partition(..) => "one-way partition",
            Self::Slow(..) | Self::Mangled(_, Mangle::LateSlices(_), _) => "delay",
            Self::Loss(..) => "loss",
            Self::Reset(_) => "reset",
            Self::HalfOpen(_) => "half-open",
            Self::Mangled(_, Mangle::Status(_) | Mangle::NoNamespaces | Mangle::NoWrites, _) => {
                "refusal (4xx, 5xx)"
            }
            Self::Mangled(_, Mangle::Garbage, _) => "garbage",
            Self::Mangled(_, Mangle::Hollow, _) => "hollow answer",
            Self::Mangled(_, Mangle::Truncated { .. }, _) => "truncated answer",
            Self::Mangled(_, Mangle::EmptyList, _) => "empty list",
            Self::Mangled(_, Mangle::Stuck, _) => "stuck server",
            Self::Mangled(_, Mangle::BadPort, _) => "unreadable object",
            Self::Crash(_) => "crash",
            Self::Restart(_) => "restart",
            Self::Compact(_) => "compaction",
            Self::Restore(_) => "restore",
            Self::Impostor(_) => "another cluster",
            Self::Selector(..) => "wrong selector",
            Self::Usurped(_) => "unmanaged object",
            Self::Edited(_) => "external modification",
            Self::ClockJump(_) => "clock jump",
            Self::LeaseLoss => "lease loss",
            Self::Unconfigured(_) | Self::Renamed(_) => "reload",
        }
    }

    /// Sources of a fleet that it concerns.
    #[must_use]
    pub fn concerns(&self, fleet: &Fleet) -> BTreeSet<String> {
        let names = fleet.names();
        let of = |nodes: &[&str]| -> BTreeSet<String> {
            let is_of = |name: &String| {
                nodes
                    .iter()
                    .any(|it| it.split('-').any(|part| part == name))
            };
            let some: BTreeSet<String> = names.iter().filter(|it| is_of(it)).cloned().collect();
            match some.is_empty() {
                true => names.clone(),
                false => some,
            }
        };
        match self {
            Self::Partition(link, _)
            | Self::Slow(link, ..)
            | Self::Loss(link, _)
            | Self::Reset(link)
            | Self::HalfOpen(link)
            | Self::Mangled(link, ..) => of(&[&link.0, &link.1]),
            Self::Crash(node) | Self::Restart(node) | Self::Selector(node, _) => of(&[node]),
            Self::Restore(cluster) if cluster == LOCAL => names,
            Self::Compact(source)
            | Self::Restore(source)
            | Self::Impostor(source)
            | Self::Unconfigured(source)
            | Self::Renamed(source)
            | Self::Usurped(source)
            | Self::Edited(source) => BTreeSet::from([source.clone()]),
            Self::ClockJump(_) | Self::LeaseLoss => names,
        }
    }
}
