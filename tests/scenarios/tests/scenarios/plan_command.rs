//! What a configuration would make is told before, without a write, and then it is made.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{AuditEvent, Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, eventually, mirror, program};
use crate::old_rbac::{account, mirror_rules};
use crate::rbac::kubeconfig_of;

/// Not the user of the cluster's own controllers.
const REFLECTOR: &str = "reflector";

/// Runs `reflector plan`; what it would exit with, and what it says.
pub(crate) async fn plan(
    kubeconfig: &Path,
    flags: &[&str],
) -> anyhow::Result<(Option<i32>, Value)> {
    let output = tokio::process::Command::new(program("reflector")?)
        .args(["plan", "-o", "json", "--mirror-namespace", MIRRORS])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(flags)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let plan = serde_json::from_slice(&output.stdout).context(said)?;
    Ok((output.status.code(), plan))
}

/// What a plan would write, as `verb resource namespace/name`.
fn planned(plan: &Value) -> anyhow::Result<BTreeSet<String>> {
    let services = plan["services"].as_array().context("it has services")?;
    let deeds = services.iter().filter_map(|it| it["actions"].as_array());
    let mut writes = BTreeSet::new();
    for deed in deeds.flatten() {
        let text = |key: &str| deed[key].as_str().unwrap_or_default();
        let resource = match text("kind") {
            "Service" => "services",
            "EndpointSlice" => "endpointslices",
            _ => "endpoints",
        };
        let object = text("object");
        let verbs: &[_] = match text("action") {
            "replace" => &["delete", "create"],
            "hold" => &[],
            verb => &[verb],
        };
        writes.extend(verbs.iter().map(|it| format!("{it} {resource} {object}")));
    }
    Ok(writes)
}

fn is_ours(event: &AuditEvent) -> bool {
    let resources = ["services", "endpointslices", "endpoints", "namespaces"];
    event.is_write() && resources.contains(&&*event.resource) && event.user.ends_with(REFLECTOR)
}

/// What a reflector has written since.
fn written(cluster: &Cluster, since: usize) -> anyhow::Result<BTreeSet<String>> {
    let events = cluster.plane.audit_events()?;
    let writes = events.iter().filter(|it| is_ours(it)).skip(since);
    let done = writes.filter(|it| it.code < 300);
    let text = |it: &AuditEvent| {
        let AuditEvent {
            verb,
            resource,
            namespace,
            name,
            ..
        } = it;
        format!("{verb} {resource} {namespace}/{name}")
    };
    Ok(done.map(text).collect())
}

fn n_written(cluster: &Cluster) -> anyhow::Result<usize> {
    let events = cluster.plane.audit_events()?;
    Ok(events.iter().filter(|it| is_ours(it)).count())
}

/// A Service as semaphore left it, with its Endpoints, and one that is nobody's mirror.
async fn leave_behind(local: &Cluster) -> anyhow::Result<()> {
    let namespace = format!("/api/v1/namespaces/{MIRRORS}");
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    for (name, labels) in [("old", labels), ("taken", json!({}))] {
        let name = format!("east-demo-73736d-{name}");
        let metadata = json!({"name": name, "labels": labels});
        let spec = json!({"ports": [{"name": "http", "port": 80}]});
        let service = json!({"metadata": metadata, "spec": spec}).to_string();
        local
            .post(&format!("{namespace}/services"), &service)
            .await?;
        let subsets = json!([{"addresses": [{"ip": "10.1.0.9"}]}]);
        let endpoints = json!({"metadata": metadata, "subsets": subsets}).to_string();
        local
            .post(&format!("{namespace}/endpoints"), &endpoints)
            .await?;
    }
    Ok(())
}

/// Everything that a reflector may have to do at once.
async fn change(east: &Cluster) -> anyhow::Result<()> {
    for name in ["web", "old", "taken"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }
    let ports = r#"{"spec":{"ports":[{"name":"http","port":81}]}}"#;
    east.patch_service("demo/changed", ports).await?;
    east.set_endpoints("changed", &["10.1.0.3"]).await?;
    east.delete_service("demo/gone").await?;
    east.delete_service("demo/flipped").await?;
    let headless = r#"{"clusterIP":"None","ports":[{"name":"http","port":80}]}"#;
    east.create_service_with("flipped", headless).await
}

