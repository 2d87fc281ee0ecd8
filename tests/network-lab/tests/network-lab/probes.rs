//! The command line proves that a mirror answers, and names the step that fails.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Pod, command_in};
use crate::lab::{Lab, eventually, program};
use crate::network::ip_in;

/// Port of the server of probes.
const PORT: u16 = 8088;

/// Runs the command line within a pod, and returns its JSON.
fn heliograph(pod: &Pod, words: &[&str]) -> anyhow::Result<Value> {
    let mut command = command_in(&pod.namespace, program("heliograph")?);
    let output = command.args(words).arg("--output=json").output()?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("heliograph {words:?}: {why}")
    })
}

fn connect(client: &Pod, target: &str) -> anyhow::Result<Value> {
    let probed = heliograph(client, &["probe", "connect", "--timeout=1s", target])?;
    Ok(probed[0].clone())
}

fn nft(pod: &Pod, lines: &str) -> anyhow::Result<()> {
    let status = command_in(&pod.namespace, "nft").arg(lines).status()?;
    ensure!(status.success(), "nft {lines}: {status}");
    Ok(())
}

pub(crate) async fn a_probe_names_a_refusal_a_small_mtu_and_a_lost_route(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let (server, client) = (east.attach("server")?, local.attach("client")?);
    let mut command: Command = command_in(&server.namespace, program("heliograph")?);
    command.args(["probe", "serve", "--name=server"]);
    command.arg(format!("--bind-address={}:{PORT}", server.address));
    lab.start("probe", &command)?;
    let target = format!("{}:{PORT}", server.address);
    let well = eventually("the probe answers", async || {
        let probed = connect(&client, &target)?;
        ensure!(probed["answered"] == 5, "{probed}");
        Ok(probed)
    })
    .await?;
    ensure!(well["servers"] == json!(["server"]), "{well}");
    ensure!(well["largeFailure"].is_null(), "{well}");

    let refused = connect(&client, &format!("{}:{}", server.address, PORT + 1))?;
    ensure!(refused["failure"] == "refused", "{refused}");

    nft(
        &client,
        "add table inet probe; \
         add chain inet probe in { type filter hook input priority 0; }; \
         add rule inet probe in meta length > 1000 drop",
    )?;
    let small = connect(&client, &target)?;
    ensure!(small["answered"] == 5, "{small}");
    ensure!(small["largeFailure"] == "timeout", "{small}");
    nft(&client, "delete table inet probe")?;

    ip_in(&server.namespace, "route del default")?;
    let lost = connect(&client, &target)?;
    ensure!(lost["answered"] == 0, "{lost}");
    ensure!(lost["failure"] == "timeout", "{lost}");
    Ok(())
}

/// Returns the names of the checks that failed, and of those that did not.
fn checks(findings: &Value) -> (Vec<String>, Vec<String>) {
    let findings = findings.as_array().into_iter().flatten();
    let (failed, well): (Vec<_>, Vec<_>) = findings.partition(|it| it["result"] == "failed");
    let names = |of: Vec<&Value>| {
        let names = of.into_iter().filter_map(|it| it["check"].as_str());
        names.map(str::to_owned).collect()
    };
    (names(failed), names(well))
}

fn verify(client: &Pod, local: &Cluster) -> anyhow::Result<Value> {
    let kubeconfig = local.plane.kubeconfig();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let service = format!("--service={}", crate::addresses::MIRROR);
    let words = [
        "verify",
        "--from-here",
        "--requests=3",
        &service,
        &kubeconfig,
    ];
    heliograph(client, &words)
}

pub(crate) async fn verify_names_dns_kube_proxy_and_the_route(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = crate::addresses::Stage::set(scene).await?;
    let findings = verify(&stage.client, &stage.local)?;
    // The pods of this lab have no DNS server.
    let (failed, well) = checks(&findings);
    ensure!(failed == ["DNS"], "{findings}");
    ensure!(well == ["route", "route", "kube-proxy"], "{findings}");

    let rules = stage
        .local
        .command("nft")
        .args(["flush", "ruleset"])
        .status()?;
    ensure!(rules.success(), "cannot remove the rules of kube-proxy");
    let findings = verify(&stage.client, &stage.local)?;
    ensure!(
        checks(&findings).0.contains(&"kube-proxy".to_owned()),
        "{findings}"
    );
    ensure!(checks(&findings).1 == ["route", "route"], "{findings}");

    let ranges = stage.east.pod_ranges();
    let range = ranges.split(',').next().unwrap_or_default();
    let route = format!("route add unreachable {range}");
    ip_in(&stage.client.namespace, &route)?;
    let findings = verify(&stage.client, &stage.local)?;
    ensure!(checks(&findings).0 == ["route", "route"], "{findings}");
    Ok(())
}
