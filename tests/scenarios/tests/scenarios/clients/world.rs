//! A cluster, two replicas of its emitter, proxies before all of them, and every client
//! on every proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use proto_types::Resource;

use super::change::{Due, Objects};
use super::churn::{populate, settle};
use super::informers::{Informers, Lists, Reached};
use super::kube_rs::Watchers;
use super::proxy::Proxy;
use super::reads;
use super::truth::Truth;
use crate::lab::{Cluster, EXPORT, Lab, Program, eventually, free_port, program};
use crate::stream::client;

/// What a client follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Emitter,
    Upstream,
}

pub(super) struct World {
    pub(super) cluster: Cluster,
    replicas: [Replica; 2],
    plain: Proxy,
    secure: Proxy,
    upstream: Proxy,
    truth: Truth,
    informers: Vec<(Server, Informers)>,
    watchers: Vec<(Server, Watchers)>,
}

/// An emitter that serves HTTP and HTTPS.
struct Replica {
    program: Program,
    plain: SocketAddr,
    secure: SocketAddr,
}

impl World {
    pub(super) async fn new(lab: &Lab) -> anyhow::Result<Self> {
        let cluster = lab.cluster("east").await?;
        populate(&cluster).await?;
        settle(&cluster).await?;
        let certificate = Certificate::new(lab)?;
        let replicas = [
            Replica::start(lab, &cluster, &certificate)?,
            Replica::start(lab, &cluster, &certificate)?,
        ];
        for replica in &replicas {
            replica.program.ready().await?;
        }
        let apiserver = cluster.plane.url().replace("https://", "").parse()?;
        let mut world = Self {
            truth: Truth::begin(cluster.plane.client().await?).await?,
            plain: Proxy::new(replicas[0].plain).await?,
            secure: Proxy::new(replicas[0].secure).await?,
            upstream: Proxy::new(apiserver).await?,
            informers: Vec::new(),
            watchers: Vec::new(),
            cluster,
            replicas,
        };
        world.start_informers(lab, &certificate).await?;
        world.start_watchers().await?;
        for (_, informers) in &world.informers {
            informers.ready().await?;
        }
        for (_, watchers) in &world.watchers {
            eventually("watchers are ready", async || watchers.check_ready()).await?;
        }
        world.truth.settle().await?;
        Ok(world)
    }

    async fn start_informers(
        &mut self,
        lab: &Lab,
        certificate: &Certificate,
    ) -> anyhow::Result<()> {
        let authority = lab.file("apiserver.crt", self.cluster.plane.authority())?;
        let servers = [
            (
                Server::Emitter,
                Reached {
                    name: "http",
                    url: format!("http://{}", self.plain.address),
                    authority: None,
                    token: None,
                    namespaces: true,
                },
            ),
            (
                Server::Emitter,
                Reached {
                    name: "https",
                    url: format!("https://{}", self.secure.address),
                    authority: Some(&certificate.cert),
                    token: None,
                    namespaces: true,
                },
            ),
            (
                Server::Upstream,
                Reached {
                    name: "upstream",
                    url: format!("https://{}", self.upstream.address),
                    authority: Some(&authority),
                    token: Some(self.cluster.plane.admin_token()),
                    namespaces: false,
                },
            ),
        ];
        for (server, reached) in &servers {
            for lists in [Lists::Listed, Lists::Streamed] {
                let informers = Informers::start(lab, reached, lists).await?;
                self.informers.push((*server, informers));
            }
        }
        Ok(())
    }

