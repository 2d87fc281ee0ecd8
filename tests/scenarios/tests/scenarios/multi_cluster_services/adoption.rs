//! Imports as Cilium and Submariner write them, which are taken over where that is configured.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use proto_types::ObjectKey;
use reflector_clusterset::name::derived_service;
use serde_json::{Value, json};

use super::{API, clusters, condition, export, imported, slices};
use crate::lab::{Cluster, Lab, Program, eventually, meanwhile, program};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
const SERVICES: &str = "/api/v1/namespaces/demo/services";

pub(crate) async fn imports_of_cilium_and_submariner_are_taken_over(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = clusters(&lab).await?;
    // Cilium imports web, and Submariner db; west exports both, and east exports web too.
    of_cilium(&east).await?;
    of_submariner(&east).await?;
    for (cluster, name, address) in [
        (&east, "web", "10.1.0.1"),
        (&west, "web", "10.2.0.1"),
        (&west, "db", "10.2.0.2"),
    ] {
        cluster.create_service(name).await?;
        cluster.set_endpoints(name, &[address]).await?;
        export(cluster, name, &json!({})).await?;
    }
    let derived = derived(&east, "web").await?;
    let address = derived["spec"]["clusterIP"].clone();
    takeover_is_planned(&lab, (&east, &west), derived_name("web").as_str()).await?;
    let reflector = reflector(&lab, &east)?;
    reflector.ready().await?;
    eventually("the export says what is in the way", async || {
        let ready = condition(&east, "web", "Ready").await?;
        ensure!(ready == "False/Failed", "{ready}");
        let status = reflector.status().await?["problems"].to_string();
        for program in ["cilium", "submariner"] {
            let remedy = format!("clusterSet.adopt: [{program}]");
            ensure!(status.contains(&remedy), "{status}");
        }
        Ok(())
    })
    .await?;
    let before = (imported(&east, "web").await?, imported(&east, "db").await?);
    meanwhile("nothing of them is changed", async || {
        let now = (imported(&east, "web").await?, imported(&east, "db").await?);
        ensure!(now == before, "{now:?}");
        ensure!(slices(&east, "db").await?.len() == 1);
        Ok(())
    })
    .await?;
    // The configuration is read again while the reflector runs.
    configure(&lab, &west, &json!(["cilium", "submariner"]))?;
    takes_over_web(&east, &derived, &address).await?;
    takes_over_db(&east).await?;
    eventually("the export is ready", async || {
        let ready = condition(&east, "web", "Ready").await?;
        ensure!(ready == "True/Ready", "{ready}");
        let problems = &reflector.status().await?["problems"];
        ensure!(problems.as_array().is_some_and(Vec::is_empty), "{problems}");
        Ok(())
    })
    .await
}

/// `heliograph explain --offline` reads the clusters itself.
async fn is_explained_without_a_reflector(lab: &Lab, east: &Cluster) -> anyhow::Result<()> {
    for (flags, code) in [(&["--exit-code"][..], 2), (&[], 0)] {
        let mut command = tokio::process::Command::new(program("heliograph")?);
        command.args(["explain", "demo/web", "--offline", "--kubeconfig"]);
        command.arg(east.plane.kubeconfig()).args(flags).arg("-f");
        command.arg(lab.directory().join("adoption.json"));
        let output = command.output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let conclusion = "Conclusion: ServiceImport demo/web: ";
        ensure!(text.contains(conclusion), "{output:?}");
        ensure!(output.status.code() == Some(code), "{output:?}");
    }
    Ok(())
}

