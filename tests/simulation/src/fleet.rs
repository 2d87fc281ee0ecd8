//! Fleet that runs: clusters, programs, and what faults do to them.

mod changes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use embedded_cluster::{Backup, EmbeddedCluster, Kind, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::consumer::{self, Consumers};
use crate::entropy;
use crate::network::{Mangled, Net, Node, PORT};
use crate::operator::{self, Operator};
use crate::oracle::{BYSTANDER, MIRRORS, Oracle};
use crate::plan::{Fault, Fleet, LOCAL, Link, Plan, SourceSpec, Way, Work, api};
use crate::program::Program;
use crate::sabotage::{Defect, Sabotage};
use crate::settings::{self, Changes, LOCAL_NETWORK, NAMESPACE, PRIVATE, Scene};
use crate::trace::Trace;
use crate::truth::EXPORT;

/// Namespace of the Lease.
const SYSTEM: &str = "heliograph";

/// Name of the cluster that answers where another one should.
const IMPOSTOR: &str = "impostor";

/// Fleet that runs. Ends when dropped.
pub(crate) struct Running {
    pub(crate) fleet: Fleet,
    pub(crate) net: Arc<Net>,
    pub(crate) oracle: Arc<Oracle>,
    clusters: BTreeMap<String, Arc<EmbeddedCluster>>,
    operators: BTreeMap<String, Operator>,
    programs: BTreeMap<Node, Program>,
    consumers: Consumers,
    changes: Changes,
    backups: BTreeMap<String, Backup>,
    /// Servers that start.
    starts: JoinSet<()>,
    directory: TempDir,
    defect: Option<Defect>,
}

impl Running {
    /// Starts a fleet.
    pub(crate) fn start(plan: &Plan, trace: &Arc<Trace>) -> anyhow::Result<Self> {
        let fleet = &plan.fleet;
        let oracle = Arc::new(Oracle::new(Arc::clone(trace), fleet.settings));
        let sabotage = Sabotage::new(plan.defect);
        let net = Net::new(plan.seed, sabotage, Arc::clone(&oracle), Arc::clone(trace));
        let mut running = Self {
            fleet: fleet.clone(),
            consumers: Consumers::new(&net, plan.seed),
            net,
            defect: plan.defect,
            oracle,
            clusters: BTreeMap::new(),
            operators: BTreeMap::new(),
            programs: BTreeMap::new(),
            changes: Changes::default(),
            backups: BTreeMap::new(),
            starts: JoinSet::new(),
            directory: tempfile::tempdir()?,
        };
        running.cluster(LOCAL, &[MIRRORS, SYSTEM, NAMESPACE, PRIVATE])?;
        running.bystander();
        if fleet.settings.scene == Scene::Failover {
            let local = Arc::clone(&running.clusters[LOCAL]);
            let work = || Operator::new(local, LOCAL_NETWORK, 1, Scene::Failover);
            running.oracle.as_operator(work);
        }
        running.cluster(IMPOSTOR, &[NAMESPACE])?;
        for (source, network) in fleet.sources.iter().zip(1..) {
            running.source(source, network)?;
        }
        let impostor = Arc::clone(&running.clusters[IMPOSTOR]);
        Operator::new(impostor, 200, 3, fleet.settings.scene);
        running.configure()?;
        for node in fleet.reflectors() {
            running.net.home(&node, &api(LOCAL));
            let config = running.config(&node).display().to_string();
            let words = [
                "--config",
                &config,
                "--admin-bind-address",
                "127.0.0.1:9090",
                if plan.defect == Some(Defect::LeaseIgnored) {
                    "--leader-elect=false"
                } else {
                    "--leader-elect"
                },
                "--leader-elect-resource-namespace",
                SYSTEM,
            ];
            let words = words.map(str::to_owned).to_vec();
            let program = Program::reflector(&node, &running.net, words);
            running.programs.insert(node, program);
        }
        for program in running.programs.values_mut() {
            program.start();
        }
        running.start_consumers();
        Ok(running)
    }

