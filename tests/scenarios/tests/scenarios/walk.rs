//! The first way of the page about installing, walked as it is written: by its commands, on two
//! real control planes, encrypted and with no secret carried from one to the other.
//!
//! There is no kubelet. What it would do is done here: it mounts ConfigMaps and tokens as the
//! Deployments say, and runs the programs with the flags of the Deployments.

mod pods;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use crate::access::Asker;
use crate::lab::{Cluster, Lab, Program, eventually, free_port, mirror};
use crate::manifests::repository;
use pods::Pod;
use wire::Wire;

/// The address of the emitter in the page.
const ADDRESS: &str = "10.1.255.10";

const CA: &str = "/api/v1/namespaces/heliograph/configmaps/heliograph-emitter-ca";

/// The emitter looks at its CA each minute.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) async fn the_first_way_of_the_page_is_the_secure_one(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = tokio::try_join!(lab.cluster("east"), lab.cluster("west"))?;
    let port = free_port()?;
    let wire = Wire::to(port).await?;
    let walk = Walk::new(&lab, &east, &west, wire)?;
    let service = r#"{"metadata":{"name":"web"},"spec":{"ports":[{"name":"http","port":80}]}}"#;
    east.post("/api/v1/namespaces/demo/services", service)
        .await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;

    let (install, rotate) = blocks()?;
    ensure!(install.len() == 4 && rotate.len() == 3, "the page changed");
    walk.run(&install[0]).await?;
    walk.run(&install[1]).await?;
    let emitter = walk.emitter(port).await?;
    walk.run(&install[2]).await?;
    let reflector = walk.reflector().await?;
    walk.run(&install[3]).await?;
    let web = mirror("east", "web");
    let arrived = west.eventually_has(&web, &["10.1.0.1"]).await;
    let status = reflector.program.status().await?;
    arrived.with_context(|| format!("{status:#}"))?;

    walk.is_secure(&reflector.program).await?;
    walk.others_are_refused().await?;
    walk.token_is_renewed(&reflector).await?;
    walk.authority_is_replaced(&reflector, &rotate[..2]).await?;
    walk.signing_key_is_replaced(&emitter, &reflector, &rotate[2])
        .await
}

/// The shell commands of the page: of the installation, and of the rotation.
fn blocks() -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let page = std::fs::read_to_string(repository("docs/install.md"))?;
    let section = |from: &str, to: &str| {
        let (_, rest) = page.split_once(from).context("a heading")?;
        let (section, _) = rest.split_once(to).context("the next one")?;
        anyhow::Ok(shell(section))
    };
    Ok((
        section(
            "\n## Install with encryption and authentication\n",
            "\n### Rotate credentials\n",
        )?,
        section("\n### Rotate credentials\n", "\n### ")?,
    ))
}

fn shell(section: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in section.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        open = match (open, text) {
            (None, "```sh") => Some((indent, String::new())),
            (Some((_, block)), "```") => {
                blocks.push(block);
                None
            }
            (Some((by, block)), _) => Some((
                by,
                format!("{block}{}\n", line.get(by..).unwrap_or_default()),
            )),
            (None, _) => None,
        };
    }
    blocks
}

struct Walk<'a> {
    lab: &'a Lab,
    east: &'a Cluster,
    west: &'a Cluster,
    wire: Wire,
    /// Where the commands are typed.
    work: PathBuf,
}

impl<'a> Walk<'a> {
    fn new(lab: &'a Lab, east: &'a Cluster, west: &'a Cluster, wire: Wire) -> anyhow::Result<Self> {
        let work = lab.directory().join("work");
        std::fs::create_dir_all(&work)?;
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(repository("manifests"))
            .arg(&work)
            .status()?;
        ensure!(copied.success(), "cannot copy the manifests");
        let it = Self {
            lab,
            east,
            west,
            wire,
            work,
        };
        std::fs::write(it.work.join("kubeconfig"), it.kubeconfig()?.to_string())?;
        Ok(it)
    }

