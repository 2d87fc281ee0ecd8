//! Errors of an entry of a source.

use reflector_planner::SourceName;

/// Error of the entry of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// A part of a `--source` that is none.
    #[error("{0:?} is not KEY=VALUE: write a source as name=east,url=http://HOST:PORT,prefix=east")]
    NotAPair(String),
    /// The same key twice.
    #[error("{0} is given twice: give each key once")]
    Twice(String),
    /// A key without a value, as of a variable that is not set.
    #[error("{0} has no value: give it one, or leave it out")]
    Empty(String),
    /// A key or value that is none.
    #[error("{0}")]
    Entry(String),
    /// The name that failover orders have for the local cluster.
    #[error("source local: the name is reserved for the local cluster; choose another name")]
    Reserved,
    /// Neither a prefix nor the same name.
    #[error("source {0} does not say where its mirrors go: give it a prefix, or sameName: true")]
    NoPlacement(SourceName),
    /// Both.
    #[error("source {0} has a prefix and sameName: choose one")]
    TwoPlacements(SourceName),
    /// Credentials or a CA certificate would travel unencrypted.
    #[error(
        "source {name}: {key} over plain HTTP could be read or changed on the way: use an https:// \
         URL, or allow it with --allow-plain-http"
    )]
    PlainHttp {
        /// The source.
        name: SourceName,
        /// The key.
        key: &'static str,
    },
    /// Any namespace of the local cluster.
    #[error(
        "source {0} chooses the local namespaces of its mirrors (sameName): list those that it may \
         choose in import.namespaces.allow (--source: namespaces=demo,shop-*), or set namespace"
    )]
    AnyNamespace(SourceName),
    /// Nowhere to go.
    #[error("source {0} has neither url nor kubeconfig: give it one")]
    NoAccess(SourceName),
    /// Two ways to go.
    #[error("source {0} has both url and kubeconfig: choose one")]
    TwoAccesses(SourceName),
    /// Two keys of which each would do.
    #[error("source {name} has both {one} and {other}: choose one")]
    Both {
        /// The source.
        name: SourceName,
        /// The one key.
        one: &'static str,
        /// The other key.
        other: &'static str,
    },
    /// A key that goes with the other way.
    #[error("source {name}: {key} goes with {with}, which it has not: remove one or add the other")]
    Stray {
        /// The source.
        name: SourceName,
        /// Key that the entry has.
        key: &'static str,
        /// Key that the entry lacks.
        with: &'static str,
    },
    /// A URL that is none.
    #[error("source {name}: {url:?} is not a URL ({why}): write it as http://HOST:PORT")]
    Url {
        /// The source.
        name: SourceName,
        /// The text.
        url: String,
        /// Error.
        why: String,
    },
    /// A value of `import` or `naming` is invalid.
    #[error("source {name}: {why}")]
    Unclear {
        /// The source.
        name: SourceName,
        /// Error.
        why: String,
    },
    /// A selector that is none.
    #[error("source {name}: selector {selector:?}: {why}")]
    Selector {
        /// The source.
        name: SourceName,
        /// The text.
        selector: String,
        /// Error.
        why: String,
    },
}
