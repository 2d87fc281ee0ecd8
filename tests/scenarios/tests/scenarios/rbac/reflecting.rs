//! All that a reflector does, with the rights that it has at the time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Keeper;
use serde_json::json;

use super::{Account, Run, is_ready, within};
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, mirror, program, service_path};
use crate::manifests::flags;

/// A reflector in `local`, of `east`.
pub(super) struct Reflecting<'a> {
    lab: &'a Lab,
    east: &'a Cluster,
    local: &'a Cluster,
    kubeconfig: PathBuf,
    config: PathBuf,
    flags: Vec<String>,
}

const SERVICES: &str = "/api/v1/namespaces/mirrors/services";
const ENDPOINTS: &str = "/api/v1/namespaces/mirrors/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/mirrors/endpointslices";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/mirrors/events";
const SOURCE_EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/heliograph/events";
/// The source that is of another cluster than expected.
const OTHER: &str = "other";
const RECORD: &str = "/api/v1/namespaces/heliograph/configmaps/heliograph-reflector-sources";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/heliograph/leases";

impl<'a> Reflecting<'a> {
    pub(super) async fn prepare(
        lab: &'a Lab,
        east: &'a Cluster,
        account: &Account<'a>,
        keeper: &Keeper,
    ) -> anyhow::Result<Self> {
        let config = keeper.directory().join("config.yaml");
        let source = json!({
            "name": "east", "prefix": "east", "kubeconfig": east.plane.kubeconfig(),
            "selector": format!("{EXPORT}=true"), "namespace": "demo",
        });
        // Another cluster answers, which is a problem of the whole source.
        let other = json!({
            "name": OTHER, "prefix": OTHER, "kubeconfig": east.plane.kubeconfig(),
            "cluster": "expected", "namespace": "demo",
        });
        let text = json!({"mirrorNamespace": MIRRORS, "sources": [source, other]});
        std::fs::write(&config, text.to_string())?;
        let it = Self {
            lab,
            east,
            local: account.cluster,
            kubeconfig: account.kubeconfig(keeper).await?,
            config,
            flags: flags(
                account.cluster,
                "reflector",
                &["--admin-bind-address", "--config"],
            )
            .await?,
        };
        it.occupy().await?;
        it.close_addresses().await?;
        Ok(it)
    }

    /// Lets somebody have the names that a mirror and a mirror's slice would have.
    async fn occupy(&self) -> anyhow::Result<()> {
        for name in ["taken", "held", "old"] {
            self.east.create_service(name).await?;
            self.east.set_endpoints(name, &["10.1.0.9"]).await?;
        }
        let reflector = self.start("reflector-of-admin", &self.local.plane.kubeconfig())?;
        let held = mirror("east", "held");
        self.local.eventually_has(&held, &["10.1.0.9"]).await?;
        reflector.stop().await?;
        let list = self.local.read(SLICES).await?;
        let slices = list["items"].as_array().context("a list has items")?;
        let mut names = slices
            .iter()
            .filter_map(|it| it["metadata"]["name"].as_str());
        let slice = names.find(|it| it.starts_with("held"));
        let slice = slice.context("there is one")?.to_owned();
        self.clear().await?;
        let taken = mirror("east", "taken");
        let (_, taken) = taken.split_once('/').context("a key is namespace/name")?;
        let theirs = json!({"metadata": {"name": taken}, "spec": {"ports": [{"port": 1}]}});
        self.local.post(SERVICES, &theirs.to_string()).await?;
        let theirs = json!({"metadata": {"name": slice}, "addressType": "IPv4", "endpoints": []});
        self.local.post(SLICES, &theirs.to_string()).await
    }

    /// Two Services lead to addresses of `local`: of a Service, and of a node's pods.
    async fn close_addresses(&self) -> anyhow::Result<()> {
        let node = json!({"metadata": {"name": "node"}, "spec": {"podCIDRs": ["10.77.0.0/24"]}});
        self.local.post("/api/v1/nodes", &node.to_string()).await?;
        let own = self.local.service("default/kubernetes").await?;
        let own = own.context("it is there")?;
        let own = own["spec"]["clusterIP"].as_str().context("it has one")?;
        for (name, address) in [("to-service", own), ("to-pod", "10.77.0.7")] {
            self.east.create_service(name).await?;
            self.east.set_endpoints(name, &[address]).await?;
        }
        Ok(())
    }

    fn start(&self, name: &str, kubeconfig: &Path) -> anyhow::Result<Program> {
        let mut command = Command::new(program("reflector")?);
        // Short, so that it is renewed soon.
        command.args(&self.flags).args([
            "--leader-elect-lease-duration=3s",
            "--state-namespace=heliograph",
        ]);
        command.arg("--config").arg(&self.config);
        command.arg("--kubeconfig").arg(kubeconfig);
        self.lab.start(name, command, None)
    }

    pub(super) async fn works(&self, run: Run) -> anyhow::Result<()> {
        self.leave_behind().await?;
        let reflector = self.start(&run.name, &self.kubeconfig)?;
        let outcome = self.exercise(&reflector, run.patience).await;
        reflector.kill().await?;
        for path in [
            "/api/v1/namespaces/demo/services/web",
            "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/web-1",
        ] {
            // It may have been deleted, or not even created.
            let _ = self.east.delete(path).await;
        }
        for path in [service_path(&mirror("east", "old")), old_endpoints()] {
            let _ = self.local.delete(&path).await;
        }
        self.clear().await?;
        outcome
    }

