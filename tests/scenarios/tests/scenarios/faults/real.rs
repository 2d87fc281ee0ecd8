//! An etcd that goes back to a backup.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;

use crate::lab::{Cluster, EXPORT, Lab, Program, meanwhile, mirror};

/// The mirrors that were deleted so far, as the API server noted it.
pub(super) fn deleted(local: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let events = local.plane.audit_events()?;
    let deletes = events.into_iter();
    let deletes = deletes.filter(|it| it.verb == "delete" && it.resource == "services");
    Ok(deletes
        .map(|it| format!("{}/{}", it.namespace, it.name))
        .collect())
}

pub(super) async fn restarts_without_a_write(
    local: &Cluster,
    reflector: &Program,
) -> anyhow::Result<()> {
    reflector.stop().await?;
    let before = local.mirror_writes()?;
    reflector.start().await?;
    meanwhile("a restart writes nothing", async || {
        ensure!(local.mirror_writes()? == before);
        Ok(())
    })
    .await
}

/// So much that a restored cluster, which goes on counting from its backup, is for
/// minutes behind what was told: once it is past that, no answer of it says that it went
/// back.
pub(super) async fn much_else_happens(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let busy = r#"{"metadata":{"name":"busy"}}"#;
    cluster.post(&path, busy).await?;
    for n in 0..600 {
        let patch = format!(r#"{{"data":{{"n":"{n}"}}}}"#);
        cluster.patch(&format!("{path}/busy"), &patch).await?;
    }
    Ok(())
}

pub(crate) async fn a_real_source_may_be_restored_from_a_backup(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    for name in ["web", "gone"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }
    let kubeconfig = east.plane.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("a path is a text")?;
    let source = format!("name=east,kubeconfig={kubeconfig},prefix=east,selector={EXPORT}=true");
    let reflector = lab.reflector(&local, &[&source]).await?;
    let [web, gone, late] = ["web", "gone", "late"].map(|it| mirror("east", it));
    local.eventually_has(&gone, &["10.1.0.1"]).await?;
    let backup = east.plane.back_up().await?;
    much_else_happens(&east, "demo").await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    east.delete_service("demo/gone").await?;
    east.create_service("late").await?;
    local.eventually_has(&web, &["10.1.0.2"]).await?;
    local.eventually_lacks(&gone).await?;
    local.eventually_has(&late, &[]).await?;

    east.plane.restore(&backup).await?;
    // A watch from the future is silent until a bookmark says so, which comes by the minute.
    let mut came = local.eventually_has(&gone, &["10.1.0.1"]).await;
    for _ in 0..2 {
        if came.is_err() {
            came = local.eventually_has(&gone, &["10.1.0.1"]).await;
        }
    }
    came?;
    local.eventually_has(&web, &["10.1.0.1"]).await?;
    local.eventually_lacks(&late).await?;
    let expected = BTreeSet::from([gone, late]);
    ensure!(deleted(&local)? == expected, "{:?}", deleted(&local)?);
    restarts_without_a_write(&local, &reflector).await
}
