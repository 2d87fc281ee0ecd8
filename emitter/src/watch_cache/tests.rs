//! Caches for the tests of other modules.

use super::{Fields, Limits, View, WatchCache};

/// A cache of Services that nothing has been told yet, and the view of all of them.
pub(crate) fn cache_and_view() -> (WatchCache, View) {
    let cache = WatchCache::new(
        proto_types::Resource::Services,
        Fields::All,
        Limits::default(),
    );
    let view = View {
        scope: emitter_cache::Scope::Cluster,
        labels: "".parse().unwrap(),
        fields: "".parse().unwrap(),
        encoding: emitter_cache::Encoding::Object,
        grant: emitter_cache::ViewFilter::default(),
    };
    (cache, view)
}

#[test]
fn a_list_is_not_kept_if_its_service_changed_while_it_was_encoded() {
    let owners = std::sync::Arc::default();
    let cache = |resource: proto_types::Resource| {
        std::sync::Arc::new(WatchCache::new(resource, Fields::All, Limits::default()))
    };
    let services = cache(proto_types::Resource::Services);
    let slices = cache(proto_types::Resource::EndpointSlices);
    super::join(&services, std::slice::from_ref(&slices), &owners);
    let (_, view) = cache_and_view();
    let generation = slices.inner.lock().generation;
    let listed = super::CachedList::new(
        bytes::Bytes::from_static(b"[]"),
        proto_types::ResourceVersion::new(1),
    );
    slices.forget_lists(&mut slices.inner.lock());
    slices.keep(&view, &listed, generation);
    assert!(slices.lists.lock().is_empty());
    let generation = slices.inner.lock().generation;
    slices.keep(&view, &listed, generation);
    assert_eq!(slices.lists.lock().len(), 1);
}
