//! Ways to a real source that fail, and rights and accounts that go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::json;

use super::gate::{Gate, Mode};
use super::real::{deleted, restarts_without_a_write};
use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, meanwhile, mirror};
use crate::plan_command::plan;

/// A source cluster that is reached by one name for each way to fail.
const NAMES: [&str; 6] = [
    "healthy",
    "killed",
    "partitioned",
    "slow",
    "unauthorized",
    "forbidden",
];

/// One way to the source cluster, by an account of its own.
struct Way {
    name: &'static str,
    gate: Gate,
    directory: PathBuf,
}

impl Way {
    async fn new(name: &'static str, east: &Cluster, directory: &Path) -> anyhow::Result<Self> {
        let url = east.plane.url();
        let gate = Gate::before(url.trim_start_matches("https://")).await?;
        let it = Self {
            name,
            directory: directory.join(name),
            gate,
        };
        std::fs::create_dir(&it.directory)?;
        it.renew(east).await?;
        it.bind(east).await?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": format!("https://127.0.0.1:{}", it.gate.port),
                "certificate-authority": east.plane.authority_file(),
            }}],
            "users": [{"name": "it", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        std::fs::write(it.directory.join("kubeconfig"), kubeconfig.to_string())?;
        Ok(it)
    }

    /// An account of that name, and a token of it.
    async fn renew(&self, east: &Cluster) -> anyhow::Result<()> {
        let kubectl = east.plane.kubectl();
        let account = [self.name, "-n", "demo"];
        let create = ["create", "serviceaccount"].into_iter().chain(account);
        kubectl.run(create).await?;
        let token = kubectl.run(["create", "token"].into_iter().chain(account));
        Ok(std::fs::write(self.directory.join("token"), token.await?)?)
    }

    async fn bind(&self, east: &Cluster) -> anyhow::Result<()> {
        let account = format!("--serviceaccount=demo:{}", self.name);
        let bind = [
            "create",
            "clusterrolebinding",
            self.name,
            "--clusterrole=reader",
        ];
        let bind = bind.into_iter().chain([account.as_str()]);
        east.plane.kubectl().run(bind).await.map(drop)
    }

    async fn delete(&self, east: &Cluster, what: &[&str]) -> anyhow::Result<()> {
        let delete = ["delete"].iter().chain(what).copied();
        east.plane.kubectl().run(delete.chain([self.name])).await?;
        // Watches that are open go on, whatever becomes of who asked for them.
        self.gate.cut();
        Ok(())
    }

    /// Waits until the API server has forgotten that the token was good a moment ago.
    async fn is_unknown(&self, east: &Cluster) -> anyhow::Result<()> {
        let token = std::fs::read_to_string(self.directory.join("token"))?;
        let token = format!("--token={}", token.trim());
        eventually("the token is refused", async || {
            let ask = ["get", "--raw", "/api", &token];
            ensure!(east.plane.kubectl().run(ask).await.is_err());
            Ok(())
        })
        .await
    }

    async fn fails(&self, east: &Cluster) -> anyhow::Result<()> {
        match self.name {
            "killed" => self.gate.becomes(Mode::Shut),
            "partitioned" => self.gate.becomes(Mode::HalfOpen),
            "slow" => self.gate.becomes(Mode::Slow),
            "unauthorized" => {
                self.delete(east, &["serviceaccount", "-n", "demo"]).await?;
                self.is_unknown(east).await?;
                self.gate.cut();
            }
            "forbidden" => self.delete(east, &["clusterrolebinding"]).await?,
            _ => {}
        }
        Ok(())
    }

    async fn heals(&self, east: &Cluster) -> anyhow::Result<()> {
        match self.name {
            "unauthorized" => self.renew(east).await,
            "forbidden" => self.bind(east).await,
            _ => {
                self.gate.becomes(Mode::Open);
                Ok(())
            }
        }
    }

    fn source(&self) -> String {
        let (name, kubeconfig) = (self.name, self.directory.join("kubeconfig"));
        let kubeconfig = kubeconfig.display();
        format!("name={name},kubeconfig={kubeconfig},prefix={name},selector={EXPORT}=true")
    }
}

async fn says(reflector: &Program, words: &str) -> anyhow::Result<()> {
    eventually(&format!("the status says {words:?}"), async || {
        let status = reflector.status().await?.to_string();
        ensure!(status.contains(words), "{status}");
        Ok(())
    })
    .await
}

/// Waits until what changed at a source has changed here.
async fn has_changed(local: &Cluster, name: &str) -> anyhow::Result<()> {
    local
        .eventually_has(&mirror(name, "web"), &["10.1.0.2"])
        .await?;
    local.eventually_lacks(&mirror(name, "gone")).await?;
    local.eventually_has(&mirror(name, "new"), &[]).await
}

pub(crate) async fn however_a_real_source_fails_its_mirrors_stay_and_come_right(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let keeper = Keeper::new("ways")?;
    let role = ["create", "clusterrole", "reader", "--verb=get,list,watch"];
    let resources = "--resource=services,endpointslices.discovery.k8s.io,namespaces";
    let role = role.into_iter().chain([resources]);
    east.plane.kubectl().run(role).await?;
    let mut ways = Vec::new();
    for name in NAMES {
        ways.push(Way::new(name, &east, keeper.directory()).await?);
    }
    for name in ["web", "gone", "stays"] {
        east.create_service(name).await?;
        east.set_endpoints(name, &["10.1.0.1"]).await?;
    }
    let sources: Vec<String> = ways.iter().map(Way::source).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let reflector = lab.reflector(&local, &sources).await?;
    for service in NAMES
        .iter()
        .flat_map(|it| ["web", "gone", "stays"].map(|s| mirror(it, s)))
    {
        local.eventually_has(&service, &["10.1.0.1"]).await?;
    }

    for way in &ways {
        way.fails(&east).await?;
    }
    east.set_endpoints("web", &["10.1.0.2"]).await?;
    east.delete_service("demo/gone").await?;
    east.create_service("new").await?;
    for name in ["healthy", "slow"] {
        has_changed(&local, name).await?;
    }
    says(&reflector, "the credentials do not work").await?;
    says(&reflector, "not allowed").await?;
    says(&reflector, "no connection").await?;
    let mut expected: BTreeSet<_> = ["healthy", "slow"].map(|it| mirror(it, "gone")).into();
    meanwhile("nothing goes that cannot be asked for", async || {
        ensure!(deleted(&local)? == expected, "{:?}", deleted(&local)?);
        Ok(())
    })
    .await?;

    for way in &ways {
        way.heals(&east).await?;
    }
    for name in NAMES {
        has_changed(&local, name).await?;
        local
            .eventually_has(&mirror(name, "stays"), &["10.1.0.1"])
            .await?;
        expected.insert(mirror(name, "gone"));
    }
    ensure!(deleted(&local)? == expected, "{:?}", deleted(&local)?);
    let flags = sources.iter().flat_map(|it| ["--source", it]);
    let flags: Vec<&str> = flags.collect();
    let (code, plan) = plan(&local.plane.kubeconfig(), &flags).await?;
    ensure!(code == Some(0), "there is something left to do: {plan}");
    restarts_without_a_write(&local, &reflector).await
}
