//! core/v1 Endpoints beside slices, and Endpoints instead of them.

use proto_types::{ObjectKey, Resource};
use reflector_planner::{
    Change, CoreEndpoints, Exported, Moment, SourceEndpoints, SourcePolicy, Update,
};
use serde_json::{Value, json};

use crate::lab::{Lab, name, policy, prefixed};
use crate::object::{raw, service, slice, with};

const WEB: &str = "mirrors/east-demo-73736d-web";

fn writing() -> SourcePolicy {
    SourcePolicy {
        endpoints: CoreEndpoints::Written,
        ..prefixed("east")
    }
}

impl Lab {
    /// The Endpoints beside `demo/web`.
    fn endpoints(&self) -> Option<&Value> {
        let key = ObjectKey::parse(WEB).unwrap();
        self.cluster.objects.get(&(Resource::Endpoints, key))
    }
}

/// `demo/web` of a source with these slices, and its Endpoints here.
#[track_caller]
fn check(service: &Value, slices: &[Value], subsets: &Value) -> Lab {
    let mut lab = Lab::new(vec![writing()]);
    lab.list("east", std::slice::from_ref(service), slices);
    lab.settle();
    assert_eq!(lab.endpoints().unwrap()["subsets"], *subsets);
    lab
}

#[test]
fn endpoints_say_what_slices_say_and_ask_for_no_more_slices() {
    let one = slice("demo/web-1", "web", &["10.0.0.1", "10.0.0.2"]);
    let one = with(one, "/endpoints/1/conditions/ready", json!(false));
    let one = with(one, "/endpoints/0/hostname", json!("web-0"));
    let leaving = json!({"ready": false, "serving": true, "terminating": true});
    let two = slice("demo/web-2", "web", &["10.0.0.3", "10.0.0.4"]);
    let two = with(two, "/endpoints/1/conditions", leaving);
    let other = with(
        slice("demo/web-3", "web", &["10.0.0.5"]),
        "/ports/0/port",
        json!(81),
    );
    let six = with(
        slice("demo/web-6", "web", &["fd00::1"]),
        "/addressType",
        json!("IPv6"),
    );
    let port = |port: u16| json!([{"name": "http", "protocol": "TCP", "port": port}]);
    let lab = check(
        &service("demo/web"),
        &[one, two, other, six],
        &json!([
            {"addresses": [{"ip": "10.0.0.5"}], "ports": port(81)},
            {
                "addresses": [{"ip": "10.0.0.1", "hostname": "web-0"}, {"ip": "10.0.0.3"}],
                "notReadyAddresses": [{"ip": "10.0.0.2"}],
                "ports": port(8080),
            },
        ]),
    );
    let metadata = &lab.endpoints().unwrap()["metadata"];
    let labels = &metadata["labels"];
    assert_eq!(labels["endpointslice.kubernetes.io/skip-mirror"], "true");
    assert_eq!(labels["heliograph.dev/source"], "east");
    assert_eq!(labels["mirror-svc-prefix-sync"], "east");
    assert_eq!(
        metadata["annotations"]["heliograph.dev/source-service"],
        "demo/web"
    );
}

#[test]
fn endpoints_have_the_family_that_comes_first_here() {
    let six = with(service("demo/web"), "/spec/ipFamilies", json!(["IPv6"]));
    let slices = [
        slice("demo/web-1", "web", &["10.0.0.1"]),
        with(
            slice("demo/web-6", "web", &["fd00::1"]),
            "/addressType",
            json!("IPv6"),
        ),
    ];
    let port = json!([{"name": "http", "protocol": "TCP", "port": 8080}]);
    check(
        &six,
        &slices,
        &json!([{"addresses": [{"ip": "fd00::1"}], "ports": port}]),
    );
}

