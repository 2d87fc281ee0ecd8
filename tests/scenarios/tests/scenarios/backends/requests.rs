//! What is asked, in this order.

mod applying;
mod bodies;
mod others;
mod owning;

/// A request, and what it is called in the list of differences.
pub(super) struct Ask {
    pub(super) item: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) media_type: String,
    pub(super) accept: String,
    pub(super) body: String,
}

/// Bodies of this type stand here as JSON.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

const SERVICES: &str = "/api/v1/namespaces/demo/services";
const WEB: &str = "/api/v1/namespaces/demo/services/web";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
const MAPS: &str = "/api/v1/namespaces/demo/configmaps";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/demo/leases";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/demo/events";

fn ask(item: &str, method: &str, path: &str, media_type: &str, body: &str) -> Ask {
    Ask {
        item: item.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        media_type: media_type.to_owned(),
        accept: String::new(),
        body: body.to_owned(),
    }
}

fn post(item: &str, path: &str, body: &str) -> Ask {
    ask(item, "POST", path, JSON, body)
}

fn put(item: &str, path: &str, body: &str) -> Ask {
    ask(item, "PUT", path, JSON, body)
}

fn patch(item: &str, path: &str, media_type: &str, body: &str) -> Ask {
    ask(item, "PATCH", path, media_type, body)
}

fn delete(item: &str, path: &str, body: &str) -> Ask {
    ask(item, "DELETE", path, JSON, body)
}

fn get(path: &str, accept: &str) -> Ask {
    Ask {
        accept: accept.to_owned(),
        ..ask(
            format!("GET {path} {accept}").trim_end(),
            "GET",
            path,
            "",
            "",
        )
    }
}

/// Everything that is asked.
pub(super) fn all() -> Vec<Ask> {
    let mut all = creations();
    all.extend(refused_services());
    all.extend(refused_requests());
    all.extend(updates());
    all.extend(merges());
    all.extend(other_patches());
    all.extend(others::slices());
    all.extend(others::other_kinds());
    all.extend(bodies::all());
    all.extend(applying::all());
    all.extend(reads());
    all.extend(others::deletions());
    all
}

fn service(name: &str, spec: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{spec}}}"#)
}

