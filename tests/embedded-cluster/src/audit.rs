//! What was written, and by whom.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use proto_types::ObjectKey;

use crate::{Kind, Verb};

/// A request that changed something, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// How.
    pub verb: Verb,
    /// Of what.
    pub kind: Kind,
    /// Which; the name is empty where the server was to choose it.
    pub key: ObjectKey,
    /// What was answered.
    pub code: u16,
    /// Who asked: the user agent.
    pub agent: String,
}

impl Write {
    /// Whether it changed something.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.code < 300
    }
}

/// The writes of a cluster, and how often the rest was asked for.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// Writes in their order, the oldest first; dry runs do not count.
    pub writes: VecDeque<Write>,
    /// How many writes there were, including those that are no longer kept.
    pub n_writes: u64,
    /// How many requests there were of each sort, whatever was answered.
    pub requests: HashMap<(Verb, Kind), u64>,
}

/// More than any test looks at one by one.
const MAX_WRITES: usize = 1_000_000;

impl Audit {
    /// The writes that changed something, of that sort.
    pub fn done(&self, verb: Verb, kind: Kind) -> impl Iterator<Item = &Write> {
        let is_it = move |it: &&Write| it.is_done() && it.verb == verb && it.kind == kind;
        self.writes.iter().filter(is_it)
    }
}

/// Takes notes.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Audit>);

impl Notes {
    pub(crate) fn asked(&self, verb: Verb, kind: Kind) {
        *self.0.lock().requests.entry((verb, kind)).or_default() += 1;
    }

    pub(crate) fn wrote(&self, write: Write) {
        let mut audit = self.0.lock();
        audit.n_writes += 1;
        audit.writes.push_back(write);
        if MAX_WRITES < audit.writes.len() {
            audit.writes.pop_front();
        }
    }

    pub(crate) fn read(&self) -> Audit {
        self.0.lock().clone()
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Audit::default();
    }
}
