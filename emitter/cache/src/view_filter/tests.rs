use std::sync::Arc;

use proto_types::{ObjectKey, RawObject, Resource, ResourceVersion};

use super::{IndexedService, Port, Rules, ServiceChange, ServiceIndex, Turn, ViewFilter};
use crate::{Entry, Fields};

fn raw(resource: Resource, text: &str) -> RawObject {
    RawObject::parse(resource.names(), &text.to_owned().into()).unwrap()
}

fn entry(resource: Resource, text: &str) -> Arc<Entry> {
    Arc::new(Entry::new(resource, &Fields::All, raw(resource, text)).unwrap())
}

fn service(team: &str) -> String {
    format!(
        r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"web","namespace":"a","uid":"u","resourceVersion":"1","labels":{{"team":"{team}"}},"annotations":{{"last":"9090"}}}},"spec":{{"ports":[{{"name":"http","port":80}},{{"name":"admin","port":9090}}]}}}}"#
    )
}

const SLICE: &str = r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"web-1","namespace":"a","uid":"s","resourceVersion":"2","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"name":"http","port":8080},{"name":"admin","port":9091}]}"#;

const ENDPOINTS: &str = r#"{"kind":"Endpoints","apiVersion":"v1","metadata":{"name":"web","namespace":"a","uid":"e","resourceVersion":"2"},"subsets":[{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"name":"http","port":8080}]},{"addresses":[{"ip":"10.0.0.2"}],"ports":[{"name":"admin","port":9091}]}]}"#;

fn owners(team: &str) -> Arc<ServiceIndex> {
    let owners = ServiceIndex::default();
    let owner = IndexedService::read(&raw(Resource::Services, &service(team))).unwrap();
    let key = ObjectKey::new("a", "web");
    owners.replace(
        ResourceVersion::new(1),
        vec![(key, owner, ResourceVersion::new(1))],
    );
    Arc::new(owners)
}

fn grant(rules: Rules) -> ViewFilter {
    ViewFilter::new(rules, owners("blue"))
}

fn shown(grant: &ViewFilter, resource: Resource, text: &str) -> Option<String> {
    let shown = grant.show(&entry(resource, text), ResourceVersion::MAX)?;
    Some(String::from_utf8(shown.json().to_vec()).unwrap())
}

#[test]
fn objects_of_a_service_are_visible_as_the_service_is() {
    for (selector, is_seen) in [("team=blue", true), ("team=red", false), ("", true)] {
        let grant = grant(Rules {
            labels: selector.parse().unwrap(),
            ..Rules::default()
        });
        for (resource, text) in [
            (Resource::Services, service("blue").as_str()),
            (Resource::EndpointSlices, SLICE),
            (Resource::Endpoints, ENDPOINTS),
        ] {
            let seen = grant.sees(&entry(resource, text), ResourceVersion::MAX);
            assert_eq!(seen, is_seen, "{selector} {resource:?}");
        }
    }
}

#[test]
fn only_what_is_in_its_namespaces_is_in_sight() {
    let rules = |namespace: &str| Rules {
        namespaces: Some([namespace.to_owned()].into()),
        ..Rules::default()
    };
    assert!(grant(rules("a")).sees(
        &entry(Resource::EndpointSlices, SLICE),
        ResourceVersion::MAX
    ));
    assert!(!grant(rules("b")).sees(
        &entry(Resource::EndpointSlices, SLICE),
        ResourceVersion::MAX
    ));
}

#[test]
fn ports_that_may_not_be_seen_leave_no_trace() {
    for port in [Port::Name("http".to_owned()), Port::Number(80)] {
        let grant = grant(Rules {
            ports: Some([port].into()),
            ..Rules::default()
        });
        let service = shown(&grant, Resource::Services, &service("blue")).unwrap();
        assert!(
            service.contains("http") && !service.contains("9090"),
            "{service}"
        );
        let slice = shown(&grant, Resource::EndpointSlices, SLICE).unwrap();
        assert!(slice.contains("8080") && !slice.contains("9091"), "{slice}");
        let endpoints = shown(&grant, Resource::Endpoints, ENDPOINTS).unwrap();
        assert!(endpoints.contains("10.0.0.1"), "{endpoints}");
        assert!(!endpoints.contains("10.0.0.2"), "{endpoints}");
    }
}

#[test]
fn objects_without_a_visible_port_are_hidden() {
    let grant = grant(Rules {
        ports: Some([Port::Name("grpc".to_owned())].into()),
        ..Rules::default()
    });
    assert_eq!(shown(&grant, Resource::Services, &service("blue")), None);
    assert_eq!(shown(&grant, Resource::EndpointSlices, SLICE), None);
    assert_eq!(shown(&grant, Resource::Endpoints, ENDPOINTS), None);
}

#[test]
fn a_service_that_changes_concerns_only_who_sees_something_else() {
    let owner =
        |team| Arc::new(IndexedService::read(&raw(Resource::Services, &service(team))).unwrap());
    let rejoined = ServiceChange {
        turn: Arc::new(Turn {
            service: ObjectKey::new("a", "web"),
            since: ResourceVersion::new(7),
            revision: ResourceVersion::new(7),
            before: Some(owner("blue")),
            after: Some(owner("red")),
        }),
        entries: vec![entry(Resource::EndpointSlices, SLICE)],
    };
    for (selector, is_concerned) in [
        ("team=blue", true),
        ("team=red", true),
        ("", false),
        ("team", false),
    ] {
        let grant = grant(Rules {
            labels: selector.parse().unwrap(),
            ..Rules::default()
        });
        assert_eq!(rejoined.concerns(&grant), is_concerned, "{selector}");
    }
}

#[test]
fn a_namespace_is_in_sight_of_who_may_see_all_that_is_in_it() {
    let text = r#"{"metadata":{"name":"a","resourceVersion":"1","labels":{"x":"y"}}}"#;
    let form = &crate::descriptor::NAMESPACES;
    let object = RawObject::parse(form.names, &text.to_owned().into()).unwrap();
    let namespace = Entry::new(form, &Fields::All, object).unwrap();
    let within = |names: &[&str]| Rules {
        namespaces: Some(names.iter().map(|&it| it.to_owned()).collect()),
        ..Rules::default()
    };
    let labels = |selector: &str| Rules {
        labels: selector.parse().unwrap(),
        ..Rules::default()
    };
    let ports = Rules {
        ports: Some([Port::Number(80)].into()),
        ..Rules::default()
    };
    for (rules, is_seen) in [
        (Rules::default(), true),
        (within(&["a", "b"]), true),
        (within(&["b"]), false),
        // What a selector says of Services it does not say of their namespace.
        (labels("x=y"), false),
        (labels("z!=y"), false),
        (ports, false),
    ] {
        assert_eq!(
            grant(rules.clone()).sees(&namespace, ResourceVersion::MAX),
            is_seen,
            "{rules:?}"
        );
    }
}
