//! Flags with the names of the cluster.

use proto_types::multicluster::{CLUSTER_PROPERTY, CLUSTER_SET_PROPERTY};
use proto_types::name::{DnsLabel, is_subdomain};

use crate::identity::ClusterNames;

/// Names and properties of the cluster.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct NameFlags {
    /// Name of this cluster, served as the ClusterProperty `cluster.clusterset.k8s.io`; default:
    /// the UID of its namespace kube-system
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<DnsLabel>,

    /// Clusterset of this cluster, served as the ClusterProperty `clusterset.k8s.io`
    #[arg(long = "clusterset", alias = "cluster-set", value_name = "NAME")]
    cluster_set: Option<String>,

    /// Further ClusterProperty of this cluster, such as region.topology.k8s.io=eu-west-1. Cluster
    /// selectors of exports are about them. Can be given several times
    #[arg(long = "cluster-property", value_name = "NAME=VALUE", value_parser = property)]
    cluster_properties: Vec<(String, String)>,
}

impl NameFlags {
    pub(super) fn names(self) -> ClusterNames {
        ClusterNames {
            cluster: self.cluster_name,
            cluster_set: self.cluster_set,
            properties: self.cluster_properties,
        }
    }
}

/// Parses a ClusterProperty. The names of the cluster and of its set have flags of their own.
fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    if !is_subdomain(name) {
        return Err(format!("{name:?} cannot be the name of a ClusterProperty"));
    }
    match name {
        CLUSTER_PROPERTY => Err("use --cluster-name for it".to_owned()),
        CLUSTER_SET_PROPERTY => Err("use --clusterset for it".to_owned()),
        _ => Ok((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::property;

    #[test]
    fn cluster_properties_have_names_of_their_own() {
        let expected = ("region.example.com".to_owned(), "eu=1".to_owned());
        assert_eq!(property("region.example.com=eu=1"), Ok(expected));
        for (flag, why) in [
            ("region", "NAME=VALUE"),
            ("Region=eu", "ClusterProperty"),
            ("clusterset.k8s.io=a", "--clusterset"),
            ("cluster.clusterset.k8s.io=a", "--cluster-name"),
        ] {
            let told = property(flag).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