    async fn start_watchers(&mut self) -> anyhow::Result<()> {
        let emitter = kube::Config::new(format!("http://{}", self.plain.address).parse()?);
        let kubeconfig = Kubeconfig::read_from(self.cluster.plane.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let mut upstream = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        upstream.cluster_url = format!("https://{}", self.upstream.address).parse()?;
        for (server, name, mut config) in [
            (Server::Emitter, "emitter", emitter),
            (Server::Upstream, "upstream", upstream),
        ] {
            // It would be the environment's, which is not meant for loopback.
            config.proxy_url = None;
            let client = kube::Client::try_from(config)?;
            self.watchers.push((server, Watchers::start(name, &client)));
        }
        Ok(())
    }

    /// Begins or ends to cut connections.
    pub(super) fn cut(&self, cuts: bool) {
        for proxy in [&self.plain, &self.secure, &self.upstream] {
            proxy.cut(cuts);
        }
    }

    pub(super) fn n_cut(&self) -> usize {
        let proxies = [&self.plain, &self.secure, &self.upstream];
        proxies.map(Proxy::n_cut).iter().sum()
    }

    /// From now on the second replica serves.
    pub(super) fn fail_over(&self) {
        self.plain.lead_to(self.replicas[1].plain);
        self.secure.lead_to(self.replicas[1].secure);
    }

    /// The second replica is asked to end, as in an update; new connections go to the first.
    pub(super) async fn roll_over(&self) -> anyhow::Result<()> {
        let [first, second] = &self.replicas;
        second.program.signal("TERM").await?;
        // A load balancer needs a moment to notice.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.plain.lead_next_to(first.plain);
        self.secure.lead_next_to(first.secure);
        second.program.wait().await
    }

    /// Kills the first replica, which serves, and starts it again.
    pub(super) async fn restart_emitter(&self) -> anyhow::Result<()> {
        let [replica, _] = &self.replicas;
        self.plain.refuse().await?;
        self.secure.refuse().await?;
        replica.program.kill().await?;
        tokio::try_join!(
            replica.program.start(),
            self.plain.lead_to_when_it_listens(replica.plain),
            self.secure.lead_to_when_it_listens(replica.secure),
        )?;
        Ok(())
    }

    /// Kills the API server and starts it again.
    pub(super) async fn restart_upstream(&mut self) -> anyhow::Result<()> {
        let apiserver = self.cluster.plane.url().replace("https://", "").parse()?;
        self.truth.settle().await?;
        self.upstream.refuse().await?;
        self.cluster.plane.kill_apiserver().await?;
        tokio::try_join!(
            self.cluster.plane.start_apiserver(),
            self.upstream.lead_to_when_it_listens(apiserver),
        )?;
        // What changed before the emitter follows again, a list tells in its last state alone.
        let [replica, _] = &self.replicas;
        eventually("the emitter follows again", async || {
            let log = replica.program.log();
            let n_back = log.matches("the API server is back").count();
            ensure!(Resource::ALL.len() <= n_back, "{n_back} resources");
            Ok(())
        })
        .await?;
        self.truth.resume().await
    }

    /// Waits until every client of a server is right.
    pub(super) async fn check(&mut self, server: Server, due: Due) -> anyhow::Result<()> {
        self.truth.settle().await?;
        let mut objects = Vec::new();
        for resource in Resource::ALL {
            objects.push((resource, self.truth.objects(resource).await?));
        }
        for (_, informers) in self.informers.iter().filter(|it| it.0 == server) {
            eventually(&informers.name, async || {
                self.check_all(informers.reports().await?, &objects, due)
            })
            .await?;
        }
        for (_, watchers) in self.watchers.iter().filter(|it| it.0 == server) {
            eventually(&watchers.name, async || {
                self.check_all(watchers.reports()?, &objects, due)?;
                match server {
                    Server::Emitter => watchers.check_one(self.truth.changes(Resource::Services)),
                    // It names no label, and so sees more there.
                    Server::Upstream => Ok(()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// How many were told how much.
    pub(super) async fn told(&self) -> anyhow::Result<String> {
        let mut n_readers = 0;
        for (_, informers) in &self.informers {
            n_readers += informers.reports().await?.len();
        }
        for (_, watchers) in &self.watchers {
            n_readers += watchers.reports()?.len();
        }
        let all =
            Resource::ALL.map(|it| format!("{} changes of {it}", self.truth.changes(it).len()));
        Ok(format!("{n_readers} readers were told {}", all.join(", ")))
    }

    /// Whether single questions get the same answers.
    pub(super) async fn check_reads(&self) -> anyhow::Result<()> {
        let ours = client(&format!("http://{}", self.plain.address))?;
        reads::are_alike(&self.cluster.client, &ours).await
    }

    fn check_all(
        &self,
        reports: Vec<super::change::Report>,
        all: &[(Resource, Objects)],
        due: Due,
    ) -> anyhow::Result<()> {
        ensure!(!reports.is_empty(), "nobody reports");
        for report in reports {
            let Some(resource) = report.resource else {
                self.check_namespaces(&report, all)?;
                continue;
            };
            let objects = all.iter().find(|it| it.0 == resource);
            let (_, objects) = objects.context("upstream has it")?;
            report.check(self.truth.changes(resource), objects, due)?;
        }
        Ok(())
    }

    /// An emitter serves the namespaces of exported Services, by name.
    fn check_namespaces(
        &self,
        report: &super::change::Report,
        all: &[(Resource, Objects)],
    ) -> anyhow::Result<()> {
        let services = all.iter().filter(|it| it.0 == Resource::Services);
        let keys = services.flat_map(|(_, objects)| objects.keys());
        let mut namespaces: Vec<_> = keys.filter_map(|it| it.split('/').next()).collect();
        namespaces.dedup();
        ensure!(
            report.objects.keys().eq(namespaces.iter()),
            "{} knows {:?}, there are {namespaces:?}",
            report.name,
            report.objects.keys()
        );
        report.is_sound().with_context(|| report.name.clone())
    }
}

impl Replica {
    fn start(lab: &Lab, cluster: &Cluster, certificate: &Certificate) -> anyhow::Result<Self> {
        let (plain, secure) = (free_port()?, free_port()?);
        let mut command = Command::new(program("emitter")?);
        command
            .args(["--selector", &format!("{EXPORT}=true"), "--fields=all"])
            .args(["--serve-namespaces", "--anonymous-auth"])
            .args([
                "--bind-address=127.0.0.1",
                &format!("--secure-port={secure}"),
            ])
            .arg("--insecure-bind-address=127.0.0.1")
            .arg(format!("--insecure-port={plain}"))
            .arg("--kubeconfig")
            .arg(cluster.plane.kubeconfig())
            .arg("--tls-cert-file")
            .arg(&certificate.cert)
            .arg("--tls-private-key-file")
            .arg(&certificate.key);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self {
            program: lab.start(&format!("emitter-{plain}"), command, Some(plain))?,
            plain: at(plain),
            secure: at(secure),
        })
    }
}

/// One for both replicas, as behind one name; it is its own authority.
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn new(lab: &Lab) -> anyhow::Result<Self> {
        let names = ["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        Ok(Self {
            cert: lab.file("emitter.crt", &made.cert.pem())?,
            key: lab.file("emitter.key", &made.signing_key.serialize_pem())?,
        })
    }
}
