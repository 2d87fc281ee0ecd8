//! `heliograph`, from two clusters that know nothing of each other to a mirrored Service.

mod breakages;
pub(crate) mod forwarded;
mod kubelet;
pub(crate) mod mesh;

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Scene};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::lab::{Lab, mirror, program};
use crate::manifests::install;
use breakages::Checks;
use kubelet::Kubelet;

/// The command line of somebody with both clusters in one kubeconfig.
struct Engineer {
    kubeconfig: PathBuf,
}

impl Engineer {
    fn new(lab: &Lab, clusters: &[&Cluster]) -> anyhow::Result<Self> {
        let named =
            |it: &Cluster, key: &str, value: Value| json!({"name": it.plane.name(), key: value});
        let authority = |it: &Cluster| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(it.plane.authority())
        };
        let all = |of: &dyn Fn(&Cluster) -> Value| -> Vec<Value> {
            clusters.iter().map(|it| of(it)).collect()
        };
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "local",
            "clusters": all(&|it| named(it, "cluster", json!({
                "server": it.plane.url(),
                "certificate-authority-data": authority(it),
            }))),
            "users": all(&|it| named(it, "user", json!({"token": it.plane.admin_token()}))),
            "contexts": all(&|it| named(it, "context", json!({
                "cluster": it.plane.name(),
                "user": it.plane.name(),
            }))),
        });
        let kubeconfig = lab.file("engineer.yaml", &kubeconfig.to_string())?;
        Ok(Self { kubeconfig })
    }

    async fn run(&self, words: &str) -> anyhow::Result<Output> {
        let mut command = Command::new(program("heliograph")?);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.args(words.split_whitespace()).kill_on_drop(true);
        Ok(command.output().await?)
    }

    /// What a command prints that succeeds.
    async fn succeeds(&self, words: &str) -> anyhow::Result<String> {
        let output = self.run(words).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "heliograph {words}: {said}{complaints}"
        );
        Ok(said)
    }

    /// What a command prints that fails.
    async fn fails(&self, words: &str) -> anyhow::Result<String> {
        let output = self.run(words).await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(
            output.status.code() == Some(1),
            "heliograph {words}: {}: {said}",
            output.status
        );
        Ok(said)
    }

    /// Results of a check, by name and message.
    async fn check(&self, words: &str) -> anyhow::Result<Vec<(String, String, String)>> {
        let output = self.run(&format!("check -o json {words}")).await?;
        let found: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let found = found.as_array().into_iter().flatten();
        Ok(found
            .map(|it| {
                (
                    text(&it["check"]),
                    text(&it["result"]),
                    text(&it["message"]),
                )
            })
            .collect())
    }
}

/// Requests for Secrets that an administrator made, with the program or kubectl.
fn secrets(cluster: &Cluster) -> anyhow::Result<usize> {
    let events = cluster.plane.audit_events()?;
    let is_ours = |user: &str| !user.starts_with("system:kube-");
    let about = events.iter().filter(|it| it.resource == "secrets");
    Ok(about.filter(|it| is_ours(&it.user)).count())
}

const LINK: &str = "link --context east --to-context local";

/// Two clusters with what manifests install, and ranges that are apart.
async fn clusters(scene: &Arc<Scene>) -> anyhow::Result<(Cluster, Cluster)> {
    let start = async |name: &str, range: &str| -> anyhow::Result<Cluster> {
        let builder = ControlPlane::builder(name).controllers().audit();
        let plane = scene.start(builder.service_cidr(range)).await?;
        let client = plane.client().await?;
        Ok(Cluster { plane, client })
    };
    let (east, local) = tokio::try_join!(
        start("east", "10.97.0.0/16"),
        start("local", "10.98.0.0/16")
    )?;
    east.create_namespace("demo").await?;
    install(&east, "manifests/emitter").await?;
    install(&local, "manifests/reflector").await?;
    with_access_configuration(&east).await?;
    Ok((east, local))
}

/// An emitter that knows its clients, by a configuration in a ConfigMap.
async fn with_access_configuration(east: &Cluster) -> anyhow::Result<()> {
    let path = "/apis/apps/v1/namespaces/heliograph/deployments/emitter";
    let deployment = east.read(path).await?;
    let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    if args.to_string().contains("--access-config") {
        return Ok(());
    }
    let map = json!({"metadata": {"name": "emitter-access"},
        "data": {"access.yaml": "issuers: []\nconsumers: []\n"}});
    east.post("/api/v1/namespaces/heliograph/configmaps", &map.to_string())
        .await?;
    let container = json!({
        "name": "emitter",
        "args": ["--secure-port=6443", "--ca-secret=heliograph/heliograph-emitter-ca",
            "--access-config=/etc/heliograph/access.yaml"],
        "volumeMounts": [{"name": "access", "mountPath": "/etc/heliograph"}],
    });
    let volume = json!({"name": "access", "configMap": {"name": "emitter-access"}});
    let pod = json!({"containers": [container], "volumes": [volume]});
    let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
    let patch = [
        "patch",
        "deployment",
        "emitter",
        "-n",
        "heliograph",
        "-p",
        &patch,
    ];
    east.plane.kubectl().run(patch).await.map(drop)
}

