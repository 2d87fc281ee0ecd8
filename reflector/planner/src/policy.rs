//! Policy: the configuration, checked as a whole.

mod alias;
mod closed;
mod error;
mod global;
mod names;
mod stale;

use std::time::Duration;

use ipnet::IpNet;
use proto_types::ObjectKey;
use proto_types::name::DnsLabel;

use crate::import::{Import, Own};
use crate::mirror::{Role, SourceReference};
use crate::name::{Naming, Placement, SourceName};
use crate::staleness::{Staleness, StalenessOf};

pub use error::Error;
pub use global::{GlobalPolicy, MemberPolicy, PolicyRight, Sharing};

/// Configured policy. A source takes precedence over those after it if both claim the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The sources, and behind them the members of global Services.
    sources: Vec<SourcePolicy>,
    n_sources: usize,
    global: Option<GlobalPolicy>,
    /// Treatment of the mirrors of a source that is no longer configured.
    pub removed_sources: RemovedSources,
    /// Time for which mass deletions of a list are held.
    pub hold: Duration,
    /// `true` if each deletion that a source causes waits for another list.
    pub confirm_deletions: bool,
    /// The ranges of the local cluster's own addresses, which no source may name.
    pub local_ranges: Vec<IpNet>,
    /// The CIDRs of the local cluster that its API server reports, which no source may name.
    pub learned_ranges: Vec<IpNet>,
    /// The DNS domains of the local cluster, beside `cluster.local`.
    pub local_domains: Vec<Box<str>>,
    /// Namespaces of the programs themselves.
    pub own_namespaces: Vec<Box<str>>,
    /// Namespaces that are open to every source, although they are closed by default.
    pub opened_namespaces: Vec<Box<str>>,
    /// `true` if namespaces that are named like a domain are allowed, as they were by the programs
    /// that replicated all namespaces under their own names.
    pub opens_domains: bool,
}

/// One source's share of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePolicy {
    /// Name.
    pub name: SourceName,
    /// Placement of its mirrors.
    pub placement: Placement,
    /// Treatment of its endpoints while it is disconnected.
    pub staleness: Staleness,
    /// Its Services for which that is otherwise; the first that fits holds.
    pub staleness_of: Vec<StalenessOf>,
    /// Name that service-reflector gave to the source; mirrors with that name are adopted.
    pub known_as: Option<Box<str>>,
    /// `true` if mirrors have the annotations of service-reflector too.
    pub marks_as_reflected: bool,
    /// Import policy.
    pub import: Import,
    /// Names of its mirrors.
    pub naming: Naming,
    /// Treatment of mirrors whose namespace does not exist.
    pub missing_namespaces: MissingNamespaces,
    /// Treatment of core/v1 Endpoints beside the EndpointSlices of mirrors.
    pub endpoints: CoreEndpoints,
}

/// Treatment of core/v1 Endpoints beside the EndpointSlices of mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoreEndpoints {
    /// They have not.
    #[default]
    Unwritten,
    /// They have, for programs that read nothing else.
    Written,
}

/// Treatment of mirrors whose namespace does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingNamespaces {
    /// That is reported.
    #[default]
    Reported,
    /// It is created, and never deleted: whatever else came to be in it would go too.
    Created,
}

/// Treatment of the mirrors of a source that is no longer configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemovedSources {
    /// They stay as they are, and are reported.
    #[default]
    Keep,
    /// They are deleted.
    Delete,
}

/// A source's place in the configuration: the first wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rank(usize);

impl Policy {
    /// Default time of a deletion hold: longer than a restart, or a rollout and its rollback.
    pub const HOLD: Duration = Duration::from_mins(1);

    /// The policy over these sources, if they go together.
    pub fn new(sources: Vec<SourcePolicy>) -> Result<Self, Error> {
        for (i, source) in sources.iter().enumerate() {
            if sources[..i].iter().any(|other| other.name == source.name) {
                return Err(Error::DuplicateSource(source.name.clone()));
            }
        }
        names::check(&sources)?;
        Ok(Self {
            n_sources: sources.len(),
            sources,
            global: None,
            removed_sources: RemovedSources::default(),
            hold: Self::HOLD,
            confirm_deletions: false,
            local_ranges: Vec::new(),
            learned_ranges: Vec::new(),
            local_domains: Vec::new(),
            own_namespaces: vec![closed::OWN_NAMESPACE.into()],
            opened_namespaces: Vec::new(),
            opens_domains: false,
        })
    }

    /// The sources, first come first.
    #[must_use]
    pub fn sources(&self) -> &[SourcePolicy] {
        &self.sources[..self.n_sources]
    }

    /// The members of global Services, the local cluster last.
    #[must_use]
    pub fn members(&self) -> &[SourcePolicy] {
        &self.sources[self.n_sources..]
    }

    /// All ranks: the sources', the first one's first, and then the members'.
    pub fn ranks(&self) -> impl Iterator<Item = Rank> + use<> {
        (0..self.sources.len()).map(Rank)
    }

    /// The members' ranks.
    pub fn member_ranks(&self) -> impl Iterator<Item = Rank> + use<> {
        (self.n_sources..self.sources.len()).map(Rank)
    }

