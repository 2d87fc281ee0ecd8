//! Names that become part of other names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest DNS label, and so the longest name of a Service.
pub const MAX_LABEL: usize = 63;

/// A DNS label (RFC 1123): lower case letters, digits and dashes, at most 63.
///
/// Source names, prefixes and namespaces are labels: they end up in names of
/// Services, in label values and in host names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DnsLabel(Box<str>);

/// Returns whether a text is a DNS subdomain (RFC 1123): labels with dots between them, at most 253
/// bytes. Most objects have such names.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    let is_label = |it: &str| it.parse::<DnsLabel>().is_ok();
    text.len() <= crate::object::MAX_NAME && text.split('.').all(is_label)
}

/// Error of a text that is no DNS label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a DNS label: use at most 63 lower case letters, digits and dashes, \
     beginning and ending with a letter or digit"
)]
pub struct InvalidLabel(String);

impl DnsLabel {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it may be the beginning of the name of a Service, which must begin with a
    /// letter (RFC 1035) on Kubernetes before 1.37.
    #[must_use]
    pub fn begins_with_letter(&self) -> bool {
        self.0.starts_with(|first: char| first.is_ascii_lowercase())
    }
}

impl FromStr for DnsLabel {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (1..=MAX_LABEL).contains(&text.len())
            && text.bytes().all(legal)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidLabel(text.to_owned()))
        }
    }
}

impl fmt::Display for DnsLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DnsLabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::DnsLabel;

    #[test]
    fn labels_are_checked_where_they_enter() {
        for good in ["a", "east-1", "0x", &"a".repeat(63)] {
            assert!(good.parse::<DnsLabel>().is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(bad.parse::<DnsLabel>().is_err(), "{bad:?}");
        }
    }
}
