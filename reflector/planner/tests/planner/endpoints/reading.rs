//! A source that is read by its core/v1 Endpoints.

use proto_types::{ObjectKey, Resource};
use reflector_planner::{Change, Exported, SourceEndpoints, Update};
use serde_json::{Value, json};

use crate::lab::{Lab, name, prefixed};
use crate::object::{raw, service, slice, with};

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
        told.contains("InvalidSourceObject") || told.contains("cannot be read"),
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
fn mirrors_of_another_cluster_are_not_mirrored_again() {
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
