//! What a hostile source tries, and does not get.

use reflector_planner::import::NameRules;
use reflector_planner::{Import, MissingNamespaces, Policy, SourcePolicy};
use serde_json::{Value, json};

use super::{addresses, guarded, lab, only, patterns, reasons};
use crate::cluster::Cluster;
use crate::lab::{Lab, policy, prefixed, same_name};
use crate::object::{service, slice, with};

fn same_name_of(source: &str, allow: &[&str]) -> SourcePolicy {
    SourcePolicy {
        import: Import {
            namespaces: only(allow),
            ..Import::default()
        },
        missing_namespaces: MissingNamespaces::Created,
        ..same_name(source)
    }
}

fn beside_west(allow: &[&str]) -> Lab {
    Lab::new(vec![same_name_of("evil", allow), prefixed("west")])
}

#[test]
fn closed_namespaces_are_opened_by_their_exact_names_alone() {
    let closed = [
        "com/google",
        "io/docker",
        "xn--p1ai/example",
        "internal/metadata",
        "svc/default",
        "local/cluster",
        "default/web",
        "kube-system/metrics-server",
        "kube-node-lease/web",
        "heliograph/emitter",
        "mirrors/web",
    ];
    for allow in [&[][..], &["*"], &["c*", "kube-*", "mirrors*", "d*"]] {
        let mut lab = beside_west(allow);
        lab.list("evil", &closed.map(service), &[]);
        lab.settle();
        assert_eq!(lab.services(), Vec::<String>::new(), "{allow:?}");
        let expected = ["NamespaceClosed", "NamespaceNotAllowed"];
        let reasons = reasons(&lab);
        assert_eq!(reasons.len(), closed.len());
        assert!(
            reasons.iter().all(|it| expected.contains(it)),
            "{reasons:?}"
        );
    }
    let mut lab = beside_west(&["com", "default"]);
    lab.list("evil", &closed.map(service), &[]);
    lab.settle();
    assert_eq!(lab.services(), ["com/google", "default/web"]);
}

#[test]
fn a_source_cannot_take_the_name_of_another_sources_mirror() {
    let mut lab = beside_west(&["mirrors", "demo"]);
    let stolen = "mirrors/west-demo-73736d-web";
    let names = [stolen, "mirrors/gl-demo-73736d-web", "mirrors/own"];
    lab.list("evil", &names.map(service), &[]);
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/own"]);
    assert_eq!(reasons(&lab), ["NameReserved", "NameReserved"]);
    lab.list("west", &[service("demo/web")], &[]);
    lab.settle();
    let labels = &lab.service(stolen)["metadata"]["labels"];
    assert_eq!(labels["heliograph.dev/source"], "west");
}

fn external(key: &str, host: &str) -> Value {
    let spec = json!({"type": "ExternalName", "externalName": host});
    with(service(key), "/spec", spec)
}

#[test]
fn an_external_name_cannot_lead_to_the_local_cluster() {
    let mut policy = guarded(Import::default(), &[]);
    policy.local_domains = vec!["k8s.example.net".into()];
    let mut lab = lab(policy);
    let hosts = [
        "kubernetes.default.svc.cluster.local",
        "kubernetes.default.svc.k8s.example.net",
        "localhost",
        "metadata.google.internal.",
        "169.254.169.254",
        "db.example.org",
    ];
    let services = hosts.iter().enumerate();
    let services: Vec<_> = services
        .map(|(i, host)| external(&format!("demo/x{i}"), host))
        .collect();
    lab.list("east", &services, &[]);
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/east-demo-73736d-x5"]);
    assert_eq!(reasons(&lab).len(), 5);
}

