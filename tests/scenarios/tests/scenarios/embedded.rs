//! A reflector between embedded clusters, which fail on demand and cost nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use control_plane::{Keeper, Scene};
use embedded_cluster::{EmbeddedCluster, Kind, Options, Verb};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::lab::{EXPORT, Lab, MIRRORS, Program, eventually, mirror, program};

/// Sources, a local cluster, and a reflector that follows all of them into it.
pub(crate) struct World {
    pub(crate) sources: Vec<EmbeddedCluster>,
    pub(crate) local: EmbeddedCluster,
    pub(crate) reflector: Program,
    _keeper: Keeper,
}

/// A Service's ports and the addresses behind it: what must arrive.
pub(crate) type Shape = (BTreeSet<u64>, BTreeSet<String>);

impl World {
    /// Sources of these names, each of which has `n_services`; the reflector is ready
    /// and has mirrored them.
    pub(crate) async fn new(
        scene: Arc<Scene>,
        names: &[&str],
        n_services: usize,
    ) -> anyhow::Result<Self> {
        // Longer than any scenario: what is held must come right without a release.
        Self::holding(scene, names, n_services, Duration::from_secs(3600)).await
    }

    /// The same, with deletions in mass held so long.
    pub(crate) async fn holding(
        scene: Arc<Scene>,
        names: &[&str],
        n_services: usize,
        hold: Duration,
    ) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let keeper = Keeper::new("clusters")?;
        let mut local = Options::named("local");
        local.namespaces.push(MIRRORS.to_owned());
        let local = EmbeddedCluster::start(local).await?;
        let mut sources = Vec::new();
        for name in names {
            let mut options = Options::named(name);
            options.namespaces.push("demo".to_owned());
            let source = EmbeddedCluster::start(options).await?;
            for i in 0..n_services {
                set_service(
                    &source,
                    &format!("svc-{i}"),
                    80,
                    &[&format!("10.1.0.{}", i % 250 + 1)],
                )?;
            }
            sources.push(source);
        }
        let kubeconfig = keeper.directory().join("local.kubeconfig");
        local.write_kubeconfig(&kubeconfig)?;
        let config = keeper.directory().join("reflector.yaml");
        std::fs::write(&config, configuration(&sources, hold).to_string())?;
        let mut command = Command::new(program("reflector")?);
        command.arg("--kubeconfig").arg(kubeconfig);
        command.arg("--config").arg(config);
        let reflector = lab.start("reflector", command, None)?;
        reflector.ready().await?;
        let world = Self {
            sources,
            local,
            reflector,
            _keeper: keeper,
        };
        world.converges().await?;
        Ok(world)
    }

    /// The source of that name.
    pub(crate) fn source(&self, name: &str) -> anyhow::Result<&EmbeddedCluster> {
        let found = self.sources.iter().find(|it| it.name() == name);
        found.with_context(|| format!("there is no source {name}"))
    }

    /// Waits until what is local is what the sources hold.
    pub(crate) async fn converges(&self) -> anyhow::Result<()> {
        let all: Vec<&str> = self.sources.iter().map(EmbeddedCluster::name).collect();
        self.converges_for(&all).await
    }

    /// The same, for some sources.
    pub(crate) async fn converges_for(&self, names: &[&str]) -> anyhow::Result<()> {
        // Half-open connections are noticed after 90 s.
        const PATIENCE: Duration = Duration::from_secs(150);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let began = Instant::now();
            let Err(why) = self.agrees(names) else {
                return Ok(());
            };
            if deadline < Instant::now() {
                let status = self.reflector.status().await?;
                return Err(why.context(format!("not after {PATIENCE:?}: {status}")));
            }
            // Looking at many thousand objects must not keep what is looked at from work.
            let pause = 3 * began.elapsed();
            tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
        }
    }

    /// Whether the mirrors are those of the sources, one by one.
    pub(crate) fn agrees(&self, names: &[&str]) -> anyhow::Result<()> {
        let mirrors = shapes(&self.local, MIRRORS);
        for name in names {
            let wanted = shapes(self.source(name)?, "demo");
            let wanted: BTreeMap<String, Shape> = wanted
                .into_iter()
                .map(|(service, shape)| (mirror(name, &service), shape))
                .collect();
            let prefix = format!("{name}-demo-");
            let found: BTreeMap<String, Shape> = mirrors
                .iter()
                .filter(|(service, _)| service.starts_with(&prefix))
                .map(|(service, shape)| (format!("{MIRRORS}/{service}"), shape.clone()))
                .collect();
            let differs = wanted
                .iter()
                .find(|(key, shape)| found.get(*key) != Some(shape));
            if let Some((key, shape)) = differs {
                let found = found.get(key);
                bail!("{name}: {key} has {found:?} and not {shape:?}");
            }
            let extra = found.keys().find(|key| !wanted.contains_key(*key));
            ensure!(extra.is_none(), "{name}: {extra:?} should not be there");
        }
        Ok(())
    }

    /// Waits until deletions are held, or none are.
    pub(crate) async fn is_held(&self, held: bool) -> anyhow::Result<()> {
        eventually(&format!("deletions are held: {held}"), async || {
            let status = self.reflector.status().await?.to_string();
            ensure!(status.contains("DeletionHeld") == held, "{status}");
            Ok(())
        })
        .await
    }

    /// The name of the slice of a mirror that has one.
    pub(crate) fn slice_of(&self, service: &str) -> anyhow::Result<String> {
        let slices = self.local.list(Kind::EndpointSlices);
        let is_its =
            |it: &&Value| it["metadata"]["labels"]["kubernetes.io/service-name"] == service;
        let slice = slices.iter().find(is_its);
        let name = slice.and_then(|it| it["metadata"]["name"].as_str());
        Ok(name.context("the mirror has a slice")?.to_owned())
    }

    /// The names of the mirrors that were deleted so far.
    pub(crate) fn deleted(&self) -> BTreeSet<String> {
        let audit = self.local.audit();
        let deleted = audit.done(Verb::Delete, Kind::Services);
        deleted.map(|it| it.key.to_string()).collect()
    }

    /// How many writes of mirrors were asked for so far.
    pub(crate) fn n_writes(&self) -> usize {
        let audit = self.local.audit();
        let mirrors = [Kind::Services, Kind::EndpointSlices, Kind::Endpoints];
        audit
            .writes
            .iter()
            .filter(|it| mirrors.contains(&it.kind))
            .count()
    }

    /// Restarts the reflector, and sees that it writes nothing.
    pub(crate) async fn restarts_without_a_write(&self) -> anyhow::Result<()> {
        self.reflector.stop().await?;
        let before = self.n_writes();
        self.reflector.start().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.converges().await?;
        let n_writes = self.n_writes() - before;
        ensure!(
            n_writes == 0,
            "a restart with nothing changed took {n_writes} writes"
        );
        Ok(())
    }
}

