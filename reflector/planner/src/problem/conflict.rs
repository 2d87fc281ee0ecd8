//! Conflicts between members of global Services.

/// A value of a member that differs from those before it. Each reads on from `it differs from
/// source east, which comes first: `.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Conflict {
    /// A port's name means another port.
    #[error(
        "its port {name:?} is {here} and not {there}, so that it receives no traffic for that \
         port; give it the same number and protocol, or another name"
    )]
    Port {
        /// The name.
        name: Box<str>,
        /// Port of the member.
        here: Box<str>,
        /// Port of the global Service.
        there: Box<str>,
    },
    /// A port has another name.
    #[error(
        "its port {here:?} ({port}) is called {there:?} there, and receives traffic under that \
         name; give both the same name"
    )]
    PortName {
        /// The port.
        port: Box<str>,
        /// Name at the member.
        here: Box<str>,
        /// Name in the global Service.
        there: Box<str>,
    },
    /// A port speaks something else.
    #[error(
        "its port {name:?} has appProtocol {here:?} and not {there:?}, as the global Service \
         says; make them the same"
    )]
    AppProtocol {
        /// The port.
        name: Box<str>,
        /// Value of the member.
        here: Box<str>,
        /// Value of the global Service.
        there: Box<str>,
    },
    /// A port that is one too many.
    #[error(
        "its port {name:?} is left out, because a global Service has at most {limit} ports; \
         remove some"
    )]
    PortLimit {
        /// The port.
        name: Box<str>,
        /// Maximum number of ports.
        limit: usize,
    },
    /// A port that the local cluster's own Service lacks.
    #[error(
        "its port {name:?} is not a port of the local cluster's own Service, whose ports are \
         used here; add it there"
    )]
    PortUnknown {
        /// The port.
        name: Box<str>,
    },
    /// Headless or not.
    #[error("it is {here} and the global Service is {there}; make them the same")]
    Kind {
        /// Kind of the member.
        here: &'static str,
        /// Kind of the global Service.
        there: &'static str,
    },
    /// Session affinity differs.
    #[error(
        "its session affinity is {here} and the global Service's is {there}; make them the same"
    )]
    Affinity {
        /// Value of the member.
        here: Box<str>,
        /// Value of the global Service.
        there: Box<str>,
    },
    /// Preference for endpoints differs.
    #[error(
        "its trafficDistribution is {here} and the global Service's is {there}; make them the same"
    )]
    Distribution {
        /// Value of the member.
        here: Box<str>,
        /// Value of the global Service.
        there: Box<str>,
    },
    /// Publication of endpoints that are not ready differs.
    #[error(
        "its publishNotReadyAddresses is {here} and the global Service's is {there}; make them \
         the same"
    )]
    NotReady {
        /// Value of the member.
        here: bool,
        /// Value of the global Service.
        there: bool,
    },
    /// Address families.
    #[error(
        "it has {here} addresses alone, so that clients of the other family do not reach it; make \
         all members of one family, or of both"
    )]
    Families {
        /// IP family of the member.
        here: &'static str,
    },
}

impl Conflict {
    /// As the Multi-Cluster Services API calls it, where it has a word.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Port { .. }
            | Self::PortName { .. }
            | Self::AppProtocol { .. }
            | Self::PortLimit { .. }
            | Self::PortUnknown { .. } => "PortConflict",
            Self::Kind { .. } => "TypeConflict",
            Self::Affinity { .. } => "SessionAffinityConflict",
            Self::Distribution { .. } => "TrafficDistributionConflict",
            Self::NotReady { .. } => "PublishNotReadyAddressesConflict",
            Self::Families { .. } => "IPFamilyConflict",
        }
    }
}

/// Reason for which a Service is not handed over to its successor in another cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HandoverBlocker {
    /// The Service is reached from outside of the cluster.
    Exposed,
    /// One of the two Services is headless and the other is not, or their IP families differ.
    Kind,
}

impl HandoverBlocker {
    /// Returns the reason as a clause of a message.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Exposed => "it is reached from outside, which a replica is not",
            Self::Kind => "one is headless and the other is not, or of other address families",
        }
    }
}
