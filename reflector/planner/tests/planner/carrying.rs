//! What comes along with a Service and its endpoints.

use reflector_planner::import::{MetadataFilter, Nodes};
use reflector_planner::{Import, SourcePolicy};
use serde_json::{Value, json};

use crate::lab::{Lab, prefixed};
use crate::object::{service, slice, with};

fn carrying(labels: &[&str], annotations: &[&str]) -> SourcePolicy {
    let patterns = |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect();
    let carry = MetadataFilter {
        labels: patterns(labels),
        annotations: patterns(annotations),
    };
    let import = Import {
        carry,
        ..Import::default()
    };
    SourcePolicy {
        import,
        ..prefixed("east")
    }
}

const WEB: &str = "mirrors/east-demo-73736d-web";

#[test]
fn only_listed_labels_and_annotations_come_along_and_leave_again() {
    let labelled = |labels: Value| {
        let service = with(service("demo/web"), "/metadata/labels", labels);
        with(
            service,
            "/metadata/annotations",
            json!({"team": "shop", "note": "x"}),
        )
    };
    let mut lab = Lab::new(vec![carrying(&["*"], &["team"])]);
    let labels = json!({
        "tier": "front", "app.kubernetes.io/name": "web", "app.kubernetes.io/managed-by": "Helm",
        "kubernetes.io/cluster-service": "true", "heliograph.dev/export": "true",
        "mirrored-svc": "false",
    });
    lab.list("east", &[labelled(labels)], &[]);
    lab.settle();
    let metadata = &lab.service(WEB)["metadata"];
    assert_eq!(
        metadata["labels"],
        json!({
            "app.kubernetes.io/managed-by": "heliograph", "app.kubernetes.io/name": "web",
            "heliograph.dev/source": "east", "mirror-svc-prefix-sync": "east",
            "mirrored-svc": "true", "tier": "front",
        })
    );
    assert_eq!(metadata["annotations"]["team"], "shop");
    assert!(metadata["annotations"]["note"].is_null());

    // What others add stays, what is edited is repaired, what is gone there goes.
    lab.edit(proto_types::Resource::Services, WEB, |it| {
        it["metadata"]["labels"]["mine"] = json!("yes");
        it["metadata"]["labels"]["tier"] = json!("edited");
    });
    lab.settle();
    assert_eq!(lab.service(WEB)["metadata"]["labels"]["tier"], "front");
    lab.apply_service("east", &labelled(json!({"app.kubernetes.io/name": "web"})));
    lab.settle();
    let labels = &lab.service(WEB)["metadata"]["labels"];
    assert!(labels["tier"].is_null(), "{labels}");
    assert_eq!(labels["mine"], "yes");
    assert_eq!(labels["app.kubernetes.io/name"], "web");

    // Another policy needs no memory of this one.
    let mut lab = lab.restarted();
    let none = crate::lab::policy(vec![prefixed("east")]);
    lab.reconfigure(none, &std::collections::HashSet::new());
    lab.list(
        "east",
        &[labelled(json!({"app.kubernetes.io/name": "web"}))],
        &[],
    );
    lab.settle();
    let metadata = &lab.service(WEB)["metadata"];
    assert!(
        metadata["labels"]["app.kubernetes.io/name"].is_null(),
        "{metadata}"
    );
    assert!(metadata["annotations"]["team"].is_null(), "{metadata}");
    assert_eq!(metadata["labels"]["mine"], "yes");
}

#[test]
fn nodes_are_named_where_that_is_wanted() {
    let shown = |nodes| {
        let import = Import {
            nodes,
            ..Import::default()
        };
        let mut lab = Lab::new(vec![SourcePolicy {
            import,
            ..prefixed("east")
        }]);
        let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
        lab.list("east", &[service("demo/web")], &slices);
        lab.settle();
        lab.slice()["endpoints"][0]["nodeName"].clone()
    };
    assert!(shown(Nodes::Unnamed).is_null());
    assert_eq!(shown(Nodes::Named), "node-1");
}
