//! The servers, and what happens to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use control_plane::{ControlPlane, Keeper};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Request, Version};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::consumer::{Asked, Consumer, SENT, connector, now};
use super::setup::{Server, Setup, emitter_at};
use crate::process::Process;
use crate::programs::{beside, free_address};

/// A control plane, an emitter of it, and the floor.
pub(crate) struct Rig {
    plane: ControlPlane,
    client: kube::Client,
    connector: TlsConnector,
    /// How many watches share a connection; none where each has one over HTTP/1.1.
    streams: Option<NonZeroUsize>,
    emitter: SocketAddr,
    relay: Option<SocketAddr>,
    former: Option<SocketAddr>,
    bare: SocketAddr,
    keeper: Keeper,
}

/// Open watches, and where their server stood before them.
pub(crate) struct Watch {
    server: Server,
    process: Process,
    n_watchers: usize,
    readers: JoinSet<Vec<Duration>>,
    memory: f64,
    cpu: Duration,
}

/// What watches cost.
pub(crate) struct Measured {
    pub(crate) server: Server,
    pub(crate) cpu_per_event: Duration,
    pub(crate) memory_per_watcher: f64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) lost: usize,
}

pub(super) const SERVICES: &str = "/api/v1/namespaces/default/services";

pub(super) const EXPORTED: &str = "labelSelector=export%3Dyes";

/// How long the slowest event may take before it is lost.
const PATIENCE: Duration = Duration::from_secs(60);

impl Rig {
    pub(crate) async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let streams = setup.http2;
        eprintln!("starting a control plane, an emitter and a bare writer");
        let plane = ControlPlane::builder("load").start().await?;
        let client = plane.client().await?;
        let keeper = Keeper::new("load-programs")?;
        let (emitter, bare) = (free_address()?, free_address()?);
        let kubeconfig = plane.kubeconfig();
        let files = kubeconfig.parent().context("a file is in a directory")?;
        let (cert, key) = (files.join("serving.crt"), files.join("serving.key"));

        let own = |program: &Path, listens: SocketAddr| {
            emitter_at(program, listens, (&cert, &key), setup)
        };
        let program = beside("emitter")?;
        let mut command = own(&program, emitter)?;
        command.arg("--kubeconfig").arg(&kubeconfig);
        keeper.spawn("emitter", &command)?;
        let relay = setup.relay.then(free_address).transpose()?;
        if let Some(relay) = relay {
            let mut command = own(&program, relay)?;
            command
                .arg(format!(
                    "--upstream-url=https://localhost:{}",
                    emitter.port()
                ))
                .arg("--upstream-ca-file")
                .arg(plane.authority_file());
            keeper.spawn("relay", &command)?;
        }
        let mut former = None;
        if let Some(program) = &setup.former {
            let listens = free_address()?;
            let mut command = own(program, listens)?;
            command.arg("--kubeconfig").arg(&kubeconfig);
            keeper.spawn("former", &command)?;
            former = Some(listens);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("bare")
            .arg(bare.to_string())
            .args([&cert, &key])
            .arg(streams.map_or(1, NonZeroUsize::get).to_string());
        keeper.spawn("bare", &command)?;

        let version = streams.map_or(Version::HTTP_11, |_| Version::HTTP_2);
        let rig = Self {
            connector: connector(plane.authority(), version)?,
            streams,
            plane,
            client,
            emitter,
            relay,
            former,
            bare,
            keeper,
        };
        rig.create("watched").await?;
        rig.ready().await?;
        Ok(rig)
    }

