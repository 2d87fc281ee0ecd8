//! The CustomResourceDefinition `Source`, derived from the type that reads a source of the
//! configuration file.
//!
//! Kubernetes takes structural schemas only: no references, no alternatives of types. Rules
//! about several keys become validation rules in CEL.

mod structural;

use proto_types::resource::ApiResource;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::objects::NOT_IN_OBJECTS;
use super::schema::{EXCLUSIVE, NEEDS};
use super::{ObjectKind, SourceEntry};

/// Rules that the program checks for every source, where no single key decides.
const RULES: [(&str, &str); 3] = [
    (
        "has(self.url) != has(self.kubeconfig)",
        "give either url or kubeconfig",
    ),
    (
        "!has(self.prefix) || !has(self.sameName) || !self.sameName",
        "give either prefix or sameName: true",
    ),
    (
        "!has(self.sameName) || !self.sameName || has(self.namespace) || (has(self.import) && \
         has(self.import.namespaces) && has(self.import.namespaces.allow))",
        "with sameName: true the source chooses the local namespaces: name those that it may \
         choose with import.namespaces.allow or namespace",
    ),
];

/// Rules about the name of the object, which is the name of the source.
const NAME_RULES: [(&str, &str); 2] = [
    (
        "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "the name is a DNS label: lower case letters, digits and dashes, at most 63",
    ),
    (
        "self.metadata.name != 'local'",
        "the name local is reserved for the local cluster",
    ),
];

/// Addresses of servers: the scheme, a host and perhaps a port, a path.
const URL: &str = "^https?://[^/?#@ ]+(/[^?# ]*)?$";

/// Conditions of a status. More than the types that there are is more than is written.
const MAX_CONDITIONS: u32 = 8;

/// Longest message of a condition in characters.
pub(crate) const MAX_MESSAGE: usize = 1024;

const NAMES: &ApiResource = ObjectKind::Source.names();

/// The manifest of the CustomResourceDefinition.
#[must_use]
pub fn source_crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": NAMES.qualified,
            "labels": {"app.kubernetes.io/part-of": "heliograph"},
        },
        "spec": {
            "group": NAMES.group,
            "scope": "Namespaced",
            "names": {
                "kind": NAMES.kind,
                "listKind": format!("{}List", NAMES.kind),
                "plural": NAMES.plural,
                "singular": NAMES.singular,
                "shortNames": [NAMES.short],
                "categories": ["heliograph"],
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": object()},
            }],
        },
    })
}

fn columns() -> Value {
    let condition = |name: &str, priority: u8| {
        json!({
            "name": name, "type": "string", "priority": priority,
            "jsonPath": format!(".status.conditions[?(@.type==\"{name}\")].status"),
        })
    };
    let count = |name: &str, field: &str| json!({"name": name, "type": "integer", "jsonPath": format!(".status.{field}")});
    json!([
        condition("Accepted", 0),
        condition("Reachable", 0),
        condition("Synced", 0),
        condition("Degraded", 1),
        count("Exported", "exported"),
        count("Mirrored", "mirrored"),
        count("Problems", "problems"),
        {
            "name": "P99-Milliseconds", "type": "integer", "priority": 1,
            "jsonPath": ".status.propagation.p99Milliseconds",
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ])
}

fn object() -> Value {
    json!({
        "type": "object",
        "description": "A cluster that exports Services, as the reflector reads it. The keys of \
                        its spec are those of a source of the configuration file.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec(),
            "status": status(),
        },
        "x-kubernetes-validations": rules(NAME_RULES),
    })
}

fn rules<'a>(rules: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let rules = rules.into_iter();
    let rules = rules.map(|(rule, message)| json!({"rule": rule, "message": message}));
    rules.collect::<Vec<_>>().into()
}

fn spec() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    let schema = settings
        .into_generator()
        .into_root_schema_for::<SourceEntry>();
    let mut spec = structural::of(schema.to_value());
    let keys: Vec<_> = NOT_IN_OBJECTS.iter().map(|(key, _)| *key).collect();
    if let Some(properties) = spec["properties"].as_object_mut() {
        properties.retain(|key, _| !keys.contains(&key.as_str()));
        for key in ["url", "caUrl"] {
            properties[key]["pattern"] = URL.into();
        }
    }
    let is_there = |(key, other): &(&str, &str)| !keys.contains(key) && !keys.contains(other);
    let needs = NEEDS.into_iter().filter(is_there).map(|(key, other)| {
        let rule = format!("!has(self.{key}) || has(self.{other})");
        (rule, format!("{key} needs {other}"))
    });
    let exclusive = EXCLUSIVE.into_iter().filter(is_there).map(|(one, other)| {
        let rule = format!("!has(self.{one}) || !has(self.{other})");
        (rule, format!("give either {one} or {other}"))
    });
    let pairs: Vec<_> = needs.chain(exclusive).collect();
    let pairs = pairs.iter().map(|(rule, message)| (&**rule, &**message));
    let spec = spec.as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut spec: Map<_, _> = spec
        .into_iter()
        .filter(|(key, _)| key != "required")
        .collect();
    let all = RULES.into_iter().chain(pairs);
    spec.insert("x-kubernetes-validations".to_owned(), rules(all));
    spec.into()
}

fn status() -> Value {
    let count =
        |description: &str| json!({"type": "integer", "minimum": 0, "description": description});
    json!({
        "type": "object",
        "description": "State of the source, written by the reflector that is the leader.",
        "properties": {
            "observedGeneration": {
                "type": "integer", "format": "int64",
                "description": "Generation of the spec that the status is about.",
            },
            "cluster": {
                "type": "string", "maxLength": 128,
                "description": "Cluster identity: the UID of the namespace kube-system.",
            },
            "lastContactTime": {
                "type": "string", "format": "date-time",
                "description": "Time of the last message, to the minute. Present only while the \
                                source is not reachable.",
            },
            "exported": count("Number of Services that the source exports."),
            "mirrored": count("Number of mirror Services of the source."),
            "heldDeletions": count("Number of deletions that are held."),
            "problems": count("Number of problems."),
            "propagation": propagation(),
            "conditions": {
                "type": "array",
                "maxItems": MAX_CONDITIONS,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": condition(),
            },
        },
    })
}

fn propagation() -> Value {
    let time = |description: &str| {
        let description =
            format!("{description} It is the upper end of a bucket, at most one hour.");
        json!({"type": "integer", "minimum": 0, "description": description})
    };
    json!({
        "type": "object",
        "description": "Times from changes of endpoints in the source to their writes here, over \
                        the hour before the last change.",
        "properties": {
            "p50Milliseconds": time("Time within which half of the changes were written."),
            "p99Milliseconds": time("Time within which 99 % of the changes were written."),
        },
    })
}

fn condition() -> Value {
    json!({
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {"type": "string", "maxLength": 316},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
            "message": {"type": "string", "maxLength": 32768},
        },
    })
}

#[cfg(test)]
mod tests;
