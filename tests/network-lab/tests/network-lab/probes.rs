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
    let why = line(
        "Another host has the address of the endpoint",
        "probe refused",
    )?;
    ensure!(refused["failure"] == *why, "{refused}");

    nft(
        &client,
        "add table inet probe; \
         add chain inet probe in { type filter hook input priority 0; }; \
         add rule inet probe in meta length > 1000 drop",
    )?;
    let small = connect(&client, &target)?;
    ensure!(small["answered"] == 5, "{small}");
    let why = line("Large packets are dropped on the way", "probe MTU")?;
    ensure!(small["largeFailure"] == *why, "{small}");
    nft(&client, "delete table inet probe")?;

    ip_in(&server.namespace, "route del default")?;
    let lost = connect(&client, &target)?;
    ensure!(lost["answered"] == 0, "{lost}");
    let why = line("The route back to the client is missing", "probe timeout")?;
    ensure!(lost["failure"] == *why, "{lost}");
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
    is_told(&findings, "The client has no DNS server", "DNS")?;
    ensure!(well == ["route", "route", "kube-proxy"], "{findings}");

    let rules = stage
        .local
        .command("nft")
        .args(["flush", "ruleset"])
        .status()?;
    ensure!(rules.success(), "cannot remove the rules of kube-proxy");
    let findings = verify(&stage.client, &stage.local)?;
    is_told(&findings, "The rules of kube-proxy are gone", "kube-proxy")?;
    ensure!(checks(&findings).1 == ["route", "route"], "{findings}");

    let ranges = stage.east.pod_ranges();
    let range = ranges.split(',').next().unwrap_or_default();
    let route = format!("route add unreachable {range}");
    ip_in(&stage.client.namespace, &route)?;
    let findings = verify(&stage.client, &stage.local)?;
    ensure!(checks(&findings).0 == ["route", "route"], "{findings}");
    let breakage = "There is no route to the pods of the source";
    is_told(&findings, breakage, "route")
}

/// Line of a breakage of docs/check-breakages.md, which is seen in that view.
fn line(breakage: &str, view: &str) -> anyhow::Result<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check-breakages.md");
    let page = std::fs::read_to_string(path)?;
    let row = page
        .lines()
        .find(|it| it.starts_with(&format!("| {breakage} | `{view}` | ")));
    let row = row.with_context(|| format!("no row of {view}: {breakage}"))?;
    let line = row.split(" | ").nth(2).unwrap_or_default();
    Ok(line.trim_matches('`').to_owned())
}

/// Checks that a step failed with the line that the page has.
pub(crate) fn is_told(findings: &Value, breakage: &str, step: &str) -> anyhow::Result<()> {
    let line = line(breakage, &format!("verify {step}"))?;
    let mut all = findings.as_array().into_iter().flatten();
    let is_it = |it: &Value| {
        let message = it["message"].as_str().unwrap_or_default();
        it["check"] == step && it["result"] == "failed" && message.contains(&line)
    };
    ensure!(all.any(is_it), "{breakage}: {line}: {findings}");
    Ok(())
}
