//! Values of the chart, and the manifests that mean the same.

use serde_json::{Value, json};

/// Values of the chart, and the base and components that mean the same.
pub(crate) type Case = (Value, &'static str, &'static [&'static str]);

pub(crate) fn cases() -> Vec<Case> {
    let plain = json!({"enabled": true, "securePort": 0, "insecurePort": 8080,
        "anonymousAuth": true});
    let mut cases = reflectors();
    cases.push(reflector_with_most());
    cases.push((json!({"emitter": {"enabled": true}}), "emitter", &[]));
    cases.push((json!({"emitter": plain}), "emitter", &["plain-http"]));
    let exports = json!({"emitter": {"enabled": true, "serviceExports": true}});
    cases.push((exports, "emitter", &["service-exports"]));
    cases
}

fn reflectors() -> Vec<Case> {
    let reflector = |rest: Value| {
        let mut values = json!({"reflector": {"enabled": true}});
        merge(&mut values["reflector"], &rest);
        values
    };
    let allowed = |permissions: Value| reflector(json!({ "permissions": permissions }));
    vec![
        (reflector(json!({})), "reflector", &[]),
        (
            reflector(json!({"standby": true})),
            "reflector",
            &["standby"],
        ),
        (
            reflector(json!({"sourcesFromCRD": true})),
            "reflector",
            &["source-crd"],
        ),
        (
            allowed(json!({"sameName": true})),
            "reflector",
            &["same-name"],
        ),
        (
            allowed(json!({"createNamespaces": true})),
            "reflector",
            &["create-namespaces"],
        ),
        (allowed(json!({"global": true})), "reflector", &["global"]),
        (
            allowed(json!({"clusterSet": true})),
            "reflector",
            &["multi-cluster-services"],
        ),
        (
            allowed(json!({"coreEndpoints": "mirrorNamespace"})),
            "reflector",
            &["core-endpoints"],
        ),
        (
            allowed(json!({"coreEndpoints": "all"})),
            "reflector",
            &["core-endpoints-everywhere"],
        ),
        (
            allowed(json!({"takeOver": true, "clusterProfiles": true})),
            "reflector",
            &["take-over", "cluster-profiles"],
        ),
    ]
}

/// A reflector with most options together.
fn reflector_with_most() -> Case {
    let values = json!({"reflector": {"enabled": true, "standby": true, "permissions": {
        "sameName": true, "createNamespaces": true, "global": true,
        "coreEndpoints": "all", "takeOver": true,
    }}});
    let components = &[
        "standby",
        "same-name",
        "create-namespaces",
        "global",
        "core-endpoints-everywhere",
        "take-over",
    ];
    (values, "reflector", components)
}

pub(crate) fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}
