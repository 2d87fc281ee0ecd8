//! The brake on mass deletion.

use std::collections::HashSet;
use std::time::Duration;

use proto_types::ObjectKey;

/// A point in time, as the time since some start. It comes as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

/// Holds deletions that a list would bring about in mass: a source that forgot more than
/// half of what it exported is more often broken than cleaned up.
///
/// Time alone releases nothing. When the hold is over the source is asked for another
/// list, and only what that one lacks too may go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Brake {
    held: Option<Held>,
    /// The hold is over for these: they may go.
    released: HashSet<ObjectKey>,
}

/// What stays, though the source does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    since: Moment,
    /// Local objects.
    mirrors: HashSet<ObjectKey>,
    /// Whether the hold is over, so that the next list decides.
    is_asked: bool,
}

/// Fewer deletions at once are an ordinary day's work.
const SMALL: usize = 10;

impl Brake {
    /// Judges a completed list: of `n_mirrors` local objects of the source it
    /// leaves `gone` without a reason to exist.
    pub(crate) fn judge(&mut self, gone: &HashSet<ObjectKey>, n_mirrors: usize, now: Moment) {
        let held = self.held.take();
        self.released.retain(|it| gone.contains(it));
        let mut since = held.as_ref().map(|it| it.since);
        if let Some(held) = held.filter(|it| it.is_asked) {
            self.released.extend(&held.mirrors & gone);
            since = None;
        }
        let fresh = gone - &self.released;
        if SMALL < fresh.len() && n_mirrors < 2 * fresh.len() {
            self.held = Some(Held {
                since: since.unwrap_or(now),
                mirrors: fresh,
                is_asked: false,
            });
        }
    }

    /// Whether the hold is over as of now, so that the source is to be asked again.
    pub(crate) fn tick(&mut self, now: Moment, hold: Duration) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        let is_over = hold <= now.0.saturating_sub(held.since.0);
        !std::mem::replace(&mut held.is_asked, is_over) && is_over
    }

    /// Whether a local object stays though its source does not have it.
    #[must_use]
    pub fn holds(&self, mirror: &ObjectKey) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.mirrors.contains(mirror))
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
    fn what_was_held_long_enough_goes_when_another_list_lacks_it_too() {
        let mut brake = Brake::default();
        let all = mirrors(20);
        let is_held = |brake: &Brake| all.iter().any(|it| brake.holds(it));
        brake.judge(&all, 20, at(0));
        assert!(!brake.tick(at(59), HOLD));
        assert!(brake.tick(at(60), HOLD), "the source is asked");
        assert!(!brake.tick(at(61), HOLD), "once");
        assert!(is_held(&brake), "time alone releases nothing");
        brake.judge(&all, 20, at(62));
        assert!(!is_held(&brake));
        brake.judge(&all, 20, at(63));
        assert!(!is_held(&brake), "nor is it held again");
    }

    #[test]
    fn what_the_second_list_lacks_for_the_first_time_is_held_anew() {
        let mut brake = Brake::default();
        brake.judge(&mirrors(15), 20, at(0));
        brake.tick(at(60), HOLD);
        brake.judge(&mirrors(100), 100, at(61));
        assert!(!brake.holds(&ObjectKey::new("mirrors", "m14")));
        assert!(brake.holds(&ObjectKey::new("mirrors", "m15")));
        assert!(!brake.tick(at(120), HOLD), "for as long again");
        assert!(brake.tick(at(121), HOLD));
    }

    #[test]
    fn another_list_of_the_same_kind_does_not_prolong_the_hold() {
        let mut brake = Brake::default();
        brake.judge(&mirrors(20), 20, at(0));
        brake.judge(&mirrors(21), 21, at(50));
        assert!(brake.tick(at(60), HOLD));
    }

    #[test]
    fn a_list_that_has_them_again_ends_the_hold() {
        let mut brake = Brake::default();
        brake.judge(&mirrors(20), 20, at(0));
        brake.judge(&mirrors(0), 20, at(1));
        assert_eq!(brake, Brake::default());
    }
}
