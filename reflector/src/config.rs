//! Configuration: the input, as [`Args`], and its meaning, as [`Config`].

mod args;
mod check;
mod cluster_profiles;
mod cluster_set;
pub(crate) mod crd;
mod decision;
mod dns_label;
mod effective;
mod endpoints;
mod error;
mod file;
mod former;
mod global;
mod import;
pub(crate) mod limits;
mod naming;
mod object_kind;
pub(crate) mod objects;
mod schema;
mod source;
mod source_api;
mod source_discovery;
mod source_policy;
mod staleness;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use proto_types::name::DnsLabel;
use proto_types::{LabelSelector, label};
use reflector_planner::policy::Policy;
use reflector_planner::{SourceName, Staleness};
use runtime::{Access, Authority};

pub use args::Args;
pub(crate) use args::{Command, Output, SourceFile, service};
pub use cluster_profiles::{AccessProvider, ClusterProfiles};
pub use cluster_set::{ClusterSetConfig, ClusterSetEntry};
pub use crd::source_crd;
pub use decision::{Former, FoundSources, Refusal, SourceObject, Verdict};
pub(crate) use dns_label::{hash_of, label_of};
pub use effective::EffectiveConfig;
pub use endpoints::EndpointsFrom;
pub use error::Error;
pub use file::{File, FileError};
pub(crate) use former::of_flags as former_keys;
pub(crate) use global::our_selector;
pub use global::{FailbackEntry, GlobalConfig, GlobalEntry};
pub use import::ImportEntry;
pub use limits::{LimitsEntry, SourceLimits};
pub use naming::NamingEntry;
pub use object_kind::{ObjectKind, ObjectPlace};
pub use objects::SourcesFromCrd;
pub use schema::schema;
pub use source::{InvalidSource, SourceEntry};
pub use source_api::{ConfigMapKey, SourceApi};
pub(crate) use source_api::{name_of_url, whole};
pub use source_discovery::{InvalidGroup, KubeconfigDir, SourceDefaults};
pub use staleness::{StalenessEntry, StalenessOfEntry};

/// Checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The local cluster.
    pub local: Access,
    /// The sources, in the policy's order.
    pub sources: Vec<SourceConfig>,
    /// Configuration of global Services, if there is one.
    pub global: Option<GlobalConfig>,
    /// The clusterset, where the Multi-Cluster Services API is used.
    pub cluster_set: Option<ClusterSetConfig>,
    /// Policy of the sources.
    pub policy: Policy,
    /// File of tokens of clients that read `/status` and `/explain` from another machine.
    pub admin_token_file: Option<PathBuf>,
    /// Address of the admin port.
    pub listen: SocketAddr,
    /// Leader election, if it is enabled.
    pub election: Option<Election>,
    /// Namespace of mirrors with a prefix.
    pub mirror_namespace: Option<DnsLabel>,
    /// The ConfigMap of the local cluster that names further sources.
    pub config_map: Option<ConfigMapKey>,
    /// Objects that are sources, and are read.
    pub object_places: Vec<ObjectPlace>,
    /// Decisions on these.
    pub verdicts: Vec<Verdict>,
    /// Place of the record of cluster identities; `None` for no record.
    pub record: Option<RecordKey>,
    /// `true` if CIDRs of the local cluster are read from its API server.
    pub learns_local_ranges: bool,
    /// `true` if metrics have the names of semaphore-service-mirror too.
    pub semaphore_metrics: bool,
    /// Tasks of a predecessor beside mirroring.
    pub habits: Habits,
    /// Warnings about accepted settings, and about former spellings.
    pub notes: Vec<String>,
    /// Files and directories of the configuration.
    pub inputs: Vec<PathBuf>,
}

/// Tasks of a predecessor beside mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Habits {
    /// `true` if mirrors that the predecessor left behind are deleted.
    pub sweeps: bool,
    /// `true` if namespaces that were created for mirrors are deleted when they are empty.
    pub reaps_namespaces: bool,
    /// `true` if sources may use namespaces that are named like a domain.
    pub opens_domains: bool,
}

/// The ConfigMap of the local cluster with the record of the sources' clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// Its namespace.
    pub namespace: DnsLabel,
    /// Its name.
    pub name: String,
}

/// Settings of the leader election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The Lease.
    pub name: String,
    /// Namespace of the Lease; by default the namespace of this process.
    pub namespace: Option<DnsLabel>,
    /// Time after the last renewal at which another replica may become the leader.
    pub duration: Duration,
}

/// Configuration of the watches of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Name.
    pub name: SourceName,
    /// Address and credentials.
    pub access: Access,
    /// URL of the CA of its certificate, which is fetched repeatedly.
    pub ca_url: Option<Uri>,
    /// `true` if its Services are mirrored.
    pub mirrors: bool,
    /// `true` if its Services can be members of global Services.
    pub joins: bool,
    /// `true` if it is a cluster of the clusterset.
    pub in_cluster_set: bool,
    /// Treatment of its endpoints while it is disconnected.
    pub staleness: Staleness,
    /// Expected cluster identity: UID of its namespace `kube-system`.
    pub cluster: Option<Box<str>>,
    /// Label selector of the mirrored Services.
    pub selector: LabelSelector,
    /// The only namespace that is mirrored; all of them if absent.
    pub namespace: Option<DnsLabel>,
    /// Origin of this configuration.
    pub origin: Origin,
    /// Resource from which its endpoints are read.
    pub endpoints_from: EndpointsFrom,
    /// Interval of lists if its server has no resource versions; `None` if it is never polled.
    pub poll_every: Option<Duration>,
    /// Limits of its memory and of the writes for it.
    pub limits: SourceLimits,
}

/// Origin of the configuration of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// It is in the configuration: an error of the source is an error of the configuration.
    #[default]
    Written,
    /// It was found among others: what is wrong with it is its own trouble.
    Found,
}

impl Config {
    /// Returns the warnings that the status shows: the notes, and sources that are read over plain
    /// HTTP.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let plain = self.sources.iter().filter_map(SourceConfig::plain_http);
        self.notes.iter().cloned().chain(plain).collect()
    }
}

impl SourceConfig {
    fn plain_http(&self) -> Option<String> {
        let Access::Url { url, .. } = &self.access else {
            return None;
        };
        let name = &self.name;
        (!runtime::client::is_protected(url)).then(|| {
            format!(
                "source {name} is read over plain HTTP: anything on the way can read and change \
                 what it exports; use an https:// URL"
            )
        })
    }

    /// Returns the access with the CA of that file.
    pub(crate) fn access_by(&self, authority: PathBuf) -> Access {
        let mut access = self.access.clone();
        if let Access::Url { authority: it, .. } = &mut access {
            let file = Authority::File(authority);
            *it = Some(match it.take() {
                Some(Authority::Named { name, .. }) => Authority::Named {
                    name,
                    authority: Some(Box::new(file)),
                },
                Some(Authority::File(_) | Authority::Pem(_)) | None => file,
            });
        }
        access
    }

    /// The selector that the source's server evaluates: never what is a mirror
    /// there, also where that server is not an emitter.
    #[must_use]
    pub fn full_selector(&self) -> LabelSelector {
        let never: LabelSelector = label::exclude_mirrors_selector()
            .parse()
            .expect("a constant selector parses");
        self.selector.clone().and(never)
    }
}

#[cfg(test)]
mod tests;
