//! A reflector in the place of k8s-endpoints-sync-controller, between embedded clusters: what
//! that program lost on the way arrives.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use embedded_cluster::{EmbeddedCluster, Fault, Kind, Options, Verb};
use serde_json::{Value, json};

use crate::embedded::{remove_service, set_service};
use crate::lab::{Lab, Program, eventually, meanwhile, program};

/// East, this cluster, and a reflector that replicates all that east has.
struct Replicating {
    east: EmbeddedCluster,
    local: EmbeddedCluster,
    reflector: Program,
    _keeper: Keeper,
}

impl Replicating {
    /// With a reflector that has just been started.
    async fn new(scene: Arc<Scene>, east: EmbeddedCluster) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let keeper = Keeper::new("replicas")?;
        let mut options = Options::named("local");
        options.namespaces.push("demo".to_owned());
        let local = EmbeddedCluster::start(options).await?;
        let directory = keeper.directory().join("kubeconfigs");
        std::fs::create_dir(&directory)?;
        east.write_kubeconfig(&directory.join("east"))?;
        let kubeconfig = keeper.directory().join("local");
        local.write_kubeconfig(&kubeconfig)?;
        let mut command = Command::new(program("reflector")?);
        command
            .env("KUBECONFIGS", directory)
            .env("EXCLUDE", "kube-system")
            .arg("--kubeconfig")
            .arg(kubeconfig);
        let reflector = lab.start("reflector", command, None)?;
        Ok(Self {
            east,
            local,
            reflector,
            _keeper: keeper,
        })
    }

    /// The replicas, as `namespace/name`.
    fn replicas(&self) -> Vec<String> {
        let services = self.local.list(Kind::Services);
        let is_replica = |it: &&Value| it["metadata"]["labels"]["replicated"] == "true";
        let replicas = services.iter().filter(is_replica).map(|it| {
            let text = |field: &str| it["metadata"][field].as_str().unwrap_or_default();
            format!("{}/{}", text("namespace"), text("name"))
        });
        replicas.collect()
    }

    async fn eventually_has(&self, replicas: &[&str]) -> anyhow::Result<()> {
        eventually("the replicas are there", async || {
            let found = self.replicas();
            ensure!(found == replicas, "{found:?}");
            Ok(())
        })
        .await
    }

    async fn status(&self) -> anyhow::Result<String> {
        Ok(self.reflector.status().await?.to_string())
    }
}

async fn east() -> anyhow::Result<EmbeddedCluster> {
    let mut options = Options::named("east");
    options.namespaces.push("demo".to_owned());
    EmbeddedCluster::start(options).await
}

fn namespace(east: &EmbeddedCluster, name: &str, labels: &Value) -> anyhow::Result<()> {
    let metadata = json!({"name": name, "labels": labels});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    east.put(namespace)
        .map_err(|why| anyhow::anyhow!(why.message))
}

pub(crate) async fn a_rejected_object_is_retried_without_an_event_of_its_source(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let it = Replicating::new(scene, east().await?).await?;
    it.reflector.ready().await?;
    for code in [500, 403] {
        it.local
            .fail(Fault::status(code).for_verbs(&[Verb::Create]));
        set_service(&it.east, "web", 80, &["10.1.0.1"])?;
        eventually("it is refused more than once", async || {
            let asked = it.local.audit().requests;
            let asked = asked.get(&(Verb::Create, Kind::Services));
            ensure!(asked.is_some_and(|n| 1 < *n), "{asked:?}");
            Ok(())
        })
        .await?;
        ensure!(it.replicas().is_empty(), "{code} refuses nothing");
        it.local.heal();
        it.eventually_has(&["demo/web"]).await?;
        remove_service(&it.east, "web");
        it.eventually_has(&[]).await?;
        it.local.forget_audit();
    }
    Ok(())
}

