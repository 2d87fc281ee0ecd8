//! Services that a ServiceExport exports, beside those that a selector selects.
//!
//! With `--service-exports`, Services, EndpointSlices and Endpoints are followed whole, and a
//! [`Sieve`] passes on what fits the selector or belongs to an exported Service. An export
//! appears and goes without an event of its Service: then the sieve shows or hides it.
//!
//! Invariant: nothing passes before ServiceExports were listed once. A list without exports
//! would delete imports.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proto_types::multicluster::Version;
use proto_types::{LabelSelector, Labels, ObjectKey, RawObject, Resource, label};
use runtime::watcher::{Event, Listing};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tracing::warn;

/// Exported Services, by key.
type Exported = Arc<HashSet<ObjectKey>>;

/// Export rule: ServiceExports, and a selector.
#[derive(Debug)]
pub struct Exposure {
    selector: Option<LabelSelector>,
    exported: watch::Sender<Option<Exported>>,
}

/// An object that is shown or hidden without an event of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// The object is shown from now on.
    Shown(RawObject),
    /// The object is hidden from now on.
    Hidden(ObjectKey),
}

impl Exposure {
    /// Returns an exposure of what that selector selects, of which no export is known yet.
    #[must_use]
    pub fn new(selector: Option<LabelSelector>) -> Arc<Self> {
        Arc::new(Self {
            selector,
            exported: watch::Sender::new(None),
        })
    }

    /// Takes in ServiceExports.
    pub fn apply(&self, event: &Event) {
        self.exported.send_if_modified(|known| {
            match event {
                // A list whose absences do not count may lack exports: it decides nothing.
                Event::Listed(listing) if listing.ruling.absences_count() => {
                    let listed = listing.objects.iter().map(|it| it.key.clone());
                    let listed: HashSet<_> = listed.collect();
                    let is_same = known.as_deref() == Some(&listed);
                    *known = Some(Arc::new(listed));
                    !is_same
                }
                Event::Applied(object) => known
                    .as_mut()
                    .is_some_and(|it| Arc::make_mut(it).insert(object.key.clone())),
                Event::Deleted(object) => known
                    .as_mut()
                    .is_some_and(|it| Arc::make_mut(it).remove(&object.key)),
                Event::Listed(_) | Event::Progress(_) | Event::Connected | Event::Failed(_) => {
                    false
                }
            }
        });
    }

    /// Returns whether an object is shown.
    #[must_use]
    pub fn shows(&self, resource: Resource, key: &ObjectKey, labels: &Labels) -> bool {
        let exported = self.exported.borrow();
        let exported = exported.as_deref();
        self.shows_with(exported, resource, key, labels)
    }

    fn shows_with(
        &self,
        exported: Option<&HashSet<ObjectKey>>,
        resource: Resource,
        key: &ObjectKey,
        labels: &Labels,
    ) -> bool {
        let is_selected = self.selector.as_ref().is_some_and(|it| it.matches(labels));
        let is_exported = |service: ObjectKey| exported.is_some_and(|it| it.contains(&service));
        is_selected || service_of(resource, key, labels).is_some_and(is_exported)
    }
}

fn service_of(resource: Resource, key: &ObjectKey, labels: &Labels) -> Option<ObjectKey> {
    match resource {
        Resource::Services | Resource::Endpoints => Some(key.clone()),
        Resource::EndpointSlices => {
            let name = labels.get(label::SERVICE_NAME)?;
            Some(ObjectKey::new(key.namespace(), name))
        }
    }
}

/// Passes on what is shown of one resource.
#[derive(Debug)]
pub struct Sieve {
    exposure: Arc<Exposure>,
    resource: Resource,
    changes: watch::Receiver<Option<Exported>>,
    /// Exports that decide now.
    exported: Exported,
    /// All objects, shown or not: an export shows what had no event.
    all: HashMap<ObjectKey, RawObject>,
    shown: HashSet<ObjectKey>,
}

impl Sieve {
    /// Returns a sieve that has no object yet.
    #[must_use]
    pub fn new(exposure: &Arc<Exposure>, resource: Resource) -> Self {
        Self {
            changes: exposure.exported.subscribe(),
            exposure: Arc::clone(exposure),
            resource,
            exported: Exported::default(),
            all: HashMap::new(),
            shown: HashSet::new(),
        }
    }

    /// Returns as soon as ServiceExports were listed.
    pub async fn opened(&mut self) {
        let known = self.changes.wait_for(Option::is_some).await;
        if let Ok(Some(exported)) = known.map(|it| it.clone()) {
            self.exported = exported;
        }
    }

    /// Returns when other Services are exported, with the objects that turn by it.
    pub async fn turned(&mut self) -> Vec<Turned> {
        if self.changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        let exported = self.changes.borrow_and_update().clone();
        self.turn(exported.unwrap_or_default())
    }

