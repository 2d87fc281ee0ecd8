//! Admin ports reached by port-forwards: through a real kube-apiserver and the server library of
//! the kubelet.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::{ControlPlane, Keeper, Kubelet, Process, Scene};
use serde_json::{Value, json};

use super::Engineer;
use crate::cluster::{Cluster, mirror};
use crate::lab::{Lab, eventually, free_port, get, program};
use crate::manifests::install;

const NAMESPACE: &str = "heliograph";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/heliograph/deployments/reflector";
/// User without any right, until a scenario grants one.
const VIEWER: &str = "viewer";
/// Becomes a program on a host of another name, as a pod has.
const ON_HOST: &str = r#"hostname "$0" && exec "$@""#;

/// A replica of the reflector: a process, and the pod that it is.
struct Replica {
    pod: String,
    address: IpAddr,
    process: Process,
}

/// The installation of a local cluster, whose replicas are processes of this machine.
struct Installation {
    keeper: Keeper,
    local: Cluster,
    kubelet: Kubelet,
    config: PathBuf,
    port: u16,
}

impl Installation {
    /// Installs the manifests, with an election and a port of the machine.
    async fn of(local: Cluster, source: &str) -> anyhow::Result<Self> {
        install(&local, "manifests/reflector").await?;
        let kubelet = Kubelet::start(&local.plane, "node").await?;
        let keeper = Keeper::new("replicas")?;
        let config = json!({"mirrorNamespace": "mirrors",
            "sources": [{"name": "east", "prefix": "east", "url": source}]});
        let file = keeper.directory().join("config.yaml");
        std::fs::write(&file, config.to_string())?;
        let map = json!({"data": {"config.yaml": config.to_string()}});
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/source-api");
        local.patch(&path, &map.to_string()).await?;
        let port = free_port()?;
        let args = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args",
            "value": ["--config=/etc/heliograph/config.yaml", "--leader-elect",
                format!("--admin-bind-address=0.0.0.0:{port}")]}]);
        let args = args.to_string();
        let patch = ["patch", "deployment", "reflector", "-n", NAMESPACE];
        let patch = patch.into_iter().chain(["--type=json", "-p", &args]);
        local.plane.kubectl().run(patch).await?;
        Ok(Self {
            keeper,
            local,
            kubelet,
            config: file,
            port,
        })
    }

    /// Starts a replica at an address of loopback, as the pod of that name.
    async fn replica(&self, pod: &str, n: u8) -> anyhow::Result<Replica> {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, n));
        let mut command = Command::new("unshare");
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            command.arg("--map-root-user");
        }
        command.args(["--uts", "sh", "-c", ON_HOST, pod]);
        command.arg(program("reflector")?);
        command.arg("--config").arg(&self.config);
        command
            .arg("--kubeconfig")
            .arg(self.local.plane.kubeconfig());
        command.args(["--leader-elect", "--leader-elect-resource-namespace"]);
        command.args([NAMESPACE, "--admin-bind-address"]);
        command.arg(format!("{address}:{}", self.port));
        let process = self.keeper.spawn(pod, &command)?;
        let template = self.local.read(DEPLOYMENT).await?["spec"]["template"].take();
        self.kubelet.run(NAMESPACE, pod, &template, address).await?;
        let log = self.keeper.directory().join(format!("{pod}.log"));
        let key = (NAMESPACE, pod);
        self.kubelet.log_is(key, "reflector", &log)?;
        let replica = Replica {
            pod: pod.to_owned(),
            address,
            process,
        };
        eventually(&format!("{pod} is ready"), async || {
            let answer = get(&self.url(&replica), "/readyz?verbose").await?;
            ensure!(answer.contains("check passed"), "{answer}");
            Ok(())
        })
        .await?;
        Ok(replica)
    }

    fn url(&self, replica: &Replica) -> String {
        format!("http://{}:{}", replica.address, self.port)
    }

    async fn leads(&self, replica: &Replica) -> anyhow::Result<()> {
        eventually(&format!("{} leads", replica.pod), async || {
            let status: Value = serde_json::from_str(&get(&self.url(replica), "/status").await?)?;
            ensure!(status["leader"] == true, "{status}");
            Ok(())
        })
        .await
    }
}

