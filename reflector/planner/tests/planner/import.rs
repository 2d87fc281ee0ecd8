//! What may come in from a source, and what becomes of the rest.

mod hostile;
mod laws;

use proto_types::ObjectKey;
use reflector_planner::import::{NameRules, Pattern, Ports};
use reflector_planner::{Import, Policy, SourcePolicy, explain};
use serde_json::{Value, json};

use crate::lab::{Lab, policy, prefixed, same_name};
use crate::object::{service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|it| it.parse().unwrap()).collect()
}

fn ports(ranges: &[&str]) -> Ports {
    Ports::new(ranges.iter().map(|it| it.parse().unwrap()).collect())
}

fn only(allow: &[&str]) -> NameRules {
    NameRules {
        allow: patterns(allow),
        deny: Vec::new(),
    }
}

fn east(import: Import) -> SourcePolicy {
    SourcePolicy {
        import,
        ..prefixed("east")
    }
}

/// A local cluster with ranges of its own, and one source.
fn guarded(import: Import, own: &[&str]) -> Policy {
    let mut policy = policy(vec![east(import)]);
    policy.local_ranges = own.iter().map(|it| it.parse().unwrap()).collect();
    policy
}

fn lab(policy: Policy) -> Lab {
    Lab::over(crate::cluster::Cluster::default(), policy)
}

fn reasons(lab: &Lab) -> Vec<&'static str> {
    lab.problems().iter().map(|it| it.cause.reason()).collect()
}

fn addresses(slice: &Value) -> Vec<&str> {
    let endpoints = slice["endpoints"].as_array().unwrap().iter();
    endpoints
        .map(|it| it["addresses"][0].as_str().unwrap())
        .collect()
}

#[test]
fn only_admitted_namespaces_and_names_are_mirrored_and_the_rest_is_told() {
    let import = Import {
        namespaces: only(&["demo", "shop-*"]),
        names: NameRules {
            allow: Vec::new(),
            deny: patterns(&["secret*"]),
        },
        ..Import::default()
    };
    let mut lab = lab(guarded(import, &[]));
    let services = ["demo/web", "shop-a/web", "kube-system/dns", "demo/secret-1"].map(service);
    lab.list("east", &services, &[]);
    lab.settle();
    let expected = [WEB, "mirrors/east-shop-a-73736d-web"];
    assert_eq!(lab.services(), expected);
    assert_eq!(reasons(&lab), ["NameNotAllowed", "NamespaceNotAllowed"]);
    let problems = lab.problems();
    assert_eq!(
        problems[1].to_string(),
        "Service kube-system/dns of source east: not mirrored, because the source's import policy \
         does not admit namespace kube-system; change import.namespaces, or export it from another \
         one"
    );
    // The same words answer the question why.
    let explained = explain(&lab.index, &ObjectKey::new("kube-system", "dns"));
    let words = problems[1].to_string();
    assert!(explained[0].problems.contains(&words), "{explained:?}");
    assert!(explained[0].reasons.iter().any(|it| it.text == words));
}

#[test]
fn a_denied_service_leaves_its_name_to_the_next_source() {
    let west = SourcePolicy {
        import: Import {
            names: only(&["api"]),
            ..Import::default()
        },
        ..same_name("west")
    };
    let mut lab = Lab::new(vec![west, same_name("north")]);
    lab.list("west", &[service("demo/web")], &[]);
    lab.list("north", &[service("demo/web")], &[]);
    lab.settle();
    let labels = &lab.service("demo/web")["metadata"]["labels"];
    assert_eq!(labels["heliograph.dev/source"], "north");
    assert_eq!(reasons(&lab), ["NameNotAllowed"]);
}

