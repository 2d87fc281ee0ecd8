//! Number of imported Services: the first ones by namespace and name, so that it is
//! the same ones in every replica and after every restart.

use std::collections::BTreeSet;

use proto_types::ObjectKey;

/// The Services of one source that would come in, divided at its limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    limit: Option<usize>,
    /// At most as many as the limit, and each before all that wait.
    admitted: BTreeSet<ObjectKey>,
    waiting: BTreeSet<ObjectKey>,
}

impl Quota {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// The limit that a Service is beyond, if it is.
    #[must_use]
    pub fn refuses(&self, service: &ObjectKey) -> Option<usize> {
        self.limit.filter(|_| self.waiting.contains(service))
    }

    /// One more; returns the other one that must leave for it.
    pub fn insert(&mut self, service: &ObjectKey) -> Option<ObjectKey> {
        let limit = self.limit?;
        if self.admitted.contains(service) || self.waiting.contains(service) {
            return None;
        }
        if self.admitted.len() < limit {
            self.admitted.insert(service.clone());
            return None;
        }
        match self.admitted.last() {
            Some(last) if service < last => {
                self.admitted.insert(service.clone());
                let last = self.admitted.pop_last()?;
                self.waiting.insert(last.clone());
                Some(last)
            }
            Some(_) | None => {
                self.waiting.insert(service.clone());
                None
            }
        }
    }

    /// One less; returns the other one that may come in its place.
    pub fn remove(&mut self, service: &ObjectKey) -> Option<ObjectKey> {
        self.waiting.remove(service);
        if !self.admitted.remove(service) {
            return None;
        }
        let next = self.waiting.pop_first()?;
        self.admitted.insert(next.clone());
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::Quota;
    use proptest::prelude::*;
    use proto_types::ObjectKey;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_first_ones_come_in_whatever_the_order(
            limit in 0..6usize,
            deeds in prop::collection::vec((any::<bool>(), 0..12u8), 0..60),
        ) {
            let mut quota = Quota::new(Some(limit));
            let mut all = BTreeSet::new();
            for (comes, n) in deeds {
                let key = ObjectKey::new("demo", &format!("s{n:02}"));
                let refused = |quota: &Quota, all: &BTreeSet<ObjectKey>| -> BTreeSet<_> {
                    all.iter().filter(|it| quota.refuses(it).is_some()).cloned().collect()
                };
                let before = refused(&quota, &all);
                let other = if comes {
                    all.insert(key.clone());
                    quota.insert(&key)
                } else {
                    all.remove(&key);
                    quota.remove(&key)
                };
                let expected: BTreeSet<_> = all.iter().skip(limit).cloned().collect();
                let after = refused(&quota, &all);
                prop_assert_eq!(&after, &expected);
                // Whoever changed sides without being asked about is named.
                let changed = before.symmetric_difference(&after).filter(|it| **it != key);
                let changed: Vec<_> = changed.cloned().collect();
                prop_assert_eq!(changed, other.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
