//! What members of a global Service disagree on.

/// One thing that a member says otherwise than those before it. Each reads on from
/// `it differs from source east, which comes first: `.
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
        /// What it means to the member.
        here: Box<str>,
        /// What it means in the global Service.
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
        /// What the member calls it.
        here: Box<str>,
        /// What the global Service calls it.
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
        /// What the member says.
        here: Box<str>,
        /// What the global Service says.
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
        /// How many there may be.
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
        /// What the member is.
        here: &'static str,
        /// What the global Service is.
        there: &'static str,
    },
    /// Whether clients stay with an endpoint.
    #[error(
        "its session affinity is {here} and the global Service's is {there}; make them the same"
    )]
    Affinity {
        /// What the member says.
        here: Box<str>,
        /// What the global Service says.
        there: Box<str>,
    },
    /// Which endpoints are preferred.
    #[error(
        "its trafficDistribution is {here} and the global Service's is {there}; make them the same"
    )]
    Distribution {
        /// What the member says.
        here: Box<str>,
        /// What the global Service says.
        there: Box<str>,
    },
    /// Whether endpoints get names before they are ready.
    #[error(
        "its publishNotReadyAddresses is {here} and the global Service's is {there}; make them \
         the same"
    )]
    NotReady {
        /// What the member says.
        here: bool,
        /// What the global Service says.
        there: bool,
    },
    /// Address families.
    #[error(
        "it has {here} addresses alone, so that clients of the other family do not reach it; make \
         all members of one family, or of both"
    )]
    Families {
        /// What the member has.
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