/// `reflector plan` says in advance what is in the way, and what is taken over.
async fn takeover_is_planned(
    lab: &Lab,
    (east, west): (&Cluster, &Cluster),
    derived: &str,
) -> anyhow::Result<()> {
    let plan = async || -> anyhow::Result<Value> {
        let mut command = tokio::process::Command::new(program("reflector")?);
        command.args(["plan", "-o", "json", "--kubeconfig"]);
        command.arg(east.plane.kubeconfig());
        command
            .arg("--config")
            .arg(lab.directory().join("adoption.json"));
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{}: {said}", output.status);
        let mut plan: Value = serde_json::from_slice(&output.stdout).context(said)?;
        Ok(plan["clusterSet"].take())
    };
    configure(lab, west, &json!(["cilium", "submariner"]))?;
    let adopting = plan().await?;
    let writes = adopting["imports"].to_string();
    let update = json!({"action": "update", "kind": "Service", "object": derived});
    ensure!(writes.contains(&update.to_string()), "{adopting:#}");
    ensure!(!writes.contains("ImportOccupied"), "{adopting:#}");
    configure(lab, west, &json!([]))?;
    let occupied = plan().await?;
    let states = occupied["clusters"].to_string();
    ensure!(states.matches("synced").count() == 2, "{occupied:#}");
    let imports = occupied["imports"].to_string();
    ensure!(
        imports.matches("ImportOccupied").count() == 2,
        "{occupied:#}"
    );
    ensure!(!imports.contains("EndpointSlice"), "{occupied:#}");
    is_explained_without_a_reflector(lab, east).await?;
    Ok(())
}

fn derived_name(name: &str) -> String {
    derived_service(&ObjectKey::new("demo", name)).to_string()
}

async fn takes_over_web(east: &Cluster, before: &Value, address: &Value) -> anyhow::Result<()> {
    eventually(
        "the import of Cilium is taken over with its address",
        async || {
            let import = imported(east, "web").await?;
            let set = &import["metadata"]["annotations"]["heliograph.dev/clusterset"];
            ensure!(set == "clusterset", "{import}");
            ensure!(import["spec"]["ips"] == json!([address]), "{import}");
            let now = derived(east, "web").await?;
            ensure!(now["metadata"]["uid"] == before["metadata"]["uid"], "{now}");
            ensure!(now["spec"]["clusterIP"] == *address, "{now}");
            ensure!(now["metadata"]["ownerReferences"].is_null(), "{now}");
            ensure!(!now.to_string().contains("cilium.io/global"), "{now}");
            addresses_are(east, "web", &["10.1.0.1", "10.2.0.1"]).await
        },
    )
    .await
}

async fn takes_over_db(east: &Cluster) -> anyhow::Result<()> {
    eventually("the import of Submariner is taken over", async || {
        let import = imported(east, "db").await?;
        let ip = derived(east, "db").await?["spec"]["clusterIP"].clone();
        ensure!(import["spec"]["ips"] == json!([ip]), "{import}");
        addresses_are(east, "db", &["10.2.0.2"]).await
    })
    .await
}

/// Addresses that kube-proxy and CoreDNS find for an import.
async fn addresses_are(east: &Cluster, name: &str, expected: &[&str]) -> anyhow::Result<()> {
    let derived = derived_service(&ObjectKey::new("demo", name));
    let selector = format!("kubernetes.io%2Fservice-name%3D{}", derived.name());
    let list = east
        .read(&format!("{SLICES}?labelSelector={selector}"))
        .await?;
    let of_service = list["items"].as_array().context("a list has items")?;
    let of_import = slices(east, name).await?;
    for slices in [of_service, &of_import] {
        let endpoints = slices.iter().filter_map(|it| it["endpoints"].as_array());
        let addresses = endpoints
            .flatten()
            .filter_map(|it| it["addresses"][0].as_str());
        let mut addresses: Vec<_> = addresses.collect();
        addresses.sort_unstable();
        ensure!(addresses == expected, "{slices:#?}");
    }
    Ok(())
}

async fn derived(east: &Cluster, name: &str) -> anyhow::Result<Value> {
    let derived = derived_service(&ObjectKey::new("demo", name));
    east.read(&format!("{SERVICES}/{}", derived.name())).await
}