/// CVE-2021-25740: whoever writes Endpoints chooses where others' traffic goes.
#[test]
fn a_source_cannot_lead_traffic_to_where_it_is_not() {
    let import = Import {
        addresses: vec![
            "10.1.0.0/16".parse().unwrap(),
            "fd00:1::/64".parse().unwrap(),
        ],
        ..Import::default()
    };
    let hostile = [
        "10.1.0.1",        // its own
        "10.2.0.1",        // another source's
        "10.96.0.1",       // our API server's
        "169.254.169.254", // cloud metadata
        "127.0.0.1",
        "8.8.8.8",
        "10.1.255.255",
    ];
    let mut lab = lab(guarded(import, &["10.96.0.0/12"]));
    let v6 = with(
        slice(
            "demo/web-6",
            "web",
            &["fd00:1::1", "fd00:2::1", "::ffff:10.96.0.1"],
        ),
        "/addressType",
        json!("IPv6"),
    );
    let slices = [slice("demo/web-4", "web", &hostile), v6];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    let shown = lab.cluster.objects.values();
    let shown = shown.filter(|it| it["kind"] == "EndpointSlice");
    let shown: Vec<_> = shown.flat_map(addresses).collect();
    assert_eq!(shown, ["10.1.0.1", "10.1.255.255", "fd00:1::1"]);
    // One for each slice and rule.
    assert_eq!(reasons(&lab).len(), 5, "{:?}", lab.problems());
    // An IPv4-mapped address is none of IPv6.
    let each = [
        "InvalidAddress",
        "AddressInLocalCIDR",
        "AddressNotAllowed",
        "InvalidEndpoint",
    ];
    assert!(each.iter().all(|it| reasons(&lab).contains(it)));
    assert!(reasons(&lab).iter().all(|it| each.contains(it)));
}