pub(crate) async fn admin_ports_are_reached_by_port_forwards(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let local = async {
        let builder = ControlPlane::builder("local").controllers().user(VIEWER);
        let plane = scene.start(builder).await?;
        let client = plane.client().await?;
        Ok(Cluster { plane, client })
    };
    let (east, local) = tokio::try_join!(lab.cluster("east"), local)?;
    let emitter = lab.emitter(&east, &["--anonymous-auth"]).await?;
    east.create_service("web").await?;
    let engineer = Engineer::new(&lab, &[&local])?;
    let mut installation = Installation::of(local, &emitter.url).await?;
    let said = engineer.fails("status").await?;
    ensure!(
        said.contains("no pod of heliograph-reflector runs"),
        "{said}"
    );

    // The standby replica is the first by name, and the other one writes.
    let writer = installation.replica("reflector-b", 2).await?;
    installation.leads(&writer).await?;
    let standby = installation.replica("reflector-a", 3).await?;
    everything_is_read(&lab, &engineer).await?;
    bash_proposes_names(&engineer).await?;
    another_replica_writes(&engineer, &installation, (writer, &standby)).await?;
    permissions_are_those_of_the_page(&installation.local).await?;
    failures_name_their_remedy(&engineer, &mut installation, &standby).await
}

/// Each subcommand that reads an admin port, and no `--server`.
async fn everything_is_read(lab: &Lab, engineer: &Engineer) -> anyhow::Result<()> {
    let said = engineer.succeeds("status --wait 40s").await?;
    ensure!(
        said.contains("✓  east") && said.contains("synced"),
        "{said}"
    );
    let status: Value = serde_json::from_str(&engineer.succeeds("status -o json").await?)?;
    ensure!(status["leader"] == true, "{status}");
    let said = engineer
        .succeeds("status -o jsonpath={.sources[*].name}")
        .await?;
    ensure!(said == "east", "{said}");
    let said = engineer.succeeds("explain demo/web").await?;
    ensure!(
        said.contains("is mirrored as its source exports it"),
        "{said}"
    );
    let said = engineer.succeeds("top --count 2 --interval 500ms").await?;
    ensure!(said.contains("east"), "{said}");
    let found = engineer.check("").await?;
    for (check, message) in [
        ("sources", "source east is synced, 1 Services"),
        ("leader", "reflector-b"),
        ("problems", "reports none"),
    ] {
        let mut named = found.iter().filter(|it| it.0 == check && it.1 == "ok");
        ensure!(
            named.any(|it| it.2.contains(message)),
            "{check}: {message}: {found:#?}"
        );
    }
    let bundle = lab.directory().join("bundle.tar");
    engineer
        .succeeds(&format!("gather -f {}", bundle.display()))
        .await?;
    let bundle = std::fs::read(bundle)?;
    let text = String::from_utf8_lossy(&bundle);
    for pod in ["reflector-a", "reflector-b"] {
        for file in ["log.txt", "metrics.txt", "status.yaml"] {
            let name = format!("heliograph/pods/{pod}/{file}");
            ensure!(text.contains(&name), "the bundle lacks {name}");
        }
    }
    ensure!(text.contains("followed"), "the logs are empty");
    Ok(())
}

/// Checks the words that bash proposes.
async fn bash_proposes_names(engineer: &Engineer) -> anyhow::Result<()> {
    const TYPE: &str = r#"source <("$0" completion bash); COMP_WORDS=("$0" "$@" "")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _heliograph_live "$0" "" "${@: -1}"; echo "${COMPREPLY[*]}""#;
    let mirror = mirror("east", "web");
    for (line, wanted) in [
        ("explain", mirror.as_str()),
        ("verify --source-name", "east"),
        ("status --context", "local"),
        ("completion", "bash zsh fish"),
    ] {
        let mut bash = tokio::process::Command::new("bash");
        bash.args(["-c", TYPE]).arg(program("heliograph")?);
        bash.arg("--kubeconfig").arg(&engineer.kubeconfig);
        let output = bash.args(line.split(' ')).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let why = String::from_utf8_lossy(&output.stderr);
        ensure!(said.contains(wanted), "{line}: {said}{why}");
    }
    Ok(())
}