    /// Creates a Service among the mirrors that nobody manages.
    fn bystander(&self) {
        let put = || self.clusters[LOCAL].put(unmanaged(BYSTANDER));
        let put = self.oracle.as_operator(put);
        put.expect("a Service of one port is valid");
    }

    fn cluster(&mut self, name: &str, namespaces: &[&str]) -> anyhow::Result<()> {
        let namespaces = namespaces.iter().map(|it| (*it).to_owned()).collect();
        let options = Options {
            namespaces,
            ..Options::named(name)
        };
        let cluster = Arc::new(EmbeddedCluster::within(options)?);
        let (oracle, of) = (Arc::clone(&self.oracle), name.to_owned());
        let spec = self.fleet.sources.iter().find(|it| it.name == name);
        // With ServiceExports an emitter exports more than what has the label.
        let has_consumers = self.fleet.settings.scene != Scene::Imports;
        let spec = spec.filter(|_| has_consumers);
        let exports = spec.and_then(|it| self.consumers.add(it));
        match name {
            LOCAL => cluster.observe(Box::new(move |change| oracle.local(change))),
            _ => cluster.observe(Box::new(move |change| {
                oracle.source(&of, change);
                if let Some(exports) = &exports {
                    exports.change(change);
                }
            })),
        }
        let node = api(name);
        self.net.listen(&node, PORT, cluster.router());
        self.net.host(&node, vec![Arc::clone(&node)]);
        self.clusters.insert(name.to_owned(), cluster);
        Ok(())
    }

    fn source(&mut self, source: &SourceSpec, network: u8) -> anyhow::Result<()> {
        let name = &source.name;
        let scene = self.fleet.settings.scene;
        self.cluster(name, &[NAMESPACE, PRIVATE])?;
        let cluster = Arc::clone(&self.clusters[name]);
        let operator = Operator::new(cluster, network, source.n_services, scene);
        operator.opt_out();
        self.operators.insert(name.clone(), operator);
        for node in Fleet::emitters(source) {
            self.net.home(&node, &api(name));
            self.emitter(node, &[]);
        }
        self.net
            .host(&format!("emitter-{name}"), Fleet::emitters(source));
        if let Way::Relay(_) = source.way {
            let upstream = format!("http://emitter-{name}");
            for node in Fleet::front(source) {
                self.emitter(node, &["--upstream-url", &upstream]);
            }
        }
        self.net.host(name, Fleet::front(source));
        Ok(())
    }

    fn emitter(&mut self, node: Node, more: &[&str]) {
        let has_exports = self.fleet.settings.scene == Scene::Imports;
        let exports = has_exports.then_some("--service-exports");
        let more = more.iter().copied().chain(exports);
        let program = Program::emitter(&node, &self.net, more);
        self.programs.insert(node, program);
    }

    fn config(&self, node: &Node) -> PathBuf {
        self.directory.path().join(format!("{node}.yaml"))
    }

    /// Writes the reflectors' configuration.
    fn configure(&self) -> anyhow::Result<()> {
        let config = settings::config(&self.fleet, &self.changes, self.defect);
        for node in self.fleet.reflectors() {
            let file = self.config(&node);
            std::fs::write(&file, config.to_string()).context("cannot write a configuration")?;
        }
        Ok(())
    }

    /// Does work in a source.
    pub(crate) fn work(&mut self, source: &str, work: &Work) {
        match (self.operators.get_mut(source), work) {
            (Some(operator), work) => operator.work(work),
            (None, Work::Other(n)) => operator::other(&self.clusters[source], *n),
            (None, _) => {}
        }
    }

