//! The same in other languages than JSON.

use super::{Ask, EVENTS, LEASES, MAPS, PROTOBUF, SERVICES, SLICES, ask};

const YAML: &str = "application/yaml";
const CORE: &str = "/api/v1/namespaces/demo";

pub(super) fn all() -> Vec<Ask> {
    let mut all = in_protobuf();
    all.extend(refused());
    all.push(ask(
        "create in YAML",
        "POST",
        MAPS,
        YAML,
        "metadata:\n  name: yaml\ndata:\n  a: |\n    b\n",
    ));
    all
}

fn in_protobuf() -> Vec<Ask> {
    let create = |path: &str, body: &str| {
        let item = format!("create in protobuf at {path}");
        let answered = Ask {
            accept: PROTOBUF.to_owned(),
            ..ask(&item, "POST", path, PROTOBUF, body)
        };
        let path = format!("{path}/pb");
        [answered, super::get(&path, ""), super::get(&path, PROTOBUF)]
    };
    let update =
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"pb"},"data":{"a":"c"}}"#;
    let mut all: Vec<Ask> = CREATED
        .iter()
        .flat_map(|(path, body)| create(path, body))
        .collect();
    all.push(ask(
        "update in protobuf",
        "PUT",
        &format!("{MAPS}/pb"),
        PROTOBUF,
        update,
    ));
    all
}

const CREATED: [(&str, &str); 8] = [
    (
        MAPS,
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"pb"},"data":{"a":"b"},"binaryData":{"c":"AP8="}}"#,
    ),
    (
        "/api/v1/namespaces/demo/secrets",
        r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"pb"},"data":{"c":"AP8="},"stringData":{"d":"e"}}"#,
    ),
    (
        SERVICES,
        r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"pb","labels":{"a":"b"}},"spec":{"ports":[{"name":"http","port":80,"targetPort":"http"},{"name":"x","port":81}],"selector":{"a":"b"}}}"#,
    ),
    (
        "/api/v1/namespaces/demo/endpoints",
        r#"{"kind":"Endpoints","apiVersion":"v1","metadata":{"name":"pb"},"subsets":[{"addresses":[{"ip":"10.1.0.1"}],"ports":[{"port":80}]}]}"#,
    ),
    (
        SLICES,
        r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"pb"},"addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"],"conditions":{"ready":false}}],"ports":[{"name":"","port":80}]}"#,
    ),
    (
        LEASES,
        r#"{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"pb"},"spec":{"holderIdentity":"a","renewTime":"2026-01-01T00:00:00.123456Z"}}"#,
    ),
    (
        EVENTS,
        r#"{"kind":"Event","apiVersion":"events.k8s.io/v1","metadata":{"name":"pb"},"eventTime":"2026-01-01T00:00:00.000000Z","reportingController":"x","reportingInstance":"y","action":"a","reason":"r","type":"Normal","note":"hello","regarding":{"kind":"Service","name":"web","namespace":"demo"}}"#,
    ),
    (
        "/api/v1/namespaces",
        r#"{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"pb"}}"#,
    ),
];

fn refused() -> Vec<Ask> {
    let refuse = |what: &str, body: &str| {
        let item = format!("refuse in protobuf {what}");
        ask(&item, "POST", MAPS, PROTOBUF, body)
    };
    vec![
        refuse("nothing", ""),
        refuse("what is none", "what is none"),
        refuse("a message that is cut", "k8s\0\n\u{7f}"),
        refuse(
            "another kind",
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}"#,
        ),
        refuse(
            "what exists",
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"pb"}}"#,
        ),
        ask(
            "refuse a language",
            "POST",
            &format!("{CORE}/configmaps"),
            "text/plain",
            "x",
        ),
        ask("refuse YAML that is none", "POST", MAPS, YAML, "a: [b"),
    ]
}
