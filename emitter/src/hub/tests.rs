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
