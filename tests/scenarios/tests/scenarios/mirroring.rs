//! What a source does is done here: the main job.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use tokio::time::Instant;

use crate::lab::{EXPORT, Lab, MIRRORS, eventually, meanwhile, mirror};

/// With kubectl, as a person would do it.
pub(crate) async fn a_labelled_service_is_mirrored_within_a_second(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    lab.reflector(&local, &[&source]).await?;

    let run = async |line: &str| {
        let words = line.split(' ').chain(["-n", "demo"]);
        east.plane.kubectl().run(words).await
    };
    let export = format!("label service web {EXPORT}=true");
    run("create service clusterip web --tcp=80:8080").await?;
    let mirror = mirror("east", "web");
    meanwhile("nothing is mirrored without the label", async || {
        ensure!(local.service(&mirror).await?.is_none());
        Ok(())
    })
    .await?;

    run(&export).await?;
    let labelled = Instant::now();
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    let took = labelled.elapsed();
    ensure!(took < Duration::from_secs(1), "the mirror took {took:?}");
    let words = ["get", "services,endpointslices", "-n", MIRRORS];
    let shown = local.plane.kubectl().run(words).await?;
    ensure!(shown.contains("service/east-demo-73736d-web"), "{shown}");
    ensure!(shown.contains("10.1.0.1"), "{shown}");

    run(&format!("label service web {EXPORT}-")).await?;
    local.eventually_lacks(&mirror).await?;
    run(&export).await?;
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    run("delete service web").await?;
    local.eventually_lacks(&mirror).await
}

pub(crate) async fn changes_of_services_and_of_endpoints_alone_are_followed(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    // Without an emitter: a source may be a plain API server.
    let source = format!(
        "name=east,kubeconfig={},prefix=east,selector={EXPORT}=true",
        east.plane.kubeconfig().display()
    );
    lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1", "10.1.0.2"]).await?;
    let mirror = mirror("east", "web");
    local
        .eventually_has(&mirror, &["10.1.0.1", "10.1.0.2"])
        .await?;
    let address =
        local.service(&mirror).await?.context("it is there")?["spec"]["clusterIP"].clone();

    // Endpoints only.
    east.set_endpoints("web", &["10.1.0.2", "10.1.0.3", "10.1.0.4"])
        .await?;
    local
        .eventually_has(&mirror, &["10.1.0.2", "10.1.0.3", "10.1.0.4"])
        .await?;
    east.set_endpoints("web", &[]).await?;
    local.eventually_has(&mirror, &[]).await?;

    // The Service only.
    let ports = r#"{"spec":{"ports":[{"name":"http","port":81,"targetPort":8080},{"name":"dns","port":53,"protocol":"UDP"}],"sessionAffinity":"ClientIP"}}"#;
    east.patch_service("demo/web", ports).await?;
    eventually("the mirror has the new ports", async || {
        let service = local.service(&mirror).await?.context("it is there")?;
        let spec = &service["spec"];
        ensure!(
            spec["ports"][0]["port"] == 81 && spec["ports"][1]["protocol"] == "UDP",
            "{spec}"
        );
        ensure!(spec["sessionAffinity"] == "ClientIP", "{spec}");
        ensure!(
            spec["clusterIP"] == address,
            "its address has changed: {spec}"
        );
        Ok(())
    })
    .await?;

    east.delete("/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/web-1")
        .await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks(&mirror).await
}

pub(crate) async fn every_type_of_service_can_be_used_here(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    lab.reflector(&local, &[&source]).await?;
    let port = r#""ports":[{"port":80}]"#;
    east.create_service_with("node", &format!(r#"{{"type":"NodePort",{port}}}"#))
        .await?;
    east.create_service_with("balanced", &format!(r#"{{"type":"LoadBalancer",{port}}}"#))
        .await?;
    east.create_service_with("headless", &format!(r#"{{"clusterIP":"None",{port}}}"#))
        .await?;
    east.create_service_with(
        "alias",
        r#"{"type":"ExternalName","externalName":"example.org"}"#,
    )
    .await?;
    for (name, expected) in [
        ("node", ["ClusterIP", "10."]),
        ("balanced", ["ClusterIP", "10."]),
        ("headless", ["ClusterIP", "None"]),
        ("alias", ["ExternalName", ""]),
    ] {
        let mirror = mirror("east", name);
        eventually(&format!("{name} is mirrored"), async || {
            let service = local
                .service(&mirror)
                .await?
                .context("there is no mirror")?;
            let spec = &service["spec"];
            let address = spec["clusterIP"].as_str().unwrap_or_default();
            ensure!(
                spec["type"] == expected[0] && address.starts_with(expected[1]),
                "{spec}"
            );
            ensure!(spec["ports"][0]["nodePort"].is_null(), "{spec}");
            Ok(())
        })
        .await?;
    }

    // An address that no API server would take does not cost the others.
    east.set_endpoints("headless", &["10.1.0.1"]).await?;
    local
        .eventually_has(&mirror("east", "headless"), &["10.1.0.1"])
        .await?;

    // Headless or not cannot be changed in place, here or there.
    east.delete_service("demo/headless").await?;
    east.create_service("headless").await?;
    eventually("the mirror has an address", async || {
        let service = local.service(&mirror("east", "headless")).await?;
        let address = service.context("there is no mirror")?["spec"]["clusterIP"].clone();
        ensure!(address != "None", "it is headless");
        Ok(())
    })
    .await?;
    Ok(())
}

/// With the name and the remedy, in the same words everywhere; the rest flows.
pub(crate) async fn services_that_cannot_be_mirrored_are_reported(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    let long = "x".repeat(50);
    east.create_service(&long).await?;
    east.create_service("web").await?;
    local.eventually_has(&mirror("east", "web"), &[]).await?;
    eventually("the long name is a problem", async || {
        let status = reflector.status().await?.to_string();
        ensure!(
            status.contains("NameTooLong") && status.contains(&long),
            "{status}"
        );
        Ok(())
    })
    .await?;
    eventually("metric and log say so too", async || {
        let n_problems = reflector
            .metric("heliograph_reflector_problems", "NameTooLong")
            .await?;
        ensure!(n_problems == 1.0, "the metric counts {n_problems}");
        ensure!(
            reflector.log().contains(&long),
            "the log says nothing of it"
        );
        Ok(())
    })
    .await?;
    Ok(())
}

pub(crate) async fn a_service_keeps_its_name_where_that_is_wanted(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},sameName=true,namespaces=*", emitter.url);
    lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local.eventually_has("demo/web", &["10.1.0.1"]).await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks("demo/web").await
}

/// Two clusters that mirror each other, with mirrors that carry the export label.
pub(crate) async fn mirrors_are_never_exported_again(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let (from_east, from_local) =
        tokio::try_join!(lab.emitter(&east, &[]), lab.emitter(&local, &[]))?;
    let east_source = format!("name=east,url={},prefix=east", from_east.url);
    let local_source = format!("name=home,url={},prefix=home", from_local.url);
    lab.reflector(&local, &[&east_source]).await?;
    lab.reflector(&east, &[&local_source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirror = mirror("east", "web");
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    let label = format!(r#"{{"metadata":{{"labels":{{"{EXPORT}":"true"}}}}}}"#);
    local.patch_service(&mirror, &label).await?;
    meanwhile("nothing echoes", async || {
        let list = east
            .read(&format!("/api/v1/namespaces/{MIRRORS}/services"))
            .await?;
        ensure!(
            list["items"].as_array().is_some_and(Vec::is_empty),
            "{list}"
        );
        Ok(())
    })
    .await
}
