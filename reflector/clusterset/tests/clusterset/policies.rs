//! Import policies decide what of other clusters' exports is imported, and nothing else.

use reflector_clusterset::{ClusterSettings, Settings, Update, plan, problems};
use reflector_planner::Import;
use reflector_planner::import::{LocalAddresses, Ports};
use serde_json::{Value, json};

use crate::lab::{Lab, exported, http, id, service, slice, web};

const OLD: &str = "2025-01-01T00:00:00Z";
const YOUNG: &str = "2026-01-01T00:00:00Z";

/// A clusterset in which west has an import policy.
fn lab(import: Import) -> Lab {
    let mut lab = Lab::new();
    limit(&mut lab, import);
    lab
}

fn limit(lab: &mut Lab, import: Import) {
    let mut settings: Settings = lab.set.settings().clone();
    let west = ClusterSettings {
        import: Some(import),
        ..ClusterSettings::default()
    };
    settings.clusters.insert(id("west"), west);
    lab.set.reconfigure(settings, &[].into());
}

fn reasons(lab: &Lab) -> Vec<(String, String)> {
    let plan = plan(&lab.set, &web()).unwrap();
    let problems = problems(&lab.set, &web(), &plan).into_iter();
    problems.map(|it| (it.reason, it.message)).collect()
}

fn addresses(lab: &Lab) -> Vec<String> {
    let slices = lab
        .objects
        .iter()
        .filter(|((it, _), _)| *it == "endpointslices");
    let endpoints = slices.flat_map(|(_, it)| it["endpoints"].as_array().cloned());
    let addresses = endpoints
        .flatten()
        .map(|it| it["addresses"][0].as_str().unwrap().to_owned());
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort();
    addresses
}

#[test]
fn a_namespace_or_name_that_is_not_admitted_is_not_imported() {
    for (rule, reason) in [
        ("namespaces", "NamespaceNotAllowed"),
        ("names", "NameNotAllowed"),
    ] {
        let mut import = Import::default();
        let rules = match rule {
            "namespaces" => &mut import.namespaces,
            _ => &mut import.names,
        };
        rules.deny.push(
            match rule {
                "namespaces" => "demo",
                _ => "web",
            }
            .parse()
            .unwrap(),
        );
        let mut lab = lab(import);
        lab.exports("west", OLD, "10.2.0.1");
        lab.settle();
        assert!(lab.import().is_none() && lab.copies().is_empty(), "{rule}");
        let [(told, message)] = &reasons(&lab)[..] else {
            panic!("{rule}");
        };
        assert_eq!(told, reason);
        assert!(message.contains("cluster west: not imported"), "{message}");
        // Another cluster's export is imported alone, and west decides nothing of it.
        lab.exports("north", YOUNG, "10.3.0.1");
        lab.settle();
        assert_eq!(addresses(&lab), ["10.3.0.1"]);
        let import = lab.import().unwrap();
        assert_eq!(import["status"]["clusters"], json!([{"cluster": "north"}]));
        // A policy that admits it again, brings it back.
        limit(&mut lab, Import::default());
        lab.settle();
        assert_eq!(addresses(&lab), ["10.2.0.1", "10.3.0.1"]);
        limit(&mut lab, Import::default());
    }
}

#[test]
fn addresses_of_the_local_cluster_are_never_imported_from_others() {
    let mut lab = lab(Import::default());
    let mut settings = lab.set.settings().clone();
    settings.addresses = LocalAddresses {
        closed: vec!["10.96.0.0/12".parse().unwrap()],
        ..LocalAddresses::default()
    };
    lab.set.reconfigure(settings, &[].into());
    lab.exports("west", OLD, "10.2.0.1");
    lab.slice("west", &slice("web-2", "10.96.0.1"));
    lab.slice("west", &slice("web-3", "10.1.0.9"));
    lab.exports("east", YOUNG, "10.1.0.7");
    lab.settle();
    assert_eq!(addresses(&lab), ["10.1.0.7", "10.1.0.9", "10.2.0.1"]);
    assert_eq!(reasons(&lab)[0].0, "AddressInLocalCIDR");
    // Those that the API server reports count as soon as they are known, and stay known.
    let learned = vec!["10.1.0.0/16".parse().unwrap()];
    lab.set.update(Update::LocalRanges(learned));
    lab.settle();
    assert_eq!(addresses(&lab), ["10.1.0.7", "10.2.0.1"]);
    limit(&mut lab, Import::default());
    lab.settle();
    assert_eq!(addresses(&lab), ["10.1.0.7", "10.2.0.1"]);
}

