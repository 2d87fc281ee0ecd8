//! What was typed, as [`Args`], and what it means, as [`Config`].

mod alike;
mod args;
mod check;
mod cluster_set;
pub(crate) mod crd;
mod endpoints;
mod error;
mod file;
mod global;
mod import;
mod legal;
pub(crate) mod limits;
mod naming;
pub(crate) mod objects;
mod schema;
mod shown;
mod source;
mod source_api;
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

pub use alike::{Each, InvalidGroup, KubeconfigDir};
pub use args::Args;
pub(crate) use args::{Command, service};
pub use cluster_set::{ClusterSetConfig, ClusterSetEntry};
pub use crd::source_crd;
pub use endpoints::EndpointsFrom;
pub use error::Error;
pub use file::{File, FileError};
pub(crate) use global::our_selector;
pub use global::{FailbackEntry, GlobalConfig, GlobalEntry};
pub use import::ImportEntry;
pub(crate) use legal::{hash_of, label_of};
pub use limits::{LimitsEntry, SourceLimits};
pub use naming::NamingEntry;
pub use objects::{Former, FoundSources, Refusal, SourceObject, SourcesFromCrd, Verdict};
pub use schema::schema;
pub use shown::Shown;
pub use source::{InvalidSource, SourceEntry};
pub use source_api::{ConfigMapKey, SourceApi};
pub(crate) use source_api::{name_of_url, whole};
pub use staleness::{StalenessEntry, StalenessOfEntry};

/// What was asked for, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The local cluster.
    pub local: Access,
    /// The sources, in the policy's order.
    pub sources: Vec<SourceConfig>,
    /// Which Services become one, if any do.
    pub global: Option<GlobalConfig>,
    /// The clusterset, where the Multi-Cluster Services API is used.
    pub cluster_set: Option<ClusterSetConfig>,
    /// What to do with what they say.
    pub policy: Policy,
    /// File of tokens for those who read `/status` and `/explain` from another machine.
    pub admin_token_file: Option<PathBuf>,
    /// Where the admin port listens.
    pub listen: SocketAddr,
    /// How it is decided who writes, where there are several.
    pub election: Option<Election>,
    /// Where prefixed mirrors go.
    pub mirror_namespace: Option<DnsLabel>,
    /// The ConfigMap of the local cluster that names further sources.
    pub config_map: Option<ConfigMapKey>,
    /// Namespace of the Sources of the CRD, if these are read.
    pub objects_in: Option<DnsLabel>,
    /// Decisions on these.
    pub verdicts: Vec<Verdict>,
    /// Where the record of the sources' clusters is kept; nowhere, if absent.
    pub record: Option<RecordKey>,
    /// Whether CIDRs of the local cluster are read from its API server.
    pub learns_local_ranges: bool,
    /// Whether there are metrics also by the names that semaphore-service-mirror had.
    pub semaphore_metrics: bool,
    /// What a predecessor did beside mirroring.
    pub habits: Habits,
    /// What should be known of what was accepted.
    pub notes: Vec<String>,
    /// The files and directories that say all this.
    pub inputs: Vec<PathBuf>,
}

/// What a predecessor did beside mirroring, and is done in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Habits {
    /// Whether mirrors that it left behind are deleted.
    pub sweeps: bool,
    /// Whether namespaces that were created for mirrors are deleted when they are empty.
    pub reaps_namespaces: bool,
    /// Whether sources may use namespaces that are named like a domain.
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

/// How several processes agree on who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The Lease.
    pub name: String,
    /// Where it is; where this process is, if absent.
    pub namespace: Option<DnsLabel>,
    /// How long after its last sign of life a writer is replaced.
    pub duration: Duration,
}

/// How a source is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// What it is called.
    pub name: SourceName,
    /// How it is reached.
    pub access: Access,
    /// Where the authority of its certificate is fetched from.
    pub ca_url: Option<Uri>,
    /// Whether its Services are mirrored one by one.
    pub mirrors: bool,
    /// Whether its Services may be members of global ones.
    pub joins: bool,
    /// Whether it is a cluster of the clusterset, where there is one.
    pub in_cluster_set: bool,
    /// What becomes of its endpoints while it is disconnected.
    pub staleness: Staleness,
    /// Which cluster it must be, by the uid of its `kube-system` namespace.
    pub cluster: Option<Box<str>>,
    /// What of it is mirrored.
    pub selector: LabelSelector,
    /// The only namespace that is mirrored; all of them if absent.
    pub namespace: Option<DnsLabel>,
    /// Where it is from.
    pub origin: Origin,
    /// What of it says where its Services' endpoints are.
    pub endpoints_from: EndpointsFrom,
    /// How often it is asked where its lists cannot be watched from; not at all, if absent.
    pub poll_every: Option<Duration>,
    /// What it may take of this program and of the local cluster.
    pub limits: SourceLimits,
}

/// Where a source is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Somebody wrote it down: what is wrong with it is wrong with the configuration.
    #[default]
    Written,
    /// It was found among others: what is wrong with it is its own trouble.
    Found,
}

impl Config {
    /// What status should say of what was accepted: the notes, and sources that are read over
    /// plain HTTP.
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

    /// How it is reached with that authority.
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
        let never: LabelSelector = label::never_mirrored()
            .parse()
            .expect("a constant selector parses");
        self.selector.clone().and(never)
    }
}

#[cfg(test)]
mod tests;
