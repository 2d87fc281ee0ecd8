//! Configuration of global Services.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proto_types::LabelSelector;

use super::{CoreEndpoints, Error, MissingNamespaces, Policy, Rank, SourcePolicy, names};
use crate::import::Import;
use crate::name::{GlobalPlacement, Placement, RESERVED_PREFIX, SourceName};
use crate::staleness::{Staleness, StalenessOf};

/// Policy of global Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalPolicy {
    /// Name of the local cluster among the members. Every cluster must give each member the same
    /// name, because names decide if creation times are equal.
    pub cluster: SourceName,
    /// Placement of global Services.
    pub placement: GlobalPlacement,
    /// The zones of this cluster's nodes.
    pub zones: Box<[Box<str>]>,
    /// Selector of members that request the endpoints of the local cluster first.
    pub local_first: Option<LabelSelector>,
    /// Failover order if a Service has none.
    pub failover: Option<Box<str>>,
    /// Clusters that decide before others where members differ, in this order.
    pub precedence: Box<[SourceName]>,
    /// Time for which a cluster must meet the failover threshold before later clusters become
    /// standby.
    pub failback_after: Duration,
    /// Time over which all later clusters become standby.
    pub failback_over: Duration,
    /// Selection of the members that serve.
    pub sharing: Sharing,
    /// Treatment of core/v1 Endpoints beside their EndpointSlices.
    pub endpoints: CoreEndpoints,
    /// The other clusters.
    pub members: Vec<MemberPolicy>,
}

/// Selection of the members that serve a global Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All of them.
    #[default]
    All,
    /// Those that say so by [`label::SYNDICATE_MODE`](proto_types::label::SYNDICATE_MODE), else the first one
    /// alone.
    ByMode,
}

/// A policy of a member's Service that decides on the traffic of other clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyRight {
    /// The failover order of clusters.
    Failover,
    /// The preference for local endpoints.
    Routing,
}

impl fmt::Display for PolicyRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failover => "failover",
            Self::Routing => "routing",
        })
    }
}

/// One member's share of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPolicy {
    /// Name.
    pub name: SourceName,
    /// Treatment of its endpoints while it is disconnected.
    pub staleness: Staleness,
    /// Exceptions for the endpoints of some Services.
    pub staleness_of: Vec<StalenessOf>,
    /// Import policy.
    pub import: Import,
    /// Its zones, and their names in the local cluster.
    pub zones: BTreeMap<Box<str>, Box<str>>,
    /// Treatment of Services whose namespace does not exist.
    pub missing_namespaces: MissingNamespaces,
    /// Policies of its Services that apply to other clusters too.
    pub rights: Box<[PolicyRight]>,
}

impl Policy {
    /// With global Services, if they go together with the sources.
    pub fn with_global(mut self, global: GlobalPolicy) -> Result<Self, Error> {
        let sources = &self.sources[..self.n_sources];
        if let Some(source) = sources.iter().find(|it| it.name == global.cluster) {
            return Err(Error::LocalName(source.name.clone()));
        }
        if let GlobalPlacement::Collected(_) = global.placement {
            for source in sources {
                check_beside_global(source)?;
            }
        }
        let placement = Placement::Global(global.placement.clone());
        let local = MemberPolicy {
            name: global.cluster.clone(),
            staleness: Staleness::default(),
            staleness_of: Vec::new(),
            import: Import::default(),
            zones: BTreeMap::new(),
            missing_namespaces: MissingNamespaces::default(),
            rights: Box::default(),
        };
        for member in global.members.iter().chain([&local]) {
            let others = &self.sources[self.n_sources..];
            if others.iter().any(|other| other.name == member.name) {
                return Err(Error::DuplicateSource(member.name.clone()));
            }
            self.sources.push(SourcePolicy {
                staleness: member.staleness,
                staleness_of: member.staleness_of.clone(),
                import: member.import.clone(),
                missing_namespaces: member.missing_namespaces,
                endpoints: global.endpoints,
                ..SourcePolicy::new(member.name.clone(), placement.clone())
            });
        }
        self.global = Some(global);
        Ok(self)
    }