pub(crate) async fn nothing_comes_before_it_is_known_which_namespaces_opt_out(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let east = east().await?;
    set_service(&east, "web", 80, &["10.1.0.1"])?;
    namespace(&east, "demo", &json!({"replicated": "false"}))?;
    east.fail(Fault::status(403).for_kinds(&[Kind::Namespaces]));
    let it = Replicating::new(scene, east).await?;
    // That is said, and holds up nobody else.
    it.reflector.ready().await?;
    eventually("the missing right is told", async || {
        let status = it.status().await?;
        ensure!(status.contains("cannot list namespaces"), "{status}");
        Ok(())
    })
    .await?;
    meanwhile("nothing comes", async || {
        ensure!(it.replicas().is_empty());
        Ok(())
    })
    .await?;
    it.east.heal();
    eventually("who opts out is told", async || {
        let status = it.status().await?;
        ensure!(status.contains("NamespaceOptedOut"), "{status}");
        ensure!(status.contains("replicated=false"), "{status}");
        Ok(())
    })
    .await?;
    ensure!(it.replicas().is_empty());

    // What came before its namespace wanted it is not forgotten.
    namespace(&it.east, "demo", &json!({}))?;
    it.eventually_has(&["demo/web"]).await?;
    eventually("nothing is wrong", async || {
        let status = it.status().await?;
        ensure!(!status.contains("NamespaceOptedOut"), "{status}");
        Ok(())
    })
    .await?;
    // What is known of namespaces holds while they cannot be followed.
    let unread = Fault::status(500).for_verbs(&[Verb::List, Verb::Watch]);
    it.east.fail(unread.for_kinds(&[Kind::Namespaces]));
    it.east.cut_connections();
    set_service(&it.east, "db", 80, &["10.1.0.2"])?;
    it.eventually_has(&["demo/db", "demo/web"]).await?;
    it.east.heal();
    namespace(&it.east, "demo", &json!({"replicated": "false"}))?;
    it.eventually_has(&[]).await
}

pub(crate) async fn many_replicas_cost_two_writes_each_and_no_further_request(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    // At five requests a second, as the replaced program's client asked, that takes two
    // minutes.
    const N: usize = 300;
    let east = east().await?;
    for i in 0..N {
        set_service(&east, &format!("svc-{i}"), 80, &["10.1.0.1"])?;
    }
    let it = Replicating::new(scene, east).await?;
    eventually("all are there", async || {
        let n = it.replicas().len();
        ensure!(n == N, "{n} replicas");
        let slices = it.local.audit();
        let n = slices.done(Verb::Create, Kind::EndpointSlices).count();
        ensure!(n == N, "{n} slices");
        Ok(())
    })
    .await?;
    let requests = it.local.audit().requests;
    let count = |verb, kind| requests.get(&(verb, kind)).copied().unwrap_or(0);
    let n = u64::try_from(N).context("it is small")?;
    for kind in [Kind::Services, Kind::EndpointSlices] {
        ensure!(count(Verb::Create, kind) == n, "{requests:?}");
        let others = [Verb::Get, Verb::Update, Verb::Patch, Verb::Delete];
        let others: u64 = others.into_iter().map(|it| count(it, kind)).sum();
        ensure!(others == 0, "{requests:?}");
    }
    // What east is asked for does not grow with what it has.
    let asked = it.east.audit().requests;
    let kinds = [Kind::Services, Kind::EndpointSlices, Kind::Namespaces];
    let asked_of = |kind: &Kind| {
        let reads = [Verb::List, Verb::Watch, Verb::Get];
        let reads = reads.map(|verb| asked.get(&(verb, *kind)).copied().unwrap_or(0));
        reads.into_iter().sum::<u64>()
    };
    let total: u64 = kinds.iter().map(asked_of).sum();
    ensure!(total < 20, "{asked:?}");
    ensure!(asked_of(&Kind::Endpoints) == 0, "{asked:?}");
    Ok(())
}
