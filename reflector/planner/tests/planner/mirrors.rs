//! What mirrors look like.

use proto_types::Resource;
use serde_json::{Value, json};

use crate::lab::{Lab, prefixed, same_name};
use crate::object::{service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

fn east() -> Lab {
    Lab::new(vec![prefixed("east")])
}

/// The mirror's spec of a source's Service.
#[track_caller]
fn mirrored(original: Value) -> Value {
    let mut lab = east();
    lab.list("east", &[original], &[]);
    lab.settle();
    lab.service(WEB)["spec"].clone()
}

#[test]
fn a_service_is_mirrored_without_selector_labels_or_annotations() {
    let mut lab = east();
    lab.list("east", &[service("demo/web")], &[]);
    assert_eq!(lab.settle(), [format!("create Service {WEB}")]);
    let mirror = lab.service(WEB);
    assert_eq!(
        mirror["metadata"]["labels"],
        json!({
            "heliograph.dev/source": "east", "app.kubernetes.io/managed-by": "heliograph",
            "mirrored-svc": "true", "mirror-svc-prefix-sync": "east",
        })
    );
    assert_eq!(
        mirror["metadata"]["annotations"],
        json!({"heliograph.dev/source-service": "demo/web"})
    );
    assert_eq!(mirror["spec"]["type"], "ClusterIP");
    assert_eq!(mirror["spec"]["clusterIP"], "10.9.9.9");
    assert_eq!(
        mirror["spec"]["ports"],
        json!([{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}])
    );
}

#[test]
fn node_ports_and_load_balancers_become_virtual_addresses() {
    for service_type in ["NodePort", "LoadBalancer"] {
        let original = with(service("demo/web"), "/spec/type", json!(service_type));
        let original = with(original, "/spec/ports/0/nodePort", json!(30001));
        let spec = mirrored(with(
            original,
            "/spec/externalTrafficPolicy",
            json!("Local"),
        ));
        assert_eq!(spec["type"], "ClusterIP");
        assert_ne!(spec["clusterIP"], "None");
        assert_eq!(spec["ports"][0].get("nodePort"), None);
        assert_eq!(spec.get("externalTrafficPolicy"), None);
    }
}

#[test]
fn differences_that_clients_notice_are_kept() {
    let original = with(
        service("demo/web"),
        "/spec/sessionAffinity",
        json!("ClientIP"),
    );
    let original = with(original, "/spec/publishNotReadyAddresses", json!(true));
    let original = with(original, "/spec/trafficDistribution", json!("PreferClose"));
    let original = with(
        original,
        "/spec/ports/0/appProtocol",
        json!("kubernetes.io/h2c"),
    );
    let spec = mirrored(with(original, "/spec/ports/0/targetPort", json!("web")));
    assert_eq!(
        spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"],
        10800
    );
    assert_eq!(spec["publishNotReadyAddresses"], true);
    assert_eq!(spec["trafficDistribution"], "PreferClose");
    assert_eq!(spec["ports"][0]["appProtocol"], "kubernetes.io/h2c");
    assert_eq!(spec["ports"][0]["targetPort"], "web");
}

#[test]
fn families_follow_the_source() {
    let spec = mirrored(service("demo/web"));
    assert_eq!(spec["ipFamilyPolicy"], "SingleStack");
    assert_eq!(spec["ipFamilies"], json!(["IPv4"]));
    let dual = with(
        service("demo/web"),
        "/spec/ipFamilies",
        json!(["IPv6", "IPv4"]),
    );
    let spec = mirrored(dual);
    assert_eq!(spec["ipFamilyPolicy"], "PreferDualStack");
    assert_eq!(
        spec["ipFamilies"],
        json!(["IPv4", "IPv6"]),
        "the local order"
    );
}

#[test]
fn an_external_name_stays_one_and_has_no_slices() {
    let mut lab = east();
    let external = with(
        service("demo/web"),
        "/spec",
        json!({"type": "ExternalName", "externalName": "example.com"}),
    );
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[external], &slices);
    lab.settle();
    assert_eq!(lab.service(WEB)["spec"]["externalName"], "example.com");
    assert!(lab.slices().is_empty());
}

