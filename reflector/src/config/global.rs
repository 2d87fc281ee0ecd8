//! Global Services, as they are typed.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_types::label::{self, HELIOGRAPH};
use proto_types::name::DnsLabel;
use proto_types::{LabelSelector, Resource};
use reflector_planner::mirror::SEMAPHORE;
use reflector_planner::{GlobalPlacement, GlobalPolicy, MemberPolicy, Policy, Sharing, SourceName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema::{Duration as DurationText, Label};
use super::source_policy::source_policy;
use super::{Config, Error, SourceEntry};

/// Selection of the Services of this cluster and of the sources that become one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Global")]
pub struct GlobalEntry {
    /// Name of this cluster, which its peers use too.
    #[schemars(with = "Label")]
    pub cluster: SourceName,
    /// Label selector of members, in this cluster and in each source.
    #[serde(default = "default_selector")]
    pub selector: String,
    /// `true` if a global Service has the namespace and name of its members.
    #[serde(default)]
    pub same_name: bool,
    /// The zones of this cluster's nodes.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Label selector of members that request the endpoints of the local cluster first.
    #[serde(
        default = "default_local_first",
        rename = "localFirstSelector",
        alias = "localFirst"
    )]
    pub local_first: String,
    /// Failover order if a Service has none.
    #[serde(default)]
    pub failover: Vec<String>,
    /// Clusters that decide before others where members differ, in this order.
    #[serde(default)]
    pub precedence: Vec<String>,
    /// `true` if members state by annotation which of them serve while a workload moves from one
    /// cluster to another.
    #[serde(default)]
    pub migration: bool,
    /// `true` if global Services have core/v1 Endpoints beside their EndpointSlices.
    #[serde(default)]
    pub write_endpoints: bool,
    /// Failback.
    #[serde(default)]
    pub failback: FailbackEntry,
}

/// Failback to a cluster that meets the failover threshold again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Failback")]
pub struct FailbackEntry {
    /// Time for which the cluster must meet the threshold before the failback begins.
    #[schemars(with = "DurationText")]
    pub after: String,
    /// Duration of the failback.
    #[schemars(with = "DurationText")]
    pub over: String,
}

impl Default for FailbackEntry {
    fn default() -> Self {
        let half_a_minute = || "30s".to_owned();
        Self {
            after: half_a_minute(),
            over: half_a_minute(),
        }
    }
}

/// Watches of members of global Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalConfig {
    /// Name of this cluster.
    pub cluster: SourceName,
    /// Label selector of members.
    pub selector: LabelSelector,
    /// `true` if members state which of them serve, and their namespaces whether they have members.
    pub is_by_mode: bool,
}

/// Returns the default label selector of members.
fn default_selector() -> String {
    "heliograph.dev/global-service=true".to_owned()
}

/// Returns the default label selector of members that request local endpoints first.
fn default_local_first() -> String {
    "heliograph.dev/routing=local-first".to_owned()
}

fn duration(text: &str) -> Result<Duration, Error> {
    super::staleness::parse(text).map_err(Error::Failback)
}

fn selector(text: &str) -> Result<LabelSelector, Error> {
    text.parse().map_err(|why| Error::GlobalSelector {
        selector: text.to_owned(),
        why: format!("{why}"),
    })
}

impl GlobalEntry {
    /// Checks the entry, with the sources that take part.
    pub(super) fn check(
        &self,
        sources: &[SourceEntry],
        mirror_namespace: Option<&DnsLabel>,
    ) -> Result<(GlobalConfig, GlobalPolicy), Error> {
        let members = selector(&self.selector)?;
        let local_first = selector(&self.local_first)?;
        let placement = match (self.same_name, mirror_namespace) {
            (true, _) => GlobalPlacement::SameName,
            (false, Some(namespace)) => GlobalPlacement::Collected(namespace.clone()),
            (false, None) => return Err(Error::NoGlobalNamespace),
        };
        let clusters = sources.iter().filter(|it| it.joins());
        let clusters = clusters.map(|it| {
            self.check_zones(it)?;
            if self.same_name {
                it.check_namespaces()?;
            }
            Ok(MemberPolicy {
                name: it.name.clone(),
                staleness: it.staleness.0,
                staleness_of: it.exceptions()?,
                import: it.imported()?,
                zones: it.translated_zones(),
                missing_namespaces: it.missing_namespaces(),
                rights: it.rights(),
            })
        });
        let policy = GlobalPolicy {
            cluster: self.cluster.clone(),
            placement,
            zones: self.zones.iter().map(|it| it.as_str().into()).collect(),
            local_first: Some(local_first),
            failover: (!self.failover.is_empty()).then(|| self.failover.join(",").into()),
            precedence: self.precedence(sources)?,
            failback_after: duration(&self.failback.after)?,
            failback_over: duration(&self.failback.over)?,
            sharing: match (self.migration, self.same_name) {
                (false, _) => Sharing::All,
                (true, true) => Sharing::ByMode,
                (true, false) => return Err(Error::MigrationElsewhere),
            },
            endpoints: super::endpoints::written(self.write_endpoints),
            members: clusters.collect::<Result<_, Error>>()?,
        };
        let config = GlobalConfig {
            cluster: self.cluster.clone(),
            selector: members,
            is_by_mode: self.migration,
        };
        Ok((config, policy))
    }

