//! Discovery: which resources there are, for clients that ask before they list.

use std::hash::{DefaultHasher, Hash, Hasher};

use emitter_cache::form::NAMESPACES;
use http::HeaderValue;
use proto_types::Resource;
use proto_types::resource::Names;
use serde_json::{Value, json};

/// What can be done with every resource.
const VERBS: [&str; 3] = ["get", "list", "watch"];

pub(super) const GROUP: &str = "discovery.k8s.io";

/// `/api`.
pub(super) fn core_versions() -> String {
    r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#.to_owned()
}

/// `/apis`.
pub(super) fn groups() -> String {
    let version = r#"{"groupVersion":"discovery.k8s.io/v1","version":"v1"}"#;
    format!(
        r#"{{"kind":"APIGroupList","apiVersion":"v1","groups":[{{"name":"{GROUP}","versions":[{version}],"preferredVersion":{version}}}]}}"#
    )
}

/// `/apis/discovery.k8s.io`.
pub(super) fn group() -> String {
    let version = r#"{"groupVersion":"discovery.k8s.io/v1","version":"v1"}"#;
    format!(
        r#"{{"kind":"APIGroup","apiVersion":"v1","name":"{GROUP}","versions":[{version}],"preferredVersion":{version}}}"#
    )
}

/// `/`.
pub(super) fn root() -> String {
    json!({ "paths": [
        "/api", "/api/v1", "/apis", "/apis/discovery.k8s.io", "/apis/discovery.k8s.io/v1",
        "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version",
    ] })
    .to_string()
}

/// `/api/v1` and `/apis/discovery.k8s.io/v1`.
pub(super) fn resources(root: &str, served: &[&Names]) -> String {
    let list: Vec<String> = served.iter().map(|it| entry(it).to_string()).collect();
    let list = list.join(",");
    // The core group's document has never had an apiVersion.
    let head = match root {
        "/api/v1" => r#"{"kind":"APIResourceList","groupVersion":"v1""#,
        _ => r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"discovery.k8s.io/v1""#,
    };
    format!(r#"{head},"resources":[{list}]}}"#)
}

fn is_namespaced(names: &Names) -> bool {
    names != NAMESPACES.names
}

fn entry(names: &Names) -> Value {
    let entry = json!({
        "name": names.plural,
        "singularName": names.singular,
        "namespaced": is_namespaced(names),
        "kind": names.kind,
        "verbs": VERBS,
    });
    with_nicknames(names, entry)
}

/// `/api` or `/apis` for clients that want everything in one answer.
pub(super) fn aggregated(group: &str, served: &[&Names]) -> String {
    let resources: Vec<Value> = served.iter().map(|it| aggregated_entry(it)).collect();
    let metadata = match group {
        "" => json!({}),
        group => json!({ "name": group }),
    };
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [{
            "metadata": metadata,
            "versions": [{ "version": "v1", "resources": resources, "freshness": "Current" }],
        }],
    })
    .to_string()
}

fn aggregated_entry(names: &Names) -> Value {
    let scope = match is_namespaced(names) {
        true => "Namespaced",
        false => "Cluster",
    };
    let entry = json!({
        "resource": names.plural,
        "responseKind": { "group": "", "version": "", "kind": names.kind },
        "scope": scope,
        "singularResource": names.singular,
        "verbs": VERBS,
    });
    with_nicknames(names, entry)
}

/// Adds what people may call a resource instead of its name.
fn with_nicknames(names: &Names, mut entry: Value) -> Value {
    if let Some(short) = names.short {
        entry["shortNames"] = json!([short]);
    }
    if names == Resource::Services.names() {
        entry["categories"] = json!(["all"]);
    }
    entry
}

/// Names the content of a document, so that a client need not load it again.
pub(super) fn etag(document: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    document.hash(&mut hasher);
    let tag = format!("\"{:016X}\"", hasher.finish());
    HeaderValue::try_from(tag).expect("hexadecimal digits are a header value")
}

/// The media type that marks the aggregated form; clients decide by it.
pub(super) const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[cfg(test)]
mod tests {
    use super::{GROUP, Names, Resource, Value, aggregated, resources};

    fn rooted(root: &str) -> Vec<&'static Names> {
        let names = Resource::ALL.into_iter().map(Resource::names);
        names.filter(|it| it.root == root).collect()
    }

    #[test]
    fn every_resource_is_discovered_where_it_lives() {
        let core: Value = serde_json::from_str(&resources("/api/v1", &rooted("/api/v1"))).unwrap();
        assert_eq!(core["resources"][0]["name"], "services");
        assert_eq!(core["resources"][1]["name"], "endpoints");
        let slices: Value = {
            let root = "/apis/discovery.k8s.io/v1";
            serde_json::from_str(&resources(root, &rooted(root)))
        }
        .unwrap();
        assert_eq!(slices["resources"][0]["kind"], "EndpointSlice");
        let all: Value =
            serde_json::from_str(&aggregated(GROUP, &rooted("/apis/discovery.k8s.io/v1"))).unwrap();
        assert_eq!(all["items"][0]["metadata"]["name"], "discovery.k8s.io");
    }
}
