//! Limits of the resources that a source takes of this program and of the local cluster.

use runtime::Amount;
use schemars::JsonSchema;
use serde::Deserialize;

/// Default of the bytes that a source's objects may take in memory.
pub(crate) const BYTES: usize = 128 << 20;

/// Default of the number of objects of a source.
pub(crate) const OBJECTS: usize = 50_000;

/// Default of the writes for a source in a second.
pub(crate) const WRITES_PER_SECOND: u32 = 200;

/// Default of the Services that come in from a source. A range of ClusterIPs of a /18 has
/// 16 384 addresses for all.
pub(crate) const MAX_SERVICES: usize = 5000;

/// Default of the endpoints of one Service that come in.
pub(crate) const MAX_ENDPOINTS: usize = 5000;

/// Memory limit of all sources together.
pub(crate) const WHOLE: Amount = Amount {
    bytes: 512 << 20,
    objects: 500_000,
};

/// Memory limit of the local cluster.
pub(crate) const LOCAL: Amount = Amount {
    bytes: 320 << 20,
    objects: 500_000,
};

/// A source's `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub struct LimitsEntry {
    /// Maximum memory of its objects in bytes, also while they are read.
    #[schemars(range(min = 1))]
    bytes: usize,
    /// Maximum number of its objects.
    #[schemars(range(min = 1))]
    objects: usize,
    /// Maximum number of writes for it in a second, after a burst of ten times as many.
    #[schemars(range(min = 1))]
    writes_per_second: u32,
}

/// The limits of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// Memory limit of its objects.
    pub held: Amount,
    /// Maximum number of writes for it in a second.
    pub writes_per_second: u32,
}

impl Default for LimitsEntry {
    fn default() -> Self {
        Self {
            bytes: BYTES,
            objects: OBJECTS,
            writes_per_second: WRITES_PER_SECOND,
        }
    }
}

impl Default for SourceLimits {
    fn default() -> Self {
        LimitsEntry::default().into()
    }
}

impl From<LimitsEntry> for SourceLimits {
    fn from(entry: LimitsEntry) -> Self {
        Self {
            held: Amount {
                bytes: entry.bytes,
                objects: entry.objects,
            },
            writes_per_second: entry.writes_per_second,
        }
    }
}

impl LimitsEntry {
    /// Returns the limits, or the key that admits nothing.
    pub(super) fn check(self) -> Result<SourceLimits, String> {
        let keys = [
            ("limits.bytes", self.bytes == 0),
            ("limits.objects", self.objects == 0),
            ("limits.writesPerSecond", self.writes_per_second == 0),
        ];
        match keys.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((key, _)) => Err(format!("{key} is 0, which admits nothing; set at least 1")),
            None => Ok(self.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LOCAL, WHOLE};

    const MANIFEST: &str = include_str!("../../../manifests/reflector/deployment.yaml");
    const PAGE: &str = include_str!("../../../docs/limits.md");

    #[test]
    fn all_budgets_together_fit_the_memory_limit_of_the_manifest() {
        const PROGRAM: usize = 64 << 20;
        // Events have a limit each, and are read as they come.
        const EVENTS: usize = 64 << 20;
        const FORMER_VERSIONS: usize = runtime::watcher::MAX_FORMER_BYTES;
        let (_, limits) = MANIFEST.split_once("limits:").unwrap();
        let (_, limit) = limits.split_once("memory: ").unwrap();
        let limit = limit.split_whitespace().next().unwrap();
        let limit: usize = limit.strip_suffix("Gi").unwrap().parse().unwrap();
        let budgets = [
            ("program", PROGRAM),
            ("objects of all sources", WHOLE.bytes),
            ("events of watches that are being read", EVENTS),
            ("former versions of changed objects", FORMER_VERSIONS),
            ("objects of the local cluster", LOCAL.bytes),
        ];
        let sum: usize = budgets.iter().map(|(_, bytes)| bytes).sum();
        assert!(
            sum <= limit << 30,
            "{sum} bytes of {limit} GiB: {budgets:?}"
        );
        let (_, table) = PAGE.split_once("| reflector | MiB |").unwrap();
        for (name, bytes) in budgets {
            let row = format!("| {name} | {} |", bytes >> 20);
            assert!(table.contains(&row), "{row} is not documented");
        }
    }
}