    /// Both clusters as contexts.
    fn kubeconfig(&self) -> anyhow::Result<Value> {
        let mut whole = serde_json::json!({"apiVersion": "v1", "kind": "Config",
            "clusters": [], "users": [], "contexts": []});
        for (name, cluster) in [("east", self.east), ("west", self.west)] {
            let text = std::fs::read_to_string(cluster.plane.kubeconfig())?;
            let one: Value = serde_saphyr::from_str(&text)?;
            for (list, field) in [("clusters", "cluster"), ("users", "user")] {
                let entry = serde_json::json!({"name": name, field: one[list][0][field]});
                whole[list].as_array_mut().context("a list")?.push(entry);
            }
            let context = serde_json::json!({"name": name,
                "context": {"cluster": name, "user": name}});
            let contexts = whole["contexts"].as_array_mut();
            contexts.context("a list")?.push(context);
        }
        Ok(whole)
    }

    /// Types the commands.
    async fn run(&self, block: &str) -> anyhow::Result<()> {
        let kubectl = self.east.plane.kubectl().command(["version"]);
        let binary = PathBuf::from(kubectl.get_program());
        let tools = binary.parent().context("kubectl is somewhere")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(&self.work)
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("HOME", &self.work)
            .env("KUBECONFIG", self.work.join("kubeconfig"))
            .kill_on_drop(true)
            .output();
        // The block that installs a program waits for what the program makes.
        let output = output.await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{block}\n{said}");
        Ok(())
    }