#[test]
fn a_thousand_addresses_have_room_and_ready_ones_come_first() {
    let addresses: Vec<_> = (0..1200_u32)
        .map(|i| format!("10.0.{}.{}", i / 250, i % 250))
        .collect();
    let slices = addresses.chunks(100).enumerate().map(|(i, chunk)| {
        let chunk: Vec<_> = chunk.iter().map(String::as_str).collect();
        let mut slice = slice(&format!("demo/web-{i}"), "web", &chunk);
        for endpoint in slice["endpoints"].as_array_mut().unwrap() {
            endpoint["conditions"]["ready"] = json!(i < 5);
        }
        slice
    });
    let mut lab = Lab::new(vec![writing()]);
    lab.list("east", &[service("demo/web")], &slices.collect::<Vec<_>>());
    lab.settle();
    let found = lab.endpoints().unwrap();
    let count = |field: &str| found["subsets"][0][field].as_array().unwrap().len();
    assert_eq!((count("addresses"), count("notReadyAddresses")), (500, 500));
    let annotations = &found["metadata"]["annotations"];
    assert_eq!(
        annotations["endpoints.kubernetes.io/over-capacity"],
        "truncated"
    );
    let few = [slice("demo/web-1", "web", &["10.0.0.1"])];
    // So many at once are believed when they are lacked twice.
    lab.list("east", &[service("demo/web")], &few);
    lab.wait(120);
    lab.settle();
    lab.list("east", &[service("demo/web")], &few);
    lab.settle();
    let annotations = &lab.endpoints().unwrap()["metadata"]["annotations"];
    assert!(annotations["endpoints.kubernetes.io/over-capacity"].is_null());
}

