//! Client certificates, as curl, kubectl and a library bring them: the common name is the
//! user, the organization its group, and what it may see follows.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, free_port, get, program};
use crate::stream::Watch;
use crate::tls::{Ca, Purpose, Signed, kubeconfig};

/// An emitter that knows its consumers by their certificates.
pub(crate) struct Secure {
    pub(crate) program: Program,
    pub(crate) url: String,
    pub(crate) authority: String,
}

impl Secure {
    pub(crate) async fn start(
        lab: &Lab,
        cluster: &Cluster,
        flags: &[String],
    ) -> anyhow::Result<Self> {
        let servers = Ca::new("servers")?;
        let serving = servers.sign(lab, "emitter", None, Purpose::Server)?;
        let port = free_port()?;
        let mut command = Command::new(program("emitter")?);
        command
            .args(["--selector", &format!("{EXPORT}=true")])
            .args(["--bind-address=127.0.0.1", &format!("--secure-port={port}")])
            .args([
                "--shutdown-delay-duration=0s",
                "--shutdown-watch-termination-grace-period=0s",
            ])
            .arg("--kubeconfig")
            .arg(cluster.plane.kubeconfig())
            .arg("--tls-cert-file")
            .arg(&serving.cert)
            .arg("--tls-private-key-file")
            .arg(&serving.key)
            .args(flags);
        let emitter = lab.start("emitter", command, None)?;
        emitter.ready().await?;
        Ok(Self {
            program: emitter,
            url: format!("https://127.0.0.1:{port}"),
            authority: servers.pem,
        })
    }

    pub(crate) fn kubeconfig(&self, user: &Value) -> String {
        kubeconfig(&self.url, &self.authority, user)
    }

    async fn client(&self, who: &Signed) -> anyhow::Result<kube::Client> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig(&who.user()?))?;
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.proxy_url = None;
        Ok(kube::Client::try_from(config)?)
    }

    /// The status that curl gets, and the body.
    async fn curl(
        &self,
        lab: &Lab,
        who: Option<&Signed>,
        path: &str,
    ) -> anyhow::Result<(u16, String)> {
        let authority = lab.file("servers.crt", &self.authority)?;
        let mut curl = tokio::process::Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ])
        .args(["--write-out", "\n%{http_code}"])
        .arg("--cacert")
        .arg(authority);
        if let Some(who) = who {
            curl.arg("--cert").arg(&who.cert).arg("--key").arg(&who.key);
        }
        let output = curl.arg(format!("{}{path}", self.url)).output().await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "curl {path}: {said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').context("curl says a status")?;
        Ok((code.parse()?, body.to_owned()))
    }
}

async fn service(east: &Cluster, name: &str, team: &str) -> anyhow::Result<()> {
    let labels = json!({EXPORT: "true", "team": team});
    let service =
        json!({"metadata": {"name": name, "labels": labels}, "spec": {"ports": [{"port": 80}]}});
    let path = "/api/v1/namespaces/demo/services";
    east.post(path, &service.to_string()).await
}

const POLICY: &str = "consumers:
  - {name: blue, users: [blue], selector: team=blue}
  - {name: auditors, groups: [auditors]}
";

pub(crate) async fn a_client_certificate_says_who_asks(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    service(&east, "mine", "blue").await?;
    service(&east, "other", "red").await?;
    let (clients, strangers) = (Ca::new("clients")?, Ca::new("strangers")?);
    let trusted = lab.file("clients.crt", &clients.pem)?;
    let policy = lab.file("access.yaml", POLICY)?;
    let flags = [
        format!("--client-ca-file={}", trusted.display()),
        format!("--access-config={}", policy.display()),
    ];
    let emitter = Secure::start(&lab, &east, &flags).await?;
    let blue = clients.sign(&lab, "blue", None, Purpose::Client)?;
    let auditor = clients.sign(&lab, "ann", Some("auditors"), Purpose::Client)?;

    let path = "/api/v1/services";
    let nobody = clients.sign(&lab, "nobody", Some("others"), Purpose::Client)?;
    let stranger = strangers.sign(&lab, "blue", Some("auditors"), Purpose::Client)?;
    let late = clients.sign(&lab, "blue", None, Purpose::Expired)?;
    let server = clients.sign(&lab, "blue", None, Purpose::Server)?;
    for (who, code, words) in [
        (Some(&blue), 200, "\"mine\""),
        (Some(&auditor), 200, "\"other\""),
        (
            Some(&nobody),
            403,
            "User \\\"nobody\\\" cannot list resource",
        ),
        (Some(&stranger), 401, "Unauthorized"),
        (Some(&late), 401, "Unauthorized"),
        (Some(&server), 401, "Unauthorized"),
        (None, 401, "Unauthorized"),
    ] {
        let name = who.map(|it| it.cert.display().to_string());
        let (status, body) = emitter.curl(&lab, who, path).await?;
        ensure!(
            status == code && body.contains(words),
            "{name:?}: {status} {body}"
        );
    }
    let (_, body) = emitter.curl(&lab, Some(&blue), path).await?;
    ensure!(!body.contains("\"other\""), "{body}");

    let kubectl = |who: &Signed| -> anyhow::Result<_> {
        let file = lab.file("kubeconfig", &emitter.kubeconfig(&who.user()?))?;
        Ok(east.plane.kubectl().for_kubeconfig(&file))
    };
    let services = ["get", "services", "-A", "-o", "name"];
    let seen = kubectl(&blue)?.run(services).await?;
    ensure!(seen == "service/mine\n", "{seen}");
    let seen = kubectl(&auditor)?.run(services).await?;
    ensure!(seen == "service/mine\nservice/other\n", "{seen}");
    let refused = kubectl(&stranger)?.run(services).await;
    let why = format!("{:#}", refused.err().context("it is let in")?);
    ensure!(
        why.contains("Unauthorized") || why.contains("must be logged in"),
        "{why}"
    );

    authorities_change_under_watches(&lab, &east, &emitter, &clients, &trusted).await
}

