//! Ranges of resource versions in which a store did not see what happened.
//!
//! A list shows that objects are gone, and not when, and nothing about objects that came and went
//! before it. Deletions are recorded at the last resource version before the list, at which every
//! consumer still had them. A consumer at that resource version gets all of them again, a consumer
//! at the resource version of the list has them all, and a consumer between the two may lack some:
//! it has to list.

use proto_types::ResourceVersion;

/// One range; both of its ends are outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    after: ResourceVersion,
    /// `None` until a bookmark or a list shows that nothing else was missed.
    until: Option<ResourceVersion>,
}

/// All ranges within history, oldest first.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

/// A larger number is a sign of a server that keeps no order; consumers list then.
const MAX_GAPS: usize = 100;

impl Gaps {
    /// Notes a range that ends at a known resource version.
    pub(super) fn push(&mut self, after: ResourceVersion, until: ResourceVersion) {
        self.close(after);
        if after < until {
            self.0.push(Gap {
                after,
                until: Some(until),
            });
        }
    }

    /// Notes a range whose end is not known yet.
    pub(super) fn open(&mut self, after: ResourceVersion) {
        let open = Gap { after, until: None };
        if self.0.last() != Some(&open) {
            self.close(after);
            self.0.push(open);
        }
    }

    /// Ends the open range, if there is one. Returns whether there was.
    pub(super) fn close(&mut self, until: ResourceVersion) -> bool {
        match self.0.last_mut() {
            Some(last) if last.until.is_none() => {
                last.until = Some(until.max(last.after));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Returns the end of the range that a resource version is in; the resource version itself
    /// where the end is not known.
    pub(super) fn around(&self, revision: ResourceVersion) -> Option<ResourceVersion> {
        let mut around = self
            .0
            .iter()
            .filter(|gap| gap.after < revision && gap.until.is_none_or(|until| revision < until));
        around.next().map(|gap| gap.until.unwrap_or(revision))
    }

    /// Returns the end of the range after a resource version, where it is known.
    pub(super) fn end(&self, after: ResourceVersion) -> Option<ResourceVersion> {
        let gap = self.0.iter().rev().find(|gap| gap.after == after)?;
        gap.until
    }

    /// Returns the last resource version before the range that a resource version is in.
    pub(super) fn before(&self, revision: ResourceVersion) -> Option<ResourceVersion> {
        let is_around =
            |gap: &&Gap| gap.after < revision && gap.until.is_none_or(|until| revision < until);
        self.0.iter().find(is_around).map(|gap| gap.after)
    }

    /// Forgets ranges before a resource version. Returns whether there are too many others.
    pub(super) fn drop_before(&mut self, floor: ResourceVersion) -> bool {
        self.0
            .retain(|gap| gap.until.is_none_or(|until| floor < until));
        MAX_GAPS < self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Gaps, MAX_GAPS, ResourceVersion};

    fn at(number: u64) -> ResourceVersion {
        ResourceVersion::new(number)
    }

    #[test]
    fn both_ends_of_a_gap_are_outside_it() {
        let mut gaps = Gaps::default();
        gaps.push(at(10), at(20));
        for (revision, around) in [
            (9, None),
            (10, None),
            (11, Some(20)),
            (19, Some(20)),
            (20, None),
        ] {
            assert_eq!(gaps.around(at(revision)), around.map(at), "{revision}");
        }
        gaps.open(at(30));
        assert_eq!(gaps.around(at(30)), None);
        assert_eq!(gaps.around(at(99)), Some(at(99)));
        assert!(gaps.close(at(40)) && !gaps.close(at(50)));
        assert_eq!(gaps.around(at(40)), None);
        gaps.drop_before(at(20));
        assert_eq!(gaps.around(at(15)), None);
        assert_eq!(gaps.around(at(35)), Some(at(40)));
    }

    #[test]
    fn no_more_gaps_are_kept_than_a_limit() {
        let mut gaps = Gaps::default();
        for number in 0..=MAX_GAPS as u64 {
            assert!(!gaps.drop_before(at(0)));
            gaps.push(at(10 * number + 1), at(10 * number + 5));
        }
        assert!(gaps.drop_before(at(0)));
    }
}