#[test]
fn endpoints_follow_slices_and_are_repaired_and_go_with_their_service() {
    let mut lab = Lab::new(vec![writing()]);
    let web = service("demo/web");
    lab.list(
        "east",
        std::slice::from_ref(&web),
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    lab.apply_slice("east", &slice("demo/web-1", "web", &["10.0.0.2"]));
    assert_eq!(lab.settle().len(), 2);
    assert_eq!(
        lab.endpoints().unwrap()["subsets"][0]["addresses"][0]["ip"],
        "10.0.0.2"
    );
    lab.edit(Resource::Endpoints, WEB, |it| it["subsets"] = json!([]));
    assert_eq!(lab.settle(), [format!("update Endpoints {WEB}")]);
    lab.remove(Resource::Endpoints, WEB);
    assert_eq!(lab.settle(), [format!("create Endpoints {WEB}")]);
    let mut lab = lab.restarted();
    lab.list(
        "east",
        std::slice::from_ref(&web),
        &[slice("demo/web-1", "web", &["10.0.0.2"])],
    );
    assert!(lab.settle().is_empty());
    lab.delete_service("east", "demo/web");
    lab.settle();
    assert!(lab.endpoints().is_none());
    assert!(lab.services().is_empty());
}

#[test]
fn what_is_switched_off_goes_also_after_a_restart() {
    let web = [service("demo/web")];
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    for restarts in [false, true] {
        let mut lab = Lab::new(vec![writing()]);
        lab.list("east", &web, &slices);
        lab.settle();
        let off = policy(vec![prefixed("east")]);
        if restarts {
            lab = Lab::over(std::mem::take(&mut lab.cluster), off);
            lab.list("east", &web, &slices);
        } else {
            lab.reconfigure(off, &std::collections::HashSet::new());
        }
        let writes = [
            format!("delete Endpoints {WEB}"),
            format!("update Service {WEB}"),
        ];
        assert_eq!(lab.settle(), writes, "restarts: {restarts}");
        assert!(!lab.world.concerns_endpoints());
    }
}

#[test]
fn endpoints_of_somebody_else_are_left_alone_and_told() {
    let mut lab = Lab::new(vec![writing()]);
    let key = ObjectKey::parse(WEB).unwrap();
    let theirs = json!({"metadata": {
        "name": key.name(), "namespace": key.namespace(), "uid": "theirs", "resourceVersion": "1",
    }, "subsets": []});
    lab.cluster.put(&(Resource::Endpoints, key), theirs);
    let before = lab.endpoints().cloned();
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    lab.settle();
    assert_eq!(lab.endpoints().cloned(), before);
    let told = lab.problems()[0].to_string();
    assert!(
        told.contains("Endpoints") && told.contains("is not Heliograph's"),
        "{told}"
    );
}

#[test]
fn endpoints_of_a_replaced_program_become_ours_as_they_are() {
    let mut lab = Lab::new(vec![writing()]);
    let key = ObjectKey::parse(WEB).unwrap();
    let labels = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    let metadata = json!({
        "name": key.name(), "namespace": key.namespace(), "uid": "theirs", "resourceVersion": "1",
        "labels": labels,
    });
    let spec = json!({"type": "ClusterIP", "ports": [{"port": 1}]});
    let there = json!({"metadata": metadata, "spec": spec});
    lab.cluster.put(&(Resource::Services, key.clone()), there);
    let targeted = json!([{"addresses": [{"ip": "10.0.0.9", "targetRef": {"kind": "Pod"}}]}]);
    let there = json!({"metadata": metadata, "subsets": targeted});
    lab.cluster.put(&(Resource::Endpoints, key), there);
    lab.list(
        "east",
        &[service("demo/web")],
        &[slice("demo/web-1", "web", &["10.0.0.1"])],
    );
    let writes = lab.settle();
    let verbs: Vec<_> = writes
        .iter()
        .map(|it| it.rsplit_once(' ').unwrap().0)
        .collect();
    let expected = [
        "create Service",
        "create EndpointSlice",
        "update Endpoints",
        "update Service",
    ];
    assert_eq!(verbs, expected);
    let endpoints = lab.endpoints().unwrap();
    assert_eq!(endpoints["metadata"]["uid"], "theirs");
    assert_eq!(
        endpoints["subsets"][0]["addresses"],
        json!([{"ip": "10.0.0.1"}])
    );
}

#[test]
fn a_silent_sources_endpoints_age_with_its_slices() {
    let mut quick = writing();
    quick.staleness.not_ready_after = Some(std::time::Duration::from_secs(60));
    let mut lab = Lab::new(vec![quick]);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    lab.lose("east");
    // Nobody has heard of it, so that nothing but time decides.
    lab.update(Update::Tick(Moment(std::time::Duration::from_secs(61))));
    lab.settle();
    let subset = &lab.endpoints().unwrap()["subsets"][0];
    assert_eq!(subset["notReadyAddresses"][0]["ip"], "10.0.0.1");
    assert!(subset["addresses"].is_null());
}

/// Endpoints of a source, with these subsets.
fn source_endpoints(key: &str, subsets: &Value) -> Exported<SourceEndpoints> {
    let key = ObjectKey::parse(key).unwrap();
    let annotations = json!({"endpoints.kubernetes.io/last-change-trigger-time": "T1"});
    let object = json!({"metadata": {
        "name": key.name(), "namespace": key.namespace(), "uid": "u", "resourceVersion": "1",
        "annotations": annotations,
    }, "subsets": subsets});
    Exported::endpoints(&raw(Resource::Endpoints, &object))
}

fn subset(addresses: &[&str], port: u16) -> Value {
    let addresses: Vec<_> = addresses.iter().map(|it| json!({"ip": it})).collect();
    json!({"addresses": addresses, "ports": [{"name": "http", "port": port}]})
}

fn reading(endpoints: Vec<Exported<SourceEndpoints>>) -> Lab {
    let mut lab = Lab::new(vec![prefixed("east")]);
    lab.list_services("east", &[service("demo/web")]);
    lab.update(Update::Endpoints(name("east"), Change::Listed(endpoints)));
    lab
}

/// Family, ports and addresses of each slice here.
fn shown(lab: &Lab) -> Vec<String> {
    let slices = lab
        .cluster
        .objects
        .iter()
        .filter(|((it, _), _)| *it == Resource::EndpointSlices);
    let mut shown: Vec<_> = slices
        .map(|(_, slice)| {
            let endpoints = slice["endpoints"].as_array().unwrap().iter();
            let endpoints = endpoints.map(|it| {
                let ready = &it["conditions"]["ready"];
                format!("{}={ready}", it["addresses"][0].as_str().unwrap())
            });
            let (kind, port) = (&slice["addressType"], &slice["ports"][0]["port"]);
            let endpoints = endpoints.collect::<Vec<_>>().join(" ");
            format!("{} {port}: {endpoints}", kind.as_str().unwrap())
        })
        .collect();
    shown.sort();
    shown
}

#[test]
fn endpoints_are_read_as_slices_whatever_their_order() {
    let mixed = subset(&["10.0.0.2", "10.0.0.1", "fd00::1", "127.0.0.1"], 80);
    let mixed = with(
        mixed,
        "/notReadyAddresses",
        json!([{"ip": "10.0.0.3", "hostname": "a"}]),
    );
    let subsets = [mixed, subset(&["10.0.0.4"], 81), subset(&["10.0.0.5"], 80)];
    let mut lab = reading(vec![source_endpoints("demo/web", &json!(subsets))]);
    lab.settle();
    let expected = [
        "IPv4 80: 10.0.0.1=true 10.0.0.2=true 10.0.0.3=false 10.0.0.5=true",
        "IPv4 81: 10.0.0.4=true",
        "IPv6 80: fd00::1=true",
    ];
    assert_eq!(shown(&lab), expected);
    let told = lab.problems()[0].to_string();
    assert!(told.contains("127.0.0.1"), "{told}");

    let reversed: Vec<_> = subsets.iter().rev().collect();
    let again = source_endpoints("demo/web", &json!(reversed));
    lab.update(Update::Endpoints(name("east"), Change::Applied(again)));
    assert!(lab.settle().is_empty());
}

#[test]
fn changed_endpoints_are_all_that_there_is() {
    let first = [subset(&["10.0.0.1"], 80), subset(&["10.0.0.2"], 81)];
    let mut lab = reading(vec![source_endpoints("demo/web", &json!(first))]);
    lab.settle();
    let change = |it| Update::Endpoints(name("east"), it);
    let second = source_endpoints("demo/web", &json!([subset(&["10.0.0.2"], 80)]));
    lab.update(change(Change::Applied(second)));
    lab.settle();
    assert_eq!(shown(&lab), ["IPv4 80: 10.0.0.2=true"]);
    // What cannot be read says nothing.
    let broken = source_endpoints("demo/web", &json!("none"));
    lab.update(change(Change::Applied(broken.clone())));
    assert!(lab.settle().is_empty());
    let told = lab.problems()[0].to_string();
    assert!(
        told.contains("Undecodable") || told.contains("cannot be read"),
        "{told}"
    );
    lab.update(change(Change::Listed(vec![broken])));
    assert!(lab.settle().is_empty());
    assert_eq!(shown(&lab), ["IPv4 80: 10.0.0.2=true"]);
    lab.update(change(Change::Deleted(
        ObjectKey::parse("demo/web").unwrap(),
    )));
    lab.settle();
    assert!(lab.slices().is_empty());
}

#[test]
fn a_source_that_comes_to_serve_slices_is_read_by_them() {
    let first = json!([subset(&["10.0.0.1"], 8080)]);
    let mut lab = reading(vec![source_endpoints("demo/web", &first)]);
    lab.settle();
    lab.list_slices("east", &[slice("demo/web-1", "web", &["10.0.0.1"])]);
    let writes = lab.settle();
    // The new one is there before the old one goes.
    assert!(writes[0].starts_with("create EndpointSlice"), "{writes:?}");
    assert!(writes[1].starts_with("delete EndpointSlice"), "{writes:?}");
    assert_eq!(writes.len(), 2);
}

#[test]
fn more_than_a_slice_holds_is_several_and_what_the_source_leaves_out_is_told() {
    let addresses: Vec<_> = (0..1500)
        .map(|i| format!("10.0.{}.{}", i / 250, i % 250))
        .collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let key = ObjectKey::parse("demo/web").unwrap();
    let annotations = json!({"endpoints.kubernetes.io/over-capacity": "truncated"});
    let object = json!({"metadata": {
        "name": key.name(), "namespace": key.namespace(), "uid": "u", "resourceVersion": "1",
        "annotations": annotations,
    }, "subsets": [subset(&addresses, 80)]});
    let mut lab = reading(vec![Exported::endpoints(&raw(
        Resource::Endpoints,
        &object,
    ))]);
    lab.settle();
    assert_eq!(lab.slices().len(), 2);
    let reasons: Vec<_> = lab.problems().iter().map(|it| it.cause.reason()).collect();
    assert_eq!(reasons, ["EndpointsTruncated"]);
}

#[test]
fn what_was_mirrored_there_is_not_mirrored_again() {
    let hidden = json!({"metadata": {
        "name": "web", "namespace": "demo", "uid": "u", "resourceVersion": "1",
        "labels": {"heliograph.dev/source": "west"},
    }, "subsets": [subset(&["10.0.0.1"], 80)]});
    let mut lab = reading(vec![Exported::endpoints(&raw(
        Resource::Endpoints,
        &hidden,
    ))]);
    lab.settle();
    assert!(lab.slices().is_empty());
}
