//! Emitters as clusters of a clusterset.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::{Value, json};

use super::{clusters, export, import, imported, install, service, slices, unexport};
use crate::lab::{Cluster, Lab, Program, eventually, free_port, get, meanwhile, program};

/// An emitter that exports by ServiceExports alone.
fn emitter(lab: &Lab, name: &str, upstream: &[String]) -> anyhow::Result<Program> {
    emitter_at(free_port()?, lab, name, upstream)
}

fn emitter_at(port: u16, lab: &Lab, name: &str, upstream: &[String]) -> anyhow::Result<Program> {
    let mut command = Command::new(program("emitter")?);
    command.args(["--service-exports", "--anonymous-auth", "--secure-port=0"]);
    command.arg("--insecure-bind-address=127.0.0.1");
    command.arg(format!("--insecure-port={port}"));
    command.args(["--shutdown-delay-duration=0s"]);
    command.args(["--shutdown-watch-termination-grace-period=0s"]);
    command.args(upstream);
    lab.start(name, command, Some(port))
}

fn reflector(lab: &Lab, local: &Cluster, source: &Value) -> anyhow::Result<Program> {
    let configuration = json!({
        "clusterSet": {"cluster": local.plane.name()},
        "sources": [source],
    });
    let name = format!("reflector-{}", local.plane.name());
    let file = lab.file(&format!("{name}.json"), &configuration.to_string())?;
    let mut command = Command::new(program("reflector")?);
    command.arg("--kubeconfig").arg(local.plane.kubeconfig());
    command.arg("--config").arg(file);
    command.arg("--state-namespace=demo");
    lab.start(&name, command, None)
}

pub(crate) async fn emitters_are_clusters_of_a_clusterset(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = tokio::try_join!(lab.cluster("east"), lab.cluster("west"))?;
    let kubeconfig = west.plane.kubeconfig().display().to_string();
    let region = "--cluster-property=region.example.com=eu".to_owned();
    let flags = ["--kubeconfig".to_owned(), kubeconfig, region];
    let emitter_of_west = emitter(&lab, "emitter", &flags)?;
    let upstream = ["--upstream-url".to_owned(), emitter_of_west.url.clone()];
    let relay = emitter(&lab, "relay", &upstream)?;
    nothing_is_served(&emitter_of_west).await?;
    for cluster in [&east, &west] {
        install(cluster).await?;
    }
    emitter_of_west.ready().await?;
    relay.ready().await?;
    let import_policy = json!({"policies": ["failover"]});
    let source = json!({"name": "west", "url": relay.url, "import": import_policy});
    let reflector = reflector(&lab, &east, &source)?;
    reflector.ready().await?;
    let services = "/api/v1/services";
    // A Service that is older than its export.
    service(&west, &json!({"ports": [{"name": "http", "port": 80}]})).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    meanwhile("a Service without an export is not served", async || {
        let list = get(&emitter_of_west.url, services).await?;
        ensure!(!list.contains("\"web\""), "{list}");
        Ok(())
    })
    .await?;
    export(&west, "web", &json!({"exportedLabels": {"team": "a"}})).await?;
    eventually("it is imported through the relay", async || {
        let import = imported(&east, "web").await?;
        ensure!(import["metadata"]["labels"]["team"] == "a", "{import}");
        ensure!(import["spec"]["ips"].is_array(), "{import}");
        let slices = slices(&east, "web").await?;
        ensure!(slices.len() == 1, "{slices:?}");
        ensure!(slices[0]["endpoints"][0]["addresses"][0] == "10.2.0.1");
        Ok(())
    })
    .await?;
    let ips = imported(&east, "web").await?["spec"]["ips"].clone();
    read_by_kubectl(&west, &emitter_of_west).await?;
    super::selection::region_of_an_emitter_serves_first(&east, &west).await?;
    survives_restarts([&emitter_of_west, &relay], &east, &west).await?;
    ensure!(imported(&east, "web").await?["spec"]["ips"] == ips);
    unexport(&west, "web").await?;
    eventually("what is un-exported is gone", async || {
        ensure!(import(&east, "web").await?.is_none(), "there is an import");
        ensure!(slices(&east, "web").await?.is_empty(), "there are slices");
        let list = get(&emitter_of_west.url, services).await?;
        ensure!(!list.contains("\"web\""), "{list}");
        Ok(())
    })
    .await
}

