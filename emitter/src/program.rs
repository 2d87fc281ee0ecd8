//! Program: all parts that the flags configure, as tasks.

use std::sync::Arc;

use anyhow::Context;
use axum::{Router, middleware};
use emitter_cache::descriptor::SERVICE_EXPORTS;
use emitter_cache::view_filter::ServiceIndex;
use emitter_cache::{Fields, Limits};
use prometheus_client::registry::Registry;
use proto_types::Resource;
use runtime::upstream::UpstreamPoller;
use runtime::{Amount, Budget, Network, Readiness, Tasks, admin, client};
use tokio_util::sync::CancellationToken;

use crate::access::{self, Access};
use crate::api::{self, Api};
use crate::config::{Config, ConsistentReads};
use crate::connections::Connections;
use crate::consumers::Consumers;
use crate::debug::{self, DebugState};
use crate::documents::Documents;
use crate::exposure::{Exposure, Sieve};
use crate::health::UpstreamHealth;
use crate::identity::{self, ExpectedIdentity, Upstream};
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::page;
use crate::probe::{self, Prober};
use crate::reload::Files;
use crate::request_filter::{self, RequestFilter};
use crate::response_headers::{self, Export, ResponseHeaders};
use crate::serve::End;
use crate::shutdown::Shutdown;
use crate::tls::{self, Certificates};
use crate::upstream::{self, Passage, UpstreamWatcher};
use crate::watch_cache::{self, WatchCache};

mod exports;
mod serving;

/// Value of the header `User-Agent`.
const AGENT: &str = concat!("heliograph-emitter/", env!("CARGO_PKG_VERSION"));

/// Parts that the tasks of an emitter share.
pub(crate) struct Program {
    network: Network,
    config: Config,
    client: kube::Client,
    caches: Vec<Arc<WatchCache>>,
    /// And what is made of them.
    served: Vec<Arc<WatchCache>>,
    /// ServiceExports, and what they export.
    exports: Option<(Arc<WatchCache>, Arc<Exposure>)>,
    namespaces: Option<Namespaces>,
    owners: Arc<ServiceIndex>,
    registry: Registry,
    metrics: Arc<Metrics>,
    health: Arc<UpstreamHealth>,
    consumers: Arc<Consumers>,
    connections: Arc<Connections>,
    readiness: Readiness,
    tasks: Tasks,
    end: End,
}

impl Program {
    /// Nothing runs yet.
    pub(crate) async fn new(network: Network, config: Config) -> anyhow::Result<Self> {
        let caches = Resource::ALL.map(|resource| {
            let cache = WatchCache::new(resource, config.fields.clone(), Limits::default());
            Arc::new(cache.gathering(config.requests.max_gather))
        });
        let exports = config.service_exports.then(|| {
            let cache = WatchCache::new(&SERVICE_EXPORTS, Fields::All, Limits::default());
            let cache = Arc::new(cache.gathering(config.requests.max_gather));
            (cache, Exposure::new(config.selector.clone()))
        });
        let mut served = caches.to_vec();
        served.extend(exports.as_ref().map(|(cache, _)| Arc::clone(cache)));
        let owners = Arc::default();
        watch_cache::join(&caches[0], &served[1..], &owners);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        registry.register_collector(Box::new(watch_cache::Collected(served.clone())));
        let namespaces = config.serve_namespaces.then(Namespaces::default);
        served.extend(namespaces.as_ref().map(|it| Arc::clone(&it.cache)));
        Ok(Self {
            client: network.connect(&config.access, AGENT).await?,
            caches: caches.to_vec(),
            served,
            exports,
            namespaces,
            owners,
            registry,
            consumers: Consumers::new(config.requests.clone(), Arc::clone(&metrics)),
            connections: Connections::new(config.connections.clone(), Arc::clone(&metrics)),
            metrics,
            health: Arc::default(),
            readiness: Readiness::default(),
            tasks: Tasks::new(CancellationToken::new()),
            end: End::default(),
            config,
            network,
        })
    }

