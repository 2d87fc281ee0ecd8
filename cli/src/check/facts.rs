//! Facts about clusters, as their API servers and the reflector report them.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::Timestamp;
use reflector::config::File;
use reflector::status::Status;
use reflector::{node_ranges, service_cidrs};
use serde_json::Value;

use crate::admin::Admin;
use crate::args::{Global, Server};
use crate::cluster::{Cluster, data};
use crate::installation::{Installed, Program};
use crate::pods::holder;

/// A fact, or why it is not known.
pub(crate) type Known<T> = Result<T, String>;

/// Facts of a check.
pub(crate) struct Facts {
    pub(crate) namespace: String,
    pub(crate) local: OtherCluster,
    pub(crate) others: Vec<OtherCluster>,
    pub(crate) reflector: Known<Option<Installed>>,
    pub(crate) emitter: Known<Option<Installed>>,
    /// Holder of the Lease, where there is an election.
    pub(crate) holder: Option<Known<Option<String>>>,
    /// Configuration of the reflector, with the files beside it.
    pub(crate) config: Known<(File, Value)>,
    pub(crate) status: Known<Status>,
    /// Version that the running reflector reports.
    pub(crate) version: Option<String>,
    /// Deployments of all namespaces, where they can be listed.
    pub(crate) deployments: Known<Vec<Value>>,
    pub(crate) namespaces: Known<BTreeSet<String>>,
    /// Text of CoreDNS's configuration; `None` where there is none of that name.
    pub(crate) corefile: Known<Option<String>>,
    pub(crate) kube_proxy: Known<Option<String>>,
    pub(crate) policies: Known<Vec<Value>>,
    pub(crate) quotas: Known<Vec<Value>>,
    /// Resources of the API server that are CRDs of Heliograph or of groups that it reads, as
    /// `PLURAL.GROUP`.
    pub(crate) crds: Known<BTreeSet<String>>,
}

/// Facts about one cluster, whichever it is.
pub(crate) struct OtherCluster {
    pub(crate) name: String,
    /// Version of its API server.
    pub(crate) version: Known<String>,
    /// Its pod and Service CIDRs and the addresses of its nodes.
    pub(crate) ranges: Known<Vec<IpNet>>,
    /// Its clock, minus that of this machine, in seconds.
    pub(crate) clock: Known<i64>,
    /// UID of its namespace `kube-system`.
    pub(crate) uid: Known<String>,
    /// Its emitter.
    pub(crate) emitter: Known<Option<Installed>>,
}

impl OtherCluster {
    /// Reads facts about a cluster.
    pub(crate) async fn read(cluster: &Cluster, namespace: &str) -> Self {
        let version = cluster.get("/version").await;
        let version = version.map(|it| {
            let text = it.and_then(|it| it["gitVersion"].as_str().map(str::to_owned));
            text.unwrap_or_default()
        });
        let uid = cluster.get("/api/v1/namespaces/kube-system").await;
        let uid = uid.map(|it| {
            let text = it.and_then(|it| it["metadata"]["uid"].as_str().map(str::to_owned));
            text.unwrap_or_default()
        });
        let emitter = match namespace {
            "" => Ok(None),
            namespace => Installed::find(cluster, namespace, Program::Emitter).await,
        };
        Self {
            name: cluster.name.clone(),
            version: known(version),
            ranges: known(ranges(cluster).await),
            clock: known(clock(cluster).await),
            uid: known(uid),
            emitter: known(emitter),
        }
    }
}

impl Facts {
    /// Reads all facts about the local cluster.
    pub(crate) async fn read(
        cluster: &Cluster,
        global: &Global,
        server: &Server,
        others: Vec<OtherCluster>,
    ) -> Self {
        let namespace = &global.namespace;
        let reflector = known(Installed::find(cluster, namespace, Program::Reflector).await);
        let installed = reflector.as_ref().ok().and_then(Option::as_ref);
        let held = match installed.filter(|it| it.has_flag("--leader-elect")) {
            Some(it) => Some(known(holder(cluster, namespace, it).await)),
            None => None,
        };
        let (status, version) = match Admin::of_reflector(global, server).await {
            Ok(admin) => {
                let metrics = admin.text("/metrics").await.unwrap_or_default();
                (known(admin.json("/status").await), version_of(&metrics))
            }
            Err(error) => (Err(format!("{error:#}")), None),
        };
        let config = known(config(cluster, namespace, installed).await);
        let mirrors = config
            .as_ref()
            .ok()
            .and_then(|(it, _)| it.mirror_namespace.clone());
        let mirrors = mirrors.map(|it| it.to_string()).unwrap_or_default();
        let within = |group: &str, of: &str, what: &str| format!("{group}/namespaces/{of}/{what}");
        let policies = within("/apis/networking.k8s.io/v1", namespace, "networkpolicies");
        let quotas = within("/api/v1", &mirrors, "resourcequotas");
        Self {
            local: OtherCluster::read(cluster, namespace).await,
            others,
            emitter: known(Installed::find(cluster, namespace, Program::Emitter).await),
            holder: held,
            config,
            status,
            version,
            deployments: known(cluster.list("/apis/apps/v1/deployments").await),
            namespaces: known(namespaces(cluster).await),
            corefile: known(corefile(cluster).await),
            kube_proxy: kube_proxy(cluster).await,
            policies: known(cluster.list(&policies).await),
            quotas: match mirrors.as_str() {
                "" => Ok(Vec::new()),
                _ => known(cluster.list(&quotas).await),
            },
            crds: known(crds(cluster).await),
            reflector,
            namespace: namespace.clone(),
        }
    }
}