/// A host name leads wherever its owner likes, unseen.
#[test]
fn external_names_are_named_where_local_ranges_are_closed() {
    let services = [
        external("demo/a", "db.example.org"),
        external("demo/b", "evil.example.net"),
    ];
    let mut closed = lab(guarded(Import::default(), &["10.96.0.0/12"]));
    closed.list("east", &services, &[]);
    closed.settle();
    assert_eq!(closed.services(), Vec::<String>::new());
    let import = Import {
        hosts: vec!["*.example.org".parse().unwrap()],
        ..Import::default()
    };
    let mut opened = lab(guarded(import, &["10.96.0.0/12"]));
    opened.list("east", &services, &[]);
    opened.settle();
    assert_eq!(opened.services(), ["mirrors/east-demo-73736d-a"]);
}

#[test]
fn an_endpoint_of_a_local_host_name_is_left_out() {
    let hosts = [
        "db.example.org",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let named = with(
        slice("demo/web-1", "web", &hosts),
        "/addressType",
        json!("FQDN"),
    );
    let mut lab = lab(guarded(Import::default(), &[]));
    lab.list("east", &[service("demo/web")], &[named]);
    lab.settle();
    let slice = lab
        .cluster
        .objects
        .values()
        .find(|it| it["kind"] == "EndpointSlice");
    assert_eq!(addresses(slice.unwrap()), ["db.example.org"]);
}

#[test]
fn an_address_of_the_local_cluster_does_not_pass_within_another_address() {
    let hidden = [
        "::ffff:10.96.0.1",
        "::10.96.0.1",
        "64:ff9b::10.96.0.1",
        "64:ff9b:1::10.96.0.1",
        "2002:a60:1::1",
        "fd00::5efe:10.96.0.1",
        "2001:db8::1",
    ];
    let v6 = with(
        slice("demo/web-6", "web", &hidden),
        "/addressType",
        json!("IPv6"),
    );
    let learned = {
        let mut policy = guarded(Import::default(), &[]);
        policy.learned_ranges = vec!["10.96.0.0/12".parse().unwrap()];
        policy
    };
    for policy in [guarded(Import::default(), &["10.96.0.0/12"]), learned] {
        let mut lab = lab(policy);
        lab.list("east", &[service("demo/web")], std::slice::from_ref(&v6));
        lab.settle();
        let slice = lab
            .cluster
            .objects
            .values()
            .find(|it| it["kind"] == "EndpointSlice");
        assert_eq!(addresses(slice.unwrap()), ["2001:db8::1"]);
    }
}

#[test]
fn ranges_that_are_learned_later_close_what_is_published() {
    let mut lab = lab(guarded(Import::default(), &[]));
    let pods = slice("demo/web-1", "web", &["10.1.0.1", "10.96.0.1"]);
    lab.list("east", &[service("demo/web")], &[pods]);
    lab.settle();
    let learned = vec!["10.96.0.0/12".parse().unwrap()];
    lab.update(reflector_planner::Update::LocalRanges(learned));
    lab.settle();
    let slice = lab
        .cluster
        .objects
        .values()
        .find(|it| it["kind"] == "EndpointSlice");
    assert_eq!(addresses(slice.unwrap()), ["10.1.0.1"]);
    // Another configuration does not forget them.
    let policy = guarded(Import::default(), &[]);
    lab.reconfigure(policy, &std::collections::HashSet::new());
    assert_eq!(lab.settle(), Vec::<String>::new());
}

#[test]
fn an_alias_cannot_be_a_name_of_others() {
    let allow = NameRules {
        allow: patterns(&["mirrors"]),
        deny: Vec::new(),
    };
    let mut evil = same_name_of("evil", &[]);
    evil.import.namespaces = allow;
    evil.naming.aliases = reflector_planner::name::Aliases::Followed;
    let policy: Policy = policy(vec![evil, prefixed("west")]);
    let mut lab = Lab::over(Cluster::default(), policy);
    let alias = json!({"heliograph.dev/alias": "west-demo-73736d-web"});
    let service = with(service("mirrors/x"), "/metadata/annotations", alias);
    lab.list("evil", &[service], &[]);
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/x"]);
}
