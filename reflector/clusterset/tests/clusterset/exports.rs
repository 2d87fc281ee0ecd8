//! Which Services are exported, and what their ServiceExports report.

use serde_json::json;

use crate::lab::{Lab, exported, http, service, slice};

fn reason(lab: &Lab, condition: &str) -> (String, String) {
    let (status, reason, _) = lab.condition(condition).unwrap_or_default();
    (status, reason)
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_service_is_exported_by_its_export_alone() {
    let mut lab = Lab::new();
    lab.service("west", &http());
    lab.slice("west", &slice("web-1", "10.2.0.1"));
    assert_eq!(lab.settle(), [""; 0]);
    lab.export("west", &exported("2025-01-01T00:00:00Z"));
    lab.settle();
    assert!(lab.import().is_some());
    lab.unexport("west");
    lab.settle();
    assert!(lab.objects.is_empty(), "{:?}", lab.objects.keys());
}

#[test]
fn an_export_may_come_before_its_service() {
    let mut lab = Lab::new();
    lab.export("east", &exported("2025-01-01T00:00:00Z"));
    lab.settle();
    assert_eq!(reason(&lab, "Valid"), is("False", "NoService"));
    assert_eq!(reason(&lab, "Ready"), is("False", "Pending"));
    assert!(lab.import().is_none());
    lab.service("east", &http());
    lab.settle();
    assert_eq!(reason(&lab, "Valid"), is("True", "Valid"));
    assert_eq!(reason(&lab, "Ready"), is("True", "Ready"));
    assert_eq!(reason(&lab, "Conflict"), is("False", "NoConflicts"));
    assert!(lab.import().is_some());
}

#[test]
fn an_external_name_is_not_exported() {
    let mut lab = Lab::new();
    let mut external = http();
    external["spec"]["type"] = json!("ExternalName");
    external["spec"]["externalName"] = json!("example.com");
    lab.service("east", &external);
    lab.export("east", &exported("2025-01-01T00:00:00Z"));
    lab.settle();
    assert_eq!(reason(&lab, "Valid"), is("False", "InvalidServiceType"));
    assert!(lab.import().is_none());
}

#[test]
fn a_copy_of_another_clusters_service_is_never_exported_again() {
    let mut lab = Lab::new();
    let mut mirror = http();
    mirror["metadata"]["labels"] = json!({"heliograph.dev/source": "north"});
    mirror["metadata"]["annotations"] = json!({"heliograph.dev/source-service": "demo/web"});
    lab.service("east", &mirror);
    lab.export("east", &exported("2025-01-01T00:00:00Z"));
    lab.settle();
    assert_eq!(reason(&lab, "Valid"), is("False", "InvalidServiceType"));
    assert!(lab.import().is_none());
}

#[test]
fn only_exported_labels_and_annotations_travel() {
    let mut lab = Lab::new();
    let mut labeled = http();
    labeled["metadata"]["labels"] = json!({"private": "yes"});
    lab.service("west", &labeled);
    let mut export = exported("2025-01-01T00:00:00Z");
    export["metadata"]["labels"] = json!({"mine": "yes"});
    export["spec"] = json!({"exportedLabels": {"team": "a"}, "exportedAnnotations": {"note": "b"}});
    lab.export("west", &export);
    lab.settle();
    let metadata = &lab.import().unwrap()["metadata"];
    assert_eq!(
        metadata["labels"],
        json!({"team": "a", "app.kubernetes.io/managed-by": "heliograph"})
    );
    assert_eq!(metadata["annotations"]["note"], json!("b"));
    let own = ["clusterset", "exported-by"].map(|it| format!("heliograph.dev/{it}"));
    let annotations = metadata["annotations"].as_object().unwrap().keys();
    let others = annotations.filter(|it| !own.contains(it));
    assert_eq!(
        others.collect::<Vec<_>>(),
        ["multicluster.kubernetes.io/derived-service", "note"]
    );
    // Another export takes them back.
    lab.export("west", &exported("2025-01-01T00:00:00Z"));
    lab.settle();
    assert_eq!(
        lab.import().unwrap()["metadata"]["labels"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn closed_namespaces_are_not_exported() {
    let mut lab = Lab::new();
    lab.namespace("kube-system", true);
    let mut object = http();
    object["metadata"]["namespace"] = json!("kube-system");
    lab.service("west", &object);
    let mut export = exported("2025-01-01T00:00:00Z");
    export["metadata"]["namespace"] = json!("kube-system");
    lab.export("west", &export);
    assert_eq!(lab.settle(), [""; 0]);
}

#[test]
fn conditions_of_other_writers_stay() {
    let mut lab = Lab::new();
    lab.service("east", &http());
    let mut export = exported("2025-01-01T00:00:00Z");
    export["status"] = json!({"conditions": [{
        "type": "Other", "status": "True", "reason": "Theirs", "message": "",
        "lastTransitionTime": "2020-01-01T00:00:00Z",
    }]});
    lab.export("east", &export);
    lab.settle();
    assert_eq!(reason(&lab, "Other"), is("True", "Theirs"));
    assert_eq!(reason(&lab, "Valid"), is("True", "Valid"));
}

#[test]
fn node_ports_and_load_balancers_count_as_cluster_ips() {
    for kind in ["NodePort", "LoadBalancer"] {
        let mut lab = Lab::new();
        let mut object = service(&json!([{"name": "http", "port": 80, "nodePort": 30080}]));
        object["spec"]["type"] = json!(kind);
        lab.service("west", &object);
        lab.export("west", &exported("2025-01-01T00:00:00Z"));
        lab.settle();
        assert_eq!(lab.import().unwrap()["spec"]["type"], json!("ClusterSetIP"));
        assert_eq!(
            lab.import().unwrap()["spec"]["ports"],
            json!([{"name": "http", "port": 80, "protocol": "TCP"}])
        );
    }
}