    /// Returns the role of the objects that a source exports.
    #[must_use]
    pub const fn role(&self, rank: Rank) -> Role {
        if rank.0 < self.n_sources {
            Role::Mirror
        } else {
            Role::Member
        }
    }

    /// Returns whether a rank is the local cluster's.
    #[must_use]
    pub const fn is_local(&self, rank: Rank) -> bool {
        self.global.is_some() && rank.0 + 1 == self.sources.len()
    }

    /// The rank of a source in that role, if it is configured.
    #[must_use]
    pub fn rank(&self, name: &SourceName, role: Role) -> Option<Rank> {
        let (sources, offset) = match role {
            Role::Mirror => (self.sources(), 0),
            Role::Member => (self.members(), self.n_sources),
        };
        let i = sources.iter().position(|source| source.name == *name)?;
        Some(Rank(offset + i))
    }

    /// Returns the rank of the source that an object names, if it is configured.
    #[must_use]
    pub fn rank_of(&self, owner: &SourceReference) -> Option<Rank> {
        self.rank(owner.source.as_ref()?, owner.role)
    }

    /// The source of that rank.
    #[must_use]
    pub fn source(&self, rank: Rank) -> &SourcePolicy {
        &self.sources[rank.0]
    }

    /// Returns whether any mirror or global Service has core/v1 Endpoints.
    #[must_use]
    pub fn writes_endpoints(&self) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|it| it.endpoints == CoreEndpoints::Written)
    }

    /// Returns what no object of that rank may lead to.
    pub(crate) fn own(&self, rank: Rank) -> Own<'_> {
        let is_foreign = !self.is_local(rank);
        Own {
            is_foreign,
            is_limited: is_foreign && !self.local_ranges.is_empty(),
            ranges: if is_foreign { &self.local_ranges } else { &[] },
            learned: if is_foreign {
                &self.learned_ranges
            } else {
                &[]
            },
            domains: &self.local_domains,
        }
    }

    /// Returns the key of the mirror of a source Service.
    #[must_use]
    pub fn local(&self, rank: Rank, service: &ObjectKey) -> crate::MirrorKey {
        self.source(rank).local(service)
    }
}

impl SourcePolicy {
    /// A source's, as it is where nothing else is configured.
    #[must_use]
    pub fn new(name: SourceName, placement: Placement) -> Self {
        Self {
            name,
            placement,
            staleness: Staleness::default(),
            staleness_of: Vec::new(),
            known_as: None,
            marks_as_reflected: false,
            import: Import::default(),
            naming: Naming::default(),
            missing_namespaces: MissingNamespaces::default(),
            endpoints: CoreEndpoints::default(),
        }
    }

    /// Returns the key of the mirror of a Service without an alias.
    #[must_use]
    pub fn local(&self, service: &ObjectKey) -> crate::MirrorKey {
        self.naming.local(&self.placement, &self.name, service)
    }

    /// The only namespace that its mirrors go to, if it is one.
    #[must_use]
    pub fn namespace(&self) -> Option<&DnsLabel> {
        let is_usual = self.naming.namespaces.is_empty();
        self.placement.namespace().filter(|_| is_usual)
    }
}

impl RemovedSources {
    /// For people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Keep => "its mirrors stay (removedSources: keep)",
            Self::Delete => "its mirrors go (removedSources: delete)",
        }
    }
}

impl Rank {
    /// As an index into what is kept per source.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Placement, Policy, SourcePolicy};

    fn prefixed(name: &str, prefix: &str) -> SourcePolicy {
        let placement = Placement::Prefixed {
            prefix: prefix.parse().unwrap(),
            namespace: "mirrors".parse().unwrap(),
        };
        SourcePolicy::new(name.parse().unwrap(), placement)
    }

    #[track_caller]
    fn check(sources: Vec<SourcePolicy>, expected: &str) {
        let outcome =
            Policy::new(sources).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            outcome.starts_with(expected) && outcome.is_empty() == expected.is_empty(),
            "{outcome}"
        );
    }

    #[test]
    fn sources_of_their_own_names_and_prefixes_go_together() {
        check(vec![prefixed("east", "e"), prefixed("west", "w")], "");
        check(vec![prefixed("east", "a"), prefixed("west", "ab")], "");
    }

    #[test]
    fn same_names_may_be_shared_by_any_number_of_sources() {
        let same = |name: &str| SourcePolicy::new(name.parse().unwrap(), Placement::SameName);
        check(vec![same("east"), same("west"), prefixed("north", "n")], "");
    }

    #[test]
    fn contradicting_settings_are_named_with_their_remedy() {
        check(
            vec![prefixed("east", "a"), prefixed("east", "b")],
            "two sources are named east: give",
        );
        check(
            vec![prefixed("east", "a"), prefixed("west", "a")],
            "sources east and west have the same prefix a: give",
        );
        check(
            vec![prefixed("east", "a-b"), prefixed("west", "a")],
            "prefix a-b of source east begins with prefix a of source west and a dash",
        );
        check(
            vec![prefixed("east", "gl")],
            "prefix gl of source east is reserved",
        );
        check(
            vec![prefixed("east", "1a")],
            "prefix 1a of source east does not begin with a letter",
        );
    }
}