fn configuration(sources: &[EmbeddedCluster], hold: Duration) -> Value {
    let sources = sources.iter().map(|source| {
        json!({
            "name": source.name(),
            "url": source.url(),
            "prefix": source.name(),
            "selector": format!("{EXPORT}=true"),
        })
    });
    let sources: Vec<Value> = sources.collect();
    json!({ "mirrorNamespace": MIRRORS, "deletionHold": format!("{}s", hold.as_secs()), "sources": sources })
}

/// Creates an exported Service with one slice, or changes it.
pub(crate) fn set_service(
    source: &EmbeddedCluster,
    name: &str,
    port: u16,
    addresses: &[&str],
) -> anyhow::Result<()> {
    let labels = json!({ EXPORT: "true", "kubernetes.io/service-name": name });
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|it| json!({ "addresses": [it], "conditions": { "ready": true } }))
        .collect();
    let objects = [
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name, "namespace": "demo", "labels": { EXPORT: "true" } },
            "spec": { "ports": [{ "name": "http", "port": port }] },
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": format!("{name}-1"), "namespace": "demo", "labels": labels },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": endpoints,
        }),
    ];
    for object in objects {
        source
            .put(object)
            .map_err(|why| anyhow::anyhow!(why.message))?;
    }
    Ok(())
}

/// Deletes a Service and its slice.
pub(crate) fn remove_service(source: &EmbeddedCluster, name: &str) {
    source.delete(Kind::EndpointSlices, "demo", &format!("{name}-1"));
    source.delete(Kind::Services, "demo", name);
}

/// The Services of a namespace, as far as they must arrive.
fn shapes(cluster: &EmbeddedCluster, namespace: &str) -> BTreeMap<String, Shape> {
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    let is_here = |it: &Value| it["metadata"]["namespace"] == namespace;
    for service in cluster.list(Kind::Services).iter().filter(|it| is_here(it)) {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let ports = ports.filter_map(|it| it["port"].as_u64()).collect();
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        shapes.insert(name.to_owned(), (ports, BTreeSet::new()));
    }
    for slice in cluster
        .list(Kind::EndpointSlices)
        .iter()
        .filter(|it| is_here(it))
    {
        let service = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str();
        let Some((_, addresses)) = shapes.get_mut(service.unwrap_or_default()) else {
            continue;
        };
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let found = endpoints.filter_map(|it| it["addresses"][0].as_str());
        addresses.extend(found.map(str::to_owned));
    }
    shapes
}
