//! kube-rs' watchers and stores, in every mode at once.

use std::any::type_name;
use std::fmt::Debug;
use std::sync::Arc;

use anyhow::{Context, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Config, Event, watch_object, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Resource as Object};
use parking_lot::Mutex;
use proto_types::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;

use super::change::{Change, Objects, Report, What, identity, without_type};
use crate::lab::EXPORT;

/// All watchers of one server.
pub(super) struct Watchers {
    pub(super) name: String,
    all: Vec<Watcher>,
    /// Resource versions of one Service as `watch_object` reported them; `None` if it was absent.
    one: Arc<Mutex<Vec<Option<u64>>>>,
    tasks: JoinSet<()>,
}

/// The Service that `watch_object` watches.
pub(super) const ONE: (&str, &str) = ("demo", "s0");

/// A watcher, with a store behind it.
struct Watcher {
    name: String,
    resource: Resource,
    told: Arc<Mutex<Told>>,
    objects: Box<dyn Fn() -> anyhow::Result<Objects> + Send + Sync>,
    keeps: fn(&Value) -> anyhow::Result<Value>,
}

#[derive(Default)]
struct Told {
    n_lists: usize,
    is_listed: bool,
    changes: Vec<Change>,
    wrongs: Vec<String>,
    errors: Vec<String>,
}

/// How a watcher comes to know the whole state.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// In pages, as by default.
    Pages,
    SmallPages,
    /// Whatever the server has at hand, at once.
    Any,
    Streamed,
}

const MODES: [Mode; 4] = [Mode::Pages, Mode::SmallPages, Mode::Any, Mode::Streamed];

impl Mode {
    fn config(self) -> Config {
        let config = Config::default().labels(&format!("{EXPORT}=true"));
        match self {
            Self::Pages => config,
            Self::SmallPages => config.page_size(2),
            Self::Any => Config {
                page_size: None,
                ..config.any_semantic()
            },
            Self::Streamed => config.streaming_lists(),
        }
    }
}

impl Watchers {
    pub(super) fn start(name: &str, client: &kube::Client) -> Self {
        let mut watchers = Self {
            name: format!("kube-rs-{name}"),
            all: Vec::new(),
            one: Arc::default(),
            tasks: JoinSet::new(),
        };
        for mode in MODES {
            watchers.follow::<Service>(client, mode, Resource::Services);
            watchers.follow::<EndpointSlice>(client, mode, Resource::EndpointSlices);
            watchers.follow::<Endpoints>(client, mode, Resource::Endpoints);
            watchers.follow::<PartialObjectMeta<Service>>(client, mode, Resource::Services);
            watchers.follow::<PartialObjectMeta<EndpointSlice>>(
                client,
                mode,
                Resource::EndpointSlices,
            );
        }
        watchers.follow_one(client);
        watchers
    }

    fn follow<K>(&mut self, client: &kube::Client, mode: Mode, resource: Resource)
    where
        K: Object<DynamicType = ()> + Serialize + DeserializeOwned,
        K: Clone + Debug + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store::<K>();
        let told = Arc::new(Mutex::new(Told::default()));
        let events = watcher(Api::<K>::all(client.clone()), mode.config()).default_backoff();
        let mut events = Box::pin(reflector(writer, events));
        let hears = Arc::clone(&told);
        self.tasks.spawn(async move {
            while let Some(event) = events.next().await {
                hears.lock().hear(event);
            }
        });
        let objects = move || {
            let objects = store.state();
            let objects = objects.iter().map(|it| {
                let object = without_type(serde_json::to_value(it.as_ref())?);
                Ok((identity(&object)?.0, object))
            });
            objects.collect()
        };
        self.all.push(Watcher {
            name: format!("{} {mode:?} {}", self.name, type_name::<K>()),
            resource,
            told,
            objects: Box::new(objects),
            keeps: as_kept::<K>,
        });
    }

    fn follow_one(&mut self, client: &kube::Client) {
        let (namespace, name) = ONE;
        let api = Api::<Service>::namespaced(client.clone(), namespace);
        let mut seen = Box::pin(watch_object(api, name).default_backoff());
        let one = Arc::clone(&self.one);
        self.tasks.spawn(async move {
            while let Some(seen) = seen.next().await {
                let Ok(service) = seen else { continue };
                let revision = service.and_then(|it| it.metadata.resource_version?.parse().ok());
                one.lock().push(revision);
            }
        });
    }

    /// Whether every watcher knows a whole state.
    pub(super) fn check_ready(&self) -> anyhow::Result<()> {
        for watcher in &self.all {
            let told = watcher.told.lock();
            ensure!(told.is_listed, "{}: {:?}", watcher.name, told.errors);
        }
        ensure!(!self.one.lock().is_empty(), "watch_object tells nothing");
        Ok(())
    }

    pub(super) fn reports(&self) -> anyhow::Result<Vec<Report>> {
        self.all.iter().map(Watcher::report).collect()
    }

    /// Whether `watch_object` told each version of its Service once, after the first.
    pub(super) fn check_one(&self, services: &[Change]) -> anyhow::Result<()> {
        let key = format!("{}/{}", ONE.0, ONE.1);
        let versions = services.iter().filter(|it| it.key == key);
        let versions = versions.map(|it| (it.what != What::Deleted).then_some(it.revision));
        let versions: Vec<Option<u64>> = versions.collect();
        let told = self.one.lock();
        let (_, after) = told.split_first().context("it tells nothing")?;
        ensure!(
            after == versions,
            "it told {after:?}, upstream {versions:?}"
        );
        Ok(())
    }
}

impl Watcher {
    fn report(&self) -> anyhow::Result<Report> {
        let told = self.told.lock();
        Ok(Report {
            name: self.name.clone(),
            resource: Some(self.resource),
            objects: (self.objects)()?,
            changes: told.changes.clone(),
            n_lists: told.n_lists,
            wrongs: told.wrongs.clone(),
            told: told.errors.join("\n"),
            keeps: self.keeps,
            tells_new: false,
        })
    }
}

impl Told {
    fn hear<K: Object>(&mut self, event: watcher::Result<Event<K>>) {
        let (what, object) = match event {
            Ok(Event::Init) => {
                self.n_lists += 1;
                return;
            }
            Ok(Event::InitApply(_)) => return,
            Ok(Event::InitDone) => {
                self.is_listed = true;
                return;
            }
            Ok(Event::Apply(object)) => (What::Modified, object),
            Ok(Event::Delete(object)) => (What::Deleted, object),
            Err(error) => {
                self.errors.push(format!("{error:?}"));
                return;
            }
        };
        let meta = object.meta();
        let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else {
            self.wrongs.push(format!("{meta:?}"));
            return;
        };
        let revision = meta
            .resource_version
            .as_ref()
            .and_then(|it| it.parse().ok());
        let change = Change {
            what,
            key: format!("{namespace}/{name}"),
            revision: revision.unwrap_or_default(),
        };
        let before = self.changes.last().map_or(0, |it| it.revision);
        if change.revision <= before {
            self.wrongs.push(format!("{change:?} after {before}"));
        }
        self.changes.push(change);
    }
}

/// An object as a type keeps it: fields that it does not know are gone.
fn as_kept<K: Serialize + DeserializeOwned>(object: &Value) -> anyhow::Result<Value> {
    let object = K::deserialize(object)?;
    Ok(without_type(serde_json::to_value(object)?))
}
