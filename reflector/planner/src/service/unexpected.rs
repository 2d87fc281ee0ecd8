//! Fields of local Services that no mirror has.

use proto_types::label;
use serde_json::{Map, Value, json};

use super::{DEFAULT_TRAFFIC_POLICY, FIELDS_OF_SERVER};
use crate::wire;

impl wire::ServiceSpec {
    /// Returns whether it has what a mirror never has.
    pub(crate) fn has_unexpected_fields(&self) -> bool {
        let exposed = !matches!(
            self.service_type.as_deref(),
            Some("ClusterIP" | "ExternalName")
        );
        let selector = self.selector.iter().flatten();
        let selects = selector.clone().next().is_some() && !selects_no_pod(selector.map(|it| it.0));
        let mut ports = self.ports.iter().flatten();
        let is_named = self.service_type.as_deref() == Some("ExternalName");
        let name = self.external_name.as_ref().filter(|_| !is_named);
        let policy = self.internal_traffic_policy.as_deref();
        exposed
            || selects
            || ports.any(|port| port.node_port.is_some_and(|it| it != 0))
            || name.is_some_and(|it| !it.is_empty())
            || policy.is_some_and(|it| it != DEFAULT_TRAFFIC_POLICY)
            || self
                .others
                .iter()
                .any(|(field, value)| is_unexpected(field, value))
    }
}

/// Returns whether a field is one that no mirror has.
fn is_unexpected(field: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_f64() == Some(0.0),
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.is_empty(),
        Value::Object(it) => it.is_empty(),
    };
    !is_empty && !FIELDS_OF_SERVER.contains(&field)
}

/// Has a Service that is adopted select no pod: then Kubernetes itself takes the endpoints away
/// that it found.
pub fn clear_pod_selector(spec: &mut Map<String, Value>) {
    let selector = spec.get("selector").and_then(Value::as_object);
    if selector.is_some_and(|it| !it.is_empty()) {
        spec.insert("selector".to_owned(), json!({ label::PARKED: "true" }));
    }
}

/// Returns whether these are the names in a selector of no pod.
pub(super) fn selects_no_pod<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    let is_known = |it: &str| it == label::PARKED || it == label::PARKED_BEFORE;
    names.next().is_some_and(is_known) && names.next().is_none()
}
