//! Discovery: the served resources, for clients that read it before they list.

use std::hash::{DefaultHasher, Hash, Hasher};

use emitter_cache::descriptor::NAMESPACES;
use http::HeaderValue;
use proto_types::Resource;
use proto_types::resource::ApiResource;
use serde_json::{Value, json};

/// Verbs of every resource.
const VERBS: [&str; 3] = ["get", "list", "watch"];

/// An API group, of which one version is served.
pub(super) struct Group {
    /// Name.
    pub(super) name: &'static str,
    version: &'static str,
    group_version: &'static str,
    served: Vec<&'static ApiResource>,
}

impl Group {
    /// Returns the group of a resource, with all that is served of it.
    pub(super) fn of(names: &'static ApiResource, served: Vec<&'static ApiResource>) -> Self {
        let version = names.api_version.split_once('/');
        Self {
            name: names.group,
            version: version.map_or(names.api_version, |(_, version)| version),
            group_version: names.api_version,
            served,
        }
    }

    fn version(&self) -> String {
        let Self {
            version,
            group_version,
            ..
        } = self;
        format!(r#"{{"groupVersion":"{group_version}","version":"{version}"}}"#)
    }
}

/// `/api`.
pub(super) fn core_versions() -> String {
    r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#.to_owned()
}

/// `/apis`.
pub(super) fn groups(groups: &[Group]) -> String {
    let group = |it: &Group| {
        let (name, version) = (it.name, it.version());
        format!(r#"{{"name":"{name}","versions":[{version}],"preferredVersion":{version}}}"#)
    };
    let groups: Vec<_> = groups.iter().map(group).collect();
    let groups = groups.join(",");
    format!(r#"{{"kind":"APIGroupList","apiVersion":"v1","groups":[{groups}]}}"#)
}

/// `/apis/discovery.k8s.io`, for example.
pub(super) fn group(group: &Group) -> String {
    let (name, version) = (group.name, group.version());
    format!(
        r#"{{"kind":"APIGroup","apiVersion":"v1","name":"{name}","versions":[{version}],"preferredVersion":{version}}}"#
    )
}

/// `/`.
pub(super) fn root(groups: &[Group]) -> String {
    let mut paths: Vec<String> = ["/api", "/api/v1", "/apis"].map(str::to_owned).into();
    for group in groups {
        paths.push(format!("/apis/{}", group.name));
        paths.push(format!("/apis/{}", group.group_version));
    }
    let others = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    paths.extend(others.map(str::to_owned));
    json!({ "paths": paths }).to_string()
}

/// `/api/v1` and `/apis/discovery.k8s.io/v1`, for example.
pub(super) fn resources(root: &str, served: &[&ApiResource]) -> String {
    let list: Vec<String> = served.iter().map(|it| entry(it).to_string()).collect();
    let list = list.join(",");
    // The core group's document has never had an apiVersion.
    let head = match root.strip_prefix("/apis/") {
        None => r#"{"kind":"APIResourceList","groupVersion":"v1""#.to_owned(),
        Some(version) => {
            format!(r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"{version}""#)
        }
    };
    format!(r#"{head},"resources":[{list}]}}"#)
}

fn is_namespaced(names: &ApiResource) -> bool {
    names != NAMESPACES.names
}

fn entry(names: &ApiResource) -> Value {
    let entry = json!({
        "name": names.plural,
        "singularName": names.singular,
        "namespaced": is_namespaced(names),
        "kind": names.kind,
        "verbs": VERBS,
    });
    with_nicknames(names, entry)
}

/// `/api` for clients that want everything in one answer.
pub(super) fn aggregated(served: &[&ApiResource]) -> String {
    aggregated_list(&[aggregated_item(&json!({}), "v1", served)])
}

/// `/apis` for clients that want everything in one answer.
pub(super) fn aggregated_groups(groups: &[Group]) -> String {
    let item = |it: &Group| aggregated_item(&json!({ "name": it.name }), it.version, &it.served);
    let items: Vec<_> = groups.iter().map(item).collect();
    aggregated_list(&items)
}

fn aggregated_item(metadata: &Value, version: &str, served: &[&ApiResource]) -> Value {
    let resources: Vec<Value> = served.iter().map(|it| aggregated_entry(it)).collect();
    json!({
        "metadata": metadata,
        "versions": [{ "version": version, "resources": resources, "freshness": "Current" }],
    })
}

fn aggregated_list(items: &[Value]) -> String {
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
    .to_string()
}

fn aggregated_entry(names: &ApiResource) -> Value {
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
fn with_nicknames(names: &ApiResource, mut entry: Value) -> Value {
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
    use super::{ApiResource, Group, Resource, Value, aggregated_groups, resources};

    fn rooted(root: &str) -> Vec<&'static ApiResource> {
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
        let served = rooted("/apis/discovery.k8s.io/v1");
        let groups = [Group::of(served[0], served)];
        let all: Value = serde_json::from_str(&aggregated_groups(&groups)).unwrap();
        assert_eq!(all["items"][0]["metadata"]["name"], "discovery.k8s.io");
    }
}
