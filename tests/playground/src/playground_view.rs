//! What is seen: what the reflector says of itself, and what there is in its cluster.
//!
//! Nothing here knows what was put into the sources, or what was broken.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use proto_types::{ObjectKey, RawObject, Resource, label};
use reflector::status::{ProblemStatus, SOURCE_DISCONNECTED, SourceStatus, Status};
use runtime::Event;
use serde::Deserialize;

/// What is seen.
#[derive(Debug, Default)]
pub(crate) struct PlaygroundView {
    /// What the reflector said last.
    pub(crate) status: Option<Status>,
    /// Why it says nothing now.
    pub(crate) silence: Option<String>,
    /// The last changes of mirrors, the newest first.
    pub(crate) changes: VecDeque<Change>,
    services: HashMap<ObjectKey, Mirror>,
    slices: HashMap<ObjectKey, MirrorSlice>,
    newest: HashMap<String, Duration>,
    n_listed: usize,
}

/// News of any kind.
#[derive(Debug)]
pub(crate) enum ViewUpdate {
    /// The reflector said how it is, or did not.
    Status(Result<Status, String>),
    /// Something about the mirrors of one resource.
    Mirrors(Resource, Event),
}

/// When something is heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Since the playground began.
    pub(crate) elapsed: Duration,
    /// By the clock that sources write into slices.
    pub(crate) time: Timestamp,
}

/// A change of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// When it was seen.
    pub(crate) at: Duration,
    /// What became of it.
    pub(crate) what: What,
    /// Whose it is.
    pub(crate) source: String,
    /// The Service there.
    pub(crate) service: String,
    /// Its endpoints, where those changed.
    pub(crate) endpoints: Option<Endpoints>,
}

/// What became of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It is new.
    Came,
    /// It is another.
    Changed,
    /// It is no more.
    Went,
}

/// How many endpoints there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Endpoints {
    /// Of these, how many take traffic.
    pub(crate) ready: usize,
    /// All of them.
    pub(crate) total: usize,
}

/// How one source is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// The least sure of what is known of its resources.
    pub(crate) state: String,
    /// The Services that the reflector knows of it.
    pub(crate) n_exported: usize,
    /// The mirrors of it that there are.
    pub(crate) n_mirrors: usize,
    /// Their endpoints.
    pub(crate) endpoints: Endpoints,
    /// Since when nothing was heard.
    pub(crate) heard: Option<u64>,
    /// How long its newest change took until it was seen here.
    pub(crate) newest: Option<Duration>,
    /// What that it cannot be heard means, and why.
    pub(crate) lost: Option<String>,
}

#[derive(Debug)]
struct Mirror {
    source: String,
    origin: String,
}

#[derive(Debug)]
struct MirrorSlice {
    mirror: Mirror,
    endpoints: Endpoints,
}

/// As many as the largest screen shows.
const MAX_CHANGES: usize = 200;

impl PlaygroundView {
    /// Takes news in.
    pub(crate) fn apply(&mut self, news: ViewUpdate, now: Moment) {
        match news {
            ViewUpdate::Status(Ok(status)) => {
                self.status = Some(status);
                self.silence = None;
            }
            ViewUpdate::Status(Err(why)) => self.silence = Some(why),
            ViewUpdate::Mirrors(resource, event) => match event {
                Event::Listed(listing) => self.relist(resource, &listing.objects),
                Event::Applied(object) => self.apply_object(resource, &object, now),
                Event::Deleted(object) => self.delete(resource, &object, now),
                Event::Progress(_) | Event::Connected | Event::Failed(_) => {}
            },
        }
    }

    /// Whether everything has been seen once.
    pub(crate) const fn is_complete(&self) -> bool {
        self.status.is_some() && N_RESOURCES <= self.n_listed
    }

    /// Whether all that can be known at once is known.
    pub(crate) fn is_settled(&self) -> bool {
        let is_known = |row: &Row| row.state != "unsynced" || row.lost.is_some();
        let is_idle = self
            .status
            .as_ref()
            .is_some_and(|status| status.waiting == 0);
        self.is_complete() && is_idle && self.rows().iter().all(is_known)
    }