fn configure(lab: &Lab, west: &Cluster, adopt: &Value) -> anyhow::Result<()> {
    let configuration = json!({
        "clusterSet": {"cluster": "east", "adopt": adopt},
        "sources": [{
            "name": "west", "kubeconfig": west.plane.kubeconfig().display().to_string(),
        }],
    });
    lab.file("adoption.json", &configuration.to_string())?;
    Ok(())
}

fn reflector(lab: &Lab, east: &Cluster) -> anyhow::Result<Program> {
    let mut command = Command::new(program("reflector")?);
    command.arg("--kubeconfig").arg(east.plane.kubeconfig());
    command
        .arg("--config")
        .arg(lab.directory().join("adoption.json"));
    lab.start("reflector", command, None)
}

/// The objects of Cilium's operator for an import that the local cluster exports too.
async fn of_cilium(east: &Cluster) -> anyhow::Result<()> {
    let derived = derived_service(&ObjectKey::new("demo", "web"));
    let derived = derived.name();
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let import = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport",
        "metadata": {"name": "web", "annotations": {
            "multicluster.kubernetes.io/derived-service": derived,
        }},
        "spec": {"type": "ClusterSetIP", "ports": ports, "ipFamilies": ["IPv4"],
            "sessionAffinity": "None"},
    });
    let import = write(east, &format!("{API}/serviceimports"), &import).await?;
    let owner = |api: &str, object: &Value| {
        json!([{
            "apiVersion": api, "kind": object["kind"], "name": object["metadata"]["name"],
            "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }])
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": derived,
            "labels": {"multicluster.kubernetes.io/service-name": "web",
                "multicluster.kubernetes.io/source-cluster": "east"},
            "annotations": {"service.cilium.io/global": "true"},
            "ownerReferences": owner("multicluster.x-k8s.io/v1beta1", &import),
        },
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": ports},
    });
    let service = write(east, SERVICES, &service).await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{derived}-mesh"),
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "endpointslice-mesh-controller.cilium.io",
                "kubernetes.io/service-name": derived,
                "multicluster.kubernetes.io/service-name": "web",
                "multicluster.kubernetes.io/source-cluster": "west",
            },
            "ownerReferences": owner("v1", &service),
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.2.0.9"]}],
    });
    write(east, SLICES, &slice).await?;
    let status = json!({"status": {
        "clusters": [{"cluster": "east"}, {"cluster": "west"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready",
            "message": "ServiceImport is ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    let path = format!("{API}/serviceimports/web/status");
    east.patch(&path, &status.to_string()).await
}

/// The objects of Lighthouse for an import of another cluster.
async fn of_submariner(east: &Cluster) -> anyhow::Result<()> {
    let import = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceImport",
        "metadata": {"name": "db"},
        "spec": {"type": "ClusterSetIP", "ips": ["243.0.0.7"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    });
    let path = API.replace("v1beta1", "v1alpha1");
    write(east, &format!("{path}/serviceimports"), &import).await?;
    let status = json!({"status": {"clusters": [{"cluster": "west"}]}});
    let status_path = format!("{path}/serviceimports/db/status");
    east.patch(&status_path, &status.to_string()).await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "db-demo-west",
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "lighthouse-agent.submariner.io",
                "lighthouse.submariner.io/sourceNamespace": "demo",
                "lighthouse.submariner.io/is-headless": "false",
                "multicluster.kubernetes.io/service-name": "db",
                "multicluster.kubernetes.io/source-cluster": "west",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.98.0.7"]}],
    });
    write(east, SLICES, &slice).await?;
    Ok(())
}

/// Creates an object; returns it as the API server has it.
async fn write(east: &Cluster, path: &str, object: &Value) -> anyhow::Result<Value> {
    east.post(path, &object.to_string()).await?;
    let name = object["metadata"]["name"]
        .as_str()
        .context("it has a name")?;
    east.read(&format!("{path}/{name}")).await
}
