//! What one connection carries: many streams, requests before their answers, objects
//! of a megabyte, bookmarks. The kube-apiserver is asked the same.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use control_plane::Scene;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, free_port, program};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is talked to over TLS.
struct Peer {
    name: &'static str,
    address: SocketAddr,
    /// The authority of its certificate, in PEM.
    authority: String,
    token: Option<String>,
}

/// One cluster, as its API server shows it and as an emitter does.
struct Stage {
    east: Cluster,
    peers: [Peer; 2],
    _emitter: Program,
}

impl Stage {
    async fn set(lab: &Lab) -> anyhow::Result<Self> {
        let east = lab.cluster("east").await?;
        let address = east.plane.url().replace("https://", "").parse()?;
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let certificate = lab.file("tls.crt", &made.cert.pem())?;
        let key = lab.file("tls.key", &made.signing_key.serialize_pem())?;
        let port = free_port()?;
        let mut command = Command::new(program("emitter")?);
        command
            .args(["--selector", &format!("{EXPORT}=true"), "--insecure-port=0"])
            .args([
                "--anonymous-auth",
                "--fields=all",
                "--bind-address=127.0.0.1",
            ])
            .arg(format!("--secure-port={port}"))
            .arg("--kubeconfig")
            .arg(east.plane.kubeconfig())
            .arg("--tls-cert-file")
            .arg(certificate)
            .arg("--tls-private-key-file")
            .arg(key);
        let emitter = lab.start("emitter", command, None)?;
        emitter.ready().await?;
        let peers = [
            Peer {
                name: "kube-apiserver",
                address,
                authority: east.plane.authority().to_owned(),
                token: Some(east.plane.admin_token()),
            },
            Peer {
                name: "emitter",
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                authority: made.cert.pem(),
                token: None,
            },
        ];
        Ok(Self {
            east,
            peers,
            _emitter: emitter,
        })
    }
}

