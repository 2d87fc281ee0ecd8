//! The brake on mass deletion.

use std::collections::HashSet;
use std::time::Duration;

use proto_types::ObjectKey;

/// A point in time, as the time since some start. It comes as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

/// Holds deletions that a list would bring about in mass: a source that forgot
/// more than half of what it exported is more often broken than cleaned up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Brake {
    /// Nothing is held.
    #[default]
    Open,
    /// These stay, though the source does not have them.
    Held {
        /// Since when.
        since: Moment,
        /// Local objects.
        mirrors: HashSet<ObjectKey>,
    },
    /// The hold is over for these: they may go.
    Released(HashSet<ObjectKey>),
}

/// Fewer deletions at once are an ordinary day's work.
const SMALL: usize = 10;

impl Brake {
    /// Judges a completed list: of `n_mirrors` local objects of the source it
    /// leaves `gone` without a reason to exist.
    pub(crate) fn judge(&mut self, gone: &HashSet<ObjectKey>, n_mirrors: usize, now: Moment) {
        let released = match self {
            Self::Released(released) => released.clone(),
            Self::Open | Self::Held { .. } => HashSet::new(),
        };
        let fresh: HashSet<_> = gone.difference(&released).cloned().collect();
        *self = if SMALL < fresh.len() && n_mirrors < 2 * fresh.len() {
            Self::Held {
                since: self.since().unwrap_or(now),
                mirrors: fresh,
            }
        } else if released.is_disjoint(gone) {
            Self::Open
        } else {
            Self::Released(&released & gone)
        };
    }

    /// Releases what was held long enough, and says what that was.
    pub(crate) fn tick(&mut self, now: Moment, hold: Duration) -> Vec<ObjectKey> {
        let over = self
            .since()
            .is_some_and(|since| hold <= now.0.saturating_sub(since.0));
        let Self::Held { mirrors, .. } = self else {
            return Vec::new();
        };
        if !over {
            return Vec::new();
        }
        let mirrors = std::mem::take(mirrors);
        let released = mirrors.iter().cloned().collect();
        *self = Self::Released(mirrors);
        released
    }

    /// Whether a local object stays though its source does not have it.
    #[must_use]
    pub fn holds(&self, mirror: &ObjectKey) -> bool {
        match self {
            Self::Held { mirrors, .. } => mirrors.contains(mirror),
            Self::Open | Self::Released(_) => false,
        }
    }

    const fn since(&self) -> Option<Moment> {
        match self {
            Self::Held { since, .. } => Some(*since),
            Self::Open | Self::Released(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Brake, Moment};
    use proto_types::ObjectKey;
    use std::collections::HashSet;
    use std::time::Duration;

    const HOLD: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn mirrors(n: usize) -> HashSet<ObjectKey> {
        (0..n)
            .map(|i| ObjectKey::new("mirrors", &format!("m{i}")))
            .collect()
    }

    #[test]
    fn only_more_than_half_and_more_than_ten_are_held() {
        let holds = |gone: usize, of: usize| {
            let mut brake = Brake::default();
            brake.judge(&mirrors(gone), of, at(0));
            brake.holds(&ObjectKey::new("mirrors", "m0"))
        };
        assert!(!holds(10, 10), "few");
        assert!(!holds(11, 22), "half");
        assert!(holds(11, 21), "more than both");
    }

    #[test]
    fn what_was_held_long_enough_goes_and_is_not_held_again() {
        let mut brake = Brake::default();
        brake.judge(&mirrors(20), 20, at(0));
        assert!(brake.tick(at(59), HOLD).is_empty());
        assert_eq!(brake.tick(at(60), HOLD).len(), 20);
        brake.judge(&mirrors(20), 20, at(61));
        assert!(!brake.holds(&ObjectKey::new("mirrors", "m0")));
    }

    #[test]
    fn another_list_of_the_same_kind_does_not_prolong_the_hold() {
        let mut brake = Brake::default();
        brake.judge(&mirrors(20), 20, at(0));
        brake.judge(&mirrors(21), 21, at(50));
        assert_eq!(brake.tick(at(60), HOLD).len(), 21);
    }

    #[test]
    fn a_list_that_has_them_again_ends_the_hold() {
        let mut brake = Brake::default();
        brake.judge(&mirrors(20), 20, at(0));
        brake.judge(&mirrors(0), 20, at(1));
        assert_eq!(brake, Brake::Open);
    }
}
