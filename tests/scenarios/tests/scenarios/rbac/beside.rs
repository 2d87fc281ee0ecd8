//! What a reflector needs to write core/v1 Endpoints beside slices.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::json;

use super::{Account, Line, PATIENCE, Run, is_ready, quiet_clusters, within};
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, mirror, service_path};
use crate::manifests::{flags, install};

pub(crate) async fn endpoints_need_the_rights_of_the_component_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("beside")?;
    let (east, local) = quiet_clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    install(&local, "manifests/examples/core-endpoints").await?;
    east.create_namespace("demo").await?;
    let account = Account {
        name: "reflector",
        roles: &["namespaces/mirrors/roles/heliograph-reflector-core-endpoints"],
        cluster: &local,
    };
    let beside = Beside {
        lab: &lab,
        east: &east,
        local: &local,
        line: Line {
            kubeconfig: account.kubeconfig(&keeper).await?,
            config: lab.file("config.json", "{}")?,
            flags: flags(&local, "reflector", &["--admin-bind-address", "--config"]).await?,
        },
    };
    account.prove(async |run| beside.works(run).await).await
}

struct Beside<'a> {
    lab: &'a Lab,
    east: &'a Cluster,
    local: &'a Cluster,
    line: Line,
}

impl Beside<'_> {
    fn configure(&self, is_written: bool) -> anyhow::Result<()> {
        let source = json!({
            "name": "east", "prefix": "east", "kubeconfig": self.east.plane.kubeconfig(),
            "selector": format!("{EXPORT}=true"), "writeEndpoints": is_written,
        });
        let config = json!({"mirrorNamespace": MIRRORS, "sources": [source]});
        Ok(std::fs::write(&self.line.config, config.to_string())?)
    }

    async fn works(&self, run: Run) -> anyhow::Result<()> {
        self.configure(true)?;
        self.occupy().await?;
        let reflector = self.line.start(self.lab, &run)?;
        let outcome = self.exercise(&reflector, &run).await;
        reflector.kill().await?;
        for name in ["web", "taken"] {
            // It may have been deleted, or not even created.
            let _ = self.east.delete_service(&format!("demo/{name}")).await;
            let key = mirror("east", name);
            let _ = self.local.delete_service(&key).await;
            let _ = self.local.delete(&endpoints_of(&key)).await;
        }
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{MIRRORS}/endpointslices");
        self.local.delete(&slices).await?;
        let slices = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
        self.east.delete(slices).await?;
        outcome
    }

    /// Somebody has the name that Endpoints would have.
    async fn occupy(&self) -> anyhow::Result<()> {
        let key = mirror("east", "taken");
        let (_, name) = key.split_once('/').context("a key is namespace/name")?;
        let theirs = json!({"metadata": {"name": name}});
        let path = format!("/api/v1/namespaces/{MIRRORS}/endpoints");
        self.local.post(&path, &theirs.to_string()).await
    }

    async fn exercise(&self, reflector: &Program, run: &Run) -> anyhow::Result<()> {
        is_ready(PATIENCE, reflector).await?;
        let (east, local, patience) = (self.east, self.local, run.patience);
        let web = endpoints_of(&mirror("east", "web"));
        let has = async |address: &str| {
            within(
                patience,
                &format!("the Endpoints have {address}"),
                async || {
                    let found = local.read(&web).await?;
                    let ip = &found["subsets"][0]["addresses"][0]["ip"];
                    ensure!(ip == address, "{found}");
                    Ok(())
                },
            )
            .await
        };
        for name in ["web", "taken"] {
            east.create_service(name).await?;
        }
        east.set_endpoints("web", &["10.1.0.1"]).await?;
        has("10.1.0.1").await?;
        east.set_endpoints("web", &["10.1.0.2"]).await?;
        has("10.1.0.2").await?;
        within(patience, "it is told who has the name", async || {
            let status = reflector.status().await?["problems"].to_string();
            ensure!(status.contains("AlreadyExists"), "{status}");
            Ok(())
        })
        .await?;
        local.delete(&web).await?;
        has("10.1.0.2").await?;
        // A list now and then would also find everything, only later.
        let is_lost = reflector.log().contains("not followed");
        ensure!(!is_lost, "the API server was lost, as the log says");
        // Those of a Service that is deleted go with it, whoever may delete Endpoints.
        self.configure(false)?;
        within(2 * patience, "they are gone", async || {
            ensure!(local.read(&web).await.is_err(), "they are there");
            Ok(())
        })
        .await
    }
}

fn endpoints_of(key: &str) -> String {
    service_path(key).replace("/services/", "/endpoints/")
}
