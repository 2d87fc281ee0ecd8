//! Hubs for tests of what stands on them.

use super::{Fields, Hub, Limits, View};

/// A hub of Services that nothing has been told yet, and the view of all of them.
pub(crate) fn hub_and_view() -> (Hub, View) {
    let hub = Hub::new(
        proto_types::Resource::Services,
        Fields::All,
        Limits::default(),
    );
    let view = View {
        scope: emitter_cache::Scope::Cluster,
        labels: "".parse().unwrap(),
        fields: "".parse().unwrap(),
        encoding: emitter_cache::Encoding::Object,
        grant: emitter_cache::Grant::default(),
    };
    (hub, view)
}

#[test]
fn a_list_is_not_kept_if_its_service_changed_while_it_was_encoded() {
    let owners = std::sync::Arc::default();
    let hub = |resource: proto_types::Resource| {
        std::sync::Arc::new(Hub::new(resource, Fields::All, Limits::default()))
    };
    let services = hub(proto_types::Resource::Services);
    let slices = hub(proto_types::Resource::EndpointSlices);
    super::join(&services, std::slice::from_ref(&slices), &owners);
    let (_, view) = hub_and_view();
    let generation = slices.inner.lock().generation;
    let listed = super::Listed::new(
        bytes::Bytes::from_static(b"[]"),
        proto_types::Revision::new(1),
    );
    slices.forget_lists(&mut slices.inner.lock());
    slices.keep(&view, &listed, generation);
    assert!(slices.lists.lock().is_empty());
    let generation = slices.inner.lock().generation;
    slices.keep(&view, &listed, generation);
    assert_eq!(slices.lists.lock().len(), 1);
}