fn known<T>(fact: anyhow::Result<T>) -> Known<T> {
    fact.map_err(|error| format!("{error:#}"))
}

async fn config(
    cluster: &Cluster,
    namespace: &str,
    reflector: Option<&Installed>,
) -> anyhow::Result<(File, Value)> {
    let mounted = reflector.and_then(|it| it.mounted("--config"));
    let Some(mounted) = mounted else {
        return Ok((File::default(), Value::Null));
    };
    let path = format!(
        "/api/v1/namespaces/{namespace}/configmaps/{}",
        mounted.config_map
    );
    let map = cluster.existing(&path, "the reflector reads it").await?;
    let text = data(&map, &mounted.key);
    let file = match text.trim() {
        "" => File::default(),
        text => serde_saphyr::from_str(text)
            .map_err(|error| anyhow::anyhow!("{} is invalid: {error}", mounted.key))?,
    };
    Ok((file, map["data"].clone()))
}

async fn namespaces(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let listed = cluster.list("/api/v1/namespaces").await?;
    let names = listed
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

async fn corefile(cluster: &Cluster) -> anyhow::Result<Option<String>> {
    let map = cluster
        .get("/api/v1/namespaces/kube-system/configmaps/coredns")
        .await?;
    let Some(map) = map else {
        return Ok(None);
    };
    // Managed clusters leave the Corefile alone and read additions from another ConfigMap.
    let path = "/api/v1/namespaces/kube-system/configmaps/coredns-custom";
    let custom = cluster.get(path).await?.unwrap_or_default();
    let texts = [&map, &custom]
        .into_iter()
        .filter_map(|it| it["data"].as_object());
    let texts = texts.flat_map(|it| it.values()).filter_map(Value::as_str);
    Ok(Some(texts.collect::<Vec<_>>().join("\n")))
}

/// The mode in kube-proxy's configuration; `None` where there is none of that name.
pub(crate) async fn kube_proxy(cluster: &Cluster) -> Known<Option<String>> {
    let path = "/api/v1/namespaces/kube-system/configmaps/kube-proxy";
    let map = known(cluster.get(path).await)?;
    let Some(map) = map else {
        return Ok(None);
    };
    let text = data(&map, "config.conf");
    let config: Value = serde_saphyr::from_str(text).unwrap_or_default();
    let mode = config["mode"].as_str().unwrap_or_default();
    Ok(Some(
        if mode.is_empty() { "iptables" } else { mode }.to_owned(),
    ))
}

async fn crds(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let mut crds = BTreeSet::new();
    for group in ["multicluster.x-k8s.io", "heliograph.dev"] {
        let found = cluster.get(&format!("/apis/{group}/v1alpha1")).await?;
        let resources = found.as_ref().and_then(|it| it["resources"].as_array());
        let names = resources.into_iter().flatten();
        let names = names.filter_map(|it| it["name"].as_str());
        crds.extend(names.map(|it| format!("{it}.{group}")));
    }
    Ok(crds)
}

async fn ranges(cluster: &Cluster) -> anyhow::Result<Vec<IpNet>> {
    let cidrs = cluster
        .list("/apis/networking.k8s.io/v1/servicecidrs")
        .await?;
    let nodes = cluster.list("/api/v1/nodes").await?;
    let cidrs = cidrs.iter().flat_map(service_cidrs);
    let found: BTreeSet<_> = cidrs.chain(nodes.iter().flat_map(node_ranges)).collect();
    Ok(found.into_iter().collect())
}

/// The difference of a cluster's clock to the one here, by the Date of an answer.
async fn clock(cluster: &Cluster) -> anyhow::Result<i64> {
    let request = http::Request::get("/version").body(kube::client::Body::empty())?;
    let begun = Timestamp::now();
    let response = cluster.client().send(request).await?;
    let middle = begun.as_second().midpoint(Timestamp::now().as_second());
    let date = response.headers().get(http::header::DATE);
    let date = date.and_then(|it| it.to_str().ok());
    let date = date.ok_or_else(|| anyhow::anyhow!("its answers have no Date"))?;
    let date = jiff::fmt::rfc2822::parse(date)?;
    Ok(date.timestamp().as_second() - middle)
}

fn version_of(metrics: &str) -> Option<String> {
    let line = metrics
        .lines()
        .find(|it| it.starts_with("heliograph_reflector_build_info{"))?;
    let version = line.split("version=\"").nth(1)?.split('"').next()?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn the_version_is_a_label() {
        let metrics =
            "# HELP a\nheliograph_reflector_build_info{revision=\"x\",version=\"0.1.0\"} 1\n";
        assert_eq!(version_of(metrics).as_deref(), Some("0.1.0"));
        assert_eq!(version_of(""), None);
    }
}
