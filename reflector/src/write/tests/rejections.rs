//! Writes that fail for one object, and for reasons that only it has.

use super::*;

fn internal(message: &str) -> Value {
    let message = format!("Internal error occurred: {message}");
    let status = Status::failure(500, "InternalError", message);
    serde_json::from_str(&status.to_json()).unwrap()
}

#[tokio::test]
async fn a_failure_of_one_object_is_its_problem_with_the_servers_message() {
    for message in [
        "failed to allocate a serviceIP: range is full",
        "failed calling webhook \"w\": connection refused",
    ] {
        let index = index(&[service(Value::Null)], &[]);
        let outcome = perform(index, vec![(POST, 500, internal(message))]).await;
        assert_eq!(outcome.written.unavailable, None, "others are written");
        assert_eq!(outcome.written.again, Some(Requeue::WithBackoff));
        assert_eq!(outcome.problems(), ["WriteRejected"]);
        assert!(outcome.messages()[0].contains(message));
    }
    // Nothing can be written where etcd has no leader.
    let index = index(&[service(Value::Null)], &[]);
    let answers = vec![(POST, 500, status(500, "etcdserver: no leader"))];
    let outcome = perform(index, answers).await;
    assert!(outcome.written.unavailable.is_some());
}

#[tokio::test]
async fn finalizers_that_keep_a_mirror_are_named() {
    let mut kept = mirror();
    kept["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    kept["metadata"]["finalizers"] = json!(["example.com/wait"]);
    kept["metadata"]["resourceVersion"] = json!("8");
    let mut headless = service(Value::Null);
    headless["spec"]["clusterIP"] = json!("None");
    for index in [index(&[headless], &[mirror()]), world_without()] {
        let outcome = perform(index, vec![(DELETE, 200, kept.clone())]).await;
        assert_eq!(outcome.problems(), ["DeletionBlocked"]);
        assert!(outcome.messages()[0].contains("example.com/wait"));
        assert_eq!(outcome.written.again, Some(Requeue::WithBackoff));
    }
}

#[tokio::test]
async fn an_optional_field_that_the_server_rejects_does_not_cost_the_mirror() {
    let mut exported = service(Value::Null);
    exported["spec"]["trafficDistribution"] = json!("PreferSameZone");
    let mut rejected = status(422, "Service \"web\" is invalid");
    rejected["details"] = json!({"causes": [{
        "reason": "FieldValueNotSupported",
        "message": "Unsupported value: \"PreferSameZone\": supported values: \"PreferClose\"",
        "field": "spec.trafficDistribution",
    }]});
    let index = index(&[exported], &[]);
    let outcome = perform(index, vec![(POST, 422, rejected)]).await;
    assert_eq!(outcome.written.again, Some(Requeue::WithBackoff));
    assert_eq!(outcome.problems(), ["FieldNotSupported"]);
    assert!(outcome.messages()[0].contains("PreferClose"));
    let key = MirrorKey::new(ObjectKey::new("demo", "web"));
    let steps = steps(&plan(&outcome.index, &key), &key, outcome.index.local());
    let Write::Create(body) = &steps[0].write else {
        panic!("{steps:?}");
    };
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body["spec"]["trafficDistribution"], "PreferClose");
}
