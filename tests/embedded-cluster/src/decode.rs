//! What a client sent, as the object that it is: unknown fields cut, types checked.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1 as events;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proto_types::Status;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Kind;

/// An object that was read, and what of it nobody knows.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) object: Value,
    pub(crate) unknown: Vec<String>,
}

/// Reads an object of that kind, which need not say that it is one.
pub(crate) fn decode(kind: Kind, mut sent: Value) -> Result<Decoded, Status> {
    let names = kind.names();
    let said = |field: &str, default: &'static str| -> String {
        let said = sent[field].as_str().filter(|it| !it.is_empty());
        said.unwrap_or(default).to_owned()
    };
    let (said_kind, said_version) = (
        said("kind", names.kind),
        said("apiVersion", names.api_version),
    );
    let refused = |why: String| {
        let it = names.kind;
        Status::bad_request(format!(
            "{said_kind} in version {said_version:?} cannot be handled as a {it}: {why}"
        ))
    };
    if said_version != names.api_version {
        return Err(refused(format!(
            "no kind {said_kind:?} is registered for version {said_version:?} in scheme \
             \"pkg/runtime/scheme.go:111\""
        )));
    }
    if said_kind != names.kind {
        return Err(refused(format!(
            "converting ({said_version}.{said_kind}) to ({}.{}): unknown conversion",
            kind.form().package,
            names.kind
        )));
    }
    sent["kind"] = names.kind.into();
    sent["apiVersion"] = names.api_version.into();
    empty_texts(&mut sent);
    let object = typed(kind, &sent).map_err(|why| refused(format!("json: {why}")))?;
    let mut unknown = Vec::new();
    find_unknown(&sent, &object, "", &mut unknown);
    Ok(Decoded { object, unknown })
}

/// Where texts are, null is an empty one.
fn empty_texts(object: &mut Value) {
    const MAPS: [&str; 6] = [
        "/data",
        "/binaryData",
        "/stringData",
        "/metadata/labels",
        "/metadata/annotations",
        "/spec/selector",
    ];
    for path in MAPS {
        let texts = object.pointer_mut(path).and_then(Value::as_object_mut);
        let nulls = texts.into_iter().flat_map(serde_json::Map::values_mut);
        for null in nulls.filter(|it| it.is_null()) {
            *null = "".into();
        }
    }
}

fn typed(kind: Kind, sent: &Value) -> serde_json::Result<Value> {
    match kind {
        Kind::ConfigMaps => through::<core::ConfigMap>(sent),
        Kind::Endpoints => through::<core::Endpoints>(sent),
        Kind::CoreEvents => through::<core::Event>(sent),
        Kind::Namespaces => through::<core::Namespace>(sent),
        Kind::Secrets => through::<core::Secret>(sent),
        Kind::Services => through::<core::Service>(sent),
        Kind::Leases => through::<Lease>(sent),
        Kind::EndpointSlices => through::<EndpointSlice>(sent),
        Kind::Events => through::<events::Event>(sent),
        Kind::ServiceExports | Kind::ServiceImports => through::<Custom>(sent),
    }
}

/// A custom resource. What its schema says of `spec` and `status` is not checked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Custom {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
}

fn through<T: DeserializeOwned + Serialize>(sent: &Value) -> serde_json::Result<Value> {
    let typed: T = serde::Deserialize::deserialize(sent)?;
    let mut object = serde_json::to_value(typed)?;
    prune(&mut object);
    if !object["metadata"].is_object() {
        object["metadata"] = serde_json::json!({});
    }
    Ok(object)
}

/// Go omits these where they are empty.
const OMITTED: [&str; 15] = [
    "data",
    "binaryData",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "selector",
    "externalIPs",
    "loadBalancerSourceRanges",
    "clusterIPs",
    "ipFamilies",
    "subsets",
    "notReadyAddresses",
    "stringData",
];

/// Removes what Go would not write: empty things that may be left out.
fn prune(object: &mut Value) {
    for part in ["metadata", "spec"] {
        if let Some(fields) = object[part].as_object_mut() {
            prune_fields(fields);
        }
    }
    if let Some(fields) = object.as_object_mut() {
        prune_fields(fields);
    }
}

fn prune_fields(fields: &mut crate::metadata::Object) {
    fields.retain(|name, value| {
        let is_empty = match value {
            Value::Null => !matches!(name.as_str(), "endpoints" | "ports" | "eventTime"),
            Value::Array(it) => it.is_empty() && OMITTED.contains(&name.as_str()),
            Value::Object(it) => it.is_empty() && OMITTED.contains(&name.as_str()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        !is_empty
    });
}

/// Names what was sent and is not in what was understood.
fn find_unknown(sent: &Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => {
            for (name, value) in sent {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                match known.get(name) {
                    Some(known) => find_unknown(value, known, &path, unknown),
                    None if value.is_null() => {}
                    None if is_nothing(value) && OMITTED.contains(&name.as_str()) => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(sent), Value::Array(known)) => {
            for (i, (sent, known)) in sent.iter().zip(known).enumerate() {
                find_unknown(sent, known, &format!("{path}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(it) => it.is_empty(),
        Value::Object(it) => it.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, decode};
    use serde_json::json;

    #[test]
    fn unknown_fields_are_cut_and_named() {
        let sent = json!({
            "metadata": {"name": "web", "labelz": {"a": "b"}, "labels": {}},
            "spec": {"ports": [{"port": 80, "protocoll": "X"}]},
        });
        let decoded = decode(Kind::Services, sent).unwrap();
        assert_eq!(
            decoded.unknown,
            ["metadata.labelz", "spec.ports[0].protocoll"]
        );
        assert_eq!(
            decoded.object,
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                "spec": {"ports": [{"port": 80}]},
            })
        );
    }

    #[test]
    fn an_object_of_another_kind_is_rejected() {
        let refused = |sent| decode(Kind::Services, sent).unwrap_err().message;
        assert_eq!(
            refused(json!({"kind": "Pod", "apiVersion": "v1"})),
            "Pod in version \"v1\" cannot be handled as a Service: \
             converting (v1.Pod) to (core.Service): unknown conversion"
        );
        assert!(refused(json!({"apiVersion": "v2"})).contains("no kind \"Service\" is registered"));
        assert!(
            refused(json!({"spec": {"ports": [{"port": "80"}]}})).contains("cannot be handled")
        );
    }
}
