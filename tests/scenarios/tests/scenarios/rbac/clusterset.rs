//! What a reflector needs in its own cluster for the Multi-Cluster Services API, and what it
//! needs in a cluster whose API server it reads.

use std::process::Command;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};

use super::{Account, Line, PATIENCE, Run, is_ready, kubeconfig_of, quiet_clusters, within};
use crate::lab::{Cluster, Lab, Program, eventually, free_port, get, program};
use crate::manifests::{flags, install, quiet_cluster, repository};
use crate::multi_cluster_services::{API, export, import, install as install_crds, slices};

pub(crate) async fn imports_need_the_rights_of_the_component_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    let account = Account {
        name: "reflector",
        roles: &["clusterroles/heliograph-reflector-clusterset"],
        cluster: &stage.local,
    };
    account.prove(async |run| stage.works(run).await).await
}

pub(crate) async fn a_cluster_that_is_read_grants_the_rights_of_its_reader_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    let account = Account {
        name: "clusterset-reader",
        roles: &["clusterroles/heliograph-clusterset-reader"],
        cluster: &stage.east,
    };
    account.prove(async |run| stage.works(run).await).await
}

pub(crate) async fn an_emitter_of_service_exports_needs_the_rights_of_the_component_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("service-exports")?;
    let east = quiet_cluster(&scene, "east").await?;
    let lab = Lab::new(scene)?;
    install_crds(&east).await?;
    install(&east, "manifests/emitter").await?;
    let rights = repository("manifests/service-exports/rights.yaml");
    let rights = rights.display().to_string();
    east.plane.kubectl().run(["apply", "-f", &rights]).await?;
    east.create_namespace("demo").await?;
    east.create_service("web").await?;
    let account = Account {
        name: "emitter",
        roles: &["clusterroles/heliograph-emitter-service-exports"],
        cluster: &east,
    };
    // What was granted a moment ago holds a moment later.
    for right in account.rights(account.roles[0]).await? {
        account
            .eventually_may(account.roles[0], &right, true)
            .await?;
    }
    eventually("the new resource can be listed", async || {
        east.read(&format!("{API}/serviceexports")).await.map(drop)
    })
    .await?;
    let kubeconfig = account.kubeconfig(&keeper).await?;
    let works = async |run: Run| {
        let port = free_port()?;
        let mut command = Command::new(program("emitter")?);
        command.args(["--service-exports", "--anonymous-auth", "--secure-port=0"]);
        command.arg("--insecure-bind-address=127.0.0.1");
        command.arg(format!("--insecure-port={port}"));
        command.arg("--kubeconfig").arg(&kubeconfig);
        let emitter = lab.start(&run.name, command, Some(port))?;
        let outcome = serves_what_is_exported(&east, &emitter, &run).await;
        emitter.kill().await?;
        east.delete(&format!("{API}/serviceexports")).await?;
        outcome
    };
    account.prove(works).await
}

async fn serves_what_is_exported(
    east: &Cluster,
    emitter: &Program,
    run: &Run,
) -> anyhow::Result<()> {
    is_ready(PATIENCE.min(run.patience * 2), emitter).await?;
    let shows = async |is_exported: bool| {
        within(run.patience, "the export decides", async || {
            let list = get(&emitter.url, "/api/v1/services").await?;
            ensure!(list.contains("\"web\"") == is_exported, "{list}");
            Ok(())
        })
        .await
    };
    shows(false).await?;
    export(east, "web", &json!({})).await?;
    shows(true).await?;
    east.delete(&format!("{API}/serviceexports/web")).await?;
    shows(false).await?;
    let name = "heliograph_emitter_upstream_failures_total";
    let failures = emitter.metric(name, "").await?;
    ensure!(failures == 0.0, "the API server was lost {failures} times");
    Ok(())
}

/// East is read through its API server as its manifests allow, and the local cluster imports.
struct Stage {
    east: Cluster,
    local: Cluster,
    line: Line,
    lab: Lab,
    /// Keeps the kubeconfigs.
    _keeper: Keeper,
}

impl Stage {
    async fn set(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let keeper = Keeper::new("clusterset")?;
        let (east, local) = quiet_clusters(&scene).await?;
        let lab = Lab::new(scene)?;
        for cluster in [&east, &local] {
            install_crds(cluster).await?;
            cluster.create_namespace("demo").await?;
            eventually("the new resources can be listed", async || {
                for resource in ["serviceexports", "serviceimports"] {
                    cluster.read(&format!("{API}/{resource}")).await?;
                }
                Ok(())
            })
            .await?;
        }
        east.create_namespace("heliograph").await?;
        install(&east, "manifests/multi-cluster-services-source").await?;
        install(&local, "manifests/examples/multi-cluster-services").await?;
        // The policy allows what the rights allow.
        install(&local, "manifests/own-objects").await?;
        let reader = kubeconfig_of(&east, "heliograph", "clusterset-reader", &keeper).await?;
        let config = json!({
            "clusterSet": {"cluster": "local"},
            "sources": [{"name": "east", "kubeconfig": reader}],
        });
        Ok(Self {
            line: Line {
                kubeconfig: kubeconfig_of(&local, "heliograph", "reflector", &keeper).await?,
                config: lab.file("config.json", &config.to_string())?,
                flags: flags(&local, "reflector", &["--admin-bind-address", "--config"]).await?,
            },
            east,
            local,
            lab,
            _keeper: keeper,
        })
    }

