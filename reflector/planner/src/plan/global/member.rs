//! Members of a global Service.

use std::borrow::Cow;

use proto_types::ObjectKey;

use super::mode::SyndicateMode;
use crate::name::SourceName;
use crate::policy::Rank;
use crate::problem::Problem;
use crate::service::ServiceSpec;
use crate::source::ServiceContent;

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// Its cluster.
    pub(crate) name: Cow<'a, SourceName>,
    /// Creation time of its Service. The oldest takes precedence.
    pub(crate) created: Option<Box<str>>,
    /// Content of its Service, current or last known.
    pub(crate) spec: Cow<'a, ServiceSpec>,
    /// `true` if it requests the endpoints of the local cluster first.
    pub(crate) local_first: bool,
    /// Its failover order.
    pub(crate) failover: Option<Box<str>>,
    /// Failover threshold that it requests.
    pub(crate) failover_min: Option<Box<str>>,
    /// Mode while a workload moves.
    pub(crate) mode: SyndicateMode,
    /// `true` if its endpoints are published.
    pub(crate) serves: bool,
    /// Rank of its source; `None` if only its last known state is used.
    pub(crate) rank: Option<Rank>,
    /// Its whole content, if it is known.
    pub(crate) content: Option<&'a ServiceContent>,
}

/// All members of one global Service.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    /// Namespace and name of its Service in each member.
    pub(crate) service: ObjectKey,
    /// In the order of [`Order`](super::order::Order).
    pub(crate) all: Vec<Member<'a>>,
    /// Sources that are not synced and have no last known state.
    pub(crate) unknown: Vec<SourceName>,
    /// Problems to report.
    pub(crate) problems: Vec<Problem>,
}
