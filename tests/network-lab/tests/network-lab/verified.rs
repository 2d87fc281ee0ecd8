//! From two clusters that know nothing of each other to an answered request, by the command line
//! alone: it links, checks and verifies them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Kubelet, Scene};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::containers::{Containers, Node};
use crate::dns::Dns;
use crate::lab::{Lab, Program, eventually, program, ready};
use crate::probes::is_told;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/heliograph/deployments";
const CONFIG_MAPS: &str = "/api/v1/namespaces/heliograph/configmaps";
const ADMIN: u16 = 9090;

/// Both clusters, and the command line of an operator of both.
struct Stage {
    lab: Arc<Lab>,
    east: Arc<Cluster>,
    local: Arc<Cluster>,
    kubeconfig: PathBuf,
}

impl Stage {
    async fn set(scene: Arc<Scene>) -> anyhow::Result<Self> {
        let lab = Arc::new(Lab::new(scene)?);
        let (east, local) = lab.clusters().await?;
        install(&east, "manifests/emitter").await?;
        install(&local, "manifests/reflector").await?;
        let mut kubeconfig = Value::Null;
        for cluster in [&east, &local] {
            join(&mut kubeconfig, cluster)?;
        }
        let file = lab.keeper.directory().join("operator.yaml");
        fs::write(&file, kubeconfig.to_string())?;
        Ok(Self {
            lab,
            east: Arc::new(east),
            local: Arc::new(local),
            kubeconfig: file,
        })
    }

    async fn run(&self, words: &str) -> anyhow::Result<Output> {
        let mut command = tokio::process::Command::new(program("heliograph")?);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.args(words.split_whitespace()).kill_on_drop(true);
        Ok(command.output().await?)
    }

    async fn succeeds(&self, words: &str) -> anyhow::Result<String> {
        let output = self.run(words).await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(output.status.success(), "heliograph {words}: {said}");
        Ok(said)
    }

    /// Findings of a verification.
    async fn verify(&self, words: &str) -> anyhow::Result<Value> {
        let words = format!(
            "verify --context east --to-context local --probe-namespace demo -o json {words}"
        );
        let output = self.run(&words).await?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs a program as its Deployment has it, with files of its ConfigMap and its tokens.
    async fn start(&self, name: &str, map: &str) -> anyhow::Result<Program> {
        let cluster = if name == "emitter" {
            &self.east
        } else {
            &self.local
        };
        let pod =
            cluster.get(&format!("{DEPLOYMENTS}/{name}")).await?["spec"]["template"]["spec"].take();
        let directory = self.lab.keeper.directory().join(name);
        fs::create_dir(&directory)?;
        for source in pod["volumes"].as_array().into_iter().flatten() {
            for source in source["projected"]["sources"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let wanted = &source["serviceAccountToken"];
                let path = wanted["path"].as_str().context("a token has a path")?;
                let account = pod["serviceAccountName"].as_str().context("an account")?;
                let token = token(cluster, account, &wanted["audience"]).await?;
                fs::write(directory.join(path), token)?;
            }
        }
        files(cluster, map, &directory).await?;
        let args = pod["containers"][0]["args"]
            .as_array()
            .context("it has flags")?;
        let mut command = cluster.command(program(name)?);
        command.arg("--kubeconfig").arg(cluster.plane.kubeconfig());
        let args = args.iter().filter_map(Value::as_str);
        command.args(args.map(|it| here(it, &directory)));
        let started = self.lab.start(name, &command)?;
        ready(SocketAddr::new(cluster.address().into(), ADMIN)).await?;
        Ok(started)
    }

    /// A kubelet of a cluster, and its pods.
    async fn node(&self, cluster: &Arc<Cluster>, dns: Option<Dns>) -> anyhow::Result<Nodes> {
        let kubelet = Arc::new(Kubelet::start(&cluster.plane, &cluster.node).await?);
        let node = Node {
            lab: Arc::clone(&self.lab),
            cluster: Arc::clone(cluster),
            kubelet: Arc::clone(&kubelet),
            dns,
        };
        Ok((kubelet, Containers::run(node)))
    }

    /// Pods and Services of runs that are still there.
    async fn left(&self) -> anyhow::Result<Vec<Value>> {
        let mut left = Vec::new();
        for cluster in [&self.east, &self.local] {
            for resource in ["pods", "services"] {
                let label = "labelSelector=app.kubernetes.io%2Fname%3Dheliograph-verify";
                let path = format!("/api/v1/namespaces/demo/{resource}?{label}");
                let found = cluster.get(&path).await?;
                let found = found["items"].as_array().into_iter().flatten();
                left.extend(found.map(|it| it["metadata"]["name"].clone()));
            }
        }
        Ok(left)
    }
}

type Nodes = (Arc<Kubelet>, Containers);

pub(crate) async fn two_clusters_are_linked_checked_and_verified(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let stage = Stage::set(scene).await?;
    stage
        .succeeds("check --context local --pre --source-context east")
        .await?;
    let dns = Dns::start(&stage.lab, &stage.local, "").await?;
    let _east = stage.node(&stage.east, None).await?;
    let (kubelet, _local) = stage.node(&stage.local, Some(dns)).await?;
    let _emitter = stage.start("emitter", "emitter-access").await?;
    let url = format!("https://{}:6443", stage.east.address());
    let link = format!("link --context east --to-context local --url {url}");
    eventually("the emitter has a CA", async || stage.succeeds(&link).await).await?;
    let directory = stage.lab.keeper.directory().join("emitter");
    files(&stage.east, "emitter-access", &directory).await?;
    let _reflector = stage.start("reflector", "source-api").await?;
    let mut template = stage.local.get(&format!("{DEPLOYMENTS}/reflector")).await?;
    let template = template["spec"]["template"].take();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    kubelet
        .run("heliograph", "reflector-0", &template, loopback)
        .await?;
    for (cluster, name) in [(&stage.east, "emitter"), (&stage.local, "reflector")] {
        let ready = json!({"status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1,
            "updatedReplicas": 1}});
        cluster
            .patch(&format!("{DEPLOYMENTS}/{name}/status"), &ready)
            .await?;
    }
    stage.succeeds("status --context local --wait 40s").await?;
    stage
        .succeeds("check --context local --source-context east")
        .await?;

