//! HTTP clients and proxies of others read lists and watches, plain and compressed, by TLS too.
//!
//! Parsers of HTTP differ in what they take: Node's, nginx', HAProxy's and h11 refuse what
//! curl lets pass.

mod proxies;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use control_plane::Scene;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tokio::process::Command;

use self::proxies::Proxy;
use crate::lab::{Cluster, EXPORT, Lab, free_port};

const SERVICES: usize = 40;

/// All of them are more than a server compresses from, which is 128 KiB.
const TEXT: usize = 4500;

/// Clients that run at once.
const AT_ONCE: usize = 6;

/// More than a watch of three seconds, and the start of an interpreter.
const PATIENCE: Duration = Duration::from_secs(60);

/// Libraries of Python: the first two come with it.
const PYTHONS: [&str; 5] = ["http.client", "urllib", "h11", "aiohttp", "httpx"];

pub(crate) async fn strict_clients_and_proxies_read_lists_and_watches(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    populate(&east).await?;
    let port = free_port()?;
    let certificates = lab.directory().join("certificates");
    let port_flag = format!("--secure-port={port}");
    let certificates_flag = format!("--cert-dir={}", certificates.display());
    let flags = [
        "--fields=all",
        "--bind-address=127.0.0.1",
        &port_flag,
        &certificates_flag,
    ];
    let emitter = lab.emitter(&east, &flags).await?;
    let ca = certificates.join("emitter.crt");
    let secure = format!("https://localhost:{port}");
    let mut readers = Vec::new();
    for client in clients(&lab).await? {
        readers.push(Reader::new(&client, &emitter.url, None));
        readers.push(Reader::new(&client, &secure, Some(&ca)));
    }
    let mut proxies = Vec::new();
    for proxy in Proxy::ALL {
        for (url, ca) in [(&emitter.url, None), (&secure, Some(&ca))] {
            let Some(running) = proxy.start(&lab, url, ca.map(PathBuf::as_path)).await? else {
                continue;
            };
            let client = Client::Curl;
            readers.push(Reader::new(&client, &running.url, None));
            readers.push(Reader::new(&Client::Node, &running.url, None));
            proxies.push(running);
        }
    }
    let read = stream::iter(&readers)
        .map(Reader::check)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>();
    tokio::select! {
        read = read => read?,
        why = churn(&east) => why?,
    }
    eprintln!("{} ways to read show the same", readers.len());
    Ok(())
}

async fn populate(cluster: &Cluster) -> anyhow::Result<()> {
    let created = (0..SERVICES).map(|i| {
        let service = json!({
            "metadata": {
                "name": format!("s{i}"),
                "labels": { EXPORT: "true" },
                "annotations": { "text": "0123456789".repeat(TEXT / 10) },
            },
            "spec": { "ports": [{ "port": 80 }] },
        });
        let service = service.to_string();
        async move {
            let path = "/api/v1/namespaces/demo/services";
            cluster.post(path, &service).await
        }
    });
    stream::iter(created)
        .buffer_unordered(8)
        .try_collect()
        .await
}

/// Changes a Service, so that watches have something to show.
async fn churn(cluster: &Cluster) -> anyhow::Result<()> {
    for i in 0.. {
        let round = format!(r#"{{"metadata":{{"labels":{{"round":"r{i}"}}}}}}"#);
        cluster.patch_service("demo/s0", &round).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

/// A client that is here.
#[derive(Debug, Clone)]
enum Client {
    Curl,
    Node,
    Python(PathBuf, &'static str),
    /// Built from the same file as the others are run from.
    Go(PathBuf),
}

/// The clients that are here. Where everything has to be, none may be missing.
async fn clients(lab: &Lab) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for (name, client) in [("curl", Client::Curl), ("node", Client::Node)] {
        let version = Command::new(name).arg("--version").output().await;
        match version.is_ok_and(|it| it.status.success()) {
            true => clients.push(client),
            false => lacks(name)?,
        }
    }
    for library in PYTHONS {
        match python(library).await {
            Some(interpreter) => clients.push(Client::Python(interpreter, library)),
            None => lacks(&format!("python3 with {library}"))?,
        }
    }
    let built = lab.directory().join("client-go");
    let go = Command::new("go")
        .args(["build", "-o"])
        .args([&built, &script("client.go")])
        .env("GOTOOLCHAIN", "local")
        .output()
        .await;
    match go {
        Ok(output) if output.status.success() => clients.push(Client::Go(built)),
        Ok(output) => bail!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => lacks("go")?,
    }
    Ok(clients)
}

/// The system's interpreter has the system's packages; another one may come first.
async fn python(library: &str) -> Option<PathBuf> {
    for interpreter in ["/usr/bin/python3", "python3"] {
        let import = format!("import {library}");
        let run = Command::new(interpreter).args(["-c", &import]).output();
        if run.await.is_ok_and(|it| it.status.success()) {
            return Some(interpreter.into());
        }
    }
    None
}

/// Says what is missing; in CI that is a failure.
fn lacks(tool: &str) -> anyhow::Result<()> {
    let remedy = "install_http_clients in .ci/run installs it";
    ensure!(
        std::env::var("CI").as_deref() != Ok("true"),
        "there is no {tool}; {remedy}"
    );
    eprintln!("NOT TRIED: {tool}, which is not here; {remedy}");
    Ok(())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("strict")
        .join(name)
}

/// One client at one address.
struct Reader {
    client: Client,
    url: String,
    ca: Option<PathBuf>,
}

impl Reader {
    fn new(client: &Client, url: &str, ca: Option<&Path>) -> Self {
        Self {
            client: client.clone(),
            url: url.to_owned(),
            ca: ca.map(Path::to_owned),
        }
    }

    async fn check(&self) -> anyhow::Result<()> {
        let said = tokio::time::timeout(PATIENCE, self.read()).await;
        let said = said.context("it does not end").and_then(|it| it);
        let about = || format!("{:?} at {}", self.client, self.url);
        let said = said.with_context(about)?;
        let expected: Vec<String> = ["identity", "gzip"]
            .iter()
            .flat_map(|encoding| {
                [
                    format!("list {encoding} {SERVICES}"),
                    format!("watch {encoding} {SERVICES} live"),
                    format!("missing {encoding} 404"),
                ]
            })
            .collect();
        let said: Vec<&str> = said.lines().collect();
        ensure!(said == expected, "{}: {said:#?}", about());
        Ok(())
    }

    async fn read(&self) -> anyhow::Result<String> {
        let mut command = match &self.client {
            Client::Curl => {
                let mut command = Command::new("bash");
                command.arg(script("client.sh"));
                command
            }
            Client::Node => {
                let mut command = Command::new("node");
                command.arg(script("client.mjs"));
                command
            }
            Client::Python(interpreter, library) => {
                let mut command = Command::new(interpreter);
                command.arg(script("client.py")).arg(library);
                command
            }
            Client::Go(binary) => Command::new(binary),
        };
        command.arg(&self.url).args(&self.ca);
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}
