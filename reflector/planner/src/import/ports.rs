//! Port numbers that the import policy allows.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Ranges of port numbers; where there are none, all may come in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports(Vec<PortRange>);

/// Some port numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(RangeInclusive<u16>);

/// Error of an invalid range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no port or range of ports: write 443 or 8000-8999")]
pub struct InvalidPorts(String);

impl Ports {
    /// These only.
    #[must_use]
    pub const fn new(ranges: Vec<PortRange>) -> Self {
        Self(ranges)
    }

    /// Returns whether any port may come in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a port may come in.
    #[must_use]
    pub fn admit(&self, port: u16) -> bool {
        self.is_open() || self.0.iter().any(|it| it.0.contains(&port))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::join(&self.0))
    }
}

impl FromStr for PortRange {
    type Err = InvalidPorts;

    fn from_str(text: &str) -> Result<Self, InvalidPorts> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse().ok().filter(|it| *it != 0);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            (_, _) => Err(InvalidPorts(text.to_owned())),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.start(), self.0.end()) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PortRange, Ports};

    #[test]
    fn ranges_include_their_ends() {
        let ranges = ["443", "8000-8999"].map(|it| it.parse().unwrap());
        let ports = Ports::new(ranges.into());
        for (port, admitted) in [
            (443, true),
            (444, false),
            (8000, true),
            (8999, true),
            (9000, false),
        ] {
            assert_eq!(ports.admit(port), admitted, "{port}");
        }
        assert!(Ports::default().admit(1));
    }

    #[test]
    fn an_invalid_port_is_rejected() {
        for bad in ["", "0", "65536", "http", "9-8", "1-", "-1", "1-2-3"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad:?}");
        }
    }
}
