//! What is played with: clusters, an emitter beside each source, one reflector.
//!
//! Invariants: all processes and files belong to a [`Keeper`] or a cluster of the scene and
//! go with it, however it ends; one task owns the scene, and everybody else sends orders.

mod churn;
mod cluster;
mod exports;
mod fault;
mod kubeconfig;
mod sample;
mod source;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use control_plane::{Keeper, Process};
use futures::{StreamExt, TryStreamExt};
use runtime::{Access, Tasks};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::args::PlaygroundOptions;

use churn::Population;
use cluster::Cluster;
use kubeconfig::Contexts;
use source::Source;

pub(crate) use cluster::Kind;
pub(crate) use exports::EXPORTED;
pub(crate) use fault::Fault;
pub(crate) use sample::{EXPORT, INTERNAL, MIRRORS, NAMESPACE};

/// What is played with. Ends when dropped.
pub(crate) struct Scene {
    _local: Cluster,
    sources: Vec<Source>,
    reflector: Process,
    /// Last, so that programs end before what they talk to is cleaned away.
    _keeper: Arc<Keeper>,
}

/// Where things are; what people type is made of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Files of this run.
    pub(crate) folder: PathBuf,
    /// Where the reflector serves its status.
    pub(crate) reflector: SocketAddr,
    /// The sources, in order.
    pub(crate) sources: Vec<String>,
    /// True if a Service is exported by ServiceExports.
    pub(crate) has_exports: bool,
}

/// What is to be done to a source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Order {
    /// It breaks.
    Break(String, Fault),
    /// It is well again.
    Heal(String),
}

/// What came of an order, for people.
pub(crate) type Outcome = Result<String, String>;

/// An order, and where its outcome is awaited.
pub(crate) type Ordered = (Order, oneshot::Sender<Outcome>);

/// So many clusters start at once; each keeps a core busy in the meantime.
const N_STARTS: usize = 2;

const LOCAL: &str = "local";

impl Places {
    /// The kubeconfig with a context for every cluster and every emitter.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        kubeconfig_in(&self.folder)
    }

    /// Where `playground break` and the like find this run.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(crate::control::SOCKET)
    }
}

fn kubeconfig_in(folder: &Path) -> PathBuf {
    folder.join("kubeconfig")
}

impl Scene {
    /// Starts everything. What changes the sources runs among `tasks`.
    pub(crate) async fn start(
        wishes: &PlaygroundOptions,
        tasks: &mut Tasks,
        say: fn(&str),
    ) -> anyhow::Result<(Self, Places)> {
        let kind = Kind::of(wishes);
        kind.check(wishes.sources).await?;
        let reflector = free_address(wishes.port).await?;
        let keeper = Arc::new(Keeper::new("playground")?);
        let folder = keeper.directory().to_owned();

        say(&format!("starting {} clusters", wishes.sources + 1));
        let names: Vec<String> = (0..wishes.sources).map(name_of).collect();
        let all = std::iter::once(LOCAL).chain(names.iter().map(String::as_str));
        let clusters = futures::stream::iter(all.map(|name| Cluster::start(kind, name)));
        let mut clusters: Vec<_> = clusters.buffered(N_STARTS).try_collect().await?;
        let local = clusters.remove(0);
        let sources = names.iter().zip(clusters);
        let api = exports::Api::of(kind).await;
        let api = api.inspect_err(|why| say(&format!("without ServiceExports: {why:#}")));
        let api = api.ok();
        let n_exporters = api.as_ref().map_or(0, |_| exports::N_EXPORTERS);
        let sources = sources.zip(0..).map(|((name, cluster), i)| {
            let is_exporting = i < n_exporters;
            Source::new(name, cluster, is_exporting, &keeper)
        });
        let mut sources = sources.collect::<anyhow::Result<Vec<_>>>()?;

        write_kubeconfig(&folder, &local, &sources)?;
        say("filling them with Services");
        fill(&folder, wishes, (&names, &api), tasks).await?;
        say("starting the emitters and the reflector");
        for source in &mut sources {
            source.begin()?;
        }
        let command = reflector_command(&folder, reflector, &sources)?;
        let places = Places {
            folder,
            reflector,
            sources: names,
            has_exports: api.is_some(),
        };
        let reflector = keeper.spawn("reflector", &command)?;
        Ok((
            Self {
                sources,
                _local: local,
                reflector,
                _keeper: keeper,
            },
            places,
        ))
    }

    /// Does what is ordered, as long as the reflector runs.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Ordered>) -> anyhow::Result<()> {
        loop {
            let ordered = tokio::select! {
                ordered = orders.recv() => ordered,
                ended = self.reflector.wait() => {
                    ended?;
                    bail!("the reflector has ended by itself: {}", self.reflector.log());
                }
            };
            let Some((order, answer)) = ordered else {
                return Ok(());
            };
            let outcome = self.obey(order).await;
            // Who asked may have gone; the order is done all the same.
            let _ = answer.send(outcome);
        }
    }

    async fn obey(&mut self, order: Order) -> Outcome {
        let (name, fault) = match order {
            Order::Break(name, fault) => (name, Some(fault)),
            Order::Heal(name) => (name, None),
        };
        let names: Vec<_> = self.sources.iter().map(|it| it.name().to_owned()).collect();
        let Some(source) = self.sources.iter_mut().find(|it| it.name() == name) else {
            return Err(unknown(&name, &names));
        };
        let done = match fault {
            Some(fault) => source.break_by(fault).await,
            None => source.heal().await,
        };
        done.map_err(|error| format!("{error:#}"))
    }
}