    async fn works(&self, run: Run) -> anyhow::Result<()> {
        let reflector = self.line.start(&self.lab, &run)?;
        let outcome = self.exercise(&reflector, &run).await;
        reflector.kill().await?;
        self.clean().await?;
        outcome
    }

    /// Removes what a run may have left.
    async fn clean(&self) -> anyhow::Result<()> {
        for cluster in [&self.east, &self.local] {
            for collection in [
                format!("{API}/serviceexports"),
                format!("{API}/serviceimports"),
                "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices".to_owned(),
                "/api/v1/namespaces/demo/services".to_owned(),
                "/apis/events.k8s.io/v1/namespaces/demo/events".to_owned(),
            ] {
                cluster.delete(&collection).await?;
            }
        }
        Ok(())
    }

    async fn exercise(&self, reflector: &Program, run: &Run) -> anyhow::Result<()> {
        is_ready(PATIENCE, reflector).await?;
        let (east, local) = (&self.east, &self.local);
        for (cluster, address) in [(east, "10.1.0.1"), (local, "10.2.0.1")] {
            cluster.create_service("web").await?;
            cluster.set_endpoints("web", &[address]).await?;
        }
        export(east, "web", &json!({})).await?;
        self.imports(run, 80, &["10.1.0.1"]).await?;
        // Each object changes once.
        east.set_endpoints("web", &["10.1.0.2"]).await?;
        self.imports(run, 80, &["10.1.0.2"]).await?;
        let port = json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080}]}});
        let web = "/api/v1/namespaces/demo/services/web";
        east.patch(web, &port.to_string()).await?;
        self.imports(run, 81, &["10.1.0.2"]).await?;
        export(local, "web", &json!({})).await?;
        within(run.patience, "the export has conditions", async || {
            let export = local.read(&format!("{API}/serviceexports/web")).await?;
            ensure!(export["status"]["conditions"].is_array(), "{export}");
            Ok(())
        })
        .await?;
        // There is no such Service.
        export(local, "ghost", &json!({})).await?;
        within(
            run.patience,
            "there is an Event of the export",
            async || {
                let events = "/apis/events.k8s.io/v1/namespaces/demo/events";
                let events = local.read(events).await?.to_string();
                ensure!(events.contains("ExportInvalid"), "{events}");
                Ok(())
            },
        )
        .await?;
        // A list now and then would also find everything, only later.
        let is_lost = reflector.log().contains("lost the watch");
        ensure!(!is_lost, "the API server was lost, as the log says");
        for cluster in [east, local] {
            let path = format!("{API}/serviceexports/web");
            cluster.delete(&path).await?;
        }
        within(run.patience, "the import is gone", async || {
            ensure!(import(local, "web").await?.is_none(), "the import is there");
            ensure!(slices(local, "web").await?.is_empty(), "slices are there");
            let services = local.read("/api/v1/namespaces/demo/services").await?;
            let n = services["items"].as_array().map_or(0, Vec::len);
            ensure!(n == 1, "{n} Services");
            Ok(())
        })
        .await
    }

    /// The local cluster has the import with that port and those addresses, and a status.
    async fn imports(&self, run: &Run, port: u16, addresses: &[&str]) -> anyhow::Result<()> {
        let what = format!("web is imported with port {port} and {addresses:?}");
        within(run.patience, &what, async || {
            let import = import(&self.local, "web").await?.unwrap_or_default();
            ensure!(import["spec"]["ports"][0]["port"] == port, "{import}");
            ensure!(import["status"]["clusters"].is_array(), "{import}");
            let slices = slices(&self.local, "web").await?;
            let found = slices.iter().flat_map(|it| texts(&it["endpoints"]));
            ensure!(found.collect::<Vec<_>>() == addresses, "{slices:?}");
            Ok(())
        })
        .await
    }
}

/// The first address of each endpoint.
fn texts(endpoints: &Value) -> impl Iterator<Item = &str> {
    let endpoints = endpoints.as_array().into_iter().flatten();
    endpoints.filter_map(|it| it["addresses"][0].as_str())
}
