//! What breaks removes nothing, and what comes back converges.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, free_port, meanwhile, mirror};

/// Two clusters, an emitter, a reflector, and a mirror of `web` at 10.1.0.1.
async fn mirrored(lab: &Lab) -> anyhow::Result<(Cluster, Cluster, Program, Program)> {
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.1"])
        .await?;
    Ok((east, local, emitter, reflector))
}

async fn keeps(local: &Cluster, key: &str, addresses: &[&str]) -> anyhow::Result<()> {
    meanwhile(&format!("{key} has {addresses:?}"), async || {
        ensure!(local.service(key).await?.is_some(), "{key} is gone");
        let found = local.addresses(key).await?;
        ensure!(found == addresses, "it has {found:?}");
        Ok(())
    })
    .await
}

pub(crate) async fn a_stopped_emitter_removes_nothing(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local, emitter, reflector) = mirrored(&lab).await?;
    let mirror_of_web = mirror("east", "web");
    emitter.stop().await?;
    east.create_service("new").await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    keeps(&local, &mirror_of_web, &["10.1.0.1"]).await?;

    // A reflector that starts now knows nothing of the source, and touches nothing.
    reflector.stop().await?;
    reflector.start().await?;
    keeps(&local, &mirror_of_web, &["10.1.0.1"]).await?;

    emitter.start().await?;
    local.eventually_has(&mirror_of_web, &["10.1.0.2"]).await?;
    local.eventually_has(&mirror("east", "new"), &[]).await?;

    // Killed, and things deleted in the meantime.
    emitter.kill().await?;
    east.delete_service("demo/new").await?;
    keeps(&local, &mirror("east", "new"), &[]).await?;
    emitter.start().await?;
    local.eventually_lacks(&mirror("east", "new")).await?;
    local.eventually_has(&mirror_of_web, &["10.1.0.2"]).await
}

pub(crate) async fn the_sources_api_server_may_restart(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local, _emitter, _reflector) = mirrored(&lab).await?;
    let writes = local.mirror_writes()?;
    east.plane.kill_apiserver().await?;
    keeps(&local, &mirror("east", "web"), &["10.1.0.1"]).await?;
    east.plane.start_apiserver().await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.3"])
        .await?;
    let writes = local.mirror_writes()? - writes;
    ensure!(writes == 1, "one change took {writes} writes");
    Ok(())
}

pub(crate) async fn history_may_be_compacted_under_a_watch(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local, emitter, _reflector) = mirrored(&lab).await?;
    east.create_service("gone").await?;
    local.eventually_has(&mirror("east", "gone"), &[]).await?;
    // What happens now, the emitter's watch cannot tell: it is cut off, and what it
    // resumes from is compacted.
    east.plane.pause_apiserver()?;
    east.plane.resume_apiserver()?;
    east.delete_service("demo/gone").await?;
    east.plane.forget_history().await?;
    local.eventually_lacks(&mirror("east", "gone")).await?;
    east.set_endpoints("web", &["10.1.0.4"]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.4"])
        .await?;

    // The same for the reflector: an emitter that restarts has no history. A list that lacks
    // most would be held.
    for name in ["stays", "stays-too"] {
        east.create_service(name).await?;
        local.eventually_has(&mirror("east", name), &[]).await?;
    }
    emitter.kill().await?;
    east.delete_service("demo/web").await?;
    emitter.start().await?;
    local.eventually_lacks(&mirror("east", "web")).await
}

pub(crate) async fn a_reflector_makes_up_for_missed_changes(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local, _emitter, reflector) = mirrored(&lab).await?;
    east.create_service("gone").await?;
    local.eventually_has(&mirror("east", "gone"), &[]).await?;
    reflector.kill().await?;

    east.delete_service("demo/gone").await?;
    east.create_service("new").await?;
    east.set_endpoints("web", &["10.1.0.5"]).await?;
    local
        .patch_service(&mirror("east", "web"), r#"{"spec":{"ports":null}}"#)
        .await
        .ok();
    local
        .patch_service(
            &mirror("east", "web"),
            r#"{"spec":{"selector":{"app":"other"}}}"#,
        )
        .await?;
    keeps(&local, &mirror("east", "gone"), &[]).await?;

    reflector.start().await?;
    local.eventually_lacks(&mirror("east", "gone")).await?;
    local.eventually_has(&mirror("east", "new"), &[]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.5"])
        .await?;
    eventually("the selector is gone", async || {
        let service = local.service(&mirror("east", "web")).await?;
        ensure!(service.is_some_and(|it| it["spec"]["selector"].is_null()));
        Ok(())
    })
    .await
}

pub(crate) async fn a_dead_source_delays_nothing(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let alive = format!("name=east,url={},prefix=east", emitter.url);
    let dead = format!(
        "name=dead,url=http://127.0.0.1:{},prefix=dead",
        free_port()?
    );
    // A mirror from before, of the source that is dead now.
    let before = r#"{"metadata":{"name":"dead-demo-73736d-web","labels":{"heliograph.dev/source":"dead"},"annotations":{"heliograph.dev/source-service":"demo/web"}},"spec":{"ports":[{"port":80}]}}"#;
    local
        .post("/api/v1/namespaces/mirrors/services", before)
        .await?;
    let reflector = lab.reflector(&local, &[&dead, &alive]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.1"])
        .await?;
    keeps(&local, &mirror("dead", "web"), &[]).await?;
    let status = reflector.status().await?.to_string();
    ensure!(status.contains("dead"), "{status}");
    Ok(())
}

pub(crate) async fn the_local_api_server_may_restart(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local, _emitter, _reflector) = mirrored(&lab).await?;
    local.plane.kill_apiserver().await?;
    east.create_service("new").await?;
    east.delete_service("demo/web").await?;
    local.plane.start_apiserver().await?;
    local.eventually_has(&mirror("east", "new"), &[]).await?;
    local.eventually_lacks(&mirror("east", "web")).await?;
    let label = format!(r#"{{"metadata":{{"labels":{{"{EXPORT}":null}}}}}}"#);
    east.patch_service("demo/new", &label).await?;
    local.eventually_lacks(&mirror("east", "new")).await
}