/// Fills the clusters; what changes the sources runs among `tasks`.
async fn fill(
    folder: &Path,
    wishes: &PlaygroundOptions,
    (names, api): (&[String], &Option<exports::Api>),
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let local = client(folder, LOCAL).await?;
    churn::prepare_local(&local).await?;
    if let Some(api) = api {
        api.install(&local).await?;
    }
    for (name, i) in names.iter().zip(1..) {
        let client = client(folder, name).await?;
        let population = Population::settle(&client, i, wishes.services).await;
        let population = population.with_context(|| format!("cannot fill cluster {name}"))?;
        if let Some(api) = api
            .as_ref()
            .filter(|_| usize::from(i) <= exports::N_EXPORTERS)
        {
            api.install(&client).await?;
            exports::export(&client).await?;
        }
        let churn = tasks
            .shutdown()
            .clone()
            .run_until_cancelled_owned(population.churn(wishes.churn));
        tasks.spawn(format!("churn of {name}"), async move {
            churn.await;
            anyhow::Ok(())
        });
    }
    Ok(())
}

/// What to say of a name that no source has.
fn unknown(name: &str, sources: &[String]) -> String {
    let hint = if name == LOCAL {
        "local is where the mirrors are, and no source; ".to_owned()
    } else {
        format!("there is no source {name:?}; ")
    };
    format!("{hint}choose one of {}", sources.join(", "))
}

/// A newcomer's two are east and west.
fn name_of(i: u16) -> String {
    match i {
        0 => "east".to_owned(),
        1 => "west".to_owned(),
        2 => "north".to_owned(),
        3 => "south".to_owned(),
        _ => format!("c{:02}", i + 1),
    }
}

fn write_kubeconfig(folder: &Path, local: &Cluster, sources: &[Source]) -> anyhow::Result<()> {
    let mut contexts = Contexts::default();
    contexts.add(LOCAL, &local.kubeconfig()?)?;
    for source in sources {
        contexts.add(source.name(), &source.cluster().kubeconfig()?)?;
        contexts.add_server(&format!("{}-emitter", source.name()), &source.url());
    }
    let file = kubeconfig_in(folder);
    std::fs::write(&file, contexts.text())
        .with_context(|| format!("cannot write {}", file.display()))
}

/// A client for a cluster, with all rights.
async fn client(folder: &Path, context: &str) -> anyhow::Result<kube::Client> {
    let access = Access::Kubeconfig {
        path: kubeconfig_in(folder),
        context: Some(context.to_owned()),
    };
    Ok(runtime::connect(&access, crate::AGENT).await?)
}

/// A client for the cluster where mirrors are.
pub(crate) async fn local_client(places: &Places) -> anyhow::Result<kube::Client> {
    client(&places.folder, LOCAL).await
}

/// An address for a child, which binds it itself a moment later.
async fn free_address(port: u16) -> anyhow::Result<SocketAddr> {
    let port = match port {
        0 => control_plane::free_port()?,
        port => port,
    };
    let listener = runtime::listen::bind((Ipv4Addr::LOCALHOST, port).into(), "--port")?;
    Ok(listener.local_addr()?)
}

fn reflector_command(
    folder: &Path,
    listen: SocketAddr,
    sources: &[Source],
) -> anyhow::Result<Command> {
    let mut command = program("reflector")?;
    command
        .arg("--kubeconfig")
        .arg(kubeconfig_in(folder))
        .args(["--context", LOCAL]);
    let config = folder.join("reflector.json");
    std::fs::write(&config, configuration(sources).to_string())
        .with_context(|| format!("cannot write {}", config.display()))?;
    command.arg("--config").arg(config);
    command.args(["--admin-bind-address", &listen.to_string()]);
    command.env("TMPDIR", folder);
    Ok(command)
}

/// The configuration of the reflector.
fn configuration(sources: &[Source]) -> Value {
    let of_source = |it: &Source| {
        json!({
            "name": it.name(), "url": it.url(), "prefix": it.name(),
            "clusterSet": it.is_exporting(),
        })
    };
    let mut configuration = json!({
        "mirrorNamespace": MIRRORS,
        "sources": sources.iter().map(of_source).collect::<Vec<_>>(),
    });
    if sources.iter().any(Source::is_exporting) {
        configuration["clusterSet"] = json!({"cluster": LOCAL});
    }
    configuration
}

/// This program, as another one.
fn program(name: &str) -> anyhow::Result<Command> {
    let this = std::env::current_exe().context("cannot find this program's file")?;
    let mut command = Command::new(this);
    command.arg(name);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn as_many_sources_as_may_be_asked_for_have_names_of_their_own() {
        let names: BTreeSet<_> = (0..100).map(name_of).collect();
        assert_eq!(names.len(), 100);
    }

    #[test]
    fn a_name_that_no_source_has_is_answered_with_those_that_there_are() {
        let sources = ["east".to_owned(), "west".to_owned()];
        assert_eq!(
            unknown("nroth", &sources),
            "there is no source \"nroth\"; choose one of east, west"
        );
        assert_eq!(
            unknown("local", &sources),
            "local is where the mirrors are, and no source; choose one of east, west"
        );
    }
}
