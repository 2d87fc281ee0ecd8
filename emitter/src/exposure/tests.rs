use proto_types::ResourceVersion;

use super::*;

fn object(resource: Resource, json: &Value) -> RawObject {
    RawObject::parse(resource, &json.to_string().into()).unwrap()
}

fn service(name: &str, revision: u64, labels: &Value) -> RawObject {
    let metadata = json!({
        "name": name, "namespace": "demo", "uid": name,
        "resourceVersion": revision.to_string(), "labels": labels,
    });
    object(
        Resource::Services,
        &json!({"metadata": metadata, "spec": {}}),
    )
}

fn slice(name: &str, service: &str) -> RawObject {
    let metadata = json!({
        "name": name, "namespace": "demo", "uid": name, "resourceVersion": "5",
        "labels": {"kubernetes.io/service-name": service},
    });
    object(Resource::EndpointSlices, &json!({"metadata": metadata}))
}

fn export(name: &str) -> RawObject {
    let json = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport",
        "metadata": {
            "name": name, "namespace": "demo", "uid": "e", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"secret": "x"},
            "annotations": {"secret": "x"}, "managedFields": [{}],
        },
        "spec": {"exportedLabels": {"team": "a"}, "tomorrow": 1},
        "status": {"conditions": [{"type": "Valid"}]},
    });
    RawObject::parse(Version::V1Alpha1.exports(), &json.to_string().into()).unwrap()
}

