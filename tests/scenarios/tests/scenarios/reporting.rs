//! What is wrong is told where people look.

pub(crate) mod counting;

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::Value;

use crate::lab::{Cluster, Lab, eventually, meanwhile, mirror, program};

const THEIRS: &str =
    r#"{"metadata":{"name":"web"},"spec":{"ports":[{"port":5432}],"selector":{"app":"db"}}}"#;

/// The Events in a namespace that a reflector made.
pub(crate) async fn events(cluster: &Cluster, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
    let list = cluster.read(&path).await?;
    let events = list["items"].as_array().context("a list has items")?;
    let ours = events
        .iter()
        .filter(|it| it["reportingController"] == "heliograph.dev/reflector");
    Ok(ours.cloned().collect())
}

pub(crate) async fn a_problem_is_an_event_once(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let services = "/api/v1/namespaces/demo/services";
    local.post(services, THEIRS).await?;
    east.create_service("web").await?;
    let source = format!("name=east,url={},sameName=true,namespaces=*", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    eventually("an Event tells it in the words of the status", async || {
        let events = events(&local, "demo").await?;
        ensure!(events.len() == 1, "{} Events", events.len());
        ensure!(events[0]["reason"] == "AlreadyExists", "{}", events[0]);
        ensure!(events[0]["regarding"]["name"] == "web", "{}", events[0]);
        let status = reflector.status().await?;
        let message = &status["problems"][0]["message"];
        ensure!(&events[0]["note"] == message, "{message}, {}", events[0]);
        Ok(())
    })
    .await?;
    reflector.stop().await?;
    reflector.start().await?;
    eventually("the new process knows it", async || {
        let status = reflector.status().await?;
        ensure!(
            status["problems"][0]["reason"] == "AlreadyExists",
            "{status}"
        );
        Ok(())
    })
    .await?;
    meanwhile("it is told no second time", async || {
        ensure!(events(&local, "demo").await?.len() == 1);
        Ok(())
    })
    .await?;
    ensure!(
        reflector
            .metric("heliograph_reflector_kubernetes_events_total", "exists")
            .await?
            == 1.0
    );
    Ok(())
}

pub(crate) async fn a_running_reflector_explains_itself(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirror = mirror("east", "web");
    local.eventually_has(&mirror, &["10.1.0.1"]).await?;
    for service in ["demo/web", &mirror] {
        let output = Command::new(program("reflector")?)
            .args(["explain", "svc", service, "-o", "json", "--server"])
            .arg(&reflector.url)
            .output()?;
        let explained: Value = serde_json::from_slice(&output.stdout)?;
        let explained = &explained[0];
        ensure!(explained["service"] == mirror, "{explained}");
        ensure!(
            explained["sources"][0]["claims"][0] == "demo/web",
            "{explained}"
        );
        ensure!(explained["reasons"][0]["rule"] == "Selected", "{explained}");
        ensure!(
            explained["objects"][0]["action"] == "nothing",
            "{explained}"
        );
    }
    Ok(())
}
