//! Configuration, credentials and clusters change while a reflector runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, Lab, MIRRORS, Program, eventually, meanwhile, mirror, program};

/// A reflector by a file, which may change.
pub(crate) struct ByFile {
    pub(crate) file: PathBuf,
    pub(crate) reflector: Program,
    _keeper: Keeper,
}

impl ByFile {
    pub(crate) async fn start(lab: &Lab, local: &Cluster, config: &Value) -> anyhow::Result<Self> {
        Self::start_with(lab, local, config, &[]).await
    }

    /// The same with further flags.
    pub(crate) async fn start_with(
        lab: &Lab,
        local: &Cluster,
        config: &Value,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        Self::start_as(lab, local, config, "admin", flags).await
    }

    /// The same as a user of the local cluster.
    pub(crate) async fn start_as(
        lab: &Lab,
        local: &Cluster,
        config: &Value,
        user: &str,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let it = Self::launch(lab, local, config, user, flags)?;
        it.reflector.ready().await?;
        Ok(it)
    }

    /// The same without waiting for all sources.
    pub(crate) fn launch(
        lab: &Lab,
        local: &Cluster,
        config: &Value,
        user: &str,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let keeper = Keeper::new("configuration")?;
        let file = keeper.directory().join("config.yaml");
        std::fs::write(&file, config.to_string())?;
        let mut command = Command::new(program("reflector")?);
        let kubeconfig = local.plane.kubeconfig_for(user);
        command.arg("--kubeconfig").arg(kubeconfig);
        command.arg("--config").arg(&file).args(flags);
        let reflector = lab.start("reflector", command, None)?;
        Ok(Self {
            file,
            reflector,
            _keeper: keeper,
        })
    }

    pub(crate) fn becomes(&self, config: &str) -> anyhow::Result<()> {
        // As a kubelet does: all at once.
        let new = self.file.with_extension("new");
        std::fs::write(&new, config)?;
        Ok(std::fs::rename(new, &self.file)?)
    }

    pub(crate) async fn eventually_says(&self, words: &str) -> anyhow::Result<()> {
        eventually(&format!("the status says {words:?}"), async || {
            let status = self.reflector.status().await?.to_string();
            ensure!(status.contains(words), "{status}");
            Ok(())
        })
        .await
    }

    pub(crate) async fn eventually_does_not_say(&self, words: &str) -> anyhow::Result<()> {
        eventually(&format!("the status says no {words:?}"), async || {
            let status = self.reflector.status().await?.to_string();
            ensure!(!status.contains(words), "{status}");
            Ok(())
        })
        .await
    }
}

fn config(removed_sources: &str, sources: &[Value]) -> Value {
    json!({"mirrorNamespace": MIRRORS, "removedSources": removed_sources, "sources": sources})
}

pub(crate) async fn sources_come_and_go_and_disturb_no_other(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    // Two emitters of one cluster, as two sources.
    let (emitter, other) = (
        lab.emitter(&east, &[]).await?,
        lab.emitter(&east, &[]).await?,
    );
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let source = |name: &str, url: &str| json!({"name": name, "url": url, "prefix": name});
    let (first, second) = (source("east", &emitter.url), source("west", &other.url));
    let it = ByFile::start(&lab, &local, &config("keep", std::slice::from_ref(&first))).await?;
    let (mine, theirs) = (mirror("east", "web"), mirror("west", "web"));
    local.eventually_has(&mine, &["10.1.0.1"]).await?;
    let lists = emitter
        .metric("heliograph_emitter_list_requests_total", "")
        .await?;
    let writes = local.mirror_writes()?;

    it.becomes(&config("keep", &[second.clone(), first.clone()]).to_string())?;
    local.eventually_has(&theirs, &["10.1.0.1"]).await?;
    it.becomes("sources: [")?;
    it.eventually_says("\"error\":\"configuration ").await?;
    let successful = it
        .reflector
        .metric("heliograph_reflector_config_last_reload_successful", "")
        .await?;
    ensure!(successful < 0.5, "the metric says nothing");
    // A moment after the mirror itself, another look at it is over.
    let at_rest = local.mirror_writes()?;
    ensure!(at_rest == writes + 2, "{} writes", at_rest - writes);
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    local.eventually_has(&mine, &["10.1.0.2"]).await?;
    local.eventually_has(&theirs, &["10.1.0.2"]).await?;

    it.becomes(&config("keep", std::slice::from_ref(&first)).to_string())?;
    it.eventually_says("SourceRemoved").await?;
    it.eventually_does_not_say("refused").await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local.eventually_has(&mine, &["10.1.0.3"]).await?;
    local.eventually_has(&theirs, &["10.1.0.2"]).await?;
    it.becomes(&config("delete", std::slice::from_ref(&first)).to_string())?;
    local.eventually_lacks(&theirs).await?;
    it.eventually_does_not_say("SourceRemoved").await?;
    let again = emitter
        .metric("heliograph_emitter_list_requests_total", "")
        .await?;
    ensure!((again - lists).abs() < 0.5, "it was listed again");

    // Another way to the same source: asked again, and nothing is written.
    let writes = local.mirror_writes()?;
    it.becomes(&config("keep", &[source("east", &other.url)]).to_string())?;
    emitter.stop().await?;
    east.set_endpoints("web", &["10.1.0.4"]).await?;
    local.eventually_has(&mine, &["10.1.0.4"]).await?;
    local.eventually_wrote(writes + 1).await?;
    Ok(())
}

