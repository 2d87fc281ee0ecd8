//! Pauses that the local API server requests, for all objects or for one.

use std::collections::HashSet;
use std::time::Duration;

use reflector_planner::MirrorKey;

use crate::queue::Requeue;

/// So many Services in a row, none of which was written between them, are evidence that
/// the server has a problem, and not an admission webhook with each object.
const EVIDENCE: usize = 8;

/// Longest pause of all writes on that evidence alone: a webhook may reject everything
/// that one source has.
const LONGEST: Duration = Duration::from_secs(5);

/// Services for which the server lately requested a pause.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    asked: HashSet<MirrorKey>,
}

impl Pressure {
    /// Notes the outcome of writes for a key, and returns the pause of all writes, if
    /// there is to be one.
    pub(super) fn note(&mut self, key: &MirrorKey, again: Option<Requeue>) -> Option<Duration> {
        match again {
            Some(Requeue::Busy(delay)) => Some(delay),
            Some(Requeue::After(delay)) => {
                self.asked.insert(key.clone());
                if self.asked.len() < EVIDENCE {
                    return None;
                }
                self.asked.clear();
                Some(delay.min(LONGEST))
            }
            None => {
                self.asked.clear();
                None
            }
            Some(Requeue::Now | Requeue::WithBackoff) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proto_types::ObjectKey;

    use super::*;

    const MINUTES: Duration = Duration::from_secs(300);

    fn key(i: usize) -> MirrorKey {
        MirrorKey::new(ObjectKey::new("demo", &format!("s{i}")))
    }

    #[test]
    fn a_pause_for_one_object_delays_no_other() {
        let mut pressure = Pressure::default();
        for _ in 0..100 {
            assert_eq!(pressure.note(&key(0), Some(Requeue::After(MINUTES))), None);
        }
    }

    #[test]
    fn a_busy_server_is_left_alone_at_once() {
        let mut pressure = Pressure::default();
        let busy = Some(Requeue::Busy(MINUTES));
        assert_eq!(pressure.note(&key(0), busy), Some(MINUTES));
    }

    #[test]
    fn many_objects_in_a_row_are_evidence_unless_one_is_written() {
        let mut pressure = Pressure::default();
        let mut ask = |i: usize| pressure.note(&key(i), Some(Requeue::After(MINUTES)));
        for i in 0..7 {
            assert_eq!(ask(i), None);
        }
        assert_eq!(ask(7), Some(LONGEST));
        for i in 0..100 {
            assert_eq!(pressure.note(&key(i), Some(Requeue::After(MINUTES))), None);
            assert_eq!(pressure.note(&key(1000), None), None);
        }
    }
}