fn creations() -> Vec<Ask> {
    let create = |name: &str, spec: &str| {
        post(
            &format!("create service {name}"),
            SERVICES,
            &service(name, spec),
        )
    };
    vec![
        post(
            "create namespace",
            "/api/v1/namespaces",
            r#"{"metadata":{"name":"demo"}}"#,
        ),
        create("web", r#"{"ports":[{"port":80}]}"#),
        create("headless", r#"{"clusterIP":"None","ports":[{"port":80}]}"#),
        create(
            "headless-pods",
            r#"{"clusterIP":"None","selector":{"a":"b"},"ports":[{"port":80}]}"#,
        ),
        create(
            "external",
            r#"{"type":"ExternalName","externalName":"a.b"}"#,
        ),
        create(
            "affinity",
            r#"{"sessionAffinity":"ClientIP","ports":[{"port":80}]}"#,
        ),
        create(
            "prefer",
            r#"{"ipFamilyPolicy":"PreferDualStack","ports":[{"port":80}]}"#,
        ),
        create(
            "named-target",
            r#"{"ports":[{"port":80,"targetPort":"http"}]}"#,
        ),
        create(
            "port-31000",
            r#"{"type":"NodePort","ports":[{"port":80,"nodePort":31000}]}"#,
        ),
    ]
}

fn refused_services() -> Vec<Ask> {
    let refused = |what: &str, name: &str, spec: &str| {
        post(&format!("refuse {what}"), SERVICES, &service(name, spec))
    };
    let port = r#"{"ports":[{"port":80}]}"#;
    vec![
        refused("what exists", "web", port),
        refused("no ports", "bad", "{}"),
        refused("a name in capitals", "Bad", port),
        refused("port 0", "bad", r#"{"ports":[{"port":0}]}"#),
        refused(
            "unnamed ports",
            "bad",
            r#"{"ports":[{"port":80},{"port":81}]}"#,
        ),
        refused(
            "a protocol",
            "bad",
            r#"{"ports":[{"port":80,"protocol":"X"}]}"#,
        ),
        refused("a type", "bad", r#"{"type":"X","ports":[{"port":80}]}"#),
        refused("no external name", "bad", r#"{"type":"ExternalName"}"#),
        refused(
            "an address elsewhere",
            "bad",
            r#"{"clusterIP":"1.2.3.4","ports":[{"port":80}]}"#,
        ),
        refused(
            "no address",
            "bad",
            r#"{"clusterIP":"x","ports":[{"port":80}]}"#,
        ),
        refused(
            "addresses alone",
            "bad",
            r#"{"clusterIPs":["10.96.9.9"],"ports":[{"port":80}]}"#,
        ),
        refused(
            "dual stack",
            "bad",
            r#"{"ipFamilyPolicy":"RequireDualStack","ports":[{"port":80}]}"#,
        ),
        refused(
            "a family",
            "bad",
            r#"{"ipFamilies":["IPv6"],"ports":[{"port":80}]}"#,
        ),
        refused(
            "a node port that is taken",
            "bad",
            r#"{"type":"NodePort","ports":[{"port":80,"nodePort":31000}]}"#,
        ),
        refused("a port that is text", "bad", r#"{"ports":[{"port":"80"}]}"#),
    ]
}

fn refused_requests() -> Vec<Ask> {
    let port = r#"{"ports":[{"port":80}]}"#;
    vec![
        post(
            "refuse no namespace",
            "/api/v1/namespaces/nope/services",
            &service("web", port),
        ),
        post(
            "refuse another kind",
            SERVICES,
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}"#,
        ),
        post("refuse no JSON", SERVICES, ""),
        post(
            "refuse unknown fields",
            &format!("{SERVICES}?fieldValidation=Strict"),
            r#"{"metadata":{"name":"x","labelz":{}},"spec":{"ports":[{"port":80,"protocoll":"X"}]}}"#,
        ),
        post(
            "refuse a dry run",
            &format!("{SERVICES}?dryRun=x"),
            &service("x", port),
        ),
        post(
            "refuse another namespace",
            SERVICES,
            r#"{"metadata":{"name":"x","namespace":"other"},"spec":{"ports":[{"port":80}]}}"#,
        ),
        put("refuse to update all", SERVICES, &service("x", port)),
        get("/api/v1/nonsense", ""),
        get("/nonsense", ""),
    ]
}

fn updates() -> Vec<Ask> {
    let versioned = |version: &str, uid: &str| {
        format!(
            r#"{{"metadata":{{"name":"web","resourceVersion":"{version}","uid":"{uid}"}},"spec":{{"ports":[{{"port":82}}]}}}}"#
        )
    };
    vec![
        put(
            "update without a version",
            WEB,
            &service("web", r#"{"ports":[{"port":81}]}"#),
        ),
        put("update an old version", WEB, &versioned("1", "")),
        put("update the present version", WEB, &versioned("$RV", "$UID")),
        put("update with nothing new", WEB, &versioned("$RV", "$UID")),
        put("update another name", WEB, &service("other", "{}")),
        put(
            "update another uid",
            WEB,
            &versioned("", "00000000-0000-4000-8000-000000000000"),
        ),
    ]
}

fn merges() -> Vec<Ask> {
    vec![
        patch(
            "merge labels",
            WEB,
            MERGE,
            r#"{"metadata":{"labels":{"a":"b","c":"d"}}}"#,
        ),
        patch(
            "merge a label away",
            WEB,
            MERGE,
            r#"{"metadata":{"labels":{"c":null}}}"#,
        ),
        patch(
            "merge another address",
            WEB,
            MERGE,
            r#"{"spec":{"clusterIP":"10.96.0.9"}}"#,
        ),
        patch(
            "merge into headless",
            WEB,
            MERGE,
            r#"{"spec":{"clusterIP":"None"}}"#,
        ),
        patch(
            "merge another version",
            WEB,
            MERGE,
            r#"{"metadata":{"resourceVersion":"1"}}"#,
        ),
        patch(
            "merge another name",
            WEB,
            MERGE,
            r#"{"metadata":{"name":"x"}}"#,
        ),
        patch(
            "merge into nothing",
            &format!("{SERVICES}/nope"),
            MERGE,
            "{}",
        ),
    ]
}

fn other_patches() -> Vec<Ask> {
    vec![
        patch(
            "operations",
            WEB,
            OPERATIONS,
            r#"[{"op":"add","path":"/metadata/labels/x","value":"y"}]"#,
        ),
        patch(
            "strategic ports",
            WEB,
            STRATEGIC,
            r#"{"spec":{"$setElementOrder/ports":[{"port":90},{"port":82}],"ports":[{"name":"b","port":90},{"name":"a","port":82}]}}"#,
        ),
        patch(
            "strategic port away",
            WEB,
            STRATEGIC,
            r#"{"spec":{"ports":[{"$patch":"delete","port":90}]}}"#,
        ),
        patch(
            "into an external name",
            WEB,
            MERGE,
            r#"{"spec":{"type":"ExternalName","externalName":"a.b"}}"#,
        ),
        patch(
            "and back",
            WEB,
            MERGE,
            r#"{"spec":{"type":"ClusterIP","externalName":null}}"#,
        ),
        patch(
            "into a node port and back",
            WEB,
            MERGE,
            r#"{"spec":{"type":"ClusterIP"}}"#,
        ),
        patch("no known patch", WEB, "text/plain", "x"),
    ]
}

fn reads() -> Vec<Ask> {
    let query = |query: &str| get(&format!("{SERVICES}?{query}"), "");
    vec![
        get(SERVICES, ""),
        get(SERVICES, TABLE),
        get(SLICES, TABLE),
        get(MAPS, TABLE),
        get(LEASES, TABLE),
        get("/api/v1/namespaces/demo", TABLE),
        get("/api/v1/namespaces/demo/secrets", TABLE),
        query("labelSelector=a%3Db"),
        query("labelSelector=a%20b"),
        query("fieldSelector=spec.type%3DExternalName"),
        query("fieldSelector=spec.nonsense%3Dx"),
        query("limit=2"),
        query("limit=x"),
        query("resourceVersion=x"),
        query("resourceVersionMatch=Exact"),
        query("watch=1&resourceVersion=$RV&timeoutSeconds=1&labelSelector=a%3Db"),
        query("watch=1&timeoutSeconds=1&labelSelector=a%3Db"),
        get("/api/v1/namespaces?fieldSelector=metadata.name%3Ddemo", ""),
        get(
            "/api/v1/namespaces?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Ddemo",
            "",
        ),
        get("/apis/discovery.k8s.io", ""),
        get("/apis/coordination.k8s.io", ""),
        get("/readyz", ""),
        get("/version", ""),
        get("/api", ""),
    ]
}
