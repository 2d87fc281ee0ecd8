//! The replaced programs' own flags and files start ours, and their objects stay.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::json;

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, mirror, program};
use crate::migration::goes_back_and_comes_again;

/// A reflector into a cluster, by the flags of another program.
async fn reflector(
    lab: &Lab,
    flags: &[String],
    variables: &[(&str, &str)],
) -> anyhow::Result<Program> {
    let mut command = Command::new(program("reflector")?);
    command.args(flags).envs(variables.iter().copied());
    lab.start("reflector", command, None)
}

pub(crate) async fn service_reflectors_flags_start_ours(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let flags = [
        "--emitter=false".to_owned(),
        format!("--kubeconfig={}", local.plane.kubeconfig().display()),
        format!("--reflector.source-api={},", emitter.url),
        format!("--reflector.selector={EXPORT}=true"),
        "--namespace=demo".to_owned(),
    ];
    let reflector = reflector(&lab, &flags, &[]).await?;
    reflector.ready().await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    local.eventually_has("demo/web", &["10.1.0.1"]).await
}

/// Serves a text over HTTP, for as long as this process lives.
fn serve(text: String) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/ca.pem", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", text.len());
            let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{text}").as_bytes());
        }
    });
    Ok(url)
}

/// Semaphore's file for one source, by its API server, authority and token.
fn semaphore(east: &Cluster, directory: &std::path::Path) -> anyhow::Result<String> {
    let token = directory.join("token");
    std::fs::write(&token, east.plane.token_for("admin"))?;
    let config = json!({
        "global": {
            "globalSvcLabelSelector": "global=true",
            "globalSvcRoutingStrategyLabel": "routing=local-first",
            "mirrorNamespace": MIRRORS,
            "mirrorSvcLabelSelector": format!("{EXPORT}=true"),
            "serviceSync": true,
        },
        "localCluster": {"name": "local"},
        "remoteClusters": [{
            "name": "east",
            "remoteAPIURL": east.plane.url(),
            "remoteCAURL": serve(east.plane.authority().to_owned())?,
            "remoteSATokenPath": token,
            "resyncPeriod": "10s",
            "servicePrefix": "east",
        }],
    });
    let file = directory.join("config.json");
    std::fs::write(&file, config.to_string())?;
    Ok(file.display().to_string())
}

pub(crate) async fn semaphores_file_starts_ours_with_a_fetched_authority(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let directory = std::env::temp_dir().join(format!("semaphore-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = semaphore(&east, &directory)?;
    let kubeconfig = local.plane.kubeconfig().display().to_string();
    let flags = ["-kube-config".to_owned(), kubeconfig];
    let reflector = reflector(&lab, &flags, &[("SSM_CONFIG", &file)]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirror = mirror("east", "web");
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    reflector.ready().await?;
    let service = local.service(&mirror).await?.unwrap_or_default();
    let labels = &service["metadata"]["labels"];
    ensure!(labels["mirrored-svc"] == "true", "{labels}");
    ensure!(labels["mirror-svc-prefix-sync"] == "east", "{labels}");
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

pub(crate) async fn semaphores_mirrors_become_ours_with_their_addresses(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let mirror = mirror("east", "web");
    let (_, name) = mirror.split_once('/').unwrap_or_default();
    let metadata = json!({
        "name": name,
        "labels": {"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"},
    });
    let service = json!({"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}]}});
    let endpoints = json!({
        "metadata": metadata,
        "subsets": [{"addresses": [{"ip": "10.1.0.9"}], "ports": [{"name": "http", "port": 8080}]}],
    });
    let namespace = format!("/api/v1/namespaces/{MIRRORS}");
    local
        .post(&format!("{namespace}/services"), &service.to_string())
        .await?;
    local
        .post(&format!("{namespace}/endpoints"), &endpoints.to_string())
        .await?;
    local.eventually_has(&mirror, &["10.1.0.9"]).await?;
    let before = local.service(&mirror).await?.context("it was created")?;

    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    // The old addresses go with the Endpoints that had them.
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    eventually("it is ours, and as it was", async || {
        let service = local.service(&mirror).await?.context("it is gone")?;
        let metadata = &service["metadata"];
        ensure!(
            metadata["labels"]["heliograph.dev/source"] == "east",
            "{metadata}"
        );
        ensure!(metadata["uid"] == before["metadata"]["uid"], "{metadata}");
        ensure!(
            service["spec"]["clusterIP"] == before["spec"]["clusterIP"],
            "{service}"
        );
        Ok(())
    })
    .await?;
    let status = reflector.status().await?;
    ensure!(status["problems"] == json!([]), "{status}");
    let way = ("migrate-from-semaphore-service-mirror.md", mirror.as_str());
    goes_back_and_comes_again(&local, &reflector, way, "east").await
}
