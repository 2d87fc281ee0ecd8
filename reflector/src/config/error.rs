//! Errors of flags and configuration files.

use reflector_planner::{SourceName, policy};

use super::{FileError, InvalidGroup, InvalidSource};

/// Error of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not one.
    #[error(transparent)]
    File(#[from] FileError),
    /// A source is not one.
    #[error(transparent)]
    Source(#[from] InvalidSource),
    /// Sources that are alike are not to be had.
    #[error(transparent)]
    Group(#[from] InvalidGroup),
    /// The sources do not go together.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// Nothing to reflect.
    #[error("no sources: name them with --source, or in a file with --config")]
    NoSources,
    /// Sources of the CRD without a place.
    #[error(
        "sourcesFromCRD: there is no namespace, because this process runs outside of a pod: name \
         one with sourcesFromCRD.namespace or --sources-from-crd=NAMESPACE"
    )]
    NoNamespaceOfSources,
    /// A namespace that is none.
    #[error("--sources-from-crd: {0:?} is not a namespace: write a DNS label")]
    NamespaceOfSources(String),
    /// A clusterset that contradicts itself.
    #[error("clusterSet: {0}")]
    ClusterSet(String),
    /// The local cluster's ranges are not ranges.
    #[error("{0}")]
    LocalRanges(String),
    /// A selector of members that is none.
    #[error("global: selector {selector:?}: {why}")]
    GlobalSelector {
        /// The text.
        selector: String,
        /// Error.
        why: String,
    },
    /// Modes without the names that they are about.
    #[error(
        "global: migration moves Services under their own names, and so goes with sameName: true: \
         add that, or remove migration"
    )]
    MigrationElsewhere,
    /// A cluster that is no member.
    #[error(
        "global.precedence: {0:?} is neither local nor a source that joins global Services; correct \
         the name"
    )]
    UnknownPrecedence(String),
    /// A time that is none.
    #[error("global.failback: {0}")]
    Failback(String),
    /// A zone that is none of ours.
    #[error(
        "source {name}: its zone {theirs:?} is called {ours:?} here, which is none of this \
         cluster's zones; name it in global.zones, or correct zones of the source"
    )]
    UnknownZone {
        /// The source.
        name: SourceName,
        /// Its zone.
        theirs: String,
        /// Name of the local cluster.
        ours: String,
    },
    /// Global Services without a place.
    #[error(
        "global: there is no namespace for global Services: name one with --mirror-namespace or \
         mirrorNamespace, or set sameName: true"
    )]
    NoGlobalNamespace,
    /// A prefix without a place for what has it.
    #[error(
        "source {0} has a prefix, and there is no namespace for prefixed mirrors: name one with \
         --mirror-namespace or mirrorNamespace, or give the source sameName: true"
    )]
    NoMirrorNamespace(SourceName),
}
