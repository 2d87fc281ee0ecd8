//! What a running emitter is asked to do without hurting who reads: to end, and to use
//! other files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use http::Request;
use kube::client::Body;
use tokio::time::Instant;

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, free_port, get, program};
use crate::stream::{Watch, client};

pub(crate) async fn an_emitter_ends_in_good_order(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let flags = [
        "--shutdown-delay-duration=6s",
        "--shutdown-watch-termination-grace-period=1s",
    ];
    let emitter = lab.emitter(&east, &flags).await?;
    let consumer = client(&emitter.url)?;
    let mut watch = Watch::open(&consumer, "allowWatchBookmarks=1").await?;
    ensure!(watch.line().await?.contains("ADDED"));

    let begin = Instant::now();
    emitter.signal("TERM").await?;
    eventually("it is not ready any more", async || {
        let answer = emitter.admin("/readyz").await?;
        ensure!(
            answer.contains("[-]shutdown failed: shutting down"),
            "{answer}"
        );
        Ok(())
    })
    .await?;
    // Whom a load balancer still sends is served, but a watch is sent elsewhere.
    let list = get(&emitter.url, "/api/v1/services").await;
    let list = list.context("a list while it ends")?;
    ensure!(list.contains("\"web\""), "{list}");
    let refused = once(&emitter.url, "/api/v1/services?watch=1").await?;
    ensure!(refused == 429, "a watch while it ends: {refused}");
    // What happens in the meantime is told.
    east.create_service("late").await?;
    let mut lines = Vec::new();
    let end = loop {
        match watch.line().await {
            Ok(line) => lines.push(line),
            Err(end) => break end,
        }
    };
    ensure!(end.to_string().contains("has ended"), "{end:#}");
    let last = lines.pop().context("nothing was told")?;
    ensure!(last.contains("BOOKMARK"), "{last}");
    ensure!(lines.iter().any(|it| it.contains("\"late\"")), "{lines:?}");
    ensure!(Duration::from_secs(6) <= begin.elapsed(), "it ended early");
    emitter.stop().await?;

    emitter.start().await?;
    let _watch = Watch::open(&client(&emitter.url)?, "").await?;
    emitter.signal("TERM").await?;
    eventually("it has heard the first signal", async || {
        let answer = emitter.admin("/readyz").await?;
        ensure!(answer.contains("shutting down"), "{answer}");
        Ok(())
    })
    .await?;
    emitter.signal("TERM").await?;
    let begin = Instant::now();
    emitter.wait().await?;
    ensure!(
        begin.elapsed() < Duration::from_secs(2),
        "it goes on after a second signal"
    );
    Ok(())
}

/// The status of an answer, without trying again.
async fn once(url: &str, path: &str) -> anyhow::Result<u16> {
    let mut config = kube::Config::new(url.parse()?);
    config.default_retry = false;
    let request = Request::get(path).body(Body::empty())?;
    let response = kube::Client::try_from(config)?.send(request).await?;
    Ok(response.status().as_u16())
}

/// A certificate that is its own authority, and its key, as files.
struct Certificate {
    der: Vec<u8>,
    pem: String,
    key: String,
}

impl Certificate {
    fn new() -> anyhow::Result<Self> {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names)?;
        Ok(Self {
            der: made.cert.der().to_vec(),
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        })
    }

    fn write(&self, cert: &Path, key: &Path) -> anyhow::Result<()> {
        std::fs::write(cert, &self.pem)?;
        Ok(std::fs::write(key, &self.key)?)
    }

    fn client(&self, url: &str) -> anyhow::Result<kube::Client> {
        let mut config = kube::Config::new(url.parse()?);
        config.root_cert = Some(vec![self.der.clone()]);
        Ok(kube::Client::try_from(config)?)
    }
}

async fn secure(
    lab: &Lab,
    cluster: &Cluster,
    cert: &Path,
    key: &Path,
) -> anyhow::Result<(Program, String)> {
    let port = free_port()?;
    let mut command = Command::new(program("emitter")?);
    command
        .args(["--selector", &format!("{EXPORT}=true"), "--insecure-port=0"])
        .arg("--anonymous-auth")
        .args(["--bind-address=127.0.0.1", &format!("--secure-port={port}")])
        .args([
            "--shutdown-delay-duration=0s",
            "--shutdown-watch-termination-grace-period=0s",
        ])
        .arg("--kubeconfig")
        .arg(cluster.plane.kubeconfig())
        .arg("--tls-cert-file")
        .arg(cert)
        .arg("--tls-private-key-file")
        .arg(key);
    let emitter = lab.start("emitter", command, None)?;
    emitter.ready().await?;
    Ok((emitter, format!("https://127.0.0.1:{port}")))
}

pub(crate) async fn certificates_are_exchanged_under_open_watches(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    let keeper = Keeper::new("certificates")?;
    let file = |name: &str| -> PathBuf { keeper.directory().join(name) };
    let (cert, key) = (file("tls.crt"), file("tls.key"));
    let (old, new) = (Certificate::new()?, Certificate::new()?);
    old.write(&cert, &key)?;
    let (emitter, url) = secure(&lab, &east, &cert, &key).await?;
    let mut watch = Watch::open(&old.client(&url)?, "").await?;

    std::fs::write(&cert, "no certificate")?;
    eventually("the bad file is told", async || {
        let successful = emitter
            .metric(
                "heliograph_emitter_config_last_reload_successful",
                "certificates",
            )
            .await?;
        ensure!(successful == 0.0 && emitter.log().contains("the old are kept"));
        Ok(())
    })
    .await?;
    let ask = async |certificate: &Certificate| {
        let request = Request::get("/api/v1/services").body(Body::empty())?;
        let response = certificate.client(&url)?.send(request).await?;
        ensure!(response.status() == 200, "{}", response.status());
        anyhow::Ok(())
    };
    ask(&old).await.context("the old certificate is kept")?;

    new.write(&cert, &key)?;
    eventually("the new certificate is served", async || ask(&new).await).await?;
    ensure!(ask(&old).await.is_err(), "the old one is not");
    ensure!(
        emitter
            .metric(
                "heliograph_emitter_config_last_reload_successful",
                "certificates"
            )
            .await?
            == 1.0
    );
    east.create_service("web").await?;
    ensure!(watch.line().await?.contains("\"web\""), "the watch goes on");
    Ok(())
}