    /// All who serve, the floor last.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let relay = self.relay.map(|_| Server::Relay);
        let ours = [Server::Apiserver, Server::Emitter]
            .into_iter()
            .chain(relay)
            .chain(self.former.map(|_| Server::Former));
        ours.chain([Server::Bare]).collect()
    }

    /// All who follow etcd or the API server itself.
    pub(crate) fn direct(&self) -> Vec<Server> {
        let mut servers = self.servers();
        servers.retain(|it| !matches!(it, Server::Relay | Server::Bare));
        servers
    }

    /// Waits until all answer a watch.
    async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for server in self.servers() {
            while let Err(error) = self.open(server).await {
                if deadline < Instant::now() {
                    return Err(error.context(server.name()));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// How many watches share a connection.
    fn together(&self) -> usize {
        self.streams.map_or(1, NonZeroUsize::get)
    }

    /// How many connections so many watches take.
    pub(crate) fn connections(&self, watchers: usize) -> usize {
        watchers.div_ceil(self.together())
    }

    /// Opens the watches of one connection.
    pub(crate) async fn open(&self, server: Server) -> anyhow::Result<Vec<Consumer>> {
        let asked = Asked {
            address: self.address(server)?,
            path: format!(
                "{SERVICES}?watch=1&{EXPORTED}&fieldSelector=metadata.name%3Dwatched&\
                 allowWatchBookmarks=true&timeoutSeconds=3000"
            ),
            token: self.plane.token_for("admin"),
        };
        if self.streams.is_none() || server == Server::Bare {
            let consumer = Consumer::open(&self.connector, &asked).await?;
            return Ok(vec![consumer]);
        }
        Consumer::open_shared(&self.connector, &asked, self.together()).await
    }

    /// A request to a server, with headers of its own.
    pub(super) fn request(
        &self,
        server: Server,
        path: &str,
        headers: &'static str,
    ) -> anyhow::Result<(Asked, &'static str)> {
        let asked = Asked {
            address: self.address(server)?,
            path: path.to_owned(),
            token: self.plane.token_for("admin"),
        };
        Ok((asked, headers))
    }

    /// A client of the kube-apiserver.
    pub(super) const fn client(&self) -> &kube::Client {
        &self.client
    }

    pub(super) const fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// Opens the watches of so many connections, a few at a time.
    pub(crate) async fn open_all(
        &self,
        server: Server,
        n_connections: usize,
    ) -> anyhow::Result<Vec<Vec<Consumer>>> {
        let opened = (0..n_connections).map(|_| self.open(server));
        let opened = stream::iter(opened).buffered(4).try_collect().await;
        opened.with_context(|| server.name())
    }

    /// The file of the authority that all servers' certificates are from.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.plane.authority_file()
    }

    /// A client of any of them.
    pub(crate) async fn client_of(&self, server: Server) -> anyhow::Result<kube::Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.plane.kubeconfig())?;
        let options = kube::config::KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.cluster_url =
            format!("https://localhost:{}", self.address(server)?.port()).parse()?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Starts a program, which ends with the rig.
    pub(crate) fn spawn(
        &self,
        name: &str,
        command: &Command,
    ) -> anyhow::Result<control_plane::Process> {
        self.keeper.spawn(name, command)
    }

    pub(crate) fn address(&self, server: Server) -> anyhow::Result<SocketAddr> {
        match server {
            Server::Apiserver => {
                let url = self.plane.url();
                let address = url.strip_prefix("https://").context("it serves HTTPS")?;
                Ok(address.parse()?)
            }
            Server::Emitter => Ok(self.emitter),
            Server::Relay => self.relay.context("there is no relay"),
            Server::Former => self.former.context("there is no former emitter"),
            Server::Bare => Ok(self.bare),
        }
    }

    pub(crate) fn process(&self, server: Server) -> anyhow::Result<Process> {
        let port = self.address(server)?.port();
        Process::find(&match server {
            Server::Apiserver | Server::Emitter | Server::Relay | Server::Former => {
                format!("--secure-port={port}")
            }
            Server::Bare => format!("bare 127.0.0.1:{port}"),
        })
    }

    /// Opens so many watches, each of which waits for so many events.
    pub(crate) async fn watch(
        &self,
        server: Server,
        watchers: usize,
        events: usize,
    ) -> anyhow::Result<Watch> {
        let process = self.process(server)?;
        let memory = process.memory()?;
        let n_connections = self.connections(watchers);
        // The bare writer sends everything so many times over.
        let events = match server {
            Server::Bare => events * self.together(),
            Server::Apiserver | Server::Emitter | Server::Relay | Server::Former => events,
        };
        let consumers = self.open_all(server, n_connections).await?;
        let watchers = n_connections * self.together();
        let mut readers = JoinSet::new();
        for consumer in consumers.into_iter().flatten() {
            readers.spawn(consumer.read(events));
        }
        // What the storm of handshakes took is settled by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(Watch {
            server,
            memory: process.memory()? - memory,
            cpu: process.cpu()?,
            process,
            n_watchers: watchers,
            readers,
        })
    }

    /// Changes the watched Service so many times. The bare writer is told the same
    /// events, as the API server answered the change.
    pub(crate) async fn churn(&self, events: usize, interval: Duration) -> anyhow::Result<()> {
        let orders = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut tick = tokio::time::interval(interval);
        for _ in 0..events {
            tick.tick().await;
            let patch = format!(r#"{{"metadata":{{"labels":{{"{SENT}":"{}"}}}}}}"#, now());
            let request = Request::patch(format!("{SERVICES}/watched"))
                .header("content-type", "application/merge-patch+json")
                .body(patch.into_bytes())?;
            let object = self.client.request_text(request).await?;
            let event = format!(
                "{{\"type\":\"MODIFIED\",\"object\":{}}}\n",
                object.trim_end()
            );
            orders.send_to(event.as_bytes(), self.bare).await?;
        }
        Ok(())
    }

    /// Creates so many Services of about 1.5 KB.
    pub(crate) async fn fill(&self, services: usize) -> anyhow::Result<()> {
        let created = (0..services).map(|i| async move { self.create(&format!("s{i}")).await });
        let created: Vec<()> = stream::iter(created)
            .buffer_unordered(16)
            .try_collect()
            .await?;
        anyhow::ensure!(created.len() == services);
        // The emitter has them a moment later.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    async fn create(&self, name: &str) -> anyhow::Result<()> {
        let padding = "x".repeat(700);
        let service = format!(
            r#"{{"metadata":{{"name":"{name}","labels":{{"export":"yes"}},"annotations":{{"padding":"{padding}"}}}},"spec":{{"clusterIP":"None","ports":[{{"port":80}}]}}}}"#
        );
        let request = Request::post(SERVICES)
            .header("content-type", "application/json")
            .body(service.into_bytes())?;
        self.client.request_text(request).await?;
        Ok(())
    }
}

impl Watch {
    /// Waits for all events, and says what they cost their server.
    pub(crate) async fn finish(self, events: usize) -> anyhow::Result<Measured> {
        let n_watchers = self.n_watchers;
        let delays = self.readers.join_all().await;
        let mut delays: Vec<Duration> = delays.into_iter().flatten().collect();
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        delays.sort();
        let at = |share: f64| {
            let i = (delays.len() as f64 * share) as usize;
            delays.get(i.min(delays.len().saturating_sub(1))).copied()
        };
        let lost = n_watchers * events - delays.len();
        let n_delivered = u32::try_from(delays.len().max(1))?;
        Ok(Measured {
            server: self.server,
            cpu_per_event: cpu / n_delivered,
            memory_per_watcher: self.memory / n_watchers.max(1) as f64,
            median: at(0.5).unwrap_or_default(),
            p99: at(0.99).unwrap_or_default(),
            lost,
        })
    }
}