    /// Begins a fault.
    pub(crate) async fn begin(&mut self, fault: &Fault) -> anyhow::Result<()> {
        self.oracle.disturb(&fault.concerns(&self.fleet));
        if let Some(source) = consumer::misled(fault, &self.fleet) {
            let illegal = self.consumers.stop(source);
            self.note_illegal(illegal);
        }
        let net = Arc::clone(&self.net);
        match fault {
            Fault::Partition(link, direction) => net.block(ends(link), *direction, true),
            Fault::Slow(link, least, most) => net.delay(ends(link), (*least, *most)),
            Fault::Loss(link, percent) => net.lose(ends(link), *percent),
            Fault::Reset(link) => net.reset_link(&link.0, &link.1),
            Fault::HalfOpen(link) => net.freeze(&link.0, &link.1),
            Fault::Mangled(link, how, percent) => {
                let (how, percent) = (*how, *percent);
                net.mangle(ends(link), Some(Mangled { how, percent }));
            }
            Fault::Crash(node) => match self.programs.get_mut(node) {
                Some(program) => program.crash(),
                None => {
                    self.note_down(node, true);
                    net.down(node, true);
                }
            },
            Fault::Restart(node) => {
                if let Some(program) = self.programs.get_mut(node) {
                    program.stop().await;
                }
            }
            Fault::Compact(source) => self.clusters[source].compact(),
            Fault::Restore(source) => {
                let backup = self.clusters[source].backup();
                self.backups.insert(source.clone(), backup);
            }
            Fault::Impostor(source) => self.swap(source, true),
            Fault::Selector(node, selector) => self.select(node, selector),
            Fault::Usurped(source) => self.usurp(source, true),
            Fault::Edited(source) => self.edit(source),
            Fault::ClockJump(millis) => entropy::jump(*millis),
            Fault::LeaseLoss => {
                self.oracle.lose_lease();
                let local = Arc::clone(&self.clusters[LOCAL]);
                let lose = || local.delete(Kind::Leases, SYSTEM, "heliograph-reflector");
                self.oracle.as_operator(lose);
            }
            Fault::Unconfigured(source) => {
                self.changes.unconfigured.insert(source.clone());
                self.configure()?;
            }
            Fault::Renamed(source) => {
                self.changes.renamed.insert(source.clone());
                self.configure()?;
            }
        }
        Ok(())
    }

    /// Ends a fault.
    pub(crate) fn end(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let net = Arc::clone(&self.net);
        match fault {
            Fault::Partition(link, direction) => net.block(ends(link), *direction, false),
            Fault::Slow(link, ..) => net.delay(ends(link), (0, 0)),
            Fault::Loss(link, _) => net.lose(ends(link), 0),
            Fault::Mangled(link, ..) => net.mangle(ends(link), None),
            Fault::Crash(node) | Fault::Restart(node) => match self.programs.get_mut(node) {
                Some(program) => program.start(),
                None => {
                    self.note_down(node, false);
                    net.down(node, false);
                }
            },
            Fault::Restore(source) => self.restore(source),
            Fault::Impostor(source) => self.swap(source, false),
            Fault::Usurped(source) => self.usurp(source, false),
            Fault::Selector(node, _) => {
                let export = format!("{}={}", EXPORT.0, EXPORT.1);
                self.select(node, &export);
            }
            Fault::Unconfigured(source) => {
                self.changes.unconfigured.remove(source);
                self.configure()?;
            }
            Fault::Renamed(source) => {
                self.changes.renamed.remove(source);
                self.configure()?;
            }
            Fault::Reset(_)
            | Fault::HalfOpen(_)
            | Fault::Edited(_)
            | Fault::Compact(_)
            | Fault::ClockJump(_)
            | Fault::LeaseLoss => {}
        }
        self.oracle.heal(&fault.concerns(&self.fleet));
        Ok(())
    }

    /// Notes programs that ended, which none should.
    pub(crate) fn check_programs(&mut self) {
        for (node, program) in &mut self.programs {
            if let Some(why) = program.ended() {
                let what = format!("{node} ended: {why}");
                self.oracle.violate("no task dies", what);
            }
        }
    }

    /// Number of lists, events and bookmarks that consumers received.
    pub(crate) fn n_seen(&self) -> u64 {
        self.consumers.n_seen()
    }

    /// Number of clusters, without the one that should not answer.
    pub(crate) fn n_clusters(&self) -> usize {
        self.clusters.len() - 1
    }
}

fn unmanaged(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": MIRRORS },
        "spec": { "ports": [{ "port": 80 }] },
    })
}

fn ends(link: &Link) -> (&Node, &Node) {
    (&link.0, &link.1)
}
