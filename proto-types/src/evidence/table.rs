//! Transition table of [`judge`](super::judge).
//!
//! `ARCHITECTURE.md` contains the same table; `tests.rs` compares both.

use super::{Evidence, Known, REWIND_LISTS, Read, Upstream};

/// Effect that an answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ruling {
    /// Additions, changes and absences count.
    Replace,
    /// Additions, changes and absences count. The history legitimately went back.
    Rewound,
    /// Additions and changes count, absences do not.
    AddOnly(Weakness),
    /// Nothing counts. The watcher keeps the known objects and lists again later.
    Ignore(Objection),
}

/// Reason why absences do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weakness {
    /// A server on the way is disconnected from its upstream.
    Disconnected,
    /// The list was not compared with the first API server.
    Unconfirmed,
}

/// Reason why nothing counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Objection {
    /// Another cluster answered.
    OtherCluster,
    /// The server does not report the cluster identity, which is known.
    UnknownCluster,
    /// A watch is of another view, or of another cluster, than the list before it.
    OtherView,
    /// A watch begins at a server that is disconnected from its upstream.
    Disconnected,
    /// The list is older than what is known, and is not confirmed: a stale replica.
    Stale,
    /// The list is older than what is known, and is confirmed, but not often enough yet.
    Rewinding,
}

impl Ruling {
    /// Returns whether an object that the answer lacks is absent.
    #[must_use]
    pub const fn absences_count(self) -> bool {
        matches!(self, Self::Replace | Self::Rewound)
    }
}

pub(super) fn ruling(known: &Known, offered: &Evidence) -> Ruling {
    if let Err(objection) = known.expected.check(offered.cluster.as_ref()) {
        return Ruling::Ignore(objection);
    }
    match offered.read {
        Read::Resumed => of_watch(known, offered),
        Read::Confirmed | Read::Cached => of_list(known, offered),
    }
}

fn of_watch(known: &Known, offered: &Evidence) -> Ruling {
    if matches!(offered.upstream, Upstream::Disconnected(_)) {
        return Ruling::Ignore(Objection::Disconnected);
    }
    if known.view != offered.view || known.is_of_another_cluster(offered) {
        return Ruling::Ignore(Objection::OtherView);
    }
    Ruling::Replace
}

fn of_list(known: &Known, offered: &Evidence) -> Ruling {
    let is_last_needed = REWIND_LISTS <= known.older.saturating_add(1);
    match (known.is_older(offered), weakness(offered)) {
        (false, None) => Ruling::Replace,
        (false, Some(weakness)) => Ruling::AddOnly(weakness),
        (true, Some(_)) => Ruling::Ignore(Objection::Stale),
        (true, None) if is_last_needed => Ruling::Rewound,
        (true, None) => Ruling::Ignore(Objection::Rewinding),
    }
}

const fn weakness(offered: &Evidence) -> Option<Weakness> {
    match (&offered.upstream, offered.read) {
        (Upstream::Disconnected(_), _) => Some(Weakness::Disconnected),
        (Upstream::Connected, Read::Cached) => Some(Weakness::Unconfirmed),
        (Upstream::Connected, Read::Confirmed | Read::Resumed) => None,
    }
}