    let findings = stage.verify("--requests 5").await?;
    for step in ["probe", "export", "mirror", "route", "kube-proxy", "DNS"] {
        let mut all = findings.as_array().into_iter().flatten();
        let is_well = |it: &Value| it["check"] == step && it["result"] == "ok";
        ensure!(all.any(is_well), "{step}: {findings}");
    }
    let failed = failures(&findings);
    ensure!(failed.is_empty(), "{failed:?}");
    nothing_is_left(&stage).await?;
    verifications_that_fail(&stage).await
}

/// Each step that fails is named, and nothing is left.
async fn verifications_that_fail(stage: &Stage) -> anyhow::Result<()> {
    let findings = stage.verify("--label exported=no --timeout 5s").await?;
    is_told(
        &findings,
        "The emitter does not select the Service",
        "export",
    )?;
    nothing_is_left(stage).await?;
    stage.lab.kill_proxy(&stage.local).await?;
    let findings = stage.verify("--requests 2").await?;
    is_told(&findings, "kube-proxy is stopped", "kube-proxy")?;
    nothing_is_left(stage).await
}

async fn nothing_is_left(stage: &Stage) -> anyhow::Result<()> {
    eventually("the objects of the run are gone", async || {
        let left = stage.left().await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

fn failures(findings: &Value) -> Vec<&Value> {
    let all = findings.as_array().into_iter().flatten();
    all.filter(|it| it["result"] == "failed").collect()
}

/// `kubectl apply -k` of a directory of the repository.
async fn install(cluster: &Cluster, directory: &str) -> anyhow::Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let path = format!("{root}{directory}");
    cluster.plane.kubectl().run(["apply", "-k", &path]).await?;
    Ok(())
}

/// Adds a context of a cluster, by its name.
fn join(kubeconfig: &mut Value, cluster: &Cluster) -> anyhow::Result<()> {
    let name = cluster.plane.name();
    if kubeconfig.is_null() {
        *kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [],
            "contexts": []});
    }
    for (list, key, value) in [
        (
            "clusters",
            "cluster",
            json!({"server": cluster.plane.url(),
                "certificate-authority": cluster.plane.authority_file()}),
        ),
        (
            "users",
            "user",
            json!({"token": cluster.plane.admin_token()}),
        ),
        (
            "contexts",
            "context",
            json!({"cluster": name, "user": name}),
        ),
    ] {
        let list = kubeconfig[list].as_array_mut().context("it is a list")?;
        list.push(json!({"name": name, key: value}));
    }
    Ok(())
}

/// A path of the container, on this machine.
fn here(text: &str, directory: &Path) -> String {
    let path = directory.to_string_lossy();
    [
        "/etc/heliograph",
        "/var/run/secrets/heliograph",
        "/run/heliograph",
    ]
    .iter()
    .fold(text.to_owned(), |text, it| text.replace(it, &path))
}

/// Writes the files of a ConfigMap.
async fn files(cluster: &Cluster, map: &str, directory: &Path) -> anyhow::Result<()> {
    let map = cluster.get(&format!("{CONFIG_MAPS}/{map}")).await?;
    for (key, text) in map["data"].as_object().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        fs::write(directory.join(key), here(text, directory))?;
    }
    Ok(())
}

async fn token(cluster: &Cluster, account: &str, audience: &Value) -> anyhow::Result<String> {
    let request = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
    let path = format!("/api/v1/namespaces/heliograph/serviceaccounts/{account}/token");
    let request = http::Request::post(path).body(serde_json::to_vec(&request)?)?;
    let answer: Value = cluster.plane.client().await?.request(request).await?;
    let token = answer["status"]["token"].as_str();
    Ok(token.context("there is a token")?.to_owned())
}