pub(crate) async fn two_clusters_are_linked_without_a_secret(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let (east, local) = clusters(&scene).await?;
    let engineer = Engineer::new(&lab, &[&east, &local])?;
    let said = engineer
        .succeeds("check --pre --source-context east")
        .await?;
    ensure!(
        said.contains("east do not overlap") && said.contains("0 failed"),
        "{said}"
    );

    let kubelet = Kubelet::new(&lab, "kubelet")?;
    kubelet.publish_authority(&east).await?;
    let secrets_before = (secrets(&east)?, secrets(&local)?);
    let link = format!("{LINK} --url https://127.0.0.1:{}", kubelet.port);
    dry_runs_write_nothing(&engineer, &link, (&east, &local)).await?;
    let said = engineer.succeeds(&link).await?;
    ensure!(said.matches("updated").count() == 3, "{said}");
    let said = engineer.succeeds(&link).await?;
    ensure!(said.matches("unchanged").count() == 3, "{said}");

    let emitter = kubelet.start_emitter(&lab, &east).await?;
    let reflector = kubelet.start_reflector(&lab, &local).await?;
    let server = format!("--server {}", reflector.url);
    a_service_is_mirrored(&engineer, &server, (&east, &local)).await?;
    let words = format!("--source-context east {server}");
    let checks = Checks::new(&engineer, words)?;
    let programs = (&kubelet, emitter);
    checks
        .faults_are_found(&lab, programs, (&east, &local))
        .await?;
    it_is_unlinked(&engineer, &east).await?;
    let secrets_after = (secrets(&east)?, secrets(&local)?);
    ensure!(
        secrets_before == secrets_after,
        "Secrets were asked for: {secrets_before:?} before, {secrets_after:?} after"
    );
    Ok(())
}

async fn a_service_is_mirrored(
    engineer: &Engineer,
    server: &str,
    (east, local): (&Cluster, &Cluster),
) -> anyhow::Result<()> {
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let said = engineer
        .succeeds(&format!("status {server} --wait 40s"))
        .await?;
    ensure!(
        said.contains("✓  east") && said.contains("synced"),
        "{said}"
    );
    let key = mirror("east", "web");
    if let Err(error) = local.eventually_has(&key, &["10.1.0.1"]).await {
        let status = engineer.run(&format!("status {server}")).await?;
        let explained = engineer.run(&format!("explain demo/web {server}")).await?;
        let said = [status.stdout, explained.stdout].concat();
        return Err(error.context(String::from_utf8_lossy(&said).into_owned()));
    }
    let said = engineer
        .succeeds(&format!("explain demo/web {server}"))
        .await?;
    ensure!(
        said.contains("is mirrored as its source exports it"),
        "{said}"
    );
    Ok(())
}

async fn it_is_unlinked(engineer: &Engineer, east: &Cluster) -> anyhow::Result<()> {
    let said = engineer
        .succeeds("unlink --context east --to-context local")
        .await?;
    ensure!(said.contains("the mirrors of source east stay"), "{said}");
    let path = "/api/v1/namespaces/heliograph/configmaps/emitter-access";
    let access = east.read(path).await?["data"].to_string();
    ensure!(!access.contains("local"), "{access}");
    let said = engineer
        .succeeds("unlink --context east --to-context local")
        .await?;
    ensure!(said.matches("unchanged").count() == 3, "{said}");
    Ok(())
}

async fn dry_runs_write_nothing(
    engineer: &Engineer,
    link: &str,
    (east, local): (&Cluster, &Cluster),
) -> anyhow::Result<()> {
    let version = async |cluster: &Cluster, name: &str| -> anyhow::Result<Value> {
        let path = format!("/api/v1/namespaces/heliograph/configmaps/{name}");
        Ok(cluster.read(&path).await?["metadata"]["resourceVersion"].take())
    };
    let both = async || -> anyhow::Result<(Value, Value)> {
        Ok((
            version(east, "emitter-access").await?,
            version(local, "source-api").await?,
        ))
    };
    let before = both().await?;
    let manifests = engineer
        .succeeds(&format!("{link} --dry-run -o yaml"))
        .await?;
    for wanted in [
        "userPrefix",
        "local.jwks",
        "serverName",
        "heliograph-east",
        "kind: Deployment",
    ] {
        ensure!(manifests.contains(wanted), "{wanted}: {manifests}");
    }
    ensure!(
        !manifests.contains("PRIVATE") && !manifests.contains("managedFields"),
        "{manifests}"
    );
    ensure!(both().await? == before, "a dry run wrote");
    let said = engineer
        .fails(&link.replace("https://", "http://10.0.0.1?"))
        .await?;
    ensure!(said.contains("plain HTTP"), "{said}");
    Ok(())
}
