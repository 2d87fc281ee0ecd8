//! Everything that might tell of what must not be seen.

use super::{SERVICES, SLICES};

/// Paths, and how they are to be answered.
pub(super) fn questions() -> Vec<(String, &'static str)> {
    const JSON: &str = "application/json";
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let mut questions = Vec::new();
    let endpoints = "/api/v1/endpoints";
    for collection in [SERVICES, SLICES, endpoints, "/api/v1/namespaces"] {
        for accept in [
            JSON,
            TABLE,
            METADATA,
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ] {
            questions.push((collection.to_owned(), accept));
        }
        for query in [
            "limit=1",
            "limit=2",
            "resourceVersion=0",
            "labelSelector=team%3Dred",
            "labelSelector=team",
            "labelSelector=%21nothing",
            "fieldSelector=metadata.namespace%3Dvault",
            "fieldSelector=metadata.name%3Dmine-red7x",
            "fieldSelector=metadata.name%21%3Dmine-a",
            "watch=1&timeoutSeconds=1",
            "watch=1&timeoutSeconds=1&allowWatchBookmarks=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan",
        ] {
            questions.push((format!("{collection}?{query}"), JSON));
            questions.push((format!("{collection}?{query}"), TABLE));
        }
    }
    let others = PATHS.iter().map(|path| ((*path).to_owned(), JSON));
    questions.extend(others);
    questions
}

const PATHS: &[&str] = &[
    "/api/v1/namespaces/demo/services/mine-red7x",
    "/api/v1/namespaces/demo/services/mine-red7x/status",
    "/api/v1/namespaces/demo/endpoints/mine-red7x",
    "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/mine-red7x-1",
    "/api/v1/namespaces/vault/services",
    "/api/v1/namespaces/vault/services/red7x",
    "/api/v1/namespaces/vault",
    "/api/v1/watch/services?timeoutSeconds=1",
    "/api/v1/watch/namespaces/demo/services/mine-red7x?timeoutSeconds=1",
    "/",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/discovery.k8s.io/v1",
    "/version",
    "/openapi/v3",
    "/metrics",
    "/debug/consumers",
    "/debug",
    "/status",
    "/livez?verbose",
    "/readyz?verbose",
    "/apis/about.k8s.io/v1beta1/clusterproperties",
    "/api/v1/namespaces/kube-system",
    "/api/v1/pods",
    "/red7x",
];