    /// How the sources are, in the reflector's order.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut services: BTreeMap<&str, usize> = BTreeMap::new();
        for mirror in self.services.values() {
            *services.entry(&mirror.source).or_default() += 1;
        }
        let mut endpoints: BTreeMap<&str, Endpoints> = BTreeMap::new();
        for slice in self.slices.values() {
            let sum = endpoints.entry(&slice.mirror.source).or_default();
            sum.ready += slice.endpoints.ready;
            sum.total += slice.endpoints.total;
        }
        let sources = self.status.iter().flat_map(|status| &status.sources);
        let rows = sources.map(|source| {
            let name = source.name.as_str();
            Row {
                n_mirrors: services.get(name).copied().unwrap_or_default(),
                endpoints: endpoints.get(name).copied().unwrap_or_default(),
                newest: self.newest.get(name).copied(),
                ..row(source)
            }
        });
        rows.collect()
    }

    /// The mirrors that there are.
    pub(crate) fn n_mirrors(&self) -> usize {
        self.services.len()
    }

    /// What is skipped or altered, and why.
    pub(crate) fn problems(&self) -> &[ProblemStatus] {
        self.status.as_ref().map_or(&[], |status| &status.problems)
    }

    fn relist(&mut self, resource: Resource, objects: &[RawObject]) {
        self.n_listed += 1;
        match resource {
            Resource::Services => {
                let mirrors = objects
                    .iter()
                    .filter_map(|it| Some((it.key.clone(), mirror(it)?)));
                self.services = mirrors.collect();
            }
            Resource::EndpointSlices | Resource::Endpoints => {
                let slices = objects
                    .iter()
                    .filter_map(|it| Some((it.key.clone(), slice(it)?.0)));
                self.slices = slices.collect();
            }
        }
    }

    fn apply_object(&mut self, resource: Resource, object: &RawObject, now: Moment) {
        let (mirror, endpoints, is_new) = match resource {
            Resource::Services => {
                let Some(it) = mirror(object) else { return };
                let change = it.clone_names();
                (
                    change,
                    None,
                    self.services.insert(object.key.clone(), it).is_none(),
                )
            }
            Resource::EndpointSlices | Resource::Endpoints => {
                let Some((it, changed)) = slice(object) else {
                    return;
                };
                let names = it.mirror.clone_names();
                if let Some(changed) = changed
                    && let Ok(took) = Duration::try_from(now.time.duration_since(changed))
                {
                    self.newest.insert(names.0.clone(), took);
                }
                let endpoints = Some(it.endpoints);
                (
                    names,
                    endpoints,
                    self.slices.insert(object.key.clone(), it).is_none(),
                )
            }
        };
        let what = if is_new && endpoints.is_none() {
            What::Came
        } else {
            What::Changed
        };
        self.note(now, what, mirror, endpoints);
    }

    fn delete(&mut self, resource: Resource, object: &RawObject, now: Moment) {
        match resource {
            Resource::Services => {
                if let Some(it) = self.services.remove(&object.key) {
                    self.note(now, What::Went, (it.source, it.origin), None);
                }
            }
            Resource::EndpointSlices | Resource::Endpoints => {
                // That its Service went, or has fewer, is told by others.
                self.slices.remove(&object.key);
            }
        }
    }

    fn note(
        &mut self,
        now: Moment,
        what: What,
        (source, service): (String, String),
        endpoints: Option<Endpoints>,
    ) {
        self.changes.push_front(Change {
            at: now.elapsed,
            what,
            source,
            service,
            endpoints,
        });
        self.changes.truncate(MAX_CHANGES);
    }
}

/// Services and slices.
const N_RESOURCES: usize = 2;

impl Mirror {
    fn clone_names(&self) -> (String, String) {
        (self.source.clone(), self.origin.clone())
    }
}

fn row(source: &SourceStatus) -> Row {
    let surety = |state: &str| match state {
        "synced" => 2,
        "stale" => 1,
        _ => 0,
    };
    let states = source.feeds.iter().map(|feed| feed.state.as_str());
    let services = source.feeds.iter().find(|feed| feed.resource == "services");
    let why = source
        .feeds
        .iter()
        .find_map(|feed| feed.last_error.as_ref());
    Row {
        name: source.name.clone(),
        state: states
            .min_by_key(|state| surety(state))
            .unwrap_or("unsynced")
            .to_owned(),
        n_exported: services.map_or(0, |feed| feed.objects),
        n_mirrors: 0,
        endpoints: Endpoints::default(),
        heard: source
            .feeds
            .iter()
            .filter_map(|feed| feed.age_seconds)
            .max(),
        newest: None,
        lost: why.map(|why| format!("{SOURCE_DISCONNECTED}: {why}")),
    }
}

#[derive(Deserialize)]
struct Seen {
    metadata: Metadata,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
}

#[derive(Deserialize, Default)]
struct Conditions {
    ready: Option<bool>,
}

fn mirror(object: &RawObject) -> Option<Mirror> {
    let seen: Seen = serde_json::from_slice(&object.json).ok()?;
    let (source, origin) = origin(object, &seen)?;
    Some(Mirror { source, origin })
}

/// A slice, and when what it shows was changed.
fn slice(object: &RawObject) -> Option<(MirrorSlice, Option<Timestamp>)> {
    let seen: Seen = serde_json::from_slice(&object.json).ok()?;
    let (source, origin) = origin(object, &seen)?;
    let endpoints = seen.endpoints.unwrap_or_default();
    let count = |is_counted: fn(&Endpoint) -> bool| {
        let counted = endpoints.iter().filter(|it| is_counted(it));
        counted.map(|it| it.addresses.len()).sum()
    };
    let endpoints = Endpoints {
        // Who says nothing is ready.
        ready: count(|it| it.conditions.ready != Some(false)),
        total: count(|_| true),
    };
    let changed = seen.metadata.annotations.get(label::LAST_CHANGE);
    let changed = changed.and_then(|it| it.parse().ok());
    Some((
        MirrorSlice {
            mirror: Mirror { source, origin },
            endpoints,
        },
        changed,
    ))
}

fn origin(object: &RawObject, seen: &Seen) -> Option<(String, String)> {
    let source = object.labels.get(label::SOURCE)?;
    let service = seen
        .metadata
        .annotations
        .get(label::SOURCE_SERVICE)
        .cloned();
    Some((
        source.to_owned(),
        service.unwrap_or_else(|| object.key.to_string()),
    ))
}
