//! Names of clusters in a clusterset.

use std::fmt;
use std::str::FromStr;

use proto_types::name::DnsLabel;

/// Name of a cluster in its clusterset, an RFC 1123 label.
///
/// It is part of DNS names (`<host>.<cluster>.<service>…`) and the value of the label
/// `multicluster.kubernetes.io/source-cluster`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(Box<str>);

impl ClusterId {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&DnsLabel> for ClusterId {
    fn from(label: &DnsLabel) -> Self {
        Self(label.to_string().into())
    }
}

impl FromStr for ClusterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let label: DnsLabel = text
            .parse()
            .map_err(|why| format!("{text:?} is not a cluster name: {why}"))?;
        Ok(Self::from(&label))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