impl Peer {
    async fn connect(&self, protocol: &str) -> anyhow::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(self.authority.as_bytes()) {
            roots.add(authority?)?;
        }
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
        stream.await.with_context(|| self.name.to_owned())
    }

    fn request(&self, path: &str) -> anyhow::Result<Request<Empty<Bytes>>> {
        let mut request = Request::get(format!("https://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Ok(request.body(Empty::new())?)
    }

    /// One connection of HTTP/2, which ends with the tasks.
    async fn http2(&self, tasks: &mut JoinSet<()>) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let stream = TokioIo::new(self.connect("h2").await?);
        let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
        let (sender, connection) = made;
        tasks.spawn(async {
            // Its streams tell what became of it.
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        let mut tasks = JoinSet::new();
        let mut sender = self.http2(&mut tasks).await?;
        let response = sender.send_request(self.request(path)?).await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

/// A watch's events, one by one.
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    fn new(response: Response<Incoming>) -> anyhow::Result<Self> {
        ensure!(response.status() == 200, "{}", response.status());
        let body = response.into_body();
        Ok(Self {
            body,
            buffer: Vec::new(),
        })
    }

    /// Nothing, when the watch has ended.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|it| *it == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            let Some(frame) = self.body.frame().await else {
                ensure!(self.buffer.is_empty(), "the watch ended within a line");
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The first event that names the object.
    async fn of(mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        let wanted = format!("\"name\":\"{name}\"").into_bytes();
        let found = async {
            while let Some(line) = self.next().await? {
                if line.windows(wanted.len()).any(|it| it == wanted) {
                    return Ok(line);
                }
            }
            anyhow::bail!("the watch ended without {name}")
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.with_context(|| format!("no event of {name}"))?
    }
}

pub(crate) async fn one_connection_carries_what_it_does_at_the_api_server(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let stage = Stage::set(&lab).await?;
    stage.east.create_service("web").await?;
    for peer in &stage.peers {
        eventually("the Service is served", async || {
            peer.get("/api/v1/namespaces/demo/services/web").await?;
            Ok(())
        })
        .await?;
        pipelined(peer).await.context(peer.name)?;
    }
    a_hundred_streams(&stage).await?;
    a_megabyte(&stage).await
}

/// Requests that do not wait for answers are answered in their order.
async fn pipelined(peer: &Peer) -> anyhow::Result<()> {
    let mut stream = peer.connect("http/1.1").await?;
    let token = peer.token.iter();
    let token: String = token
        .map(|it| format!("authorization: Bearer {it}\r\n"))
        .collect();
    let request = |path: &str, last: &str| {
        format!(
            "GET /api/v1/namespaces/demo/services{path} HTTP/1.1\r\nhost: {}\r\n{token}{last}\r\n",
            peer.address
        )
    };
    let requests = [
        request("/web", ""),
        request("/missing", ""),
        request("?limit=1", "connection: close\r\n"),
    ];
    stream.write_all(requests.concat().as_bytes()).await?;
    let mut answers = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answers)).await;
    let ended = read.context("the connection stays open")?;
    // Go ends a connection without the word of TLS, which is not what is tried here.
    if let Err(error) = ended {
        ensure!(
            error.kind() == std::io::ErrorKind::UnexpectedEof,
            "{error:#}"
        );
    }
    let answers = String::from_utf8_lossy(&answers);
    let statuses: Vec<&str> = answers
        .match_indices("HTTP/1.1 ")
        .filter_map(|(i, it)| answers.get(i + it.len()..i + it.len() + 3))
        .collect();
    ensure!(statuses == ["200", "404", "200"], "{statuses:?}: {answers}");
    Ok(())
}

/// As many watches as the API server lets share a connection beside a list, and each
/// is told.
async fn a_hundred_streams(stage: &Stage) -> anyhow::Result<()> {
    const N_WATCHES: usize = 99;
    let path = format!("/api/v1/services?watch=1&labelSelector={EXPORT}%3Dtrue&resourceVersion=0");
    let mut tasks = JoinSet::new();
    let mut watches = Vec::new();
    for peer in &stage.peers {
        let mut sender = peer.http2(&mut tasks).await?;
        for i in 0..N_WATCHES {
            let response = sender.send_request(peer.request(&path)?);
            let response = tokio::time::timeout(PATIENCE, response).await;
            let response = response.with_context(|| format!("{}: watch {i}", peer.name))?;
            watches.push((peer.name, Lines::new(response?)?));
        }
        let list = sender.send_request(peer.request("/api/v1/services?limit=1")?);
        let list = tokio::time::timeout(PATIENCE, list).await;
        let list = list.with_context(|| format!("{}: a list beside them", peer.name))??;
        ensure!(list.status() == 200, "{}: {}", peer.name, list.status());
        list.into_body().collect().await?;
    }
    stage.east.create_service("late").await?;
    let mut lines = std::collections::HashSet::new();
    for (name, watch) in watches {
        lines.insert(watch.of("late").await.context(name)?);
    }
    ensure!(
        lines.len() == 1,
        "{} different lines tell of one event",
        lines.len()
    );
    Ok(())
}

/// An object of more than a megabyte is got, listed and watched as its API server has it.
async fn a_megabyte(stage: &Stage) -> anyhow::Result<()> {
    let addresses: Vec<Value> = (0..6000)
        .map(|i| {
            json!({
                "ip": format!("10.9.{}.{}", i / 250, i % 250 + 1),
                "nodeName": format!("node-with-a-name-of-some-length-{i}"),
                "targetRef": {
                    "kind": "Pod", "namespace": "demo", "name": format!("big-deployment-{i}"),
                    "uid": format!("00000000-0000-4000-8000-{i:012}"),
                },
            })
        })
        .collect();
    let big = json!({
        "metadata": { "name": "big", "namespace": "demo", "labels": { EXPORT: "true" } },
        "subsets": [{ "addresses": addresses, "ports": [{ "name": "http", "port": 8080 }] }],
    });
    let path = format!("/api/v1/endpoints?watch=1&labelSelector={EXPORT}%3Dtrue");
    let mut tasks = JoinSet::new();
    let mut watches = Vec::new();
    for peer in &stage.peers {
        let mut sender = peer.http2(&mut tasks).await?;
        let response = sender.send_request(peer.request(&path)?).await?;
        watches.push(Lines::new(response)?);
    }
    stage
        .east
        .post("/api/v1/namespaces/demo/endpoints", &big.to_string())
        .await?;
    let mut told = Vec::new();
    for watch in watches {
        told.push(watch.of("big").await?);
    }
    ensure!(1 << 20 < told[0].len(), "{} bytes only", told[0].len());
    ensure!(told[0] == told[1], "the events differ");
    for path in [
        "/api/v1/namespaces/demo/endpoints/big",
        "/api/v1/endpoints?fieldSelector=metadata.name%3Dbig&resourceVersion=0",
    ] {
        let [upstream, emitter] = &stage.peers;
        let (there, here) = tokio::try_join!(upstream.get(path), emitter.get(path))?;
        let masked = |text: &[u8]| {
            let mut object: Value = serde_json::from_slice(text)?;
            if object["kind"] == "EndpointsList" {
                object["metadata"]["resourceVersion"].take();
            }
            anyhow::Ok(object)
        };
        ensure!(masked(&there)? == masked(&here)?, "{path} differs");
    }
    Ok(())
}

pub(crate) async fn bookmarks_come_when_the_api_servers_do(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    // One at a minute, one two seconds before the end.
    const TIMEOUT: u64 = 66;
    let lab = Lab::new(scene)?;
    let stage = Stage::set(&lab).await?;
    stage.east.create_service("web").await?;
    let path = format!(
        "/api/v1/services?watch=1&labelSelector={EXPORT}%3Dtrue&allowWatchBookmarks=true\
         &timeoutSeconds={TIMEOUT}"
    );
    // An API server that has nothing newer to say may say nothing.
    let churn = async {
        for i in 0..TIMEOUT / 3 {
            let patch = json!({ "metadata": { "annotations": { "n": i.to_string() } } });
            stage
                .east
                .patch_service("demo/web", &patch.to_string())
                .await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        anyhow::Ok(())
    };
    let [upstream, emitter] = &stage.peers;
    let (there, here, ()) =
        tokio::try_join!(bookmarks(upstream, &path), bookmarks(emitter, &path), churn)?;
    eprintln!("bookmarks after seconds: {there:?} upstream, {here:?} at the emitter");
    // The API server's own timer ticks once a second, and may send one on either side of
    // the instant that it meant.
    let near = |one: f64, all: &[f64]| all.iter().any(|other| (one - other).abs() < 3.0);
    let all_told = there.iter().all(|&it| near(it, &here));
    let none_more = here.iter().all(|&it| near(it, &there)) && here.len() <= there.len();
    ensure!(all_told && none_more, "{there:?}, {here:?}");
    Ok(())
}

/// The seconds from a watch's begin to its bookmarks, and to its end.
async fn bookmarks(peer: &Peer, path: &str) -> anyhow::Result<Vec<f64>> {
    let mut tasks = JoinSet::new();
    let mut sender = peer.http2(&mut tasks).await?;
    let begin = Instant::now();
    let mut watch = Lines::new(sender.send_request(peer.request(path)?).await?)?;
    let mut seconds = Vec::new();
    while let Some(line) = watch.next().await? {
        if String::from_utf8_lossy(&line).contains("\"BOOKMARK\"") {
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    seconds.push(begin.elapsed().as_secs_f64());
    Ok(seconds)
}