/// A kubeconfig with a token of a service account, each in a file of its own.
struct Credentials<'a> {
    cluster: &'a Cluster,
    directory: &'a Path,
}

impl Credentials<'_> {
    async fn grant(&self) -> anyhow::Result<()> {
        let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": ["list", "watch"]});
        let rules = [
            rule("", "services"),
            rule("discovery.k8s.io", "endpointslices"),
        ];
        let role = json!({"metadata": {"name": "reader"}, "rules": rules});
        let binding = json!({
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "demo"}],
        });
        let group = "/apis/rbac.authorization.k8s.io/v1";
        let cluster = self.cluster;
        cluster
            .post(&format!("{group}/clusterroles"), &role.to_string())
            .await?;
        let bindings = format!("{group}/clusterrolebindings");
        cluster.post(&bindings, &binding.to_string()).await
    }

    /// Another account of that name, whose tokens the former one's are not.
    async fn renew(&self) -> anyhow::Result<()> {
        let kubectl = self.cluster.plane.kubectl();
        let name = ["reader", "-n", "demo"];
        let delete = ["delete", "serviceaccount", "--ignore-not-found"];
        kubectl.run(delete.into_iter().chain(name)).await?;
        kubectl
            .run(["create", "serviceaccount"].into_iter().chain(name))
            .await?;
        let token = kubectl
            .run(["create", "token"].into_iter().chain(name))
            .await?;
        std::fs::write(self.directory.join("token"), token.trim().to_owned() + "\n")?;
        let authority = std::fs::read(self.cluster.plane.authority_file())?;
        Ok(std::fs::write(self.directory.join("ca.crt"), authority)?)
    }

    fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": self.cluster.plane.url(), "certificate-authority": "ca.crt",
            }}],
            "users": [{"name": "it", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        let path = self.directory.join("kubeconfig");
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }
}

pub(crate) async fn credentials_are_rotated_without_a_write(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (mut east, local) = lab.clusters().await?;
    let keeper = Keeper::new("credentials")?;
    let it = Credentials {
        cluster: &east,
        directory: keeper.directory(),
    };
    it.grant().await?;
    it.renew().await?;
    let source = format!(
        "name=east,kubeconfig={},prefix=east",
        it.kubeconfig()?.display()
    );
    let source = format!("{source},selector={}=true", crate::lab::EXPORT);
    let reflector = lab.reflector(&local, &[&source]).await?;
    east.create_service("web").await?;
    east.create_service("gone").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let mirrors = [mirror("east", "web"), mirror("east", "gone")];
    local.eventually_has(&mirrors[0], &["10.1.0.1"]).await?;
    local.eventually_has(&mirrors[1], &[]).await?;
    let status = reflector.status().await?.to_string();
    ensure!(
        status.contains("\"clusterIdentityError\":\"not allowed"),
        "{status}"
    );
    let before = local.mirror_writes()?;

    // Neither the token nor the authority that the reflector knows is good any more.
    east.plane.rotate_authority()?;
    east.plane.stop_apiserver().await?;
    east.plane.start_apiserver().await?;
    east.client = east.plane.client().await?;
    let it = Credentials {
        cluster: &east,
        directory: keeper.directory(),
    };
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    east.delete_service("demo/gone").await?;
    eventually("it is lost", async || {
        let status = reflector.status().await?.to_string();
        ensure!(status.contains("certificate"), "{status}");
        Ok(())
    })
    .await?;
    it.renew().await?;
    local.eventually_has(&mirrors[0], &["10.1.0.2"]).await?;
    local.eventually_lacks(&mirrors[1]).await?;
    // A token alone.
    it.renew().await?;
    east.plane.kill_apiserver().await?;
    east.plane.start_apiserver().await?;
    east.set_endpoints("web", &["10.1.0.3"]).await?;
    local.eventually_has(&mirrors[0], &["10.1.0.3"]).await?;
    let writes = local.mirror_writes()? - before;
    ensure!(
        writes == 3,
        "{writes} writes for two changes and a deletion"
    );
    Ok(())
}

