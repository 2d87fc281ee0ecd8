//! The clusterset of the Multi-Cluster Services API, as it is configured.

use std::collections::{BTreeMap, BTreeSet};

use proto_types::name::DnsLabel;
use reflector_clusterset::{ClusterId, Predecessor};
use reflector_planner::{Import, PolicyRight};
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema::Label;
use super::{Error, SourceEntry};

/// The Multi-Cluster Services API (KEP-1645): ServiceExports of the local cluster and of
/// the sources become ServiceImports in the local cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ClusterSet")]
pub struct ClusterSetEntry {
    /// Name of the clusterset.
    #[serde(default = "default_name")]
    #[schemars(with = "Label")]
    pub name: DnsLabel,
    /// Name of the local cluster in the clusterset. Other reflectors use it as the name of
    /// their source for this cluster.
    #[schemars(with = "Label")]
    pub cluster: DnsLabel,
    /// Namespaces among `default` and `kube-system` whose Services may be exported.
    #[serde(default)]
    #[schemars(with = "Vec<Label>")]
    pub allowed_namespaces: Vec<DnsLabel>,
    /// Programs whose ServiceImports and derived Services are adopted. Otherwise they stay as they
    /// are, and exports of their names fail.
    #[serde(default)]
    pub adopt: BTreeSet<Adopted>,
    /// Clusters that serve imports first, in this order, by their names; `local` is the local one.
    /// The first with a ready endpoint serves, and all serve where none has one. Cluster selectors
    /// of an export take precedence. Default: all clusters serve.
    #[serde(default)]
    #[schemars(with = "Vec<Label>")]
    pub failover: Vec<DnsLabel>,
}

/// Program whose imports can be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Adopted {
    /// The operator of Cilium.
    Cilium,
    /// Lighthouse, the service discovery of Submariner.
    Submariner,
}

/// The clusterset, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSetConfig {
    /// Name of the clusterset.
    pub name: DnsLabel,
    /// The local cluster.
    pub cluster: ClusterId,
    /// Namespaces that are closed by default and that may be exported nevertheless.
    pub allowed_namespaces: BTreeSet<Box<str>>,
    /// Programs whose imports are adopted.
    pub adopt: BTreeSet<Predecessor>,
    /// Import policies of the sources.
    pub imports: BTreeMap<ClusterId, Import>,
    /// Sources whose cluster selectors count.
    pub deciding: BTreeSet<ClusterId>,
    /// Clusters that serve first, in this order.
    pub failover: Vec<ClusterId>,
}

fn default_name() -> DnsLabel {
    "clusterset".parse().expect("a constant label parses")
}

impl ClusterSetEntry {
    /// Checks the entry against the sources.
    pub(super) fn check(self, sources: &[SourceEntry]) -> Result<ClusterSetConfig, Error> {
        let cluster = ClusterId::from(&self.cluster);
        let (mut imports, mut deciding) = (BTreeMap::new(), BTreeSet::new());
        for source in sources.iter().filter(|it| it.in_cluster_set()) {
            let name = source.name.as_str();
            if name == cluster.as_str() {
                return Err(Error::ClusterSet(format!(
                    "source {name} has the name of the local cluster; give it another name, or clusterSet: false"
                )));
            }
            let Ok(id) = name.parse::<ClusterId>() else {
                return Err(Error::ClusterSet(format!(
                    "source {name} cannot be a cluster name, which is a DNS label; give it another name, or clusterSet: false"
                )));
            };
            if source.rights().contains(&PolicyRight::Failover) {
                deciding.insert(id.clone());
            }
            imports.insert(id, source.imported()?);
        }
        let failover = self.failover.iter();
        let failover = failover.map(|it| match ClusterId::from(it) {
            id if id.as_str() == "local" || id == cluster => Ok(cluster.clone()),
            id if imports.contains_key(&id) => Ok(id),
            id => Err(Error::ClusterSet(format!(
                "failover names {id}, which is no cluster of the clusterset; use local or the name of a source"
            ))),
        });
        let failover = failover.collect::<Result<_, _>>()?;
        let allowed = self.allowed_namespaces.iter();
        Ok(ClusterSetConfig {
            name: self.name,
            cluster,
            allowed_namespaces: allowed.map(|it| it.as_str().into()).collect(),
            adopt: self.adopt.into_iter().map(Predecessor::from).collect(),
            imports,
            deciding,
            failover,
        })
    }
}

impl From<Adopted> for Predecessor {
    fn from(program: Adopted) -> Self {
        match program {
            Adopted::Cilium => Self::Cilium,
            Adopted::Submariner => Self::Submariner,
        }
    }
}

impl SourceEntry {
    /// Returns whether the source is a cluster of the clusterset, where there is one.
    pub(super) fn in_cluster_set(&self) -> bool {
        self.cluster_set != Some(false)
    }
}
