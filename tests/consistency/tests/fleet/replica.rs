//! Emitter replica without sockets: the caches, the gate and the API of the real one.

use std::path::Path;
use std::sync::Arc;

use axum::{Router, middleware};
use clap::Parser;
use emitter::access::{Access, Parts, Settings};
use emitter::api::{self, Api};
use emitter::consumers::Consumers;
use emitter::documents::Documents;
use emitter::limits::RequestLimits;
use emitter::metrics::Metrics;
use emitter::request_filter::{self, RequestFilter};
use emitter::watch_cache::{self, WatchCache};
use emitter_cache::{Fields, Limits};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use proto_types::evidence::Ruling;
use proto_types::{Resource, ResourceVersion};
use runtime::watcher::{Event, Listing};
use tokio::task::JoinSet;

use super::upstream::{Upstream, deleted};

/// Default limits.
#[derive(clap::Parser)]
struct Limited {
    #[command(flatten)]
    limits: RequestLimits,
}

pub(crate) struct Replica {
    caches: Vec<Arc<WatchCache>>,
    pub(crate) router: Router,
    access: Arc<Access>,
    /// Number of the process.
    pub(crate) process: u64,
    /// Number of the policy in use.
    pub(crate) policy: usize,
    history: usize,
    read: [usize; 2],
    _tasks: JoinSet<()>,
}

impl Replica {
    pub(crate) fn start(directory: &Path, policy: usize, upstream: &Upstream) -> Self {
        let caches = Resource::ALL
            .map(|resource| Arc::new(WatchCache::new(resource, Fields::All, Limits::default())));
        let owners = Arc::default();
        watch_cache::join(&caches[0], &caches[1..], &owners);
        let metrics = Metrics::register(&mut Registry::default());
        let nowhere = tower::service_fn(async |_: http::Request<kube::client::Body>| {
            Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::empty()))
        });
        let client = kube::Client::new(nowhere, "default");
        let access = Access::open(Parts {
            settings: Settings {
                tokens: Some(directory.join("tokens")),
                policy: Some(directory.join("policy")),
                ..Settings::default()
            },
            certificates: None,
            client: client.clone(),
            owners,
            caches: caches.to_vec(),
            metrics: Arc::clone(&metrics),
        })
        .unwrap();
        let Limited { limits } = Limited::parse_from(["replica"]);
        let consumers = Consumers::new(limits, Arc::clone(&metrics));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&consumers).follow_access(Arc::clone(&access)));
        let filter = Arc::new(RequestFilter {
            consumers,
            metrics: Arc::clone(&metrics),
            access: Arc::clone(&access),
        });
        let api = Api {
            caches: caches.to_vec(),
            documents: Documents::new(client),
            metrics,
            shutdown: Default::default(),
        };
        let router = api::router(Arc::new(api));
        let router = router.layer(middleware::from_fn_with_state(
            filter,
            request_filter::filter,
        ));
        let mut replica = Self {
            caches: caches.to_vec(),
            router,
            access,
            process: fastrand::u64(..),
            policy,
            history: upstream.history(),
            read: [0; 2],
            _tasks: tasks,
        };
        replica.begin(upstream);
        replica
    }

    /// Begins with the past, as far as the upstream remembers it, or with the present.
    fn begin(&mut self, upstream: &Upstream) {
        let past = upstream.revision - fastrand::u64(..40).min(upstream.revision - 1);
        for of in [0, 1] {
            self.caches[of].begin_in_the_past();
            let objects = upstream.at(of, past);
            let listing = Listing::confirmed(ResourceVersion::new(past), objects);
            self.tell(of, Event::Listed(listing));
            let log = &upstream.log[of];
            self.read[of] = log.partition_point(|it| it.0 <= past);
        }
        for of in [0, 1] {
            while self.read(upstream, of) {}
            self.caches[of].settle();
        }
        let none = Listing::confirmed(ResourceVersion::new(past), Vec::new());
        self.tell(2, Event::Listed(none));
    }

    fn tell(&self, of: usize, event: Event) {
        self.caches[of].ingest(event, Timestamp::now());
    }

    /// Reads the next change of a resource, or its progress. Returns whether there was one.
    pub(crate) fn read(&mut self, upstream: &Upstream, of: usize) -> bool {
        if self.history != upstream.history() {
            self.list(upstream, of);
            return false;
        }
        let position = self.read[of];
        let Some((_, _, object)) = upstream.log[of].get(position) else {
            self.tell(of, Event::Progress(ResourceVersion::new(upstream.revision)));
            return false;
        };
        self.read[of] += 1;
        let event = match object {
            Some(object) => Event::Applied(object.clone()),
            None => Event::Deleted(deleted(&upstream.log[of], position)),
        };
        self.tell(of, event);
        true
    }

    /// Loses its place, and lists. A restored backup is noticed for all resources.
    pub(crate) fn list(&mut self, upstream: &Upstream, of: usize) {
        if self.history == upstream.history() {
            return self.replace(upstream, of, Ruling::Replace);
        }
        self.history = upstream.history();
        self.replace(upstream, 0, Ruling::Rewound);
        self.replace(upstream, 1, Ruling::Rewound);
    }

    fn replace(&mut self, upstream: &Upstream, of: usize, ruling: Ruling) {
        let objects = upstream.objects[of].values().cloned().collect();
        let mut listing = Listing::confirmed(ResourceVersion::new(upstream.revision), objects);
        listing.ruling = ruling;
        self.read[of] = upstream.log[of].len();
        self.tell(of, Event::Listed(listing));
    }

    /// Uses the policy of the file.
    pub(crate) async fn reload(&mut self, policy: usize) {
        self.policy = policy;
        self.access.reload_policy().unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}
