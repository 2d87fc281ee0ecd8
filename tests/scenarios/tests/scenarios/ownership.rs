//! What is ours is repaired, what is not is left alone.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;

use crate::lab::{Lab, MIRRORS, Program, eventually, meanwhile, mirror};

pub(crate) async fn changes_of_others_are_repaired(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirror = mirror("east", "web");
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;

    for edit in [
        // A selector would let pods of this cluster answer for those of another.
        r#"{"spec":{"selector":{"app":"local"}}}"#,
        r#"{"spec":{"ports":[{"port":9}]}}"#,
        r#"{"spec":{"type":"NodePort"}}"#,
        r#"{"metadata":{"labels":{"heliograph.dev/source":null}}}"#,
        r#"{"metadata":{"annotations":{"heliograph.dev/source-service":null}}}"#,
    ] {
        local.patch_service(&mirror, edit).await?;
        eventually(&format!("{edit} is undone"), async || {
            let service = local.service(&mirror).await?.context("it is gone")?;
            let (spec, metadata) = (&service["spec"], &service["metadata"]);
            ensure!(
                spec["selector"].is_null() && spec["ports"][0]["port"] == 80,
                "{spec}"
            );
            ensure!(
                spec["type"] == "ClusterIP" && spec["ports"][0]["nodePort"].is_null(),
                "{spec}"
            );
            ensure!(
                metadata["labels"]["heliograph.dev/source"] == "east",
                "{metadata}"
            );
            let of = &metadata["annotations"]["heliograph.dev/source-service"];
            ensure!(of == "demo/web", "{metadata}");
            Ok(())
        })
        .await?;
    }

    // What others add beside ours stays.
    local
        .patch_service(&mirror, r#"{"metadata":{"labels":{"team":"blue"}}}"#)
        .await?;
    local
        .patch_service(&mirror, r#"{"spec":{"ports":[{"port":10}]}}"#)
        .await?;
    eventually("the ports are back, and the label stays", async || {
        let service = local.service(&mirror).await?.context("it is gone")?;
        ensure!(service["spec"]["ports"][0]["port"] == 80);
        ensure!(
            service["metadata"]["labels"]["team"] == "blue",
            "the label is gone"
        );
        Ok(())
    })
    .await?;
    is_told(&reflector, "keeps changing Service").await
}

async fn is_told(reflector: &Program, words: &str) -> anyhow::Result<()> {
    eventually(&format!("{words:?} is told"), async || {
        let status = reflector.status().await?.to_string();
        ensure!(status.contains(words), "{status}");
        Ok(())
    })
    .await
}

pub(crate) async fn objects_that_others_delete_come_back(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirror = mirror("east", "web");
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;

    local.delete_service(&mirror).await?;
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{MIRRORS}/endpointslices");
    local.delete(&slices).await?;
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    let list = local.read(&slices).await?;
    let name = list["items"][0]["metadata"]["name"]
        .as_str()
        .context("there is a slice")?;
    local
        .patch(&format!("{slices}/{name}"), r#"{"endpoints":[]}"#)
        .await?;
    local.eventually_has(&mirror, &["10.1.0.1"]).await
}

pub(crate) async fn unmanaged_objects_are_left_alone(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    // Somebody's Service stands where a mirror would.
    let theirs =
        r#"{"metadata":{"name":"web"},"spec":{"ports":[{"port":5432}],"selector":{"app":"db"}}}"#;
    local
        .post("/api/v1/namespaces/demo/services", theirs)
        .await?;
    let before = local.service("demo/web").await?.context("it was created")?;
    let source = format!("name=east,url={},sameName=true,namespaces=*", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.create_service("other").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local.eventually_has("demo/other", &[]).await?;
    eventually("it is told", async || {
        let status = reflector.status().await?.to_string();
        ensure!(
            status.contains("AlreadyExists") && status.contains("demo/web"),
            "{status}"
        );
        Ok(())
    })
    .await?;
    meanwhile("it is as it was", async || {
        let now = local.service("demo/web").await?.context("it is gone")?;
        ensure!(
            now["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"],
            "{now}"
        );
        ensure!(
            !local
                .addresses("demo/web")
                .await?
                .contains(&"10.1.0.1".to_owned())
        );
        Ok(())
    })
    .await?;
    // Its deletion at the source is nobody's here.
    east.delete_service("demo/web").await?;
    meanwhile("it is still there", async || {
        ensure!(local.service("demo/web").await?.is_some());
        Ok(())
    })
    .await?;

    // When the place becomes free, it is taken.
    east.create_service("web").await?;
    local.delete_service("demo/web").await?;
    eventually("the mirror takes the free place", async || {
        let service = local.service("demo/web").await?.context("there is none")?;
        ensure!(service["metadata"]["labels"]["heliograph.dev/source"] == "east");
        Ok(())
    })
    .await
}

pub(crate) async fn nothing_is_written_when_nothing_changed(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    let specs = [
        r#"{"ports":[{"port":80}]}"#,
        r#"{"ports":[{"name":"a","port":80,"targetPort":"http","appProtocol":"http"},{"name":"b","port":53,"protocol":"UDP"}],"sessionAffinity":"ClientIP"}"#,
        r#"{"type":"LoadBalancer","ports":[{"port":80}],"trafficDistribution":"PreferSameZone"}"#,
        r#"{"clusterIP":"None","ports":[{"port":80}],"publishNotReadyAddresses":true}"#,
        r#"{"type":"ExternalName","externalName":"example.org"}"#,
        r#"{"ports":[{"port":80}],"ipFamilyPolicy":"PreferDualStack"}"#,
    ];
    for (spec, i) in specs.iter().zip(0..) {
        let name = format!("s{i}");
        east.create_service_with(&name, spec).await?;
        east.set_endpoints(&name, &[&format!("10.1.0.{i}")]).await?;
        let expected = format!("10.1.0.{i}");
        let addresses: &[&str] = if spec.contains("ExternalName") {
            &[]
        } else {
            &[&expected]
        };
        local
            .eventually_has(&mirror("east", &name), addresses)
            .await?;
    }
    let before = local.mirror_writes()?;
    meanwhile("it is quiet", async || {
        ensure!(local.mirror_writes()? == before);
        Ok(())
    })
    .await?;
    reflector.stop().await?;
    reflector.start().await?;
    emitter.stop().await?;
    emitter.start().await?;
    meanwhile("restarts write nothing", async || {
        let writes = local.mirror_writes()? - before;
        ensure!(writes == 0, "{writes} writes");
        Ok(())
    })
    .await
}
