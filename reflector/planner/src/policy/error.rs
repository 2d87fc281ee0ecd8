//! Conflicts between sources.

use proto_types::name::DnsLabel;

use crate::name::{RESERVED_PREFIX, SourceName};

/// Conflict between sources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two sources of one name.
    #[error("two sources are named {0}: give each source its own name")]
    DuplicateSource(SourceName),
    /// Two sources of one prefix.
    #[error("sources {first} and {second} have the same prefix {prefix}: give each its own")]
    DuplicatePrefix {
        /// The earlier source.
        first: SourceName,
        /// The later one.
        second: SourceName,
        /// Prefix of both sources.
        prefix: DnsLabel,
    },
    /// One prefix begins another, so that two Services could get one name.
    #[error(
        "prefix {long} of source {second} begins with prefix {short} of source {first} and a \
         dash, so that mirrors of both could get the same name: choose prefixes of which none \
         begins another"
    )]
    AmbiguousPrefix {
        /// The source with the shorter prefix.
        first: SourceName,
        /// The source with the longer one.
        second: SourceName,
        /// The shorter prefix.
        short: DnsLabel,
        /// The longer prefix.
        long: DnsLabel,
    },
    /// A template with an unknown variable.
    #[error(
        "naming.template of source {0} has {{prefix}}, and the source has none: write {{source}}, \
         or give it a prefix"
    )]
    TemplateWithoutPrefix(SourceName),
    /// Names of all namespaces in one.
    #[error(
        "naming.template of source {0} has no {{namespace}}, and its mirrors all go to one: add \
         it, or admit one namespace alone with import.namespaces"
    )]
    TemplateWithoutNamespace(SourceName),
    /// Names that could be any source's.
    #[error(
        "names of mirrors of source {0} begin with nothing of its own, so that they could be \
         another source's: begin naming.template with {{prefix}} or {{source}}"
    )]
    NoStem(SourceName),
    /// Names that are too long from the start.
    #[error("naming.template of source {0} leaves no room for names: shorten its beginning")]
    LongStem(SourceName),
    /// A prefix that global Services have.
    #[error(
        "prefix {RESERVED_PREFIX} of source {0} is reserved for global Services: choose another"
    )]
    ReservedPrefix(SourceName),
    /// The local cluster has another one's name.
    #[error(
        "the local cluster is called {0}, and so is a source: give each cluster its own name, and \
         the same one wherever it is named"
    )]
    LocalName(SourceName),
    /// A prefix that begins as global Services do.
    #[error(
        "prefix {prefix} of source {source_name} begins with {RESERVED_PREFIX} and a dash, so that \
         its mirrors could get the names of global Services: choose another"
    )]
    PrefixLikeGlobal {
        /// Name of the source.
        source_name: SourceName,
        /// The prefix.
        prefix: DnsLabel,
    },
    /// A prefix that cannot begin the name of a Service.
    #[error(
        "prefix {prefix} of source {source_name} does not begin with a letter, as the name of a \
         Service must: choose one that does"
    )]
    PrefixWithoutLetter {
        /// Name of the source.
        source_name: SourceName,
        /// The prefix.
        prefix: DnsLabel,
    },
}
