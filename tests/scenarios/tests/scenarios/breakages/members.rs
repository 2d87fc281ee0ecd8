//! Members of global Services that disagree.

use std::sync::Arc;

use control_plane::Scene;
use serde_json::{Value, json};

use super::Table;
use crate::configuration::ByFile;
use crate::lab::{Cluster, Lab, MIRRORS};
use crate::manifests::quiet_cluster;

pub(crate) const BREAKAGES: [&str; 10] = [
    "Members have different ports",
    "One member is headless",
    "Members have different session affinity",
    "Members have different trafficDistribution",
    "Members publish addresses that are not ready differently",
    "A member is of type ExternalName",
    "The failover order names an unknown cluster",
    "The failover threshold is no number",
    "A source sets a policy without the right to it",
    "Two members are one cluster",
];

/// A member with one endpoint.
async fn member(
    cluster: &Cluster,
    name: &str,
    spec: Value,
    annotations: Value,
) -> anyhow::Result<()> {
    let label = json!({"heliograph.dev/global-service": "true"});
    let service = json!({"metadata": {"name": name, "labels": label, "annotations": annotations},
        "spec": spec});
    let path = "/api/v1/namespaces/demo/services";
    cluster.post(path, &service.to_string()).await?;
    let mut labels = label;
    labels["kubernetes.io/service-name"] = json!(name);
    let slice = json!({
        "metadata": {"name": format!("{name}-1"), "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.1.0.1"]}],
    });
    let path = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
    cluster.post(path, &slice.to_string()).await
}

fn web(more: &Value) -> Value {
    let mut spec = json!({"ports": [{"name": "http", "port": 80}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Members of both clusters, of which those of east differ.
async fn plant(east: &Cluster, local: &Cluster) -> anyhow::Result<()> {
    let port = json!({"ports": [{"name": "http", "port": 81}]});
    let external = json!({"type": "ExternalName", "externalName": "web.example.org"});
    for (name, more) in [
        ("port", port),
        ("headless", json!({"clusterIP": "None"})),
        ("affinity", json!({"sessionAffinity": "ClientIP"})),
        (
            "distribution",
            json!({"trafficDistribution": "PreferClose"}),
        ),
        ("unready", json!({"publishNotReadyAddresses": true})),
        ("external", external),
        ("failover", json!({})),
    ] {
        let annotations = match name {
            "failover" => json!({"heliograph.dev/failover": "east,local"}),
            _ => json!({}),
        };
        member(local, name, web(&json!({})), json!({})).await?;
        member(east, name, web(&more), annotations).await?;
    }
    let unknown = json!({"heliograph.dev/failover": "local,nowhere"});
    member(local, "unknown", web(&json!({})), unknown).await?;
    let threshold = json!({"heliograph.dev/failover": "local,east",
        "heliograph.dev/failover-min": "most"});
    member(local, "threshold", web(&json!({})), threshold).await
}

pub(crate) async fn a_member_that_disagrees_says_how(scene: Arc<Scene>) -> anyhow::Result<()> {
    let table = Table::complete()?;
    let (east, local) = tokio::try_join!(
        quiet_cluster(&scene, "east"),
        quiet_cluster(&scene, "local")
    )?;
    for cluster in [&east, &local] {
        cluster.create_namespace("demo").await?;
        cluster.create_namespace(MIRRORS).await?;
    }
    plant(&east, &local).await?;
    let source = |name: &str| {
        json!({"name": name, "kubeconfig": east.plane.kubeconfig(),
            "import": {"namespaces": {"allow": ["*"]}}})
    };
    // Members of one second would be ordered by name.
    let config = json!({"mirrorNamespace": MIRRORS, "global": {"cluster": "local", "precedence": ["local"]},
        "sources": [source("east"), source("twin")]});
    let lab = Lab::new(Arc::clone(&scene))?;
    let it = ByFile::start(&lab, &local, &config).await?;
    table.is_shown(&BREAKAGES, &it.reflector, &local).await
}
