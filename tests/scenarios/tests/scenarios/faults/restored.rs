//! An etcd that goes back to a backup, and counts past its former resource version at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;

use super::real::{deleted, much_else_happens, restarts_without_a_write};
use crate::lab::{Cluster, EXPORT, Lab, eventually, mirror};

/// Waits until the mirrors are those, with these addresses. A comparison comes within a minute
/// after the API server is heard again, or after the last one.
async fn mirrors_become(local: &Cluster, expected: &[(&str, &[&str])]) -> anyhow::Result<()> {
    let all = async || {
        for name in ["web", "gone", "late"] {
            let key = mirror("east", name);
            let is_there = local.service(&key).await?.is_some();
            let wanted = expected.iter().find(|it| it.0 == name);
            ensure!(is_there == wanted.is_some(), "{name}: {is_there}");
            let found = local.addresses(&key).await?;
            let addresses = wanted.map(|it| it.1).unwrap_or_default();
            ensure!(found == addresses, "{name} has {found:?}");
        }
        Ok(())
    };
    match eventually("mirrors are exact", all).await {
        Ok(()) => Ok(()),
        Err(_) => eventually("mirrors are exact", all).await,
    }
}

struct Restored {
    lab: Lab,
    east: Cluster,
    local: Cluster,
}

impl Restored {
    async fn new(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let lab = Lab::new(scene)?;
        let (east, local) = lab.clusters().await?;
        for name in ["web", "gone"] {
            east.create_service(name).await?;
            east.set_endpoints(name, &["10.1.0.1"]).await?;
        }
        Ok(Self { lab, east, local })
    }

    fn source(&self) -> anyhow::Result<String> {
        let kubeconfig = self.east.plane.kubeconfig();
        let kubeconfig = kubeconfig.to_str().context("a path is a text")?;
        Ok(format!(
            "name=east,kubeconfig={kubeconfig},prefix=east,selector={EXPORT}=true"
        ))
    }

    /// What happens in the source after the backup.
    async fn changes(&self) -> anyhow::Result<()> {
        self.east.set_endpoints("web", &["10.1.0.2"]).await?;
        self.east.delete_service("demo/gone").await?;
        self.east.create_service("late").await?;
        let after: &[(&str, &[&str])] = &[("web", &["10.1.0.2"]), ("late", &[])];
        mirrors_become(&self.local, after).await
    }
}

const BEFORE: &[(&str, &[&str])] = &[("web", &["10.1.0.1"]), ("gone", &["10.1.0.1"])];

/// Restores the local cluster, whose mirrors are then as they were.
pub(crate) async fn a_restored_local_cluster_gets_its_mirrors_back(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let it = Restored::new(scene).await?;
    let reflector = it.lab.reflector(&it.local, &[&it.source()?]).await?;
    mirrors_become(&it.local, BEFORE).await?;
    let backup = it.local.plane.back_up().await?;
    it.changes().await?;
    it.local.plane.restore(&backup).await?;
    much_else_happens(&it.local, "default").await?;
    mirrors_become(&it.local, &[("web", &["10.1.0.2"]), ("late", &[])]).await?;
    restarts_without_a_write(&it.local, &reflector).await
}

async fn follows(it: &Restored, source: &str) -> anyhow::Result<()> {
    let reflector = it.lab.reflector(&it.local, &[source]).await?;
    mirrors_become(&it.local, BEFORE).await?;
    let backup = it.east.plane.back_up().await?;
    it.changes().await?;
    it.east.plane.restore(&backup).await?;
    much_else_happens(&it.east, "default").await?;
    mirrors_become(&it.local, BEFORE).await?;
    let expected = ["gone", "late"].map(|it| mirror("east", it));
    let deleted = deleted(&it.local)?;
    ensure!(deleted == BTreeSet::from(expected), "{deleted:?}");
    restarts_without_a_write(&it.local, &reflector).await
}

/// Restores a source, and lets other writes carry its resource version past the former one.
pub(crate) async fn a_restored_source_that_counted_on_is_followed(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let it = Restored::new(scene).await?;
    follows(&it, &it.source()?).await
}

/// The same, behind an emitter.
pub(crate) async fn an_emitter_of_a_restored_source_begins_anew(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let it = Restored::new(scene).await?;
    let emitter = it.lab.emitter(&it.east, &[]).await?;
    follows(&it, &format!("name=east,url={},prefix=east", emitter.url)).await
}