    /// Returns the local names of the zones of a member, where they differ.
    pub(crate) fn zones(&self, rank: Rank) -> &BTreeMap<Box<str>, Box<str>> {
        static NONE: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
        let members = self.global.iter().flat_map(|it| &it.members);
        let name = &self.source(rank).name;
        let mut members = members.filter(|it| it.name == *name);
        members.next().map_or(&NONE, |it| &it.zones)
    }

    /// Returns whether a member may decide on the traffic of other clusters. The local cluster
    /// may, because its users are those whose traffic it is.
    pub(crate) fn has_right(&self, member: &SourceName, right: PolicyRight) -> bool {
        let Some(global) = &self.global else {
            return false;
        };
        let mut members = global.members.iter().filter(|it| it.name == *member);
        global.cluster == *member || members.any(|it| it.rights.contains(&right))
    }

    /// Returns whether members choose which of them serve.
    pub(crate) fn is_by_mode(&self) -> bool {
        let sharing = self.global.as_ref().map(|it| it.sharing);
        sharing == Some(Sharing::ByMode)
    }

    /// Returns the policy of global Services, if there is one.
    #[must_use]
    pub const fn global(&self) -> Option<&GlobalPolicy> {
        self.global.as_ref()
    }
}

fn check_beside_global(source: &SourcePolicy) -> Result<(), Error> {
    let Some(prefix) = names::stem(source)? else {
        return Ok(());
    };
    if prefix.as_str().starts_with(&format!("{RESERVED_PREFIX}-")) {
        return Err(Error::PrefixLikeGlobal {
            source_name: source.name.clone(),
            prefix,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{
        GlobalPlacement, GlobalPolicy, MemberPolicy, MissingNamespaces, Placement, Policy, Sharing,
        SourcePolicy,
    };
    use crate::import::Import;
    use crate::staleness::Staleness;

    fn outcome(prefix: &str, cluster: &str, members: &[&str]) -> String {
        let placement = Placement::Prefixed {
            prefix: prefix.parse().unwrap(),
            namespace: "mirrors".parse().unwrap(),
        };
        let source = SourcePolicy::new("east".parse().unwrap(), placement);
        let member = |name: &&str| MemberPolicy {
            name: name.parse().unwrap(),
            staleness: Staleness::default(),
            staleness_of: Vec::new(),
            import: Import::default(),
            zones: BTreeMap::new(),
            missing_namespaces: MissingNamespaces::default(),
            rights: Box::default(),
        };
        let global = GlobalPolicy {
            cluster: cluster.parse().unwrap(),
            placement: GlobalPlacement::Collected("mirrors".parse().unwrap()),
            zones: Box::default(),
            local_first: None,
            failover: None,
            precedence: Box::default(),
            failback_after: Duration::ZERO,
            failback_over: Duration::ZERO,
            sharing: Sharing::All,
            endpoints: super::CoreEndpoints::default(),
            members: members.iter().map(member).collect(),
        };
        let policy = Policy::new(vec![source]).unwrap().with_global(global);
        policy.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_source_is_a_member_under_the_same_name() {
        assert_eq!(outcome("e", "home", &["east", "west"]), "");
    }

    #[test]
    fn settings_that_contradict_global_services_are_named() {
        let check = |outcome: &str, words: &str| assert!(outcome.contains(words), "{outcome}");
        check(
            &outcome("e", "east", &[]),
            "the local cluster is called east, and so is",
        );
        check(
            &outcome("e", "home", &["west", "west"]),
            "two sources are named west",
        );
        check(
            &outcome("gl-e", "home", &[]),
            "prefix gl-e of source east begins with gl",
        );
    }
}