    fn turn(&mut self, exported: Exported) -> Vec<Turned> {
        let before = std::mem::replace(&mut self.exported, exported);
        let changed: HashSet<_> = before.symmetric_difference(&self.exported).collect();
        let is_changed = |it: &&RawObject| {
            service_of(self.resource, &it.key, &it.labels).is_some_and(|it| changed.contains(&it))
        };
        let concerned: Vec<_> = self.all.values().filter(is_changed).cloned().collect();
        let mut turned = Vec::new();
        for object in concerned {
            if self.shows(&object) {
                if self.shown.insert(object.key.clone()) {
                    turned.push(Turned::Shown(object));
                }
            } else if self.shown.remove(&object.key) {
                turned.push(Turned::Hidden(object.key));
            }
        }
        turned
    }

    /// Returns what an event means for clients, which see only shown objects.
    pub fn pass(&mut self, event: Event) -> Event {
        match event {
            Event::Listed(listing) => Event::Listed(self.listed(listing)),
            Event::Applied(object) => {
                self.all.insert(object.key.clone(), object.clone());
                if self.shows(&object) {
                    self.shown.insert(object.key.clone());
                    return Event::Applied(object);
                }
                self.left(object)
            }
            Event::Deleted(object) => {
                self.all.remove(&object.key);
                self.left(object)
            }
            other @ (Event::Progress(_) | Event::Connected | Event::Failed(_)) => other,
        }
    }

    fn left(&mut self, object: RawObject) -> Event {
        match self.shown.remove(&object.key) {
            true => Event::Deleted(object),
            false => Event::Progress(object.revision),
        }
    }

    fn listed(&mut self, mut listing: Listing) -> Listing {
        if listing.ruling.absences_count() {
            self.all.clear();
            self.shown.clear();
        }
        let all = listing.objects.iter();
        self.all.extend(all.map(|it| (it.key.clone(), it.clone())));
        let mut objects = std::mem::take(&mut listing.objects);
        objects.retain(|it| self.shows(it));
        self.shown.extend(objects.iter().map(|it| it.key.clone()));
        Listing { objects, ..listing }
    }

    fn shows(&self, object: &RawObject) -> bool {
        let (key, labels) = (&object.key, &object.labels);
        self.exposure
            .shows_with(Some(&self.exported), self.resource, key, labels)
    }
}

#[derive(Deserialize)]
struct Export {
    metadata: Map<String, Value>,
    #[serde(default)]
    spec: Map<String, Value>,
}

/// Metadata of a ServiceExport that leaves the cluster. Of its annotations, only the cluster
/// selectors do.
const METADATA: [&str; 6] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
];

/// Fields of the `spec` that leave the cluster.
const SPEC: [&str; 3] = ["exportedLabels", "exportedAnnotations", "clusterSelectors"];

/// Returns a ServiceExport as it is served: in `v1beta1`, without its status.
fn served(object: &RawObject) -> Option<RawObject> {
    let Export { metadata, spec } = serde_json::from_slice(&object.json).ok()?;
    let only = |map: Map<String, Value>, names: &[&str]| {
        let kept = map
            .into_iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        kept.collect::<Map<_, _>>()
    };
    let names = Version::V1Beta1.exports();
    let annotations = metadata.get("annotations");
    let selectors = annotations.and_then(|it| it.get(label::CLUSTER_SELECTORS));
    let selectors = selectors.filter(|it| it.is_string()).cloned();
    let mut metadata = only(metadata, &METADATA);
    if let Some(selectors) = selectors {
        let annotations = json!({label::CLUSTER_SELECTORS: selectors});
        metadata.insert("annotations".to_owned(), annotations);
    }
    let metadata = json!(metadata);
    let spec = json!(only(spec, &SPEC));
    let head = names.object_head;
    let json = format!(r#"{head}"metadata":{metadata},"spec":{spec}}}"#);
    RawObject::parse(names, &json.into()).ok()
}

/// Returns whether an object is the Service `default/kubernetes` or one of its EndpointSlices, which
/// are never exported.
#[must_use]
pub fn is_the_api_server(key: &ObjectKey, labels: &Labels) -> bool {
    let service = labels.get(label::SERVICE_NAME);
    key.namespace() == "default" && (key.name() == "kubernetes" || service == Some("kubernetes"))
}

/// Returns an event of ServiceExports as it is served.
#[must_use]
pub fn exports_as_served(event: Event) -> Event {
    let cut = |object: RawObject| {
        let cut = served(&object);
        if cut.is_none() {
            warn!(export = %object.key, "ignored an unreadable ServiceExport");
        }
        cut
    };
    match event {
        Event::Listed(listing) => Event::Listed(Listing {
            objects: listing.objects.into_iter().filter_map(cut).collect(),
            ..listing
        }),
        Event::Applied(object) => {
            let revision = object.revision;
            cut(object).map_or(Event::Progress(revision), Event::Applied)
        }
        Event::Deleted(object) => {
            let revision = object.revision;
            cut(object).map_or(Event::Progress(revision), Event::Deleted)
        }
        other @ (Event::Progress(_) | Event::Connected | Event::Failed(_)) => other,
    }
}

#[cfg(test)]
mod tests;
