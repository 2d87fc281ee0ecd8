//! What a kube-apiserver fills in where nothing is said.

use serde_json::{Value, json};

use crate::Kind;

/// Fills in what does not depend on what else there is.
pub(crate) fn fill(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Services => service(object),
        Kind::Endpoints => endpoints(object),
        Kind::EndpointSlices => slice(object),
        Kind::Namespaces => namespace(object),
        Kind::Secrets => secret(object),
        Kind::Events => event(object),
        Kind::CoreEvents => core_event(object),
        Kind::Leases => default(object, "spec", || json!({})),
        Kind::ConfigMaps | Kind::ServiceExports | Kind::ServiceImports => {}
    }
}

/// Sets a field that is missing.
fn default(object: &mut Value, field: &str, value: impl FnOnce() -> Value) {
    let is_missing = match &object[field] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if is_missing {
        object[field] = value();
    }
}

fn items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let items = object.get_mut(field).and_then(Value::as_array_mut);
    items.into_iter().flatten()
}

fn service(object: &mut Value) {
    default(object, "spec", || json!({}));
    default(object, "status", || json!({}));
    default(&mut object["status"], "loadBalancer", || json!({}));
    let spec = &mut object["spec"];
    default(spec, "type", || json!("ClusterIP"));
    default(spec, "sessionAffinity", || json!("None"));
    match spec["sessionAffinity"].as_str() {
        Some("ClientIP") => {
            default(spec, "sessionAffinityConfig", || json!({}));
            let config = &mut spec["sessionAffinityConfig"];
            default(config, "clientIP", || json!({}));
            default(&mut config["clientIP"], "timeoutSeconds", || json!(10_800));
        }
        _ => drop(
            spec.as_object_mut()
                .and_then(|it| it.remove("sessionAffinityConfig")),
        ),
    }
    for port in items(spec, "ports") {
        default(port, "protocol", || json!("TCP"));
        let number = port["port"].clone();
        if port["targetPort"] == json!(0) {
            port["targetPort"] = Value::Null;
        }
        default(port, "targetPort", || number);
    }
    let service_type = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(service_type.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", || json!("Cluster"));
    }
    if matches!(
        service_type.as_str(),
        "ClusterIP" | "NodePort" | "LoadBalancer"
    ) {
        default(spec, "internalTrafficPolicy", || json!("Cluster"));
    }
    if service_type == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", || json!(true));
        for ingress in items(&mut object["status"]["loadBalancer"], "ingress") {
            let has_address = ingress["ip"].as_str().is_some_and(|it| !it.is_empty());
            if has_address {
                default(ingress, "ipMode", || json!("VIP"));
            }
        }
    }
}

fn endpoints(object: &mut Value) {
    for subset in items(object, "subsets") {
        for port in items(subset, "ports") {
            default(port, "protocol", || json!("TCP"));
        }
    }
}

fn slice(object: &mut Value) {
    for port in items(object, "ports") {
        if port["name"].is_null() {
            port["name"] = json!("");
        }
        default(port, "protocol", || json!("TCP"));
    }
    for endpoint in items(object, "endpoints") {
        default(endpoint, "conditions", || json!({}));
    }
    // Go writes these also where there are none.
    for field in ["endpoints", "ports"] {
        let is_empty = object[field].as_array().is_none_or(Vec::is_empty);
        if is_empty {
            object[field] = Value::Null;
        }
    }
}

fn namespace(object: &mut Value) {
    default(object, "spec", || json!({}));
    default(object, "status", || json!({}));
    default(&mut object["status"], "phase", || json!("Active"));
    let name = crate::metadata::text(object, "name").to_owned();
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
}

fn secret(object: &mut Value) {
    use base64::Engine;
    default(object, "type", || json!("Opaque"));
    let texts = object
        .as_object_mut()
        .and_then(|it| it.remove("stringData"));
    for (name, text) in texts
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let text = text.as_str().unwrap_or_default();
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        object["data"][name] = encoded.into();
    }
}

fn event(object: &mut Value) {
    default(object, "eventTime", || Value::Null);
    default(object, "deprecatedSource", || json!({}));
    default(object, "regarding", || json!({}));
    default(object, "deprecatedFirstTimestamp", || Value::Null);
    default(object, "deprecatedLastTimestamp", || Value::Null);
}

fn core_event(object: &mut Value) {
    default(object, "source", || json!({}));
    default(object, "eventTime", || Value::Null);
    default(object, "firstTimestamp", || Value::Null);
    default(object, "lastTimestamp", || Value::Null);
    default(object, "reportingComponent", || json!(""));
    default(object, "reportingInstance", || json!(""));
}

/// The same event as the other group shows it.
pub(crate) fn twin(kind: Kind, object: &Value) -> Option<(Kind, Value)> {
    const NAMES: [(&str, &str); 7] = [
        ("involvedObject", "regarding"),
        ("message", "note"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        ("reportingComponent", "reportingController"),
    ];
    let (other, to_core) = match kind {
        Kind::CoreEvents => (Kind::Events, false),
        Kind::Events => (Kind::CoreEvents, true),
        Kind::ConfigMaps
        | Kind::Endpoints
        | Kind::Namespaces
        | Kind::Secrets
        | Kind::Services
        | Kind::Leases
        | Kind::EndpointSlices
        | Kind::ServiceExports
        | Kind::ServiceImports => return None,
    };
    let mut twin = object.clone();
    let fields = twin.as_object_mut()?;
    for (core, newer) in NAMES {
        let (from, to) = if to_core {
            (newer, core)
        } else {
            (core, newer)
        };
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
    if !to_core {
        // The newer group leaves out what is empty.
        fields.retain(|_, value| value.as_str() != Some(""));
    }
    twin["kind"] = other.names().kind.into();
    twin["apiVersion"] = other.names().api_version.into();
    fill(other, &mut twin);
    Some((other, twin))
}

#[cfg(test)]
mod tests {
    use super::{Kind, fill, twin};
    use serde_json::json;

    #[test]
    fn a_port_leads_where_it_is_called() {
        let mut service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
        fill(Kind::Services, &mut service);
        assert_eq!(
            service["spec"],
            json!({
                "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            })
        );
    }

    #[test]
    fn an_event_is_the_same_in_both_groups() {
        let mut event = json!({
            "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e"},
            "note": "hello", "reportingController": "x", "reportingInstance": "y",
            "regarding": {"name": "web"},
        });
        fill(Kind::Events, &mut event);
        let (kind, core) = twin(Kind::Events, &event).unwrap();
        assert_eq!(kind, Kind::CoreEvents);
        assert_eq!(core["message"], "hello");
        assert_eq!(core["involvedObject"]["name"], "web");
        assert_eq!(core["reportingComponent"], "x");
        let (_, back) = twin(Kind::CoreEvents, &core).unwrap();
        assert_eq!(back, event);
    }
}