/// The ServiceExport with these annotations, as it is served.
fn annotated(annotations: &serde_json::Value) -> serde_json::Value {
    let mut json = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"name": "web", "namespace": "demo", "resourceVersion": "7"},
        "spec": {"clusterSelectors": [1]},
    });
    if !annotations.is_null() {
        json["metadata"]["annotations"] = annotations.clone();
    }
    let object = RawObject::parse(Version::V1Beta1.exports(), &json.to_string().into()).unwrap();
    match exports_as_served(Event::Applied(object)) {
        Event::Applied(served) => serde_json::from_slice(&served.json).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_the_annotations_of_an_export_only_cluster_selectors_are_served() {
    let selectors = json!({"heliograph.dev/cluster-selectors": "[]"});
    for (annotations, expected) in [
        (json!(null), json!(null)),
        (json!({}), json!(null)),
        (json!({"secret": "x"}), json!(null)),
        (json!({"heliograph.dev/cluster-selectors": 1}), json!(null)),
        (selectors.clone(), selectors),
    ] {
        let served = annotated(&annotations);
        assert_eq!(served["metadata"]["annotations"], expected, "{annotations}");
        assert_eq!(served["spec"]["clusterSelectors"], json!([1]));
    }
}

fn listing(objects: Vec<RawObject>) -> Event {
    Event::Listed(Listing::confirmed(ResourceVersion::new(10), objects))
}

fn names(event: &Event) -> Vec<&str> {
    match event {
        Event::Listed(listing) => listing.objects.iter().map(|it| it.key.name()).collect(),
        Event::Applied(object) | Event::Deleted(object) => vec![object.key.name()],
        _ => Vec::new(),
    }
}

async fn opened(selector: Option<&str>, exports: &[&str]) -> (Arc<Exposure>, Sieve) {
    let exposure = Exposure::new(selector.map(|it| it.parse().unwrap()));
    let mut sieve = Sieve::new(&exposure, Resource::Services);
    exposure.apply(&listing(exports.iter().map(|it| export(it)).collect()));
    sieve.opened().await;
    (exposure, sieve)
}

#[tokio::test]
async fn an_object_is_shown_that_is_selected_or_exported() {
    let (_, mut sieve) = opened(Some("share=yes"), &["web"]).await;
    let passed = sieve.pass(listing(vec![
        service("web", 1, &json!({})),
        service("labelled", 2, &json!({"share": "yes"})),
        service("private", 3, &json!({})),
    ]));
    assert_eq!(names(&passed), ["web", "labelled"]);
    let (_, mut sieve) = opened(None, &["web"]).await;
    let passed = sieve.pass(listing(vec![
        service("web", 1, &json!({})),
        service("labelled", 2, &json!({"share": "yes"})),
    ]));
    assert_eq!(
        names(&passed),
        ["web"],
        "without a selector, exports decide"
    );
}

#[tokio::test]
async fn an_object_that_leaves_is_deleted_and_a_hidden_one_is_progress() {
    let (_, mut sieve) = opened(Some("share=yes"), &[]).await;
    sieve.pass(listing(vec![service("web", 1, &json!({"share": "yes"}))]));
    let left = sieve.pass(Event::Applied(service("web", 11, &json!({}))));
    assert!(matches!(&left, Event::Deleted(it) if it.revision == ResourceVersion::new(11)));
    let hidden = sieve.pass(Event::Applied(service("web", 12, &json!({}))));
    assert!(matches!(hidden, Event::Progress(it) if it == ResourceVersion::new(12)));
    let hidden = sieve.pass(Event::Deleted(service("web", 13, &json!({}))));
    assert!(matches!(hidden, Event::Progress(_)));
}

#[tokio::test]
async fn an_export_shows_and_hides_what_has_no_event() {
    let (exposure, mut sieve) = opened(Some("share=yes"), &[]).await;
    let web = service("web", 1, &json!({}));
    let both = service("both", 2, &json!({"share": "yes"}));
    sieve.pass(listing(vec![web.clone(), both.clone()]));
    exposure.apply(&Event::Applied(export("web")));
    assert_eq!(sieve.turned().await, [Turned::Shown(web.clone())]);
    // What is selected anyway does not turn.
    exposure.apply(&Event::Applied(export("both")));
    assert_eq!(sieve.turned().await, []);
    exposure.apply(&Event::Deleted(export("both")));
    assert_eq!(sieve.turned().await, []);
    exposure.apply(&Event::Deleted(export("web")));
    assert_eq!(sieve.turned().await, [Turned::Hidden(web.key)]);
}

#[tokio::test]
async fn slices_follow_the_export_of_their_service() {
    let exposure = Exposure::new(None);
    let mut sieve = Sieve::new(&exposure, Resource::EndpointSlices);
    exposure.apply(&listing(vec![]));
    sieve.opened().await;
    sieve.pass(listing(vec![
        slice("web-1", "web"),
        slice("web-2", "web"),
        slice("other-1", "other"),
    ]));
    exposure.apply(&Event::Applied(export("web")));
    let turned = sieve.turned().await;
    assert_eq!(turned.len(), 2, "{turned:?}");
    let is_web = |it: &Turned| matches!(it, Turned::Shown(it) if it.key.name().starts_with("web"));
    assert!(turned.iter().all(is_web));
    let labels = slice("web-1", "web").labels;
    let key = ObjectKey::new("demo", "web-1");
    assert!(exposure.shows(Resource::EndpointSlices, &key, &labels));
    assert!(!exposure.shows(Resource::EndpointSlices, &key, &Labels::new()));
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_before_exports_were_listed() {
    let exposure = Exposure::new(Some("share=yes".parse().unwrap()));
    let mut sieve = Sieve::new(&exposure, Resource::Services);
    exposure.apply(&Event::Applied(export("web")));
    let opening = tokio::time::timeout(std::time::Duration::from_secs(60), sieve.opened());
    assert!(opening.await.is_err(), "an event is no list");
    exposure.apply(&listing(vec![]));
    sieve.opened().await;
}

#[test]
fn an_export_leaves_without_its_status_and_labels() {
    let served = exports_as_served(Event::Applied(export("web")));
    let Event::Applied(served) = served else {
        panic!("{served:?}");
    };
    let json: Value = serde_json::from_slice(&served.json).unwrap();
    assert_eq!(
        json,
        json!({
            "kind": "ServiceExport", "apiVersion": "multicluster.x-k8s.io/v1beta1",
            "metadata": {
                "name": "web", "namespace": "demo", "uid": "e", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"exportedLabels": {"team": "a"}},
        })
    );
}