#[test]
fn our_own_ranges_are_closed_to_every_source_and_open_to_ourselves() {
    let mut lab = lab(guarded(Import::default(), &["10.0.0.0/16"]));
    let slices = [slice("demo/web-1", "web", &["10.0.0.1", "10.1.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    assert_eq!(addresses(lab.slice()), ["10.1.0.1"]);
    let words = lab.problems()[0].to_string();
    assert!(
        words.contains("10.0.0.1 is in 10.0.0.0/16, which is this cluster's own"),
        "{words}"
    );
}

#[test]
fn host_names_are_closed_if_addresses_are_limited() {
    let import = Import {
        addresses: vec!["10.1.0.0/16".parse().unwrap()],
        ..Import::default()
    };
    let mut lab = lab(guarded(import, &[]));
    let external = json!({"type": "ExternalName", "externalName": "kubernetes.default.svc"});
    let fqdn = slice("demo/api-1", "api", &["metadata.internal"]);
    let services = [
        with(service("demo/web"), "/spec", external),
        service("demo/api"),
    ];
    lab.list(
        "east",
        &services,
        &[with(fqdn, "/addressType", json!("FQDN"))],
    );
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/east-demo-73736d-api"]);
    assert!(addresses(lab.slice()).is_empty());
    assert_eq!(
        reasons(&lab),
        ["AddressNotAllowed", "ExternalNameNotAllowed"]
    );
}

#[test]
fn ports_are_left_out_one_by_one_and_with_none_left_the_service_is() {
    let import = Import {
        ports: ports(&["80", "8000-8999"]),
        target_ports: ports(&["8080"]),
        ..Import::default()
    };
    let mut lab = lab(guarded(import, &[]));
    let two = json!([
        {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080},
        {"name": "ssh", "protocol": "TCP", "port": 22, "targetPort": 8080},
    ]);
    let kubelet = json!([
        {"name": "http", "protocol": "TCP", "port": 8080},
        {"name": "kubelet", "protocol": "TCP", "port": 10250},
    ]);
    let services = [
        with(service("demo/web"), "/spec/ports", two),
        with(service("demo/ssh"), "/spec/ports/0/port", json!(22)),
    ];
    let slices = [with(
        slice("demo/web-1", "web", &["10.1.0.1"]),
        "/ports",
        kubelet,
    )];
    lab.list("east", &services, &slices);
    lab.settle();
    assert_eq!(lab.services(), [WEB]);
    assert_eq!(
        lab.service(WEB)["spec"]["ports"].as_array().unwrap().len(),
        1
    );
    assert_eq!(lab.slice()["ports"].as_array().unwrap().len(), 1);
    assert_eq!(lab.slice()["ports"][0]["port"], 8080);
    assert_eq!(reasons(&lab), ["PortNotAllowed"; 3]);
}

#[test]
fn a_slice_whose_every_port_is_refused_has_no_endpoints_either() {
    let import = Import {
        target_ports: ports(&["8080"]),
        ..Import::default()
    };
    let mut lab = lab(guarded(import, &[]));
    // No number means all ports there are.
    let all = json!([{"name": "http", "protocol": "TCP"}]);
    let slices = [with(
        slice("demo/web-1", "web", &["10.1.0.1"]),
        "/ports",
        all,
    )];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    assert!(addresses(lab.slice()).is_empty());
    assert_eq!(reasons(&lab), ["PortNotAllowed"]);
}

#[test]
fn the_first_services_by_name_come_in_and_others_follow_when_one_goes() {
    let import = Import {
        max_services: Some(2),
        ..Import::default()
    };
    let mut lab = lab(guarded(import, &[]));
    lab.list(
        "east",
        &[service("demo/b"), service("demo/c"), service("demo/d")],
        &[],
    );
    lab.settle();
    let mirrors = |names: [&str; 2]| names.map(|it| format!("mirrors/east-demo-73736d-{it}"));
    assert_eq!(lab.services(), mirrors(["b", "c"]));
    assert_eq!(reasons(&lab), ["TooManyServices"]);
    lab.apply_service("east", &service("demo/a"));
    lab.settle();
    assert_eq!(lab.services(), mirrors(["a", "b"]));
    lab.delete_service("east", "demo/a");
    lab.delete_service("east", "demo/b");
    lab.settle();
    assert_eq!(lab.services(), mirrors(["c", "d"]));
    assert!(lab.problems().is_empty());
}

#[test]
fn of_too_many_endpoints_the_ready_ones_come_in_first() {
    let import = Import {
        max_endpoints: Some(3),
        ..Import::default()
    };
    let mut lab = lab(guarded(import, &[]));
    let first = slice("demo/web-1", "web", &["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    let first = with(first, "/endpoints/0/conditions/ready", json!(false));
    let first = with(first, "/endpoints/1/conditions/ready", json!(false));
    let second = slice("demo/web-2", "web", &["10.1.0.4"]);
    lab.list("east", &[service("demo/web")], &[first, second]);
    lab.settle();
    let shown = lab.cluster.objects.values();
    let shown: Vec<_> = shown
        .filter(|it| it["kind"] == "EndpointSlice")
        .flat_map(addresses)
        .collect();
    assert_eq!(shown, ["10.1.0.1", "10.1.0.3", "10.1.0.4"]);
    let words = lab.problems()[0].to_string();
    assert!(words.contains("1 of its endpoints are left out"), "{words}");
}

#[test]
fn a_stricter_policy_takes_away_what_it_does_not_admit_and_a_wider_one_gives_it_back() {
    let mut lab = lab(guarded(Import::default(), &[]));
    let slices = [slice("demo/web-1", "web", &["10.1.0.1", "10.2.0.1"])];
    lab.list("east", &[service("demo/web"), service("prod/web")], &slices);
    lab.settle();
    let strict = Import {
        namespaces: only(&["demo"]),
        addresses: vec!["10.1.0.0/16".parse().unwrap()],
        ..Import::default()
    };
    let anew = std::collections::HashSet::new();
    lab.reconfigure(guarded(strict, &[]), &anew);
    lab.settle();
    assert_eq!(lab.services(), [WEB]);
    assert_eq!(addresses(lab.slice()), ["10.1.0.1"]);
    lab.reconfigure(guarded(Import::default(), &[]), &anew);
    lab.settle();
    assert_eq!(lab.services().len(), 2);
    assert_eq!(addresses(lab.slice()), ["10.1.0.1", "10.2.0.1"]);
}

#[test]
fn a_silent_sources_endpoints_are_shown_again_only_as_far_as_they_may_come_in() {
    let impatient = |import| SourcePolicy {
        import,
        ..crate::silence::impatient()
    };
    let mut lab = Lab::new(vec![impatient(Import::default())]);
    let slices = [slice("demo/web-1", "web", &["10.1.0.1", "10.2.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    let strict = Import {
        addresses: vec!["10.1.0.0/16".parse().unwrap()],
        ..Import::default()
    };
    // Nothing of it is known any more, and what is here gets old.
    lab.reconfigure(
        policy(vec![impatient(strict)]),
        &["east".parse().unwrap()].into(),
    );
    lab.wait(11);
    lab.settle();
    assert_eq!(addresses(lab.slice()), ["10.1.0.1"]);
    assert_eq!(lab.slice()["endpoints"][0]["conditions"]["ready"], false);
}