#[test]
fn a_headless_flip_makes_the_mirror_anew() {
    let mut lab = east();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    lab.apply_service(
        "east",
        &with(service("demo/web"), "/spec/clusterIP", json!("None")),
    );
    let writes = lab.settle();
    assert_eq!(writes[0], format!("replace Service {WEB}"));
    assert_eq!(lab.service(WEB)["spec"]["clusterIP"], "None");
    let labels = &lab.slice()["metadata"]["labels"];
    assert_eq!(labels["service.kubernetes.io/headless"], "");
    lab.apply_service("east", &service("demo/web"));
    lab.settle();
    assert_eq!(lab.service(WEB)["spec"]["clusterIP"], "10.9.9.9");
    let labels = &lab.slice()["metadata"]["labels"];
    assert_eq!(labels.get("service.kubernetes.io/headless"), None);
}

#[test]
fn a_slice_keeps_what_matters_here() {
    let mut lab = east();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    let mirror = lab.slice();
    assert_eq!(mirror["addressType"], "IPv4");
    assert_eq!(
        mirror["endpoints"],
        json!([{
            "addresses": ["10.0.0.1"], "zone": "a",
            "conditions": {"ready": true, "serving": true, "terminating": false},
        }])
    );
    assert_eq!(
        mirror["metadata"]["labels"],
        json!({
            "heliograph.dev/source": "east",
            "kubernetes.io/service-name": "east-demo-73736d-web",
            "endpointslice.kubernetes.io/managed-by": "heliograph",
        })
    );
    assert_eq!(
        mirror["metadata"]["annotations"],
        json!({
            "heliograph.dev/source-service": "demo/web",
            "heliograph.dev/source-slice": "web-1",
            "endpoints.kubernetes.io/last-change-trigger-time": "T1",
        })
    );
}

#[test]
fn one_bad_address_does_not_cost_the_good_ones() {
    let mut lab = east();
    let addresses = ["127.0.0.1", "10.0.0.1", "169.254.169.254"];
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &addresses)],
    );
    lab.settle();
    assert_eq!(lab.slice()["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(
        lab.problems()[0].to_string(),
        "Service demo/web of source east: 2 endpoints of slice web-1 are left out, because \
         127.0.0.1 is loopback, link-local, multicast, unspecified or no address at all, and \
         would mean something else here; remove it in the source"
    );
}

#[test]
fn an_endpoint_only_change_writes_one_slice() {
    let mut lab = east();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    lab.apply_slice("east", &slice("demo/web-1", "web", &["10.0.0.2"]));
    let writes = lab.settle();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(writes[0].starts_with("update EndpointSlice mirrors/web-1-"));
}

#[test]
fn the_effect_of_a_change_does_not_grow_with_the_number_of_services() {
    let mut lab = east();
    let name = |i: usize| format!("demo/s{i}");
    let services: Vec<_> = (0..1000).map(|i| service(&name(i))).collect();
    let slices: Vec<_> = (0..1000)
        .map(|i| slice(&format!("{}-1", name(i)), &format!("s{i}"), &["10.0.0.1"]))
        .collect();
    lab.list("east", &services, &slices);
    assert_eq!(lab.n_dirty(), 1000);
    lab.settle();

    // Time, a bookmark, one Service, one slice.
    lab.wait(1);
    lab.reconnect("east");
    assert_eq!(lab.n_dirty(), 0);
    lab.apply_slice("east", &slice("demo/s7-1", "s7", &["10.0.0.2"]));
    assert_eq!(lab.n_dirty(), 1);
    lab.settle();
    let port = with(service("demo/s8"), "/spec/ports/0/port", json!(81));
    lab.apply_service("east", &port);
    assert_eq!(lab.n_dirty(), 1);
    lab.settle();
    lab.delete_slice("east", "demo/s9-1");
    assert_eq!(lab.n_dirty(), 1);
}