/// A new authority counts at once and ends no watch; one that goes takes its own along.
async fn authorities_change_under_watches(
    lab: &Lab,
    east: &Cluster,
    emitter: &Secure,
    old: &Ca,
    trusted: &std::path::Path,
) -> anyhow::Result<()> {
    let new = Ca::new("clients of tomorrow")?;
    let by_old = old.sign(lab, "blue", None, Purpose::Client)?;
    let by_new = new.sign(lab, "ann", Some("auditors"), Purpose::Client)?;
    let mut blue = Watch::open(&emitter.client(&by_old).await?, "").await?;
    ensure!(blue.line().await?.contains("\"mine\""));
    std::fs::write(trusted, format!("{}{}", old.pem, new.pem))?;
    eventually("the new authority counts", async || {
        let (status, _) = emitter.curl(lab, Some(&by_new), "/version").await?;
        ensure!(status == 200, "{status}");
        Ok(())
    })
    .await?;
    let mut auditor = Watch::open(&emitter.client(&by_new).await?, "").await?;
    for _ in 0..2 {
        auditor.line().await?;
    }
    service(east, "mine-too", "blue").await?;
    ensure!(
        blue.line().await?.contains("\"mine-too\""),
        "its watch goes on"
    );
    ensure!(auditor.line().await?.contains("\"mine-too\""));

    std::fs::write(trusted, &new.pem)?;
    let last = tokio::time::timeout(Duration::from_secs(20), blue.line()).await??;
    ensure!(last.contains("\"code\":410"), "{last}");
    let (status, _) = emitter.curl(lab, Some(&by_old), "/version").await?;
    ensure!(status == 401, "an authority that is gone lets in: {status}");
    service(east, "late", "red").await?;
    ensure!(
        auditor.line().await?.contains("\"late\""),
        "nobody else notices"
    );
    ensure!(
        emitter
            .program
            .metric("heliograph_emitter_watches_evicted_total", "access_changed")
            .await?
            == 1.0
    );
    Ok(())
}

/// A reflector and a relay whose source is a URL show a certificate of their own, and another
/// one as soon as the files hold another one.
pub(crate) async fn urls_are_shown_client_certificates(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    service(&east, "mine", "blue").await?;
    service(&east, "other", "red").await?;
    let (today, tomorrow) = (Ca::new("clients")?, Ca::new("clients of tomorrow")?);
    let trusted = lab.file("clients.crt", &today.pem)?;
    let policy = lab.file("access.yaml", POLICY)?;
    let flags = [
        format!("--client-ca-file={}", trusted.display()),
        format!("--access-config={}", policy.display()),
    ];
    let emitter = Secure::start(&lab, &east, &flags).await?;
    let servers = lab.file("servers.crt", &emitter.authority)?;
    let shown = today.sign(&lab, "blue", None, Purpose::Client)?;
    let source = format!(
        "name=east,prefix=east,url={},caFile={},clientCertificateFile={},clientKeyFile={}",
        emitter.url,
        servers.display(),
        shown.cert.display(),
        shown.key.display()
    );
    let relay = relay(&lab, &emitter, &servers, &shown).await?;
    let reflector = lab.reflector(&local, &[&source]).await?;
    let mirrors = |names: &'static [&'static str]| {
        let (local, relay) = (&local, &relay);
        eventually(
            "what blue may see is mirrored and relayed",
            async move || {
                for name in names {
                    let key = format!("mirrors/east-demo-73736d-{name}");
                    ensure!(local.service(&key).await?.is_some(), "there is no {key}");
                }
                let list = get(&relay.url, "/api/v1/services").await?;
                let seen = names.iter().all(|it| list.contains(&format!("\"{it}\"")));
                ensure!(seen && !list.contains("\"other\""), "{list}");
                Ok(())
            },
        )
    };
    mirrors(&["mine"]).await?;

    let next = tomorrow.sign(&lab, "blue", Some("next"), Purpose::Client)?;
    std::fs::copy(&next.cert, &shown.cert)?;
    std::fs::copy(&next.key, &shown.key)?;
    std::fs::write(&trusted, &tomorrow.pem)?;
    service(&east, "late", "blue").await?;
    mirrors(&["mine", "late"]).await?;
    ensure!(
        local
            .service("mirrors/east-demo-73736d-other")
            .await?
            .is_none()
    );
    drop((reflector, relay));
    Ok(())
}

/// An emitter behind another one, which it shows a certificate.
async fn relay(
    lab: &Lab,
    emitter: &Secure,
    servers: &std::path::Path,
    shown: &Signed,
) -> anyhow::Result<Program> {
    let port = free_port()?;
    let mut command = Command::new(program("emitter")?);
    command
        .args(["--selector", &format!("{EXPORT}=true"), "--secure-port=0"])
        .args([
            "--insecure-bind-address=127.0.0.1",
            "--shutdown-delay-duration=0s",
        ])
        .arg(format!("--insecure-port={port}"))
        .arg(format!("--upstream-url={}", emitter.url))
        .args(["--upstream-ca-file".as_ref(), servers.as_os_str()])
        .args([
            "--upstream-client-cert-file".as_ref(),
            shown.cert.as_os_str(),
        ])
        .args(["--upstream-client-key-file".as_ref(), shown.key.as_os_str()]);
    let relay = lab.start("relay", command, Some(port))?;
    relay.ready().await?;
    Ok(relay)
}