/// The holder of the Lease ends without a word, and the other replica takes its place.
async fn another_replica_writes(
    engineer: &Engineer,
    installation: &Installation,
    (mut writer, standby): (Replica, &Replica),
) -> anyhow::Result<()> {
    writer.process.kill().await?;
    let said = engineer.fails("status").await?;
    for wanted in [
        "pod reflector-b, port",
        "connection refused",
        "kubectl logs reflector-b -n heliograph",
    ] {
        ensure!(said.contains(wanted), "{wanted}: {said}");
    }
    installation.leads(standby).await?;
    let status: Value = serde_json::from_str(&engineer.succeeds("status -o json").await?)?;
    ensure!(status["leader"] == true, "{status}");
    Ok(())
}

/// A user with the permissions of the page reads the status, and one without is told of them.
async fn permissions_are_those_of_the_page(local: &Cluster) -> anyhow::Result<()> {
    let kubeconfig = local.plane.kubeconfig_for(VIEWER);
    let viewer = Engineer { kubeconfig };
    let said = viewer.fails("status").await?;
    ensure!(
        said.contains("cannot list resource \"deployments\"") && said.contains("docs/cli.md"),
        "{said}"
    );
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}");
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let rules = |verbs: &[&str]| {
        json!([
            rule("apps", "deployments", &["list"]),
            rule("", "pods", &["list"]),
            rule("coordination.k8s.io", "leases", &["get"]),
            rule("", "pods/portforward", verbs),
        ])
    };
    let role = json!({"metadata": {"name": VIEWER}, "rules": rules(&[])});
    let roles = format!("{rbac}/roles");
    // A rule needs a verb.
    let mut without = role.clone();
    without["rules"].as_array_mut().map(Vec::pop);
    local.post(&roles, &without.to_string()).await?;
    let binding = json!({"metadata": {"name": VIEWER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": VIEWER},
        "subjects": [{"kind": "User", "name": VIEWER}]});
    let bindings = format!("{rbac}/rolebindings");
    local.post(&bindings, &binding.to_string()).await?;
    for verbs in [&[][..], &["create"], &["get"]] {
        if !verbs.is_empty() {
            let role = json!({"rules": rules(verbs)}).to_string();
            local.patch(&format!("{roles}/{VIEWER}"), &role).await?;
        }
        let wanted = "grant get and create of pods/portforward in namespace heliograph";
        eventually(&format!("{verbs:?} is too little"), async || {
            let said = viewer.fails("status").await?;
            ensure!(said.contains(wanted), "{said}");
            Ok(())
        })
        .await?;
    }
    let role = json!({"rules": rules(&["get", "create"])}).to_string();
    local.patch(&format!("{roles}/{VIEWER}"), &role).await?;
    eventually("the permissions suffice", async || {
        viewer.succeeds("status").await.map(drop)
    })
    .await
}

/// One failure after the other, each with its remedy.
async fn failures_name_their_remedy(
    engineer: &Engineer,
    installation: &mut Installation,
    replica: &Replica,
) -> anyhow::Result<()> {
    let fails = async |wanted: &[&str]| -> anyhow::Result<()> {
        let said = engineer.fails("status").await?;
        for wanted in wanted {
            ensure!(said.contains(wanted), "{wanted}: {said}");
        }
        ensure!(!said.contains("Status {"), "{said}");
        Ok(())
    };
    let Installation { local, kubelet, .. } = installation;
    // A replica that is not ready may still answer.
    kubelet.set_ready(NAMESPACE, &replica.pod, false).await?;
    engineer.succeeds("status").await?;
    kubelet.stop().await?;
    let unreached = "does not reach the kubelet";
    fails(&[unreached, "kubectl get nodes", "--server"]).await?;
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let waiting = json!({"reason": "ErrImagePull", "message": "no such image"});
    let waiting = json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "reflector",
        "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": waiting}}]}})
    .to_string();
    for pod in ["reflector-a", "reflector-b"] {
        let path = format!("{pods}/{pod}/status");
        local.patch(&path, &waiting).await?;
    }
    let cause = "reflector-a is Pending (ErrImagePull: no such image)";
    fails(&[
        "no pod of heliograph-reflector runs",
        cause,
        "kubectl describe deployment",
    ])
    .await
}