/// For a cluster that lacks everything of the former one, which is held.
fn with_hold(sources: &[Value]) -> Value {
    let mut config = config("keep", sources);
    config["deletionHold"] = json!("2s");
    config
}

pub(crate) async fn mirrors_in_a_former_namespace_are_told(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let emitter = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    let source = json!({"name": "east", "url": emitter.url, "prefix": "east"});
    let it = ByFile::start(&lab, &local, &config("keep", std::slice::from_ref(&source))).await?;
    let former = mirror("east", "web");
    local.eventually_has(&former, &[]).await?;
    let said = "1 mirror Services of these sources are not in mirrorNamespace demo but in";
    it.eventually_does_not_say("are not in mirrorNamespace")
        .await?;

    it.reflector.stop().await?;
    let moved = json!({"mirrorNamespace": "demo", "sources": [source]});
    it.becomes(&moved.to_string())?;
    it.reflector.start().await?;
    it.eventually_says(said).await?;
    let (_, name) = former.split_once('/').unwrap_or_default();
    local.eventually_has(&format!("demo/{name}"), &[]).await?;
    ensure!(local.service(&former).await?.is_some(), "it was deleted");
    Ok(())
}

pub(crate) async fn another_cluster_behind_the_same_url_is_refused(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let west = lab.cluster("west").await?;
    for (cluster, name, address) in [(&east, "web", "10.1.0.1"), (&west, "other", "10.2.0.1")] {
        cluster.create_service(name).await?;
        cluster.set_endpoints(name, &[address]).await?;
    }
    let keeper = Keeper::new("replaced")?;
    let kubeconfig = keeper.directory().join("kubeconfig");
    std::fs::copy(east.plane.kubeconfig(), &kubeconfig)?;
    let source = json!({
        "name": "east", "kubeconfig": kubeconfig, "prefix": "east",
        "selector": format!("{}=true", crate::lab::EXPORT),
    });
    let it = ByFile::start(&lab, &local, &with_hold(std::slice::from_ref(&source))).await?;
    let (mine, theirs) = (mirror("east", "web"), mirror("east", "other"));
    local.eventually_has(&mine, &["10.1.0.1"]).await?;
    let uid = |namespace: Value| namespace["metadata"]["uid"].as_str().map(str::to_owned);
    let path = "/api/v1/namespaces/kube-system";
    let west_uid = uid(west.read(path).await?).context("a namespace has a uid")?;
    let east_uid = uid(east.read(path).await?).context("a namespace has a uid")?;
    let service = local.service(&mine).await?.context("it is there")?;
    let said = &service["metadata"]["annotations"]["heliograph.dev/source-cluster"];
    ensure!(*said == *east_uid, "{said}");

    // While it runs, and when it starts.
    let writes = local.mirror_writes()?;
    std::fs::copy(west.plane.kubeconfig(), &kubeconfig)?;
    east.plane.stop_apiserver().await?;
    it.eventually_says(&format!("configure cluster: {west_uid}"))
        .await?;
    it.reflector.stop().await?;
    it.reflector.start().await?;
    it.eventually_says(&format!("configure cluster: {west_uid}"))
        .await?;
    it.eventually_says("\"ClusterIdentityMismatch\"").await?;
    let problems = it
        .reflector
        .metric("heliograph_reflector_problems", "ClusterIdentityMismatch")
        .await?;
    ensure!(problems > 0.5, "the metric says nothing");
    meanwhile("nothing is written", async || {
        ensure!(local.mirror_writes()? == writes);
        Ok(())
    })
    .await?;

    let mut accepted = source.clone();
    accepted["cluster"] = json!(west_uid);
    it.becomes(&with_hold(&[accepted]).to_string())?;
    local.eventually_has(&theirs, &["10.2.0.1"]).await?;
    local.eventually_lacks(&mine).await?;
    it.eventually_does_not_say("ClusterIdentityMismatch")
        .await?;
    // It is remembered, and need not be configured any more.
    it.becomes(&with_hold(&[source]).to_string())?;
    west.set_endpoints("other", &["10.2.0.2"]).await?;
    local.eventually_has(&theirs, &["10.2.0.2"]).await
}