    /// A mirror as semaphore-service-mirror would have it.
    async fn leave_behind(&self) -> anyhow::Result<()> {
        let old = mirror("east", "old");
        let (_, name) = old.split_once('/').context("a key is namespace/name")?;
        let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
        let metadata = json!({"name": name, "labels": labels});
        let service = json!({"metadata": metadata, "spec": {"ports": [{"port": 80}]}});
        self.local.post(SERVICES, &service.to_string()).await?;
        let addresses = json!([{"addresses": [{"ip": "10.1.0.8"}]}]);
        let endpoints = json!({"metadata": metadata, "subsets": addresses});
        self.local.post(ENDPOINTS, &endpoints.to_string()).await
    }

    async fn clear(&self) -> anyhow::Result<()> {
        let ours = "?labelSelector=heliograph.dev/source";
        self.local.delete(&format!("{SERVICES}{ours}")).await?;
        self.local.delete(&format!("{SLICES}{ours}")).await?;
        self.local.delete(EVENTS).await?;
        self.local.delete(SOURCE_EVENTS).await?;
        let nothing = r#"{"data":null,"metadata":{"annotations":null}}"#;
        self.local.patch(RECORD, nothing).await?;
        self.local.delete(LEASES).await
    }

    async fn exercise(&self, reflector: &Program, patience: Duration) -> anyhow::Result<()> {
        is_ready(patience, reflector).await?;
        let (east, local) = (self.east, self.local);
        let web = mirror("east", "web");
        let has = async |address: &str| {
            within(patience, &format!("{web} has {address}"), async || {
                ensure!(local.service(&web).await?.is_some(), "there is no {web}");
                let found = local.addresses(&web).await?;
                ensure!(found == [address], "it has {found:?}");
                Ok(())
            })
            .await
        };
        east.create_service("web").await?;
        east.set_endpoints("web", &["10.1.0.1"]).await?;
        has("10.1.0.1").await?;
        east.set_endpoints("web", &["10.1.0.2"]).await?;
        has("10.1.0.2").await?;
        let ports = r#"{"spec":{"ports":[{"name":"http","port":81}]}}"#;
        east.patch_service("demo/web", ports).await?;
        within(patience, "the port is changed", async || {
            let service = local.service(&web).await?.context("it is there")?;
            ensure!(service["spec"]["ports"][0]["port"] == 81, "{service}");
            Ok(())
        })
        .await?;
        self.tells_what_is_occupied(reflector, patience).await?;
        self.tells_what_is_closed(reflector, patience).await?;

        local.delete_service(&web).await?;
        local
            .delete(&format!("{SLICES}?labelSelector=heliograph.dev/source"))
            .await?;
        has("10.1.0.2").await?;
        // A list now and then would also find everything, only later.
        let log = reflector.log();
        let mut lost = log.lines().filter(|it| it.contains("not followed"));
        let is_lost = lost.any(|it| !it.contains(&format!("source {OTHER}")));
        ensure!(!is_lost, "the API server was lost, as the log says");

        east.delete_service("demo/web").await?;
        within(patience, "it is gone", async || {
            ensure!(local.service(&web).await?.is_none(), "it is there");
            let found = local.addresses(&web).await?;
            ensure!(found.is_empty(), "there are still {found:?}");
            Ok(())
        })
        .await?;
        within(patience, "the lease is renewed", async || {
            let leases = local.read(LEASES).await?;
            let lease = &leases["items"][0]["spec"];
            ensure!(lease["renewTime"] != lease["acquireTime"], "{lease}");
            Ok(())
        })
        .await
    }

    async fn tells_what_is_closed(
        &self,
        reflector: &Program,
        patience: Duration,
    ) -> anyhow::Result<()> {
        within(
            patience,
            "addresses of this cluster are closed",
            async || {
                let status = reflector.status().await?;
                let problems = status["problems"].as_array().context("it has problems")?;
                for object in ["demo/to-service", "demo/to-pod"] {
                    let is_told = problems.iter().any(|it| {
                        it["reason"] == "AddressInLocalCIDR"
                            && it["object"].to_string().contains(object)
                    });
                    ensure!(is_told, "nothing of {object} in {status}");
                }
                Ok(())
            },
        )
        .await?;
        within(patience, "the source's cluster is recorded", async || {
            let record = self.local.read(RECORD).await?;
            ensure!(record["data"]["east"].is_string(), "{record}");
            Ok(())
        })
        .await?;
        within(patience, "the old mirror is taken over", async || {
            let old = self.local.service(&mirror("east", "old")).await?;
            let old = old.context("it is gone")?;
            let source = &old["metadata"]["labels"]["heliograph.dev/source"];
            ensure!(source == "east", "{old}");
            let left = self.local.read(&old_endpoints()).await;
            ensure!(left.is_err(), "its Endpoints are there");
            Ok(())
        })
        .await
    }

    async fn tells_what_is_occupied(
        &self,
        reflector: &Program,
        patience: Duration,
    ) -> anyhow::Result<()> {
        within(patience, "it is told who has the names", async || {
            let status = reflector.status().await?;
            let problems = status["problems"].as_array().context("it has problems")?;
            for object in ["demo/taken", "demo/held"] {
                let told = problems.iter().any(|problem| {
                    let about = problem["object"].to_string();
                    problem["reason"] == "AlreadyExists" && about.contains(object)
                });
                ensure!(told, "nothing of {object} in {status}");
            }
            let events = self.local.read(EVENTS).await?;
            let n_events = events["items"].as_array().map_or(0, Vec::len);
            ensure!(2 <= n_events, "{events}");
            let events = self.local.read(SOURCE_EVENTS).await?.to_string();
            ensure!(events.contains("ClusterIdentityMismatch"), "{events}");
            Ok(())
        })
        .await
    }
}

fn old_endpoints() -> String {
    service_path(&mirror("east", "old")).replace("/services/", "/endpoints/")
}