    async fn emitter(&self, port: u16) -> anyhow::Result<Pod<'a>> {
        let more = vec![
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
        ];
        Pod::start(self.lab, self.east, "emitter", (Vec::new(), more)).await
    }

    async fn reflector(&self) -> anyhow::Result<Pod<'a>> {
        let replaced = vec![(ADDRESS.to_owned(), self.wire.address())];
        // As the pod's own namespace says.
        let more = vec!["--state-namespace=heliograph".to_owned()];
        Pod::start(self.lab, self.west, "reflector", (replaced, more)).await
    }

    /// Nothing on the way can be read, nobody carried a secret, and status has no warning.
    async fn is_secure(&self, reflector: &Program) -> anyhow::Result<()> {
        self.wire.is_encrypted()?;
        for folder in ["east", "west"] {
            for file in std::fs::read_dir(self.work.join(folder))? {
                let file = file?.path();
                let text = std::fs::read_to_string(&file)?;
                for secret in ["PRIVATE KEY", "eyJ", "token:"] {
                    ensure!(!text.contains(secret), "{}: {secret}", file.display());
                }
            }
        }
        let status = reflector.status().await?;
        ensure!(status["problems"] == serde_json::json!([]), "{status}");
        let notes = &status["configuration"]["notes"];
        ensure!(
            notes.as_array().is_none_or(Vec::is_empty),
            "it warns: {notes}"
        );
        Ok(())
    }

    /// A consumer without a grant sees nothing.
    async fn others_are_refused(&self) -> anyhow::Result<()> {
        let token = async |cluster: &Cluster, account: &str, audience: &str| {
            let audience = format!("--audience={audience}");
            let line = ["create", "token", account, "-n", "heliograph", &audience];
            let token = cluster.plane.kubectl().run(line).await?;
            anyhow::Ok(token.trim().to_owned())
        };
        let good = token(self.west, "reflector", "heliograph-east").await?;
        let other = token(self.west, "default", "heliograph-east").await?;
        let meant = token(self.west, "reflector", "heliograph-north").await?;
        let easts = token(self.east, "default", "heliograph-east").await?;
        for (what, token, expected) in [
            ("the reflector", Some(good.as_str()), 200),
            ("an account without a grant", Some(&other), 403),
            ("a token for somebody else", Some(&meant), 401),
            ("a token of another cluster", Some(&easts), 401),
            ("nobody", None, 401),
        ] {
            let ca = self.authority().await?;
            let url = format!("https://{}", self.wire.address());
            let asker = Asker::of_secure_emitter(&url, &ca, token)?;
            let (code, body) = asker.get("/api/v1/services").await?;
            ensure!(code == expected, "{what}: {code} {body}");
        }
        let plain = format!("http://{}", self.wire.server());
        let answer = Asker::of_emitter(&plain, Some(&good))?
            .get("/version")
            .await;
        let code = answer.map_or(0, |it| it.0);
        ensure!(code != 200, "it answers plain HTTP");
        Ok(())
    }

    /// The CA certificates that the emitter publishes.
    async fn authority(&self) -> anyhow::Result<String> {
        let map = self.east.read(CA).await?;
        let text = map["data"]["ca.crt"].as_str().context("they are there")?;
        Ok(text.to_owned())
    }

    /// The kubelet gives another token. The reflector connects again by it.
    async fn token_is_renewed(&self, reflector: &Pod<'_>) -> anyhow::Result<()> {
        self.without_a_write("another token", "10.1.0.2", async || {
            reflector.renew_tokens().await
        })
        .await
    }

    async fn authority_is_replaced(
        &self,
        reflector: &Pod<'_>,
        commands: &[String],
    ) -> anyhow::Result<()> {
        let before = self.authority().await?;
        self.without_a_write("another CA", "10.1.0.3", async || {
            self.run(&commands[0]).await?;
            let deadline = Instant::now() + PATIENCE;
            while self.authority().await? == before {
                ensure!(Instant::now() < deadline, "the CA is the former one");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        })
        .await?;
        self.without_a_write("its certificates for consumers", "10.1.0.4", async || {
            self.run(&commands[1]).await?;
            reflector.mount().await
        })
        .await?;
        let after = self.authority().await?;
        let old = before.split_inclusive("-----END CERTIFICATE-----").next();
        ensure!(!after.contains(old.context("a CA")?), "the old one counts");
        Ok(())
    }

    /// West signs tokens by another key, which east knows before.
    async fn signing_key_is_replaced(
        &self,
        emitter: &Pod<'_>,
        reflector: &Pod<'_>,
        commands: &str,
    ) -> anyhow::Result<()> {
        let west = self.west;
        let file = |name: &str| west.plane.directory().join(name);
        let key = rcgen::KeyPair::generate()?;
        let restart = async || {
            west.plane.stop_apiserver().await?;
            west.plane.start_apiserver().await
        };
        self.without_a_write("another signing key", "10.1.0.5", async || {
            let old = std::fs::read_to_string(file("token.pub"))?;
            std::fs::write(file("token.pub"), format!("{old}{}", key.public_key_pem()))?;
            restart().await?;
            self.run(commands).await?;
            emitter.mount().await?;
            std::fs::write(file("token.key"), key.serialize_pem())?;
            restart().await?;
            // The reflector's own kubeconfig has a token by the old key, which still counts.
            reflector.renew_tokens().await
        })
        .await
    }

    /// A credential is replaced: nothing is written for that, and what changes while the reflector
    /// is disconnected is not lost.
    async fn without_a_write(
        &self,
        what: &str,
        address: &str,
        replace: impl AsyncFn() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let web = mirror("east", "web");
        let before = self.west.mirror_writes()?;
        replace().await.context(what.to_owned())?;
        let n_connections = self.wire.n_connections();
        self.wire.cut();
        eventually(&format!("{what}: it connects again"), async || {
            ensure!(n_connections < self.wire.n_connections());
            Ok(())
        })
        .await?;
        let writes = self.west.mirror_writes()?;
        ensure!(writes == before, "{what}: {} writes", writes - before);
        self.wire.cut();
        self.east.set_endpoints("web", &[address]).await?;
        self.west
            .eventually_has(&web, &[address])
            .await
            .context(what.to_owned())?;
        self.wire.is_encrypted()
    }
}
