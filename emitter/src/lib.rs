//! Serves this cluster's exported objects: get, list and watch.
//!
//! ```text
//! kube-apiserver                                                        consumers
//!      │ list+watch                                                         ▲ bytes
//!      ▼             one writer                     many readers            │
//!  upstream ──Event──▶ Hub: Store ──Change──▶ Feed (ring of frames) ──▶ api::watch
//!                       │   cut, kept as bytes      one for each view       ▲ cursor
//!                       └────────── Snapshot ──────────────────────▶ api::list
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | flags, and what they mean |
//! | [`upstream`] | what is exported, and following it |
//! | [`hub`] | one resource's store and the feeds its watchers share |
//! | [`probe`] | reads that see every write before them |
//! | [`api`] | paths, parameters, get, list, watch, discovery |
//! | [`identity`] | which cluster this is |
//! | [`gate`], [`consumers`] | what every request passes, and who watches what |
//! | [`serve`], [`connections`], [`tls`] | sockets, their number, certificates |
//! | [`limits`], [`shutdown`], [`reload`] | how much, how it ends, files that change |
//! | [`metrics`] | what is counted |

pub mod api;
pub mod config;
pub mod connections;
pub mod consumers;
pub mod gate;
pub mod hub;
pub mod identity;
pub mod limits;
pub mod metrics;
pub mod probe;
pub mod reload;
pub mod serve;
pub mod shutdown;
pub mod tls;
pub mod upstream;

use std::sync::Arc;

use anyhow::Context;
use axum::{Router, middleware};
use emitter_cache::Limits;
use prometheus_client::registry::Registry;
use proto_types::Resource;
use runtime::{Access, Readiness, Tasks, admin, listen};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::api::Api;
use crate::config::{Args, Config, ConsistentReads};
use crate::connections::Connections;
use crate::consumers::Consumers;
use crate::gate::Gate;
use crate::hub::Hub;
use crate::identity::{Identity, Upstream};
use crate::metrics::Metrics;
use crate::reload::Files;
use crate::serve::{End, Transport};
use crate::shutdown::Shutdown;
use crate::tls::Certificates;
use crate::upstream::{Documents, Follower};

/// Does what the flags ask for.
pub async fn main(args: Args) -> anyhow::Result<()> {
    let config = Config::try_from(args)?;
    let (format, filter) = &config.log;
    runtime::log::init(*format, filter);
    let max_files = runtime::files::raise_limit();
    tracing::debug!(?max_files, "each consumer takes one");
    run(config, runtime::shutdown::on_signal()?).await
}

/// Serves until `shutdown` is cancelled, or until a task fails, which none should.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let client = runtime::connect(&config.access, AGENT).await?;
    let hubs = Resource::ALL.map(|resource| {
        let hub = Hub::new(resource, config.fields.clone(), Limits::default());
        Arc::new(hub)
    });
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, &hubs);
    let readiness = Readiness::default();
    let stopped = CancellationToken::new();
    let mut tasks = Tasks::new(stopped.clone());
    for (hub, resource) in hubs.iter().zip(Resource::ALL) {
        let (hub, metrics) = (Arc::clone(hub), Arc::clone(&metrics));
        let ready = readiness.flag(resource.plural(), "not listed yet");
        let follower = Follower {
            hub,
            metrics,
            ready,
        };
        follow(&mut tasks, follower, resource, &config, &client);
    }
    let identity = learn_identity(&mut tasks, &config, &client);
    let consumers = Consumers::new(config.requests.clone(), Arc::clone(&metrics));
    let end = End::default();
    let ending = Shutdown {
        drain: config.drain,
        ready: readiness.flag("shutdown", "not serving yet"),
        consumers: Arc::clone(&consumers),
        end: end.clone(),
    };
    spawn(
        &mut tasks,
        "shutting down",
        ending.follow(shutdown, stopped.clone()),
    );
    let api = Api {
        hubs: hubs.to_vec(),
        documents: Documents::new(client),
        metrics: Arc::clone(&metrics),
        shutdown: end.ended.clone(),
    };
    let admin = admin::router(readiness, Arc::new(registry));
    let router = guarded(api, &admin, &identity, &consumers);
    let connections = Connections::new(config.connections.clone(), metrics);
    let serving = Serving {
        router,
        connections,
        end,
    };
    spawn_servers(&mut tasks, &config, serving).await?;
    let cut = consumers.cut_stalled(config.connections.write_timeout);
    spawn_until_stopped(&mut tasks, "cutting stalled watches", cut);
    let listener = listen::bind(config.listen, "--listen").await?;
    let admin = admin::serve(listener, admin, stopped);
    tasks.spawn("probes and metrics", admin);
    tasks.run().await.context("the emitter stops")
}

