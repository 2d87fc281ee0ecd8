//! Record of what happened, so that two runs can be compared.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Number of entries that are kept as text.
const KEPT: usize = 400;

/// Record of a run: a hash of all entries, and the last ones as text.
pub(crate) struct Trace {
    start: Instant,
    is_printed: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    hasher: DefaultHasher,
    n_entries: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// Creates a record that begins now.
    pub(crate) fn new(is_printed: bool) -> Self {
        Self {
            start: Instant::now(),
            is_printed,
            inner: Mutex::new(Inner {
                hasher: DefaultHasher::new(),
                n_entries: 0,
                last: VecDeque::new(),
            }),
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Adds an entry.
    pub(crate) fn note(&self, entry: impl FnOnce() -> String) {
        let at = self.elapsed();
        let entry = entry();
        let mut inner = self.inner.lock();
        (at.as_nanos(), &entry).hash(&mut inner.hasher);
        inner.n_entries += 1;
        let line = format!("{:>12.6} {entry}", at.as_secs_f64());
        if self.is_printed {
            eprintln!("{line}");
        }
        inner.last.push_back(line);
        if KEPT < inner.last.len() {
            inner.last.pop_front();
        }
    }

    /// Hash of all entries, and their number.
    pub(crate) fn hash(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.hasher.finish(), inner.n_entries)
    }

    /// The last entries.
    pub(crate) fn last(&self) -> Vec<String> {
        self.inner.lock().last.iter().cloned().collect()
    }
}