    /// The clusters that decide first, by their names.
    fn precedence(&self, sources: &[SourceEntry]) -> Result<Box<[SourceName]>, Error> {
        let named = self.precedence.iter().map(|name| {
            let mut members = sources.iter().filter(|it| it.joins()).map(|it| &it.name);
            let is_local =
                ["local", "here"].contains(&name.as_str()) || *name == self.cluster.as_str();
            let member = members.find(|it| it.as_str() == name);
            let known = if is_local {
                Some(&self.cluster)
            } else {
                member
            };
            known
                .cloned()
                .ok_or_else(|| Error::UnknownPrecedence(name.clone()))
        });
        named.collect()
    }

    /// Zones of others are to be called as ours are.
    fn check_zones(&self, source: &SourceEntry) -> Result<(), Error> {
        let mut zones = source.zones.iter();
        let unknown = zones.find(|(_, ours)| !self.zones.contains(ours));
        match unknown {
            None => Ok(()),
            Some((theirs, ours)) => Err(Error::UnknownZone {
                name: source.name.clone(),
                theirs: theirs.clone(),
                ours: ours.clone(),
            }),
        }
    }
}

/// Returns the policy of the sources and of the members.
pub(super) fn policy(
    entries: &[SourceEntry],
    (members, has_cluster_set): (Option<GlobalPolicy>, bool),
    mirror_namespace: Option<&DnsLabel>,
) -> Result<Policy, Error> {
    let mut policies = Vec::with_capacity(entries.len());
    for entry in entries {
        // Without mirrors of its own it may be a member, or a cluster of the clusterset.
        let is_member = members.is_some() && entry.joins();
        let is_in_set = has_cluster_set && entry.in_cluster_set();
        if entry.mirrors() || !is_member && !is_in_set {
            policies.push(source_policy(entry, mirror_namespace)?);
        }
    }
    let policy = Policy::new(policies)?;
    Ok(match members {
        Some(members) => policy.with_global(members)?,
        None => policy,
    })
}

impl Config {
    /// The only local namespace that has mirrors, where there is only one. No
    /// more rights are needed than in that one.
    #[must_use]
    pub fn local_namespace(&self) -> Option<&DnsLabel> {
        let (sources, members) = (self.policy.sources(), self.policy.members());
        if sources.is_empty() && members.is_empty() {
            // Sources that are added later may need more, and get it then.
            return self.mirror_namespace.as_ref();
        }
        let mut only = None;
        for source in sources.iter().chain(members) {
            let namespace = source.namespace()?;
            if only.is_some_and(|it| it != namespace) {
                return None;
            }
            only = Some(namespace);
        }
        only
    }
}

/// Selects the managed objects of the local cluster, of a resource. Where semaphore-service-mirror
/// may have made global Services before, their EndpointSlices are adopted.
pub(crate) fn our_selector(resource: Resource, global: Option<&GlobalConfig>) -> LabelSelector {
    let ours = match (resource, global) {
        (Resource::EndpointSlices, Some(_)) => {
            format!("{} in ({HELIOGRAPH},{SEMAPHORE})", label::SLICE_MANAGED_BY)
        }
        (_, _) => label::SOURCE.to_owned(),
    };
    ours.parse().expect("names of labels are a selector")
}

impl GlobalConfig {
    /// The selector that a server evaluates: never what is a mirror there.
    #[must_use]
    pub fn full_selector(&self) -> LabelSelector {
        let never: LabelSelector = label::exclude_mirrors_selector()
            .parse()
            .expect("a constant selector parses");
        self.selector.clone().and(never)
    }
}

impl SourceEntry {
    /// Returns whether its Services may be members of global ones.
    pub(super) fn joins(&self) -> bool {
        self.global != Some(false)
    }

    fn translated_zones(&self) -> BTreeMap<Box<str>, Box<str>> {
        let zones = self.zones.iter();
        let zones = zones.map(|(theirs, ours)| (theirs.as_str().into(), ours.as_str().into()));
        zones.collect()
    }

    /// Returns whether its Services are mirrored one by one.
    pub(super) const fn mirrors(&self) -> bool {
        self.prefix.is_some() || self.same_name
    }
}
