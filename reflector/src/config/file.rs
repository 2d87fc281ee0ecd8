//! The configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_types::name::DnsLabel;
use reflector_planner::policy;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::schema::{self, Duration as DurationText, Label, Range};
use super::{
    ClusterProfiles, ClusterSetEntry, GlobalEntry, KubeconfigDir, SourceApi, SourceEntry,
    SourcesFromCrd, former, staleness,
};

/// The configuration file, in YAML or JSON.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "reflector", transform = schema::of_file)]
pub struct File {
    /// Namespace of mirrors with a prefix.
    #[schemars(with = "Option<Label>")]
    pub mirror_namespace: Option<DnsLabel>,
    /// Treatment of the mirrors of a source that is no longer configured.
    #[serde(default)]
    pub removed_sources: RemovedSources,
    /// `true` if each deletion that a source causes waits for another list.
    #[serde(default)]
    pub confirm_deletions: bool,
    /// Time for which mass deletions are held.
    #[serde(default, deserialize_with = "duration")]
    #[schemars(with = "Option<DurationText>")]
    pub deletion_hold: Option<Duration>,
    /// Former spelling of `deletionHold`, in seconds.
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(skip)]
    pub hold_seconds: Option<Duration>,
    /// The ranges of this cluster's own pods and Services.
    #[serde(default, rename = "localCIDRs", alias = "localRanges")]
    #[schemars(with = "Vec<Range>")]
    pub local_ranges: Vec<String>,
    /// Use of further CIDRs that the local API server reports: ServiceCIDRs, pod CIDRs and
    /// addresses of nodes.
    #[serde(rename = "learnLocalCIDRs")]
    pub learn_local_ranges: Option<bool>,
    /// Services of this cluster and of the sources that become one.
    pub global: Option<GlobalEntry>,
    /// The Multi-Cluster Services API: ServiceExports of all clusters become ServiceImports.
    pub cluster_set: Option<ClusterSetEntry>,
    /// The sources; the first wins where two want the same name.
    #[serde(default)]
    pub sources: Vec<SourceEntry>,
    /// `true` if metrics have the names of semaphore-service-mirror too.
    #[serde(default)]
    pub semaphore_metrics: bool,
    /// Further sources, each by a kubeconfig that is found.
    pub kubeconfig_dir: Option<KubeconfigDir>,
    /// Further sources, each by a URL.
    #[serde(rename = "sourceURLs", alias = "sourceApi")]
    pub source_api: Option<SourceApi>,
    /// Further sources, each an object of the local cluster.
    #[serde(rename = "sourcesFromCRD")]
    pub sources_from_crd: Option<SourcesFromCrd>,
    /// Further sources, each a ClusterProfile of the cluster-inventory API.
    pub cluster_profiles: Option<ClusterProfiles>,
    /// Warnings about former spellings.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) warnings: Vec<String>,
}

/// As the file spells the planner's enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemovedSources {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Delete,
}

impl From<RemovedSources> for policy::RemovedSources {
    fn from(spelled: RemovedSources) -> Self {
        match spelled {
            RemovedSources::Keep => Self::Keep,
            RemovedSources::Delete => Self::Delete,
        }
    }
}

/// Error of a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not open.
    #[error("cannot read configuration {path}: check that the file exists and may be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// It is no configuration.
    #[error("configuration {path} is not valid: {why}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Error and its place.
        why: String,
    },
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        // An empty file is a configuration too.
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let file = serde_saphyr::from_str(&text).map_err(|error| FileError::Parse {
            path: path.to_owned(),
            why: error.to_string().trim_start_matches("error: ").to_owned(),
        })?;
        let warnings = former::of_file(&text);
        Ok(Self { warnings, ..file })
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parsed = text.map(|it| staleness::parse(&it)).transpose();
    parsed.map_err(|why| D::Error::custom(format!("deletionHold: {why}")))
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = Option::<u64>::deserialize(deserializer)?;
    Ok(seconds.map(Duration::from_secs))
}
