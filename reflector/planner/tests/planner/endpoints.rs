//! core/v1 Endpoints beside slices, and instead of them.

mod reading;

use proto_types::{ObjectKey, Resource};
use reflector_planner::{CoreEndpoints, MonotonicTime, SourcePolicy, Update};
use serde_json::{Value, json};

use crate::lab::{Lab, policy, prefixed};
use crate::object::{service, slice, with};

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
fn objects_of_a_disabled_setting_are_deleted_also_after_a_restart() {
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
        assert!(!lab.index.concerns_endpoints());
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
    lab.update(Update::Tick(MonotonicTime(std::time::Duration::from_secs(
        61,
    ))));
    lab.settle();
    let subset = &lab.endpoints().unwrap()["subsets"][0];
    assert_eq!(subset["notReadyAddresses"][0]["ip"], "10.0.0.1");
    assert!(subset["addresses"].is_null());
}