#[test]
fn endpoints_ports_and_cidrs_are_limited() {
    let import = Import {
        addresses: vec!["10.2.0.0/16".parse().unwrap()],
        max_endpoints: Some(2),
        ..Import::default()
    };
    let mut lab = lab(import);
    lab.exports("west", OLD, "10.2.0.1");
    for (i, address) in ["10.9.0.1", "10.2.0.2", "10.2.0.3"].iter().enumerate() {
        lab.slice("west", &slice(&format!("web-{}", i + 2), address));
    }
    lab.settle();
    assert_eq!(addresses(&lab), ["10.2.0.1", "10.2.0.2"]);
    let reasons: Vec<_> = reasons(&lab).into_iter().map(|it| it.0).collect();
    assert!(
        reasons.contains(&"AddressNotAllowed".to_owned()),
        "{reasons:?}"
    );
    assert!(
        reasons.contains(&"TooManyEndpoints".to_owned()),
        "{reasons:?}"
    );
}

#[test]
fn ports_that_are_not_admitted_are_not_imported_and_conflicts_are_those_of_all() {
    let import = Import {
        ports: Ports::new(vec!["80".parse().unwrap()]),
        ..Import::default()
    };
    let mut lab = lab(import);
    lab.exports("west", OLD, "10.2.0.1");
    lab.service(
        "west",
        &service(&json!([
            {"name": "http", "port": 80, "protocol": "TCP"},
            {"name": "admin", "port": 9000, "protocol": "TCP"},
        ])),
    );
    lab.exports("east", YOUNG, "10.1.0.7");
    lab.settle();
    let ports = &lab.import().unwrap()["spec"]["ports"];
    assert_eq!(ports.as_array().unwrap().len(), 1, "{ports}");
    let reasons: Vec<_> = reasons(&lab).into_iter().map(|it| it.0).collect();
    // Every cluster reports the conflict, whatever its own policies are.
    assert_eq!(reasons, ["PortNotAllowed", "ExportConflict"]);
}

#[test]
fn the_first_exports_of_a_cluster_come_in_up_to_its_limit() {
    let import = Import {
        max_services: Some(1),
        ..Import::default()
    };
    let mut lab = lab(import);
    let named = |mut object: Value, name: &str| {
        object["metadata"]["name"] = json!(name);
        object
    };
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    assert!(lab.import().is_some());
    // One that comes before it takes its place, and gives it back.
    lab.service("west", &named(http(), "app"));
    lab.export("west", &named(exported(OLD), "app"));
    lab.settle();
    assert!(lab.import().is_none());
    assert_eq!(reasons(&lab)[0].0, "TooManyServices");
    let app = proto_types::ObjectKey::new("demo", "app");
    lab.set.update(Update::Exports(
        id("west"),
        reflector_clusterset::Change::Deleted(app),
    ));
    lab.settle();
    assert!(lab.import().is_some());
    assert_eq!(reasons(&lab), []);
}

#[test]
fn exported_names_that_programs_act_upon_are_left_out() {
    let mut lab = lab(Import::default());
    let mut export = exported(OLD);
    export["spec"] = json!({
        "exportedLabels": {"team": "a", "istio.io/rev": "x"},
        "exportedAnnotations": {
            "note": "b",
            "external-dns.alpha.kubernetes.io/hostname": "example.com",
            "heliograph.dev/allow-deletion": "true",
            "heliograph.dev/exported-by": "north",
        },
    });
    lab.exports("west", OLD, "10.2.0.1");
    lab.export("west", &export);
    lab.settle();
    let metadata = &lab.import().unwrap()["metadata"];
    assert_eq!(
        metadata["labels"].as_object().unwrap().len(),
        2,
        "{metadata}"
    );
    let annotations = metadata["annotations"].as_object().unwrap();
    let kept = ["note", "heliograph.dev/exported-by"];
    for name in export["spec"]["exportedAnnotations"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert_eq!(
            annotations.contains_key(name),
            kept.contains(&&**name),
            "{name}"
        );
    }
    assert_eq!(annotations["heliograph.dev/exported-by"], json!("west"));
    let reasons = reasons(&lab);
    assert_eq!(reasons.len(), 4);
    assert!(reasons.iter().all(|(it, _)| it == "AnnotationNotAllowed"));
    // A domain that the operator names is admitted.
    let mut import = Import::default();
    import.carry.labels.push("istio.io/*".parse().unwrap());
    limit(&mut lab, import);
    lab.settle();
    assert_eq!(
        lab.import().unwrap()["metadata"]["labels"]["istio.io/rev"],
        json!("x")
    );
}

#[test]
fn the_local_cluster_and_clusters_without_a_policy_are_not_limited() {
    let mut lab = Lab::new();
    lab.exports("east", OLD, "10.1.0.7");
    lab.set
        .update(Update::LocalRanges(vec!["10.0.0.0/8".parse().unwrap()]));
    lab.settle();
    assert_eq!(addresses(&lab), ["10.1.0.7"]);
}