/// All that is served, behind the gate.
fn guarded(
    api: Api,
    admin: &Router,
    identity: &Arc<Identity>,
    consumers: &Arc<Consumers>,
) -> Router {
    let gate = Arc::new(Gate {
        consumers: Arc::clone(consumers),
        metrics: Arc::clone(&api.metrics),
    });
    let sign = middleware::from_fn_with_state(Arc::clone(identity), identity::sign);
    api::router(Arc::new(api))
        .merge(admin.clone())
        .merge(identity::router(Arc::clone(identity)))
        .layer(sign)
        .layer(middleware::from_fn_with_state(gate, gate::pass))
}

/// Finds out which cluster this is.
fn learn_identity(tasks: &mut Tasks, config: &Config, client: &kube::Client) -> Arc<Identity> {
    let identity = Arc::new(Identity::new(config.names.clone()));
    let upstream = match &config.access {
        Access::Url { .. } => Upstream::Emitter,
        Access::InCluster | Access::Kubeconfig { .. } => Upstream::ApiServer,
    };
    let learn = Arc::clone(&identity).follow(client.clone(), upstream);
    spawn_until_stopped(tasks, "learning the identity", learn);
    identity
}

/// How we introduce ourselves.
const AGENT: &str = concat!("heliograph-emitter/", env!("CARGO_PKG_VERSION"));

/// Follows one resource, and probes it for readers that must see every write.
fn follow(
    tasks: &mut Tasks,
    follower: Follower,
    resource: Resource,
    config: &Config,
    client: &kube::Client,
) {
    let hub = Arc::clone(&follower.hub);
    let scope = upstream::exported(resource, &config.selector, config.namespace.as_deref());
    if config.consistent_reads == ConsistentReads::Upstream {
        let answer = probe::answer(hub, client.clone(), scope.clone());
        spawn_until_stopped(tasks, format!("probing {resource}"), answer);
    }
    let follow = follower.follow(client.clone(), scope);
    spawn_until_stopped(tasks, format!("following {resource}"), follow);
}

/// Spawns what would never end by itself.
fn spawn_until_stopped(
    tasks: &mut Tasks,
    name: impl Into<String>,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stop = tasks.shutdown().clone();
    spawn(tasks, name, async move {
        stop.run_until_cancelled_owned(task).await;
    });
}

/// Spawns what cannot fail.
fn spawn(
    tasks: &mut Tasks,
    name: impl Into<String>,
    task: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(name, async move {
        task.await;
        anyhow::Ok(())
    });
}

/// What all servers of this process share.
struct Serving {
    router: Router,
    connections: Arc<Connections>,
    end: End,
}

/// Starts the servers. When they have ended, so has the program.
async fn spawn_servers(tasks: &mut Tasks, config: &Config, serving: Serving) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    if let Some(address) = config.serving.http {
        let listener = listen::bind(address, "--insecure-port").await?;
        info!(%address, "serving HTTP");
        servers.push((listener, Transport::Plain));
    }
    if let Some((address, sources)) = &config.serving.https {
        let certificates = follow_certificates(tasks, sources, serving.connections.metrics())?;
        let listener = listen::bind(*address, "--secure-port").await?;
        info!(%address, "serving HTTPS");
        servers.push((listener, Transport::Tls(certificates)));
    }
    let stopped = tasks.shutdown().clone();
    let servers = servers.into_iter().map(|(listener, transport)| {
        let Serving {
            router,
            connections,
            end,
        } = &serving;
        let connections = Arc::clone(connections);
        serve::serve(
            listener,
            transport,
            router.clone(),
            connections,
            end.clone(),
        )
    });
    let servers = futures::future::join_all(servers);
    tasks.spawn("serving", async move {
        let outcome: std::io::Result<Vec<()>> = servers.await.into_iter().collect();
        stopped.cancel();
        outcome.map(|_| ())
    });
    Ok(())
}

/// Serves with files that may be replaced.
fn follow_certificates(
    tasks: &mut Tasks,
    sources: &tls::Sources,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Certificates>, tls::Error> {
    let files = Files::new("certificates", sources.paths());
    let certificates = Certificates::load(sources.clone())?;
    if !files.is_empty() {
        let followed = Arc::clone(&certificates);
        let follow = files.follow(Arc::clone(metrics), move || followed.reload());
        spawn_until_stopped(tasks, "following certificates", follow);
    }
    Ok(certificates)
}
