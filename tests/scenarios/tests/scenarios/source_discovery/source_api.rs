//! The ConfigMap `source-api`, mounted and read through the API.

use std::process::Command;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::Scene;
use serde_json::json;

use crate::cluster::service_path;
use crate::configuration::ByFile;
use crate::lab::{Cluster, Lab, MIRRORS, Program, eventually, meanwhile, mirror, program};

/// `http://127.0.0.1:8080` as the name of a source.
fn name_of(emitter: &Program) -> String {
    let address = emitter.url.trim_start_matches("http://");
    address.replace([':', '.'], "-")
}

async fn set(local: &Cluster, urls: &str) -> anyhow::Result<()> {
    let patch = json!({"data": {"source-api": urls}}).to_string();
    let patch = [
        "patch",
        "configmap",
        "source-api",
        "-n",
        "demo",
        "-p",
        &patch,
    ];
    local.plane.kubectl().run(patch).await.map(drop)
}

pub(crate) async fn urls_of_a_config_map_come_and_go(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let (first, second) = (
        lab.emitter(&east, &[]).await?,
        lab.emitter(&east, &[]).await?,
    );
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let [one, other] = [&first, &second].map(|it| mirror(&format!("at-{}", name_of(it)), "web"));
    let create = ["create", "configmap", "source-api", "-n", "demo"];
    let value = format!("--from-literal=source-api={}", first.url);
    let create = create.into_iter().chain([value.as_str()]);
    local.plane.kubectl().run(create).await?;
    let config = json!({
        "mirrorNamespace": MIRRORS,
        "removedSources": "delete",
        "sourceURLs": {"configMap": "demo/source-api", "defaults": {"prefix": "at-{source}"}},
    });
    let it = ByFile::start(&lab, &local, &config).await?;
    local.eventually_has(&one, &["10.1.0.1"]).await?;
    let lists = first
        .metric("heliograph_emitter_list_requests_total", "")
        .await?;

    set(&local, &format!("{},{}\n", first.url, second.url)).await?;
    local.eventually_has(&other, &["10.1.0.1"]).await?;
    set(&local, " ").await?;
    it.eventually_says("sourceURLs has no URL").await?;
    set(&local, &second.url).await?;
    local.eventually_lacks(&one).await?;
    let again = first
        .metric("heliograph_emitter_list_requests_total", "")
        .await?;
    ensure!((again - lists).abs() < 0.5, "it was listed again");

    // Without the ConfigMap nobody was removed; also not when it starts.
    let delete = ["delete", "configmap", "source-api", "-n", "demo"];
    local.plane.kubectl().run(delete).await?;
    it.eventually_says("cannot read ConfigMap demo/source-api")
        .await?;
    goes_on_to_say_so(&it).await?;
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local.eventually_has(&other, &["10.1.0.2"]).await?;
    it.reflector.stop().await?;
    let writes = local.settled_mirror_writes().await?;
    it.reflector.start().await?;
    it.eventually_says("cannot read ConfigMap demo/source-api")
        .await?;
    ensure!(local.mirror_writes()? == writes);
    local.plane.kubectl().run(create_again(&second.url)).await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local.eventually_has(&other, &["10.1.0.3"]).await?;
    it.eventually_does_not_say("refused").await
}

/// It says what cannot be read as long as that lasts, and the log says it once.
async fn goes_on_to_say_so(it: &ByFile) -> anyhow::Result<()> {
    meanwhile("it goes on to say so", async || {
        let status = it.reflector.status().await?;
        let why = status["configuration"]["error"].as_str();
        let why = why.unwrap_or_default();
        let words = "cannot read ConfigMap demo/source-api/source-api: create it, or grant get";
        ensure!(
            why.starts_with(words) && !why.contains("Status {"),
            "{status}"
        );
        Ok(())
    })
    .await?;
    let log = it.reflector.log();
    ensure!(log.matches("cannot read ConfigMap").count() == 1, "{log}");
    Ok(())
}

fn create_again(url: &str) -> Vec<String> {
    let words = ["create", "configmap", "source-api", "-n", "demo"].map(str::to_owned);
    let value = format!("--from-literal=source-api={url}");
    words.into_iter().chain([value]).collect()
}

pub(crate) async fn service_reflectors_mounted_urls_need_no_restart(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let file = lab.file("source-api", "")?;
    let mut command = Command::new(program("reflector")?);
    command.arg("--kubeconfig").arg(local.plane.kubeconfig());
    command.arg("--reflector.source-api-file").arg(&file);
    let reflector = lab.start("reflector", command, None)?;
    reflector.ready().await?;
    std::fs::write(&file, format!("{}\n", emitter.url))?;
    local.eventually_has("demo/web", &["10.1.0.1"]).await?;
    eventually("it bears the name of its source", async || {
        let service = local.read(&service_path("demo/web")).await?;
        let said = &service["metadata"]["labels"]["heliograph.dev/source"];
        ensure!(*said == *name_of(&emitter), "{said}");
        Ok(())
    })
    .await
}
