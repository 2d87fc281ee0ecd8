//! One client, which lists and watches for as long as it exists.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use consistency::{Seen, Shown, Verb};
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::revision;
use crate::network::{Net, Node};
use crate::truth::key;

/// Time that a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Client of an emitter. Ends when dropped.
pub(crate) struct Client {
    pub(crate) name: Node,
    pub(crate) resource: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

struct Reader {
    net: Arc<Net>,
    name: Node,
    host: String,
    path: &'static str,
    random: fastrand::Rng,
    seen: Arc<Mutex<Vec<Seen>>>,
    revision: Option<u64>,
}

impl Client {
    /// Starts a client of a resource at a host.
    pub(crate) fn start(
        net: &Arc<Net>,
        host: &str,
        (resource, path): (&'static str, &'static str),
        seed: u64,
    ) -> Self {
        let name: Node = format!("consumer-{host}-{resource}").into();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let reader = Reader {
            net: Arc::clone(net),
            name: Arc::clone(&name),
            host: host.to_owned(),
            path,
            random: fastrand::Rng::with_seed(seed),
            seen: Arc::clone(&seen),
            revision: None,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(reader.run());
        Self {
            name,
            resource,
            seen,
            _tasks: tasks,
        }
    }

    /// What it has received so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

impl Reader {
    async fn run(mut self) {
        loop {
            let done = match self.revision {
                None => self.list().await,
                Some(revision) => self.watch(revision).await,
            };
            if done.is_none() {
                sleep(Duration::from_millis(self.random.u64(500..5000))).await;
            }
        }
    }

    async fn ask(&self, query: &str) -> Option<Response<Body>> {
        let request = Request::get(format!("{}?{query}", self.path));
        let request = request.body(kube::client::Body::empty()).ok()?;
        let (name, host) = (Arc::clone(&self.name), Some(self.host.clone()));
        let response = Arc::clone(&self.net).exchange(name, host, request).await;
        response.ok()
    }

    /// Lists; nothing if that fails.
    async fn list(&mut self) -> Option<()> {
        let query = ["", "resourceVersion=0"][self.random.usize(..2)];
        let listed = timeout(LIST_TIMEOUT, async {
            let response = self.ask(query).await?;
            let is_list = response.status() == 200;
            let body = response.into_body().collect().await.ok()?.to_bytes();
            is_list.then_some(body)
        });
        let list: Value = serde_json::from_slice(&listed.await.ok()??).ok()?;
        let items = list["items"].as_array()?.iter();
        let objects: Shown = items.map(|it| (name(it), revision(it))).collect();
        let revision = revision(&list);
        self.seen.lock().push(Seen::Listed {
            revision,
            objects,
            view: 0,
        });
        self.revision = Some(revision);
        Some(())
    }

    /// Watches until the watch ends, or for a random time; nothing if it was not accepted.
    async fn watch(&mut self, from: u64) -> Option<()> {
        let query = format!("watch=true&allowWatchBookmarks=true&resourceVersion={from}");
        let until = Instant::now() + Duration::from_secs(self.random.u64(5..180));
        let response = timeout_at(until, self.ask(&query)).await.ok()??;
        match response.status().as_u16() {
            200 => self.seen.lock().push(Seen::Resumed { view: 0 }),
            410 => {
                self.expire();
                return Some(());
            }
            _ => return None,
        }
        let mut frames = response.into_body().into_data_stream();
        let mut rest = Vec::new();
        while let Ok(Some(Ok(frame))) = timeout_at(until, frames.next()).await {
            rest.extend_from_slice(&frame);
            while let Some(end) = rest.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if !self.take(&serde_json::from_slice(&line).ok()?) {
                    return Some(());
                }
            }
        }
        self.seen.lock().push(Seen::Cut);
        Some(())
    }

    /// Takes in an event. Returns whether the watch goes on.
    fn take(&mut self, event: &Value) -> bool {
        let object = &event["object"];
        let revision = revision(object);
        let verb = match event["type"].as_str() {
            Some("ADDED") => Verb::Added,
            Some("MODIFIED") => Verb::Modified,
            Some("DELETED") => Verb::Deleted,
            Some("BOOKMARK") => {
                self.seen.lock().push(Seen::Bookmark { revision });
                self.revision = Some(revision);
                return true;
            }
            _ if object["code"] == 410 => {
                self.expire();
                return false;
            }
            _ => {
                self.seen.lock().push(Seen::Cut);
                return false;
            }
        };
        self.seen.lock().push(Seen::Event {
            verb,
            key: name(object),
            revision,
        });
        self.revision = Some(revision);
        true
    }

    fn expire(&mut self) {
        self.seen.lock().push(Seen::Expired);
        self.revision = None;
    }
}

fn name(object: &Value) -> String {
    let (namespace, name) = key(object);
    format!("{namespace}/{name}")
}