    /// Serves until `shutdown` is cancelled, or until a task fails.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let identity = self.learn_identity();
        self.follow_upstream(&identity);
        self.sign_certificate().await?;
        let (access, certificates) = self.open_access()?;
        if let Some(served) = certificates.clone() {
            let expirations = Box::new(tls::Expirations(served));
            self.registry.register_collector(expirations);
        }
        self.end_with(shutdown);
        let present = DebugState {
            connections: Arc::clone(&self.connections),
            consumers: Arc::clone(&self.consumers),
        };
        self.registry.register_collector(Box::new(present.clone()));
        let probes = admin::probes(self.readiness.clone());
        let metrics = admin::metrics(Arc::new(std::mem::take(&mut self.registry)));
        let open = probes.clone().merge(metrics.clone());
        let router = self.router(&open, identity, access);
        self.serve(&router, certificates).await?;
        let cut = Arc::clone(&self.consumers).evict_stalled(self.config.connections.write_timeout);
        self.spawn("cutting stalled watches", cut);
        let listener = self
            .network
            .listen(self.config.listen, "--admin-bind-address")?;
        let shutdown = self.tasks.shutdown().clone();
        let shown = page::router(self.caches.clone(), present.clone(), shutdown.clone());
        let guarded = metrics.merge(debug::router(present)).merge(shown);
        let admin = probes.merge(self.guard().protect(admin::own_host(guarded)));
        let admin = listener.serve(admin, shutdown);
        self.tasks.spawn("probes and metrics", admin);
        self.tasks.run().await.context("the emitter stops")
    }

    /// Spawns what would never end by itself.
    fn spawn(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.tasks.shutdown().clone();
        self.tasks.spawn(name, async move {
            stop.run_until_cancelled_owned(task).await;
            anyhow::Ok(())
        });
    }

    /// Keeps the caches as the upstream is.
    fn follow_upstream(&mut self, identity: &Arc<ExpectedIdentity>) {
        let upstream = &self.config.upstream;
        let budget = Amount {
            bytes: upstream.max_bytes.get(),
            objects: upstream.max_objects.get(),
        };
        let budget = Budget::new(budget, None);
        for (cache, resource) in self.caches.clone().into_iter().zip(Resource::ALL) {
            let config = &self.config;
            let namespace = config.namespace.as_deref();
            let exposure = self.exports.as_ref().map(|(_, it)| Arc::clone(it));
            // The exports of a Service are not among its labels.
            let selector = config.selector.clone().filter(|_| exposure.is_none());
            let selector = selector.unwrap_or_default();
            let scope = upstream::exported(resource, &selector, namespace);
            let sieve = exposure.as_ref().map(|it| Sieve::new(it, resource));
            let mut follower = UpstreamWatcher {
                passage: sieve.map_or(Passage::Whole, |it| Passage::Sieved(Box::new(it))),
                cache: Arc::clone(&cache),
                budget: Arc::clone(&budget),
                metrics: Arc::clone(&self.metrics),
                health: Arc::clone(&self.health),
                ready: self.readiness.flag(resource.plural(), "not listed yet"),
                namespaces: self.namespaces.take_if(|_| resource == Resource::Services),
            };
            let prober = Prober::new(self.client.clone(), scope.clone(), identity.guard());
            let mut prober = prober.connected(Arc::clone(&self.health));
            if let Some(exposure) = exposure {
                prober = prober.showing(move |key, labels| exposure.shows(resource, key, labels));
            }
            self.keep(&cache);
            let answer = probe::answer(cache, prober);
            self.spawn(format!("probing {resource}"), answer);
            let (client, guard) = (self.client.clone(), identity.guard());
            let follow = async move { follower.run(client, scope, guard).await };
            self.spawn(format!("following {resource}"), follow);
        }
        self.follow_exports(identity, budget);
    }

    /// Does for a cache what does not come from its upstream.
    fn keep(&mut self, cache: &Arc<WatchCache>) {
        let resource = cache.names();
        if self.config.consistent_reads == ConsistentReads::Cache {
            cache.barrier().on_demand();
        }
        let in_step = Arc::clone(cache).keep_in_step();
        self.spawn(format!("keeping {resource} in step"), in_step);
        let pace = Arc::clone(cache).pace();
        self.spawn(format!("pacing readers of {resource}"), pace);
    }

    /// Finds out which cluster this is.
    fn learn_identity(&mut self) -> Arc<ExpectedIdentity> {
        let identity = Arc::new(ExpectedIdentity::new(self.config.names.clone()));
        let upstream = match &self.config.access {
            client::Access::Url { .. } => Upstream::Emitter,
            client::Access::InCluster
            | client::Access::Kubeconfig { .. }
            | client::Access::InlineKubeconfig { .. }
            | client::Access::Provided { .. } => Upstream::ApiServer,
        };
        let learn = Arc::clone(&identity).follow(self.client.clone(), upstream);
        self.spawn("learning the identity", learn);
        if upstream == Upstream::Emitter {
            let behind = poll_upstream(self.client.clone(), Arc::clone(&self.health));
            self.spawn("looking behind the upstream", behind);
        }
        identity
    }

    /// Returns the guard of metrics and status on the admin port.
    fn guard(&self) -> admin::Guard {
        let guard = admin::Guard::new(self.config.admin_token_file.clone());
        match self.config.access {
            // Another emitter reviews no tokens.
            client::Access::Url { .. } => guard,
            client::Access::InCluster
            | client::Access::Kubeconfig { .. }
            | client::Access::InlineKubeconfig { .. }
            | client::Access::Provided { .. } => guard.with_reviews(self.client.clone()),
        }
    }

    /// Makes the serving certificate, where the CA is the emitter's own, and renews it.
    async fn sign_certificate(&mut self) -> anyhow::Result<()> {
        let Some(signing) = self.config.serving.signing.clone() else {
            return Ok(());
        };
        let local = match &self.config.access {
            client::Access::Url { .. } => {
                self.network
                    .connect(&client::Access::InCluster, AGENT)
                    .await?
            }
            _ => self.client.clone(),
        };
        let renewal = signing.begin(local).await?;
        self.spawn("renewing the serving certificate", renewal.run());
        Ok(())
    }

    /// Reads certificates and the access configuration, and watches their files.
    fn open_access(&mut self) -> anyhow::Result<(Arc<Access>, Option<Arc<Certificates>>)> {
        let settings = self.config.settings.clone();
        let sources = self.config.serving.https.as_ref();
        let sources = sources.map(|(_, sources)| sources.clone());
        // What is followed is looked at before it is used, so that no change is missed.
        let tokens = Files::new("tokens", settings.tokens.clone());
        let policy = Files::new("access", settings.policy.clone());
        let paths = sources.as_ref().map(tls::Sources::paths);
        let served = Files::new("certificates", paths.unwrap_or_default());
        let certificates = sources.map(Certificates::load).transpose()?;
        let access = Access::open(access::Parts {
            settings,
            certificates: certificates.clone(),
            client: self.client.clone(),
            owners: Arc::clone(&self.owners),
            caches: self.served.clone(),
            metrics: Arc::clone(&self.metrics),
        })?;
        let metrics = || Arc::clone(&self.metrics);
        let it = Arc::clone(&access);
        let tokens = tokens.follow(metrics(), move || it.reload_tokens());
        let it = Arc::clone(&access);
        let policy = policy.follow(metrics(), move || it.reload_policy());
        let (it, used) = (Arc::clone(&access), certificates.clone());
        let served = served.follow(metrics(), move || {
            used.as_ref().map_or(Ok(()), |it| it.reload())?;
            it.certificates_changed();
            Ok::<(), tls::Error>(())
        });
        self.spawn("following tokens", tokens);
        self.spawn("following the access configuration", policy);
        self.spawn("following certificates", served);
        let keys = access::follow_keys(Arc::clone(&access));
        self.spawn("following keys of issuers", keys);
        let rights = Arc::clone(&self.consumers).follow_access(Arc::clone(&access));
        self.spawn("following rights", rights);
        Ok((access, certificates))
    }

    /// Ends all tasks in order at shutdown.
    fn end_with(&mut self, shutdown: CancellationToken) {
        let ending = Shutdown {
            drain: self.config.drain,
            ready: self.readiness.flag("shutdown", "not serving yet"),
            consumers: Arc::clone(&self.consumers),
            end: self.end.clone(),
        };
        let ending = ending.follow(shutdown, self.tasks.shutdown().clone());
        self.tasks.spawn("shutting down", async move {
            ending.await;
            anyhow::Ok(())
        });
    }

    /// All that is served, behind the gate.
    fn router(
        &self,
        open: &Router,
        identity: Arc<ExpectedIdentity>,
        access: Arc<Access>,
    ) -> Router {
        let api = Api {
            caches: self.served.clone(),
            documents: Documents::new(self.client.clone()),
            metrics: Arc::clone(&self.metrics),
            shutdown: self.end.ended.clone(),
        };
        let filter = Arc::new(RequestFilter {
            consumers: Arc::clone(&self.consumers),
            metrics: Arc::clone(&self.metrics),
            access,
        });
        let config = &self.config;
        let headers = Arc::new(ResponseHeaders {
            health: Arc::clone(&self.health),
            export: Export::new(
                config.selector.as_ref(),
                config.service_exports,
                (config.namespace.as_deref(), &config.fields),
            ),
        });
        api::router(Arc::new(api))
            .merge(api::response::as_probes(open.clone()))
            .merge(identity::router(Arc::clone(&identity)))
            .layer(middleware::from_fn_with_state(identity, identity::sign))
            .layer(middleware::from_fn_with_state(
                headers,
                response_headers::apply,
            ))
            .layer(middleware::from_fn_with_state(
                filter,
                request_filter::filter,
            ))
    }
}

/// Says that an upstream which is an emitter has lost its own.
async fn poll_upstream(client: kube::Client, health: Arc<UpstreamHealth>) {
    const BEHIND: &str = "what is behind the upstream";
    let mut asking = UpstreamPoller::new(client);
    loop {
        let lost = asking.next().await;
        lost.map_or_else(
            || health.mark_connected(BEHIND),
            |it| health.mark_upstream_disconnected(BEHIND, it),
        );
    }
}
