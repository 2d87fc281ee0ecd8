//! The namespaces in which Services are exported, for clients that look there first.
//!
//! They cause no request to the upstream, and only their names are served. A namespace begins with
//! the first Service in it and ends with the last one, at the resource version of that change: its
//! resource versions are those of Services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use emitter_cache::descriptor::NAMESPACES;
use emitter_cache::{Fields, Limits};
use jiff::Timestamp;
use proto_types::evidence::Ruling;
use proto_types::{ObjectKey, RawObject, ResourceVersion};
use runtime::watcher::{Event, Listing};
use serde_json::json;

use crate::watch_cache::WatchCache;

/// Follows the Services, and keeps the namespaces.
pub struct Namespaces {
    /// Served namespaces.
    pub cache: Arc<WatchCache>,
    known: BTreeMap<String, Namespace>,
}

struct Namespace {
    since: ResourceVersion,
    services: BTreeSet<String>,
}

impl Default for Namespaces {
    fn default() -> Self {
        let cache = WatchCache::new(&NAMESPACES, Fields::All, Limits::default());
        Self {
            cache: Arc::new(cache),
            known: BTreeMap::new(),
        }
    }
}

impl Namespaces {
    /// Takes over an event of Services.
    pub fn apply(&mut self, event: &Event, now: Timestamp) {
        let event = match event {
            Event::Listed(listing) => Event::Listed(self.listed(listing)),
            Event::Applied(service) => self.applied(&service.key, service.revision),
            Event::Deleted(service) => self.deleted(&service.key, service.revision),
            Event::Progress(revision) => Event::Progress(*revision),
            Event::Connected | Event::Failed(_) => return,
        };
        self.cache.ingest(event, now);
    }

    fn listed(&mut self, listing: &Listing) -> Listing {
        let before = std::mem::take(&mut self.known);
        for service in &listing.objects {
            let since = before.get(service.key.namespace());
            // Of two new namespaces each has a resource version of its own, so that a watch that
            // breaks between them can resume.
            let since = since.map_or(service.revision, |namespace| namespace.since);
            self.insert(&service.key, since);
        }
        if matches!(listing.ruling, Ruling::AddOnly(_)) {
            for (name, namespace) in before {
                for service in &namespace.services {
                    self.insert(&ObjectKey::new(&name, service), namespace.since);
                }
            }
        }
        let known = self.known.iter();
        Listing {
            revision: listing.revision,
            objects: known.map(|(name, it)| object(name, it.since)).collect(),
            evidence: listing.evidence.clone(),
            ruling: listing.ruling,
            is_comparison: listing.is_comparison,
        }
    }

    /// Returns whether the namespace is new.
    fn insert(&mut self, service: &ObjectKey, since: ResourceVersion) -> bool {
        let name = service.namespace();
        let is_new = !self.known.contains_key(name);
        let namespace = self.known.entry(name.to_owned());
        let namespace = namespace.or_insert_with(|| Namespace {
            since,
            services: BTreeSet::new(),
        });
        namespace.since = namespace.since.min(since);
        namespace.services.insert(service.name().to_owned());
        is_new
    }

    fn applied(&mut self, service: &ObjectKey, revision: ResourceVersion) -> Event {
        if self.insert(service, revision) {
            return Event::Applied(object(service.namespace(), revision));
        }
        Event::Progress(revision)
    }

    fn deleted(&mut self, service: &ObjectKey, revision: ResourceVersion) -> Event {
        let name = service.namespace();
        if let Some(namespace) = self.known.get_mut(name) {
            namespace.services.remove(service.name());
            if namespace.services.is_empty() {
                self.known.remove(name);
                return Event::Deleted(object(name, revision));
            }
        }
        Event::Progress(revision)
    }
}

fn object(name: &str, revision: ResourceVersion) -> RawObject {
    let labels = json!({ "kubernetes.io/metadata.name": name });
    let head = NAMESPACES.names.object_head;
    let json = format!(
        r#"{head}"metadata":{{"name":"{name}","resourceVersion":"{revision}","labels":{labels}}},"spec":{{}},"status":{{"phase":"Active"}}}}"#
    );
    RawObject::parse(NAMESPACES.names, &json.into()).expect("names of namespaces need no escapes")
}

#[cfg(test)]
mod tests {
    use super::{Event, Listing, Namespaces, ObjectKey, RawObject, ResourceVersion, Timestamp};
    use proto_types::Resource;

    fn service(key: &str, revision: u64) -> RawObject {
        let key = ObjectKey::parse(key).unwrap();
        let (namespace, name) = (key.namespace(), key.name());
        let json = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"{revision}"}}}}"#
        );
        RawObject::parse(Resource::Services, &json.into()).unwrap()
    }

    fn known(namespaces: &Namespaces) -> Vec<(String, u64)> {
        let view = emitter_cache::View {
            scope: emitter_cache::Scope::Cluster,
            labels: "".parse().unwrap(),
            fields: "".parse().unwrap(),
            encoding: emitter_cache::Encoding::Object,
            grant: emitter_cache::ViewFilter::default(),
        };
        let snapshot = namespaces.cache.snapshot(&view);
        let entries = snapshot.entries.iter();
        let known = entries.map(|it| (it.key().name().to_owned(), it.revision().number()));
        known.collect()
    }

    #[test]
    fn a_namespace_comes_with_its_first_service_and_goes_with_its_last() {
        let mut namespaces = Namespaces::default();
        let mut check = |event: Event, expected: &[(&str, u64)]| {
            namespaces.apply(&event, Timestamp::UNIX_EPOCH);
            let expected: Vec<_> = expected.iter().map(|it| (it.0.to_owned(), it.1)).collect();
            assert_eq!(known(&namespaces), expected, "{event:?}");
        };
        let listing = |revision, objects| {
            Event::Listed(Listing::confirmed(ResourceVersion::new(revision), objects))
        };
        let first = vec![service("a/x", 5), service("a/y", 3), service("b/x", 4)];
        check(listing(10, first), &[("a", 3), ("b", 4)]);
        check(
            Event::Applied(service("c/x", 11)),
            &[("a", 3), ("b", 4), ("c", 11)],
        );
        check(
            Event::Applied(service("a/z", 12)),
            &[("a", 3), ("b", 4), ("c", 11)],
        );
        check(Event::Deleted(service("b/x", 13)), &[("a", 3), ("c", 11)]);
        check(Event::Deleted(service("a/x", 14)), &[("a", 3), ("c", 11)]);
        check(Event::Deleted(service("q/x", 15)), &[("a", 3), ("c", 11)]);
        let again = vec![service("d/x", 17), service("a/y", 3)];
        check(listing(20, again), &[("a", 3), ("d", 17)]);
    }
}