pub(crate) async fn the_planned_writes_are_those_that_follow(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let kubeconfig = east.plane.kubeconfig().display().to_string();
    let source = format!("name=east,kubeconfig={kubeconfig},prefix=east,selector={EXPORT}=true");
    for name in ["changed", "gone", "flipped", "same"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }
    let verbs = ["get", "list", "watch", "create", "update", "delete"];
    let account = account(REFLECTOR, MIRRORS, "ClusterRole", &mirror_rules(&verbs));
    local.plane.kubectl().apply(&account).await?;
    let keeper = Keeper::new("foresight")?;
    let here = kubeconfig_of(&local, MIRRORS, REFLECTOR, &keeper).await?;
    let mut command = Command::new(program("reflector")?);
    command.args(["--mirror-namespace", MIRRORS, "--source", &source]);
    command.arg("--kubeconfig").arg(&here);
    let reflector = lab.start("reflector", command, None)?;
    reflector.ready().await?;
    for name in ["changed", "gone", "flipped", "same"] {
        local
            .eventually_has(&mirror("east", name), &["10.1.0.1"])
            .await?;
    }
    let nothing = plan(&here, &["--source", &source]).await?;
    ensure!(nothing.0 == Some(0), "{nothing:?}");
    reflector.stop().await?;

    leave_behind(&local).await?;
    change(&east).await?;
    let before = n_written(&local)?;
    let (code, plan) = plan(&here, &["--source", &source]).await?;
    ensure!(code == Some(2), "it exits with {code:?}");
    ensure!(n_written(&local)? == before, "it writes");
    let planned = planned(&plan)?;
    let text = plan.to_string();
    for words in [
        "is not Heliograph's",
        "NotExported",
        "\"replace\"",
        "\"Endpoints\"",
    ] {
        ensure!(text.contains(words), "no {words} in {text}");
    }

    reflector.start().await?;
    eventually("what was planned is written", async || {
        let written = written(&local, before)?;
        ensure!(planned.is_subset(&written), "{planned:#?}\n{written:#?}");
        Ok(())
    })
    .await?;
    local
        .eventually_has(&mirror("east", "old"), &["10.1.0.1"])
        .await?;
    // What comes late is more than was planned.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let written = written(&local, before)?;
    ensure!(written == planned, "{planned:#?}\n{written:#?}");
    Ok(())
}

pub(crate) async fn a_source_that_cannot_be_read_is_told_and_held(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    let reflector = lab.reflector(&local, &[&source]).await?;
    local
        .eventually_has(&mirror("east", "web"), &["10.1.0.1"])
        .await?;
    reflector.stop().await?;
    emitter.stop().await?;

    let (code, plan) = plan(&local.plane.kubeconfig(), &["--source", &source]).await?;
    ensure!(code == Some(1), "{code:?} {plan}");
    ensure!(plan["summary"]["hold"] == 2, "{plan}");
    let feed = &plan["sources"][0]["resources"][0];
    ensure!(feed["state"] == "unsynced", "{plan}");
    let why = feed["lastError"].as_str().unwrap_or_default();
    ensure!(why.contains("no connection"), "{plan}");

    // By files, as kubectl writes them, the same source can be read.
    let get = ["get", "services,endpointslices", "-A", "-o", "yaml"];
    let theirs = lab.file("east.yaml", &east.plane.kubectl().run(get).await?)?;
    let ours = lab.file("local.yaml", &local.plane.kubectl().run(get).await?)?;
    let (theirs, ours) = (theirs.display(), ours.display());
    let selected = format!("{source},selector={EXPORT}=true");
    let mut command = Command::new(program("reflector")?);
    command.args(["plan", "--mirror-namespace", MIRRORS, "--source", &selected]);
    command.arg(format!("--local-objects={ours}"));
    command.arg(format!("--source-objects=east={theirs}"));
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(0), "{output:?}");
    ensure!(said.contains("0 to create, 0 to update"), "{said}");
    ensure!(said.contains("0 held\n"), "{said}");
    Ok(())
}