/// Checks that restarts of an emitter and a relay delete nothing, and that changes go on.
async fn survives_restarts(
    programs: [&Program; 2],
    east: &Cluster,
    west: &Cluster,
) -> anyhow::Result<()> {
    for program in programs {
        program.kill().await?;
        program.start().await?;
    }
    west.set_endpoints("web", &["10.2.0.2"]).await?;
    eventually("an endpoint changes after restarts", async || {
        let slices = json!(slices(east, "web").await?).to_string();
        ensure!(slices.contains("10.2.0.2"), "{slices}");
        Ok(())
    })
    .await
}

pub(crate) async fn a_cluster_that_calls_itself_otherwise_is_not_read(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = clusters(&lab).await?;
    service(&west, &json!({"ports": [{"name": "http", "port": 80}]})).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    export(&west, "web", &json!({})).await?;
    let port = free_port()?;
    let kubeconfig = west.plane.kubeconfig().display().to_string();
    let called = |name: &str, set: &str| {
        let names = [
            format!("--cluster-name={name}"),
            format!("--clusterset={set}"),
        ];
        let upstream = ["--kubeconfig".to_owned(), kubeconfig.clone()];
        let flags: Vec<_> = names.into_iter().chain(upstream).collect();
        emitter_at(port, &lab, &format!("{name}-{set}"), &flags)
    };
    let other = called("south", "clusterset")?;
    other.ready().await?;
    let source = json!({"name": "west", "url": other.url});
    let reflector = reflector(&lab, &east, &source)?;
    let says = async |why: &str| {
        eventually(why, async || {
            let set = reflector.status().await?["clusterSet"].to_string();
            ensure!(set.contains(why), "{set}");
            ensure!(import(&east, "web").await?.is_none(), "it is imported");
            Ok(())
        })
        .await
    };
    says("calls itself \\\"south\\\"").await?;
    other.kill().await?;
    let other = called("west", "others")?;
    says("belongs to the clusterset \\\"others\\\"").await?;
    other.kill().await?;
    let _west = called("west", "clusterset")?;
    eventually("it is imported under its own name", async || {
        let slices = json!(slices(&east, "web").await?).to_string();
        ensure!(slices.contains("10.2.0.1"), "{slices}");
        Ok(())
    })
    .await
}

/// The definition of ClusterProperties (KEP-2149), as far as they are read.
fn cluster_properties() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "clusterproperties.about.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "about.k8s.io", "scope": "Cluster",
            "names": {"plural": "clusterproperties", "singular": "clusterproperty",
                "kind": "ClusterProperty"},
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