#[test]
fn a_change_that_a_mirror_does_not_show_writes_nothing() {
    let mut lab = east();
    let web = slice("demo/web-1", "web", &["10.0.0.1"]);
    lab.list("east", &[service("demo/web")], std::slice::from_ref(&web));
    lab.settle();
    let later = with(
        web,
        "/metadata/annotations/endpoints.kubernetes.io~1last-change-trigger-time",
        json!("T2"),
    );
    lab.apply_slice(
        "east",
        &with(later, "/endpoints/0/nodeName", json!("node-2")),
    );
    lab.apply_service(
        "east",
        &with(service("demo/web"), "/spec/selector", json!({"app": "x"})),
    );
    assert!(lab.settle().is_empty());
}

#[test]
fn slices_may_come_before_their_service() {
    let mut lab = east();
    lab.list("east", &[], &[]);
    lab.apply_slice("east", &slice("demo/web-1", "web", &["10.0.0.1"]));
    assert!(lab.settle().is_empty());
    lab.apply_service("east", &service("demo/web"));
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn new_slices_come_before_old_ones_go() {
    let mut lab = east();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    lab.apply_slice("east", &slice("demo/web-2", "web", &["10.0.0.1"]));
    lab.delete_slice("east", "demo/web-1");
    let writes = lab.settle();
    assert!(writes[0].starts_with("create"), "{writes:?}");
    assert!(writes[1].starts_with("delete"), "{writes:?}");
}

#[test]
fn edits_of_what_is_ours_are_repaired_and_of_the_rest_kept() {
    let mut lab = east();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    lab.edit(Resource::Services, WEB, |mirror| {
        mirror["spec"]["ports"][0]["port"] = json!(81);
        mirror["metadata"]["labels"]["team"] = json!("shop");
        mirror["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("mirrored-svc");
    });
    assert_eq!(lab.settle(), [format!("update Service {WEB}")]);
    let mirror = lab.service(WEB);
    assert_eq!(mirror["spec"]["ports"][0]["port"], 80);
    assert_eq!(mirror["spec"]["clusterIP"], "10.9.9.9");
    assert_eq!(mirror["metadata"]["labels"]["team"], "shop");
    assert_eq!(mirror["metadata"]["labels"]["mirrored-svc"], "true");

    let slice = lab.slices()[0].clone();
    lab.edit(Resource::EndpointSlices, &slice, |mirror| {
        mirror["endpoints"][0]["nodeName"] = json!("here");
    });
    assert_eq!(lab.settle().len(), 1);
    lab.edit(Resource::EndpointSlices, &slice, |mirror| {
        mirror["metadata"]["labels"]["kubernetes.io/service-name"] = json!("other");
    });
    lab.settle();
    let labels = &lab.slice()["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/service-name"], "east-demo-73736d-web");
    lab.remove(Resource::EndpointSlices, &slice);
    lab.remove(Resource::Services, WEB);
    assert_eq!(lab.settle().len(), 2);
}

#[test]
fn a_mirror_that_lost_its_label_is_still_ours() {
    let mut lab = east();
    lab.list("east", &[service("demo/web")], &[]);
    lab.settle();
    lab.edit(Resource::Services, WEB, |mirror| {
        mirror["metadata"]["labels"] = json!({});
    });
    lab.settle();
    assert_eq!(
        lab.service(WEB)["metadata"]["labels"]["heliograph.dev/source"],
        "east"
    );
}

#[test]
fn mirrors_and_the_api_itself_are_not_mirrored() {
    let mut lab = Lab::new(vec![same_name("east")]);
    let ours = with(
        service("demo/web"),
        "/metadata/annotations",
        json!({"heliograph.dev/source-service": "demo/web"}),
    );
    lab.list("east", &[ours, service("default/kubernetes")], &[]);
    lab.settle();
    assert!(lab.services().is_empty());
}

#[test]
fn a_name_that_is_too_long_is_skipped_and_named() {
    let mut lab = east();
    let long = format!("demo/{}", "x".repeat(47));
    lab.list("east", &[service(&long), service("demo/web")], &[]);
    lab.settle();
    assert_eq!(lab.services(), [WEB]);
    let problem = lab.problems()[0].to_string();
    assert!(problem.starts_with(&format!("Service {long} of source east: not mirrored")));
    assert!(problem.contains("would have 64 characters and 63 are allowed; shorten"));
}
