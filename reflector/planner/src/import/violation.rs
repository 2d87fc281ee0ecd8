//! Violations of the import policy, in words for users.

use proto_types::label;

use super::may_come;

/// Violation of the import policy. Its message continues `Service demo/web of source east: `.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum ImportViolation {
    /// Its namespace may not.
    #[error(
        "not mirrored, because the source's import policy does not admit namespace {0}; change \
         import.namespaces, or export it from another one"
    )]
    Namespace(Box<str>),
    /// Its namespace keeps its Services to itself.
    #[error(
        "not mirrored, because namespace {0} of the source is labeled {label}={out}: remove the \
         label to have its Services replicated",
        label = label::SYNDICATE_LABEL,
        out = label::NOT_REPLICATED
    )]
    OptedOut(Box<str>),
    /// Its name may not.
    #[error(
        "not mirrored, because the source's import policy does not admit the name {0}; change \
         import.names, or rename the Service"
    )]
    Name(Box<str>),
    /// Its host name cannot be checked, or is not allowed.
    #[error(
        "not mirrored: its externalName {0:?} is not allowed where import.endpointCIDRs, \
         import.externalNames or localCIDRs is set; add it to import.externalNames, or change \
         the type of the Service"
    )]
    ExternalName(Box<str>),
    /// Its host name means something of the local cluster.
    #[error(
        "not mirrored: its externalName {0:?} is a name of the local cluster, of a node or of a \
         cloud's metadata service; change it in the source, or add it to import.externalNames"
    )]
    LocalHost(Box<str>),
    /// The local namespace is closed to it.
    #[error(
        "not mirrored: the local namespace {namespace} is closed to sources, because {why}; add \
         its exact name to import.namespaces.allow, or export the Service from another namespace"
    )]
    ClosedNamespace {
        /// The local namespace.
        namespace: Box<str>,
        /// Reason.
        why: &'static str,
    },
    /// The name belongs to mirrors of others.
    #[error(
        "not mirrored: the name {name} in the local namespace {namespace} is reserved for mirrors \
         of {whose}; rename the Service"
    )]
    ReservedName {
        /// The local namespace.
        namespace: Box<str>,
        /// The name.
        name: Box<str>,
        /// Those that it is reserved for.
        whose: Box<str>,
    },
    /// No port is left.
    #[error(
        "not mirrored, because the source's import policy admits none of its ports; change \
         import.ports, or its ports"
    )]
    NoPort,
    /// There are enough Services.
    #[error(
        "not mirrored, because {limit} Services of the source come before it by namespace and \
         name, and import.maxServices admits no more; raise it, or export fewer"
    )]
    TooManyServices {
        /// The limit.
        limit: usize,
    },
    /// Some ports are left out.
    #[error(
        "port {port} is left out, because the source's import policy does not admit it; change \
         import.ports, or the Service"
    )]
    Port {
        /// The first of them.
        port: u16,
    },
    /// Some ports of endpoints are left out.
    #[error(
        "the endpoints' port {} of slice {slice} is left out, because the source's import policy \
         does not admit it; change import.targetPorts, or the Service's targetPort",
        port.map_or_else(|| "range".to_owned(), |it| it.to_string())
    )]
    TargetPort {
        /// The slice.
        slice: Box<str>,
        /// The first of them; none means all ports there are.
        port: Option<u16>,
    },
    /// Addresses that the source may not use.
    #[error(
        "{n_endpoints} endpoints of slice {slice} are left out, because {address} is not in the \
         ranges that the source's import policy admits; add its range to import.endpointCIDRs, or \
         remove it in the source"
    )]
    Address {
        /// The slice.
        slice: Box<str>,
        /// The first of them.
        address: Box<str>,
        /// Number of endpoints that were left out.
        n_endpoints: usize,
    },
    /// Addresses of this cluster.
    #[error(
        "{n_endpoints} endpoints of slice {slice} are left out, because {address} is in {range}, \
         which is this cluster's own (localCIDRs, or read from its API server); remove it in the \
         source, or set learnLocalCIDRs: false if the cluster does not use that range"
    )]
    OwnAddress {
        /// The slice.
        slice: Box<str>,
        /// The first of them.
        address: Box<str>,
        /// CIDR of the address.
        range: Box<str>,
        /// Number of endpoints that were left out.
        n_endpoints: usize,
    },
    /// A label or annotation is left out.
    #[error(
        "its exported label or annotation {0} is left out, because programs of this cluster may \
         act upon it; remove it from the ServiceExport{remedy}",
        remedy = if may_come(.0) {
            ", or add its exact name to import.labels or import.annotations"
        } else {
            ""
        }
    )]
    Exported(Box<str>),
    /// Its cluster selectors do not count.
    #[error(
        "its cluster selectors have no effect, because the source may not decide on the traffic of \
         other clusters; add failover to import.policies of the source, or remove them"
    )]
    ClusterSelectors,
    /// It may not have the name that it chose.
    #[error(
        "it is not mirrored as {alias}, which its annotation heliograph.dev/alias asks for, but \
         under its usual name, because {why}"
    )]
    Alias {
        /// The name.
        alias: Box<str>,
        /// Reason.
        why: &'static str,
    },
    /// There are enough endpoints.
    #[error(
        "{n_endpoints} of its endpoints are left out, because import.maxEndpoints admits {limit} \
         of a Service; raise it, or run fewer"
    )]
    TooManyEndpoints {
        /// The limit.
        limit: usize,
        /// Number of endpoints that were left out.
        n_endpoints: usize,
    },
}

impl ImportViolation {
    /// Returns the message about an export of a clusterset.
    #[must_use]
    pub fn of_import(&self) -> String {
        self.to_string().replacen("not mirrored", "not imported", 1)
    }

    /// For metrics and machines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "NamespaceNotAllowed",
            Self::OptedOut(_) => "NamespaceOptedOut",
            Self::Name(_) => "NameNotAllowed",
            Self::ExternalName(_) | Self::LocalHost(_) => "ExternalNameNotAllowed",
            Self::ClosedNamespace { .. } => "NamespaceClosed",
            Self::ReservedName { .. } => "NameReserved",
            Self::NoPort | Self::Port { .. } | Self::TargetPort { .. } => "PortNotAllowed",
            Self::TooManyServices { .. } => "TooManyServices",
            Self::Address { .. } => "AddressNotAllowed",
            Self::OwnAddress { .. } => "AddressInLocalCIDR",
            Self::Alias { .. } => "InvalidAlias",
            Self::TooManyEndpoints { .. } => "TooManyEndpoints",
            Self::ClusterSelectors => "PolicyNotAllowed",
            Self::Exported(_) => "AnnotationNotAllowed",
        }
    }
}