pub(crate) async fn a_local_cluster_that_calls_itself_otherwise_imports_nothing(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const PROPERTIES: &str = "/apis/about.k8s.io/v1beta1/clusterproperties";
    let lab = Lab::new(scene)?;
    let (east, west) = clusters(&lab).await?;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    east.post(definitions, &cluster_properties().to_string())
        .await?;
    let called = |name: &str| {
        json!({
            "apiVersion": "about.k8s.io/v1beta1", "kind": "ClusterProperty",
            "metadata": {"name": "cluster.clusterset.k8s.io"}, "spec": {"value": name},
        })
    };
    eventually("the properties are served", async || {
        east.post(PROPERTIES, &called("south").to_string()).await
    })
    .await?;
    service(&west, &json!({"ports": [{"name": "http", "port": 80}]})).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    export(&west, "web", &json!({})).await?;
    let kubeconfig = west.plane.kubeconfig().display().to_string();
    let reflector = reflector(
        &lab,
        &east,
        &json!({"name": "west", "kubeconfig": kubeconfig}),
    )?;
    eventually("the status says so", async || {
        let set = reflector.status().await?["clusterSet"].to_string();
        ensure!(set.contains("calls itself \\\"south\\\""), "{set}");
        Ok(())
    })
    .await?;
    meanwhile("nothing is imported", async || {
        ensure!(import(&east, "web").await?.is_none(), "it is imported");
        Ok(())
    })
    .await?;
    let path = format!("{PROPERTIES}/cluster.clusterset.k8s.io");
    east.patch(&path, r#"{"spec":{"value":"east"}}"#).await?;
    eventually("it is imported under the right name", async || {
        imported(&east, "web").await?;
        Ok(())
    })
    .await
}

pub(crate) async fn another_cluster_at_an_address_deletes_no_import(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west, north) = tokio::try_join!(
        lab.cluster("east"),
        lab.cluster("west"),
        lab.cluster("north")
    )?;
    for cluster in [&east, &west, &north] {
        install(cluster).await?;
    }
    service(&west, &json!({"ports": [{"name": "http", "port": 80}]})).await?;
    west.set_endpoints("web", &["10.2.0.1"]).await?;
    export(&west, "web", &json!({})).await?;
    let port = free_port()?;
    let emitter_of = |cluster: &Cluster| {
        let kubeconfig = cluster.plane.kubeconfig().display().to_string();
        let upstream = ["--kubeconfig".to_owned(), kubeconfig];
        let name = format!("emitter-{}", cluster.plane.name());
        emitter_at(port, &lab, &name, &upstream)
    };
    let of_west = emitter_of(&west)?;
    let source = json!({"name": "west", "url": of_west.url});
    let reflector = reflector(&lab, &east, &source)?;
    let is_imported = async || {
        let slices = json!(slices(&east, "web").await?).to_string();
        ensure!(slices.contains("10.2.0.1"), "{slices}");
        ensure!(import(&east, "web").await?.is_some(), "there is no import");
        Ok(())
    };
    eventually("it is imported", is_imported).await?;
    eventually("the cluster is recorded", async || {
        let maps = east.read("/api/v1/namespaces/demo/configmaps").await?;
        ensure!(maps.to_string().contains("source-clusters"), "{maps}");
        Ok(())
    })
    .await?;
    reflector.kill().await?;
    of_west.kill().await?;
    let of_north = emitter_of(&north)?;
    of_north.ready().await?;
    reflector.start().await?;
    eventually("it is told which cluster answers", async || {
        let set = reflector.status().await?["clusterSet"].to_string();
        let words = "the uid of its kube-system namespace is";
        ensure!(set.contains(words), "{set}");
        Ok(())
    })
    .await?;
    meanwhile("the import stays", is_imported).await?;
    of_north.kill().await?;
    let _of_west = emitter_of(&west)?;
    west.set_endpoints("web", &["10.2.0.1", "10.2.0.2"]).await?;
    eventually("west is read again", async || {
        let slices = json!(slices(&east, "web").await?).to_string();
        ensure!(slices.contains("10.2.0.2"), "{slices}");
        Ok(())
    })
    .await
}

/// Without the CRD nothing is served, and that is said.
async fn nothing_is_served(emitter: &Program) -> anyhow::Result<()> {
    meanwhile("nothing is served without the CRD", async || {
        // A client that is answered 429 tries again, and has no answer in time.
        let answer = get(&emitter.url, "/api/v1/services");
        let answer = tokio::time::timeout(Duration::from_secs(1), answer).await;
        if let Ok(Ok(answer)) = answer {
            ensure!(answer.contains("429"), "{answer}");
        }
        Ok(())
    })
    .await?;
    eventually("readiness and log say why", async || {
        let ready = emitter.admin("/readyz?verbose").await?;
        ensure!(ready.contains("serviceexports"), "{ready}");
        ensure!(emitter.log().contains("install the CRDs"), "the log");
        Ok(())
    })
    .await
}

async fn read_by_kubectl(cluster: &Cluster, emitter: &Program) -> anyhow::Result<()> {
    let kubectl = cluster.plane.kubectl();
    let server = format!("--server={}", emitter.url);
    let table = kubectl
        .run([
            "get",
            "serviceexports.multicluster.x-k8s.io",
            "-n",
            "demo",
            &server,
        ])
        .await?;
    ensure!(table.contains("web"), "{table}");
    let json = kubectl
        .run(["get", "svcex", "web", "-n", "demo", "-o", "json", &server])
        .await?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(json["spec"]["exportedLabels"]["team"] == "a", "{json}");
    ensure!(json.get("status").is_none(), "{json}");
    Ok(())
}
