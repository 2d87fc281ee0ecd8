//! Rights from before there were slices.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, mirror};
use crate::old_rbac::account;
use crate::rbac::kubeconfig_of;

const READER: &str = "reader";

/// Somebody may read these.
async fn grant(east: &Cluster, resources: &Value) -> anyhow::Result<()> {
    let rules = json!([{
        "apiGroups": ["", "discovery.k8s.io"],
        "resources": resources,
        "verbs": ["list", "watch"],
    }]);
    let account = account(READER, "demo", "ClusterRole", &rules);
    east.plane.kubectl().apply(&account).await.map(drop)
}

async fn reads(reflector: &Program, resource: &str) -> anyhow::Result<()> {
    eventually(&format!("{resource} are read"), async || {
        let status = reflector.status().await?;
        let feed = &status["sources"][0]["resources"][1];
        ensure!(feed["resource"] == resource, "{status}");
        ensure!(feed["state"] == "synced", "{status}");
        Ok(())
    })
    .await
}

pub(crate) async fn rights_from_before_slices_are_enough_for_endpoints(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    grant(&east, &json!(["services", "endpoints"])).await?;
    east.create_service("web").await?;
    let endpoints = json!({
        "metadata": {"name": "web", "labels": {EXPORT: "true"}},
        "subsets": [{"addresses": [{"ip": "10.2.0.1"}], "ports": [{"name": "http", "port": 80}]}],
    });
    let path = "/api/v1/namespaces/demo/endpoints";
    east.post(path, &endpoints.to_string()).await?;
    let keeper = Keeper::new("before")?;
    let kubeconfig = kubeconfig_of(&east, "demo", READER, &keeper).await?;
    let kubeconfig = kubeconfig.display();
    let source = format!(
        "name=east,kubeconfig={kubeconfig},prefix=east,selector={EXPORT}=true,endpointsFrom=auto"
    );
    let reflector = lab.reflector(&local, &[&source]).await?;
    let web = mirror("east", "web");
    local.eventually_has(&web, &["10.2.0.1"]).await?;
    reads(&reflector, "endpoints").await?;

    grant(&east, &json!(["services", "endpoints", "endpointslices"])).await?;
    reads(&reflector, "endpointslices").await?;
    local.eventually_has(&web, &["10.2.0.1"]).await
}
