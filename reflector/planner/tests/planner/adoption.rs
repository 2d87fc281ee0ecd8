//! Mirrors of the replaced programs become ours as they are.

use proto_types::{ObjectKey, Resource};
use reflector_planner::SourcePolicy;
use serde_json::{Value, json};

use crate::lab::{Lab, prefixed, same_name};
use crate::object::{service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

fn marked(key: &str, field: &str, marks: Value) -> Value {
    let object = with(service(key), &format!("/metadata/{field}"), marks);
    let spec = json!({"type": "ClusterIP", "ports": [{"port": 1}]});
    with(
        with(object, "/spec", spec),
        "/metadata/uid",
        json!("theirs"),
    )
}

/// What is done where that Service, and Endpoints with the same marks, are in the place.
#[track_caller]
fn check(policy: SourcePolicy, there: &Value, expected: &[&str]) -> Lab {
    let mut lab = Lab::new(vec![policy]);
    let name = there["metadata"]["name"].as_str().unwrap();
    let key = ObjectKey::new(there["metadata"]["namespace"].as_str().unwrap(), name);
    lab.cluster
        .put(&(Resource::Services, key.clone()), there.clone());
    let endpoints = json!({"metadata": there["metadata"]});
    lab.cluster
        .objects
        .insert((Resource::Endpoints, key), endpoints);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    let writes = lab.settle();
    let verbs: Vec<_> = writes.iter().map(|it| it.split(' ').take(2)).collect();
    let verbs = verbs.into_iter().map(|it| it.collect::<Vec<_>>().join(" "));
    assert_eq!(verbs.collect::<Vec<_>>(), expected, "{writes:?}");
    lab
}

const ADOPTED: [&str; 4] = [
    "create Service",
    "create EndpointSlice",
    "delete Endpoints",
    "update Service",
];

/// Tried, and once more when that is known.
const REFUSED: [&str; 2] = ["create Service", "create Service"];

#[test]
fn semaphores_mirror_becomes_ours_and_keeps_its_uid() {
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    let there = marked(WEB, "labels", labels);
    let mut lab = check(prefixed("east"), &there, &ADOPTED);
    assert_eq!(lab.service(WEB)["metadata"]["uid"], "theirs");
    let source = &lab.service(WEB)["metadata"]["labels"]["heliograph.dev/source"];
    assert_eq!(source, "east");
    assert!(lab.problems().is_empty());
    lab.delete_service("east", "demo/web");
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn service_reflectors_mirror_becomes_ours_if_it_is_of_the_same_source() {
    let of = |url: &str| {
        let marks = json!({
            "service-reflector.squat.ai/reflected": "true",
            "service-reflector.squat.ai/source": url,
        });
        marked("demo/web", "annotations", marks)
    };
    let east = SourcePolicy {
        known_as: Some("http://east:8080".into()),
        ..same_name("east")
    };
    check(east.clone(), &of("http://east:8080/"), &ADOPTED);
    check(east, &of("http://west:8080"), &REFUSED);
    check(same_name("east"), &of("http://east:8080"), &REFUSED);
}

#[test]
fn an_object_with_other_marks_keeps_its_owner() {
    for labels in [
        json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "west"}),
        json!({"mirrored-svc": "false", "mirror-svc-prefix-sync": "east"}),
        json!({"mirror-svc-prefix-sync": "east"}),
    ] {
        let lab = check(prefixed("east"), &marked(WEB, "labels", labels), &REFUSED);
        assert_eq!(lab.problems()[0].cause.reason(), "AlreadyExists");
    }
}
