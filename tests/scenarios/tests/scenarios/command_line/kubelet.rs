//! A kubelet's part, where there is none: files of ConfigMaps and tokens for programs that run
//! as processes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use http::Request;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::lab::{Lab, Program, free_port, program};

const CONFIG_MAPS: &str = "/api/v1/namespaces/heliograph/configmaps";
const NAME: &str = "heliograph-emitter.heliograph.svc";

/// Directories in place of volumes, and the certificate of the emitter.
pub(super) struct Kubelet {
    directory: PathBuf,
    authority: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    /// Port at which the emitter serves HTTPS.
    pub(super) port: u16,
}

impl Kubelet {
    /// With a directory of that name.
    pub(super) fn new(lab: &Lab, name: &str) -> anyhow::Result<Self> {
        let directory = lab.directory().join(name);
        std::fs::create_dir(&directory)?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate()?;
        let authority = params.self_signed(&key)?;
        let kubelet = Self {
            directory,
            authority: authority.pem(),
            issuer: rcgen::Issuer::new(params, key),
            port: free_port()?,
        };
        kubelet.certify(4000)?;
        Ok(kubelet)
    }

    /// Gives the emitter a certificate that ends with that year, in the files that it reads when it starts.
    pub(super) fn certify(&self, year: i32) -> anyhow::Result<()> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()])?;
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer)?;
        std::fs::write(self.directory.join("tls.crt"), certificate.pem())?;
        std::fs::write(self.directory.join("tls.key"), key.serialize_pem())?;
        Ok(())
    }

    /// Changes a file that a program reads, with the directory of its files.
    pub(super) fn edit(&self, file: &str, edit: impl Fn(&str) -> String) -> anyhow::Result<()> {
        let path = self.directory.join(file);
        let text = std::fs::read_to_string(&path)?;
        let edited = edit(&text);
        ensure!(edited != text, "{file} is not changed: {text}");
        Ok(std::fs::write(path, edited)?)
    }

    /// What an emitter with `--ca-secret` publishes.
    pub(super) async fn publish_authority(&self, east: &Cluster) -> anyhow::Result<()> {
        let data = json!({"data": {"ca.crt": self.authority}});
        let path = format!("{CONFIG_MAPS}/heliograph-emitter-ca");
        if east.read(&path).await.is_ok() {
            return east.patch(&path, &data.to_string()).await;
        }
        let mut map = data;
        map["metadata"] = json!({"name": "heliograph-emitter-ca"});
        east.post(CONFIG_MAPS, &map.to_string()).await
    }

    /// Files of a ConfigMap, with paths of this machine in place of the container's.
    async fn files(&self, cluster: &Cluster, name: &str, to: &str) -> anyhow::Result<PathBuf> {
        let map = cluster.read(&format!("{CONFIG_MAPS}/{name}")).await?;
        let directory = self.directory.join(to);
        let tokens = self.directory.join("tokens");
        std::fs::create_dir_all(&directory)?;
        let data = map["data"].as_object().context("it has data")?;
        for (key, text) in data {
            let text = text.as_str().unwrap_or_default();
            let text = text.replace("/etc/heliograph", &directory.to_string_lossy());
            let text = text.replace("/var/run/secrets/heliograph", &tokens.to_string_lossy());
            std::fs::write(directory.join(key), text)?;
        }
        Ok(directory)
    }

    pub(super) async fn start_emitter(&self, lab: &Lab, east: &Cluster) -> anyhow::Result<Program> {
        let files = self.files(east, "emitter-access", "access").await?;
        let file = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new(program("emitter")?);
        command
            .arg("--kubeconfig")
            .arg(east.plane.kubeconfig())
            .arg("--selector=heliograph.dev/export=true")
            .args(["--insecure-port=0", "--bind-address=127.0.0.1"])
            .arg(format!("--secure-port={}", self.port))
            .arg(format!("--tls-cert-file={}", file("tls.crt")))
            .arg(format!("--tls-private-key-file={}", file("tls.key")))
            .arg(format!(
                "--access-config={}",
                files.join("access.yaml").display()
            ));
        let emitter = lab.start(&format!("emitter-{}", east.plane.name()), command, None)?;
        emitter.ready().await?;
        Ok(emitter)
    }

    /// With the tokens that the Deployment asks for.
    pub(super) async fn start_reflector(
        &self,
        lab: &Lab,
        local: &Cluster,
    ) -> anyhow::Result<Program> {
        let path = "/apis/apps/v1/namespaces/heliograph/deployments/reflector";
        let pod = local.read(path).await?["spec"]["template"]["spec"].take();
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let sources = volumes
            .flat_map(|it| it["projected"]["sources"].as_array())
            .flatten();
        std::fs::create_dir_all(self.directory.join("tokens"))?;
        for source in sources.map(|it| &it["serviceAccountToken"]) {
            let (path, audience) = (source["path"].as_str(), source["audience"].as_str());
            let (path, audience) = (path.context("a path")?, audience.context("an audience")?);
            let account = pod["serviceAccountName"].as_str().context("an account")?;
            let token = token(local, account, audience).await?;
            std::fs::write(self.directory.join("tokens").join(path), token)?;
        }
        let files = self.files(local, "source-api", "reflector").await?;
        let mut command = Command::new(program("reflector")?);
        command.arg("--kubeconfig").arg(local.plane.kubeconfig());
        command.arg(format!("--config={}", files.join("config.yaml").display()));
        let reflector = lab.start(&format!("reflector-{}", local.plane.name()), command, None)?;
        reflector.ready().await?;
        Ok(reflector)
    }
}

async fn token(cluster: &Cluster, account: &str, audience: &str) -> anyhow::Result<String> {
    let request = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
    let path = format!("/api/v1/namespaces/heliograph/serviceaccounts/{account}/token");
    let request = Request::post(path).body(serde_json::to_vec(&request)?)?;
    let answer: Value = cluster.client.request(request).await?;
    let token = answer["status"]["token"].as_str();
    Ok(token.context("there is a token")?.to_owned())
}
