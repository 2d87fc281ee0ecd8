//! Client that lists and watches, is cut off, and moves between replicas.

use axum::body::Body;
use consistency::{Key, Seen, Shown, View};
use futures::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::replica::Replica;
use super::wire::{self, Coding, Said};

/// Way in which a client lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Whole,
    Cached,
    Pages,
    WatchList,
}

pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) views: Vec<View>,
    pub(crate) seen: Vec<Seen>,
    path: &'static str,
    coding: Coding,
    listing: Listing,
    replica: usize,
    process: u64,
    revision: Option<u64>,
    watch: Option<Body>,
    /// Initial events that have come.
    initial: Option<(usize, Shown)>,
}

impl Client {
    pub(crate) fn new(i: usize, name: String, views: Vec<View>) -> Self {
        let is_slices = views[0].resource == "endpointslices";
        Self {
            path: match is_slices {
                true => "/apis/discovery.k8s.io/v1/endpointslices",
                false => "/api/v1/services",
            },
            coding: [Coding::Json, Coding::Protobuf, Coding::Table][i % 3],
            listing: [
                Listing::Whole,
                Listing::Pages,
                Listing::WatchList,
                Listing::Cached,
            ][i / 3 % 4],
            name,
            views,
            seen: Vec::new(),
            replica: 0,
            process: 0,
            revision: None,
            watch: None,
            initial: None,
        }
    }

    fn request(&self, query: &str) -> Request<Body> {
        let path = format!("{}?{query}", self.path);
        Request::get(path)
            .header("accept", self.coding.accept())
            .header("authorization", format!("Bearer {}", self.name))
            .body(Body::empty())
            .unwrap()
    }

    /// Is cut off, and goes on at that replica.
    pub(crate) fn go_to(&mut self, replica: usize) {
        self.replica = replica;
        if self.initial.take().is_some() {
            self.revision = None;
        }
        if self.watch.take().is_some() {
            self.seen.push(Seen::Cut);
        }
    }

    /// Asks what comes next, and reads up to so many events. Returns whether anything
    /// happened.
    pub(crate) async fn go_on(&mut self, replicas: &[Replica], n_events: usize) -> bool {
        let replica = &replicas[self.replica];
        if self.process != replica.process {
            self.go_to(self.replica);
            self.process = replica.process;
        }
        if self.watch.is_none() {
            return match (self.revision, self.listing) {
                (None, Listing::WatchList) => self.watch_list(replica).await,
                (None, _) => self.list(replica).await,
                (Some(revision), _) => self.resume(replica, revision).await,
            };
        }
        let mut has_read = false;
        for _ in 0..n_events {
            if !self.read() {
                break;
            }
            has_read = true;
        }
        has_read
    }

    /// Reads all that there is.
    pub(crate) async fn settle(&mut self, replicas: &[Replica]) {
        let mut n_tries = 0;
        while self.go_on(replicas, 10_000).await {
            n_tries += 1;
            let last = self.seen.last();
            assert!(n_tries < 50, "{} never settles: {last:?}", self.name);
        }
    }

    async fn list(&mut self, replica: &Replica) -> bool {
        let limit = match self.listing {
            Listing::Pages => "limit=2",
            Listing::Cached => "resourceVersion=0",
            Listing::Whole | Listing::WatchList => "",
        };
        let (mut all, mut query) = (Shown::new(), limit.to_owned());
        loop {
            let response = replica.router.clone().oneshot(self.request(&query)).await;
            let response = response.unwrap();
            if response.status() != 200 {
                return false;
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let (revision, shown, token) = wire::list(self.coding, &body);
            all.extend(shown);
            match token {
                Some(token) => query = format!("limit=2&continue={token}"),
                None => {
                    self.has_listed(revision, all, replica.policy);
                    return true;
                }
            }
        }
    }

    fn has_listed(&mut self, revision: u64, objects: Shown, view: usize) {
        self.revision = Some(revision);
        self.seen.push(Seen::Listed {
            revision,
            objects,
            view,
        });
    }

    async fn open(&mut self, replica: &Replica, query: &str) -> bool {
        let query = format!("watch=1&allowWatchBookmarks=1&{query}");
        let response = replica.router.clone().oneshot(self.request(&query)).await;
        let response = response.unwrap();
        if response.status() == 200 {
            self.watch = Some(response.into_body());
        }
        self.watch.is_some()
    }

    async fn watch_list(&mut self, replica: &Replica) -> bool {
        let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        if !self.open(replica, query).await {
            return false;
        }
        self.initial = Some((replica.policy, Shown::new()));
        true
    }

    async fn resume(&mut self, replica: &Replica, revision: u64) -> bool {
        if !self
            .open(replica, &format!("resourceVersion={revision}"))
            .await
        {
            return false;
        }
        // A refusal comes at once, before the watch counts as accepted.
        let position = self.seen.len();
        self.read();
        if !matches!(self.seen.get(position), Some(Seen::Expired)) {
            let view = replica.policy;
            self.seen.insert(position, Seen::Resumed { view });
        }
        true
    }

    /// Reads one frame, if there is one.
    fn read(&mut self) -> bool {
        let Some(body) = &mut self.watch else {
            return false;
        };
        let Some(frame) = body.frame().now_or_never() else {
            return false;
        };
        let Some(frame) = frame else {
            self.go_to(self.replica);
            return true;
        };
        let frame = frame.unwrap().into_data().unwrap();
        match wire::event(self.coding, &frame) {
            Said::InitialEnd(revision) => {
                if let Some((view, objects)) = self.initial.take() {
                    self.has_listed(revision, objects, view);
                }
            }
            Said::Seen(seen) => self.take(seen),
        }
        true
    }

    fn take(&mut self, seen: Seen) {
        if let (Some((_, initial)), Seen::Event { key, revision, .. }) = (&mut self.initial, &seen)
        {
            let key: Key = key.clone();
            initial.insert(key, *revision);
            return;
        }
        match &seen {
            Seen::Event { revision, .. } | Seen::Bookmark { revision } => {
                self.revision = Some(*revision);
            }
            Seen::Expired => {
                self.revision = None;
                self.watch = None;
                self.initial = None;
            }
            Seen::Listed { .. } | Seen::Resumed { .. } | Seen::Cut | Seen::End => {}
        }
        self.seen.push(seen);
    }
}
