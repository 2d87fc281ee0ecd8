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
//! | [`serve`], [`tls`] | sockets, limits, certificates |
//! | [`metrics`] | what is counted |

pub mod api;
pub mod config;
pub mod hub;
pub mod identity;
pub mod metrics;
pub mod probe;
pub mod serve;
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
use crate::hub::Hub;
use crate::identity::{Identity, Upstream};
use crate::metrics::Metrics;
use crate::serve::Transport;
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
    let mut tasks = Tasks::new(shutdown.clone());

    for (hub, resource) in hubs.iter().zip(Resource::ALL) {
        let follower = Follower {
            hub: Arc::clone(hub),
            metrics: Arc::clone(&metrics),
            ready: readiness.flag(resource.plural(), "not listed yet"),
        };
        follow(&mut tasks, follower, resource, &config, &client);
    }
    let admin = admin::router(readiness, Arc::new(registry));
    let identity = Arc::new(Identity::new(config.names.clone()));
    let upstream = match &config.access {
        Access::Url { .. } => Upstream::Emitter,
        Access::InCluster | Access::Kubeconfig { .. } => Upstream::ApiServer,
    };
    let learn = Arc::clone(&identity).follow(client.clone(), upstream);
    spawn_until_shutdown(&mut tasks, "learning the identity".to_owned(), learn);
    let api = Arc::new(Api {
        hubs: hubs.to_vec(),
        documents: Documents::new(client),
        metrics,
        shutdown: shutdown.clone(),
    });
    let router = api::router(api)
        .merge(admin.clone())
        .merge(identity::router(Arc::clone(&identity)))
        .layer(middleware::from_fn_with_state(identity, identity::sign));
    spawn_servers(&mut tasks, &config, &router).await?;
    let listener = listen::bind(config.listen, "--listen").await?;
    tasks.spawn(
        "probes and metrics",
        admin::serve(listener, admin, shutdown),
    );
    tasks.run().await.context("the emitter stops")
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
        spawn_until_shutdown(tasks, format!("probing {resource}"), answer);
    }
    let follow = follower.follow(client.clone(), scope);
    spawn_until_shutdown(tasks, format!("following {resource}"), follow);
}

/// Spawns what would never end by itself.
fn spawn_until_shutdown(
    tasks: &mut Tasks,
    name: String,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stop = tasks.shutdown().clone();
    tasks.spawn(name, async move {
        stop.run_until_cancelled_owned(task).await;
        anyhow::Ok(())
    });
}

async fn spawn_servers(tasks: &mut Tasks, config: &Config, router: &Router) -> anyhow::Result<()> {
    let shutdown = tasks.shutdown().clone();
    if let Some(address) = config.http {
        let listener = listen::bind(address, "--insecure-port").await?;
        info!(%address, "serving HTTP");
        let serve = serve::serve(listener, Transport::Plain, router.clone(), shutdown.clone());
        tasks.spawn("the HTTP server", serve);
    }
    if let Some((address, certificate)) = &config.https {
        let transport = Transport::Tls(tls::acceptor(certificate)?);
        let listener = listen::bind(*address, "--secure-port").await?;
        info!(%address, "serving HTTPS");
        let serve = serve::serve(listener, transport, router.clone(), shutdown);
        tasks.spawn("the HTTPS server", serve);
    }
    Ok(())
}
