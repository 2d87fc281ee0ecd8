//! Resource versions, passed through from the kube-apiserver that made them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A resource version: when, in its cluster's history, something was so.
///
/// Kubernetes guarantees since 1.35 (KEP-5504) that resource versions of one resource compare as
/// integers; before that every kube-apiserver on etcd did so too. Resource versions of different
/// resources or clusters do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ResourceVersion(u64);

/// A resource version that no kube-apiserver could have made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resource version {0:?} is not a decimal number")]
pub struct InvalidRevision(String);

impl ResourceVersion {
    /// Before everything: `resourceVersion=0` in a request means "any".
    pub const ZERO: Self = Self(0);

    /// Later than every resource version of a server.
    pub const MAX: Self = Self(u64::MAX);

    /// The resource version of that number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, for arithmetic at the edges (metrics, tokens).
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns whether this is `0`.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ResourceVersion {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // u64::from_str accepts a leading plus, which Go's ParseUint refuses.
        if text.starts_with('+') {
            return Err(InvalidRevision(text.to_owned()));
        }
        text.parse()
            .map(Self)
            .map_err(|_| InvalidRevision(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ResourceVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceVersion;

    #[test]
    fn revisions_compare_as_numbers_not_as_text() {
        let nine: ResourceVersion = "9".parse().unwrap();
        let ten: ResourceVersion = "10".parse().unwrap();
        assert!(nine < ten);
    }

    #[test]
    fn values_that_go_rejects_are_rejected() {
        for text in ["", "+1", "-1", "1.0", "abc", "18446744073709551616"] {
            assert!(text.parse::<ResourceVersion>().is_err(), "{text:?}");
        }
    }
}
