//! Sources that get another name, and reflectors that contend, on embedded clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use embedded_cluster::{EmbeddedCluster, Fault, Kind, Options, Verb};
use serde_json::{Value, json};

use crate::embedded::set_service;
use crate::lab::{EXPORT, Lab, MIRRORS, Program, eventually, meanwhile, program};

const N_SERVICES: usize = 3;

/// A source, a local cluster, and reflectors that are configured by files.
struct Clusters {
    lab: Lab,
    source: EmbeddedCluster,
    local: EmbeddedCluster,
    keeper: Keeper,
}

impl Clusters {
    async fn start(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let mut local = Options::named("local");
        local.namespaces.push(MIRRORS.to_owned());
        let mut source = Options::named("east");
        source.namespaces.push("demo".to_owned());
        let clusters = Self {
            lab: Lab::new(scene)?,
            source: EmbeddedCluster::start(source).await?,
            local: EmbeddedCluster::start(local).await?,
            keeper: Keeper::new("clusters")?,
        };
        for i in 0..N_SERVICES {
            let address = format!("10.1.0.{}", i + 1);
            set_service(&clusters.source, &format!("svc-{i}"), 80, &[&address])?;
        }
        let kubeconfig = clusters.path("local.kubeconfig");
        clusters.local.write_kubeconfig(&kubeconfig)?;
        Ok(clusters)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.keeper.directory().join(name)
    }

    /// Writes the configuration of a reflector, in one step.
    fn configure(&self, file: &str, source: &Value) -> anyhow::Result<()> {
        let config = json!({
            "mirrorNamespace": MIRRORS, "removedSources": "delete", "sources": [source],
        });
        let new = self.path("new");
        std::fs::write(&new, config.to_string())?;
        Ok(std::fs::rename(new, self.path(file))?)
    }

    fn named(&self, name: &str, prefix: &str) -> Value {
        json!({
            "name": name, "url": self.source.url(), "prefix": prefix,
            "selector": format!("{EXPORT}=true"),
        })
    }

    async fn reflector(&self, file: &str) -> anyhow::Result<Program> {
        let mut command = Command::new(program("reflector")?);
        command
            .arg("--kubeconfig")
            .arg(self.path("local.kubeconfig"));
        command.arg("--config").arg(self.path(file));
        let reflector = self.lab.start("reflector", command, None)?;
        reflector.ready().await?;
        Ok(reflector)
    }

    /// Names and UIDs of the mirror Services.
    fn mirrors(&self) -> BTreeMap<String, String> {
        let services = self.local.list(Kind::Services).into_iter();
        let mirrors = services.filter(|it| it["metadata"]["namespace"] == MIRRORS);
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        mirrors
            .map(|it| (text(&it["metadata"]["name"]), text(&it["metadata"]["uid"])))
            .collect()
    }

    fn sources_of_mirrors(&self) -> BTreeSet<String> {
        let services = self.local.list(Kind::Services).into_iter();
        let labels = services.filter_map(|it| {
            let source = it["metadata"]["labels"]["heliograph.dev/source"].as_str();
            source.map(str::to_owned)
        });
        labels.collect()
    }

    async fn has_mirrors(&self) -> anyhow::Result<BTreeMap<String, String>> {
        eventually("all is mirrored", async || {
            let n = self.mirrors().len();
            ensure!(n == N_SERVICES, "{n} mirrors");
            Ok(())
        })
        .await?;
        Ok(self.mirrors())
    }

    fn n_deleted(&self) -> usize {
        let audit = self.local.audit();
        audit.done(Verb::Delete, Kind::Services).count()
    }
}

pub(crate) async fn a_renamed_source_keeps_its_mirrors_and_cluster_ips(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let it = Clusters::start(scene).await?;
    it.configure("config", &it.named("east", "east"))?;
    let reflector = it.reflector("config").await?;
    let before = it.has_mirrors().await?;

    // Renamed while it cannot be reached.
    it.source.fail(Fault::Refuse);
    it.source.cut_connections();
    it.configure("config", &it.named("orient", "east"))?;
    eventually("it may be the same", async || {
        let status = reflector.status().await?.to_string();
        ensure!(status.contains("SourceMayBeRenamed"), "{status}");
        Ok(())
    })
    .await?;
    meanwhile("nothing is deleted", async || {
        ensure!(it.mirrors() == before, "{:?}", it.mirrors());
        Ok(())
    })
    .await?;
    it.source.heal();
    eventually("they are of the new name", async || {
        let sources = it.sources_of_mirrors();
        ensure!(
            sources == BTreeSet::from(["orient".to_owned()]),
            "{sources:?}"
        );
        Ok(())
    })
    .await?;
    ensure!(it.mirrors() == before, "{:?}", it.mirrors());
    ensure!(it.n_deleted() == 0, "{} were deleted", it.n_deleted());

    // Another prefix: others are there before these go.
    it.configure("config", &it.named("levant", "levant"))?;
    eventually("they have other names", async || {
        let mirrors = it.mirrors();
        let are_new = mirrors.keys().all(|it| it.starts_with("levant-"));
        ensure!(are_new && mirrors.len() == N_SERVICES, "{mirrors:?}");
        Ok(())
    })
    .await?;
    let audit = it.local.audit();
    let writes = audit.writes.iter().filter(|it| it.kind == Kind::Services);
    let verbs: Vec<_> = writes.map(|it| it.verb).collect();
    let first = verbs.iter().position(|it| *it == Verb::Delete);
    let last = verbs.iter().rposition(|it| *it == Verb::Create);
    ensure!(last < first, "one was deleted before all others were made");
    Ok(())
}

pub(crate) async fn two_reflectors_that_contend_slow_down(scene: Arc<Scene>) -> anyhow::Result<()> {
    let it = Clusters::start(scene).await?;
    // Both write the same objects, and each its own labels.
    it.configure("one", &it.named("one", "east"))?;
    it.configure("other", &it.named("other", "east"))?;
    let one = it.reflector("one").await?;
    it.has_mirrors().await?;
    let other = it.reflector("other").await?;
    eventually("that is reported", async || {
        let status = one.status().await?.to_string() + &other.status().await?.to_string();
        ensure!(status.contains("ExternalModification"), "{status}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    it.local.forget_audit();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let audit = it.local.audit();
    let services = audit.writes.iter().filter(|it| it.kind == Kind::Services);
    let n_writes = services.count();
    ensure!(n_writes < 10 * N_SERVICES, "{n_writes} writes in 10 s");
    // When one of them ends, the other has what it wants within a minute.
    other.stop().await?;
    eventually("all are of one", async || {
        let sources = it.sources_of_mirrors();
        ensure!(sources == BTreeSet::from(["one".to_owned()]), "{sources:?}");
        Ok(())
    })
    .await
    .context("the backoff does not end")
}
