//! What there is, for clients that ask before they do anything.

use serde_json::{Value, json};

use crate::Kind;
use crate::route::Document;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// A document, in its plain form.
pub(crate) fn plain(document: &Document, address: &str) -> String {
    let text = match document {
        Document::Root => json!({ "paths": paths() }),
        Document::Version => version(),
        Document::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
        }),
        Document::Groups => {
            let groups: Vec<Value> = groups().into_iter().map(group).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        Document::Group(name) => {
            let mut group = group(name);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        Document::Resources(root) => resources(root),
        Document::Schemas => schemas(),
        Document::Schema(root) => schema(root),
    };
    text.to_string()
}

/// `/api` or `/apis` for clients that want everything in one answer.
pub(crate) fn aggregated(document: &Document) -> String {
    let roots: Vec<(&str, &str)> = match document {
        Document::CoreVersions => vec![("", "/api/v1")],
        _ => groups()
            .into_iter()
            .map(|group| (group, root_of(group)))
            .collect(),
    };
    let items = roots.into_iter().map(|(group, root)| {
        let kinds = kinds_under(root).map(aggregated_entry);
        let metadata = match group {
            "" => json!({}),
            name => json!({ "name": name }),
        };
        let resources: Vec<Value> = kinds.collect();
        json!({
            "metadata": metadata,
            "versions": [{
                "version": version_of(root), "resources": resources, "freshness": "Current",
            }],
        })
    });
    let items: Vec<Value> = items.collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
    .to_string()
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = Kind::ALL.iter().map(|kind| kind.names().group).collect();
    groups.retain(|group| !group.is_empty());
    groups.dedup();
    groups
}

fn root_of(group: &str) -> &'static str {
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.names().group == group);
    kind.map_or("", |kind| kind.names().root)
}

fn version_of(root: &str) -> &str {
    root.rsplit('/').next().unwrap_or_default()
}

fn kinds_under(root: &str) -> impl Iterator<Item = Kind> {
    Kind::ALL
        .into_iter()
        .filter(move |kind| kind.names().root == root)
}

fn roots() -> Vec<&'static str> {
    let mut roots: Vec<&str> = Kind::ALL.iter().map(|kind| kind.names().root).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn paths() -> Vec<String> {
    let mut paths: Vec<String> = [
        "/api",
        "/apis",
        "/healthz",
        "/livez",
        "/openapi/v3",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    paths.extend(roots().into_iter().map(str::to_owned));
    paths.extend(groups().into_iter().map(|group| format!("/apis/{group}")));
    paths.sort();
    paths
}

fn group(name: &str) -> Value {
    let version = version_of(root_of(name));
    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.3+embedded",
        "gitCommit": "unknown",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

fn verbs(kind: Kind) -> Vec<&'static str> {
    let is_possible = |verb: &&str| kind != Kind::Namespaces || *verb != "deletecollection";
    VERBS.into_iter().filter(is_possible).collect()
}

fn resources(root: &str) -> Value {
    let mut list = Vec::new();
    for kind in kinds_under(root) {
        let names = kind.names();
        let mut entry = json!({
            "name": names.plural,
            "singularName": names.singular,
            "namespaced": kind.is_namespaced(),
            "kind": names.kind,
            "verbs": verbs(kind),
        });
        with_nicknames(kind, &mut entry);
        list.push(entry);
        if kind.has_status() {
            list.push(json!({
                "name": format!("{}/status", names.plural),
                "singularName": "",
                "namespaced": kind.is_namespaced(),
                "kind": names.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let group_version = root
        .trim_start_matches("/apis/")
        .trim_start_matches("/api/");
    let mut document =
        json!({ "kind": "APIResourceList", "groupVersion": group_version, "resources": list });
    // The core group's document has never had an apiVersion.
    if root != "/api/v1" {
        document["apiVersion"] = "v1".into();
    }
    document
}

fn aggregated_entry(kind: Kind) -> Value {
    let names = kind.names();
    let scope = match kind.is_namespaced() {
        true => "Namespaced",
        false => "Cluster",
    };
    let response_kind =
        json!({ "group": names.group, "version": kind.version(), "kind": names.kind });
    let mut entry = json!({
        "resource": names.plural,
        "responseKind": response_kind,
        "scope": scope,
        "singularResource": names.singular,
        "verbs": verbs(kind),
    });
    with_nicknames(kind, &mut entry);
    if kind.has_status() {
        entry["subresources"] = json!([{
            "subresource": "status",
            "responseKind": response_kind,
            "verbs": ["get", "patch", "update"],
        }]);
    }
    entry
}

fn with_nicknames(kind: Kind, entry: &mut Value) {
    if let Some(short) = kind.names().short {
        entry["shortNames"] = json!([short]);
    }
    if kind == Kind::Services {
        entry["categories"] = json!(["all"]);
    }
}

fn schemas() -> Value {
    let paths = roots().into_iter().map(|root| {
        let url = json!({ "serverRelativeURL": format!("/openapi/v3{root}") });
        (root.trim_start_matches('/').to_owned(), url)
    });
    let paths: serde_json::Map<String, Value> = paths.collect();
    json!({ "paths": paths })
}

/// So much of a schema that clients leave validation to the server.
fn schema(root: &str) -> Value {
    let mut paths = serde_json::Map::new();
    let mut schemas = serde_json::Map::new();
    for kind in kinds_under(root) {
        let names = kind.names();
        let gvk = json!({ "group": names.group, "version": kind.version(), "kind": names.kind });
        let namespaces = match kind.is_namespaced() {
            true => "/namespaces/{namespace}",
            false => "",
        };
        let path = format!("{root}{namespaces}/{}/{{name}}", names.plural);
        let parameter =
            |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
        let parameters = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
        let patch = json!({ "parameters": parameters, "x-kubernetes-group-version-kind": gvk });
        paths.insert(path, json!({ "patch": patch }));
        let schema = json!({ "type": "object", "x-kubernetes-group-version-kind": [gvk] });
        let version = kind.version();
        let name = format!(
            "io.k8s.api.{}.{version}.{}",
            kind.form().package,
            names.kind
        );
        schemas.insert(name, schema);
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "v1.36.3+embedded" },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}
