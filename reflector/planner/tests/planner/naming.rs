//! What mirrors are called.

use proptest::prelude::*;
use reflector_planner::name::{Aliases, LongNames, Template};
use reflector_planner::{Naming, Placement, SourcePolicy, explain};
use serde_json::{Value, json};

use crate::lab::{Lab, name, prefixed, same_name};
use crate::object::{service, slice, with};

const ALIAS: &str = "/metadata/annotations/heliograph.dev~1alias";

fn east(naming: Naming) -> SourcePolicy {
    SourcePolicy {
        naming,
        ..prefixed("east")
    }
}

fn aliased() -> Naming {
    Naming {
        aliases: Aliases::Followed,
        ..Naming::default()
    }
}

fn templated(template: &str) -> Naming {
    Naming {
        template: Some(template.parse().unwrap()),
        ..Naming::default()
    }
}

/// What is here of two Services, `demo/web` and `prod/web`, with a slice each.
fn named(policy: SourcePolicy) -> Vec<String> {
    let mut lab = Lab::new(vec![policy]);
    let services = [service("demo/web"), service("prod/web")];
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &services, &slices);
    lab.settle();
    assert_eq!(
        lab.slice()["metadata"]["labels"]["kubernetes.io/service-name"],
        *lab.services()[0].split_once('/').unwrap().1
    );
    lab.services()
}

#[test]
fn mirrors_are_called_as_configured() {
    let old = Naming {
        template: Some(Template::old()),
        ..Naming::default()
    };
    assert_eq!(
        named(east(old)),
        [
            "mirrors/east-web-6d6972726f720a-demo",
            "mirrors/east-web-6d6972726f720a-prod"
        ]
    );
    assert_eq!(
        named(east(templated("x-{source}-{namespace}-73736d-{name}"))),
        [
            "mirrors/x-east-demo-73736d-web",
            "mirrors/x-east-prod-73736d-web"
        ]
    );
    let moved = Naming {
        namespaces: [("prod".parse().unwrap(), "shop".parse().unwrap())].into(),
        ..Naming::default()
    };
    assert_eq!(
        named(east(moved.clone())),
        ["mirrors/east-demo-73736d-web", "shop/east-prod-73736d-web"]
    );
    let same = SourcePolicy {
        naming: moved,
        ..same_name("east")
    };
    assert_eq!(named(same), ["demo/web", "shop/web"]);
}

#[test]
fn two_namespaces_in_one_collide_and_the_first_one_wins() {
    let naming = Naming {
        namespaces: [("prod".parse().unwrap(), "demo".parse().unwrap())].into(),
        ..Naming::default()
    };
    let mut lab = Lab::new(vec![SourcePolicy {
        naming,
        ..same_name("east")
    }]);
    lab.list("east", &[service("prod/web"), service("demo/web")], &[]);
    lab.settle();
    assert_eq!(lab.services(), ["demo/web"]);
    let annotations = &lab.service("demo/web")["metadata"]["annotations"];
    assert_eq!(annotations["heliograph.dev/source-service"], "demo/web");
    assert_eq!(lab.problems()[0].cause.reason(), "NameConflict");
    assert_eq!(lab.problems()[0].object.as_str(), "prod/web");
}

#[test]
fn long_names_are_shortened_where_that_is_wanted() {
    let naming = Naming {
        long: LongNames::Shorten,
        ..Naming::default()
    };
    let long = ["a", "b"].map(|end| format!("demo/{}{end}", "x".repeat(49)));
    let mut lab = Lab::new(vec![east(naming)]);
    lab.list("east", &long.clone().map(|it| service(&it)), &[]);
    lab.settle();
    let shown = lab.services();
    assert_eq!(shown.len(), 2, "{shown:?}");
    let originals = shown.iter().map(|it| {
        let (_, name) = it.split_once('/').unwrap();
        assert!(
            name.len() <= 63 && name.starts_with("east-demo-73736d-xxx"),
            "{name}"
        );
        lab.service(it)["metadata"]["annotations"]["heliograph.dev/source-service"].clone()
    });
    // The way back.
    let mut originals: Vec<_> = originals
        .map(|it| it.as_str().unwrap().to_owned())
        .collect();
    originals.sort();
    assert_eq!(originals, long);
    assert!(lab.problems().is_empty());
    assert!(lab.restarted().settle().is_empty());
}

#[test]
fn shortened_names_stay_the_same_through_all_releases() {
    let policy = east(Naming {
        long: LongNames::Shorten,
        ..Naming::default()
    });
    let key = proto_types::ObjectKey::new("demo", &"x".repeat(50));
    assert_eq!(
        policy.local(&key).object().name(),
        "east-demo-73736d-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-ocf2dlmo76"
    );
}

#[test]
fn a_service_may_choose_its_mirrors_name_where_that_is_allowed() {
    let mut lab = Lab::new(vec![east(aliased())]);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/east-demo-73736d-web"]);
    lab.apply_service("east", &with(service("demo/web"), ALIAS, json!("shop")));
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/shop"]);
    assert_eq!(
        lab.slice()["metadata"]["labels"]["kubernetes.io/service-name"],
        "shop"
    );
    let by_original = explain(&lab.index, &proto_types::ObjectKey::new("demo", "web"));
    assert_eq!(by_original[0].service, "mirrors/shop");
    // It stays so while it changes, is edited here, and is lost sight of.
    lab.edit(
        proto_types::Resource::EndpointSlices,
        &lab.slices()[0].clone(),
        |it| {
            it["metadata"]["labels"]["kubernetes.io/service-name"] = json!("other");
        },
    );
    lab.settle();
    assert_eq!(
        lab.slice()["metadata"]["labels"]["kubernetes.io/service-name"],
        "shop"
    );
    lab.lose("east");
    let mut lab = lab.restarted();
    assert!(lab.settle().is_empty());
    lab.list(
        "east",
        &[with(service("demo/web"), ALIAS, json!("cart"))],
        &slices,
    );
    lab.settle();
    assert_eq!(lab.services(), ["mirrors/cart"]);
    lab.delete_service("east", "demo/web");
    lab.settle();
    assert!(lab.services().is_empty() && lab.slices().is_empty());
}

#[test]
fn an_alias_that_may_not_be_is_told_and_the_usual_name_is_used() {
    let check = |naming, alias: &str, words: &str| {
        let mut lab = Lab::new(vec![east(naming), prefixed("west")]);
        lab.list(
            "east",
            &[with(service("demo/web"), ALIAS, json!(alias))],
            &[],
        );
        lab.settle();
        assert_eq!(lab.services(), ["mirrors/east-demo-73736d-web"], "{alias}");
        let problem = lab.problems()[0].to_string();
        assert!(problem.contains(words), "{problem}");
    };
    check(Naming::default(), "shop", "naming.allowAliases is not set");
    check(aliased(), "Shop", "not the name of a Service");
    check(aliased(), "1shop", "not the name of a Service");
    check(aliased(), "", "not the name of a Service");
    check(
        aliased(),
        "gl-demo-73736d-web",
        "names of other mirrors begin so",
    );
    check(
        aliased(),
        "west-demo-73736d-web",
        "names of other mirrors begin so",
    );
}

#[test]
fn of_two_services_with_one_alias_the_first_has_it() {
    let mut lab = Lab::new(vec![east(aliased())]);
    let both = ["demo/a", "demo/b"].map(|it| with(service(it), ALIAS, json!("shop")));
    lab.list("east", &both, &[]);
    lab.settle();
    let annotations = &lab.service("mirrors/shop")["metadata"]["annotations"];
    assert_eq!(annotations["heliograph.dev/source-service"], "demo/a");
    assert_eq!(lab.problems()[0].cause.reason(), "NameConflict");
    lab.delete_service("east", "demo/a");
    lab.settle();
    let annotations = &lab.service("mirrors/shop")["metadata"]["annotations"];
    assert_eq!(annotations["heliograph.dev/source-service"], "demo/b");
}

/// Any naming that a policy takes.
fn namings() -> impl Strategy<Value = SourcePolicy> {
    let templates = [
        None,
        Some("{prefix}-{name}-6d6972726f720a-{namespace}"),
        Some("m-{source}-{namespace}-73736d-{name}"),
    ];
    let moved = prop::option::of(Just(("prod", "demo")));
    let parts = (
        prop::sample::select(templates.to_vec()),
        moved,
        any::<[bool; 3]>(),
    );
    parts.prop_map(|(template, moved, [same, shorten, alias])| {
        let naming = Naming {
            template: template.filter(|_| !same).map(|it| it.parse().unwrap()),
            namespaces: moved
                .map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()))
                .into_iter()
                .collect(),
            long: if shorten {
                LongNames::Shorten
            } else {
                LongNames::Refuse
            },
            aliases: if alias {
                Aliases::Followed
            } else {
                Aliases::Ignored
            },
        };
        let placement = if same {
            Placement::SameName
        } else {
            prefixed("east").placement
        };
        SourcePolicy {
            naming,
            ..SourcePolicy::new(name("east"), placement)
        }
    })
}

/// The mirror of a Service with an alias, which cannot be read any more.
#[test]
fn an_aliased_mirror_stays_while_its_service_cannot_be_read() {
    let shop = with(service("demo/web"), ALIAS, json!("shop"));
    let broken = with(shop.clone(), "/spec/ports/0/port", json!(70000));
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    let mut lab = Lab::new(vec![east(aliased())]);
    lab.list("east", std::slice::from_ref(&shop), &slices);
    lab.settle();
    lab.apply_service("east", &broken);
    assert!(lab.settle().is_empty());
    assert_eq!(lab.reasons(), ["east InvalidSourceObject"]);
    // Nor does a list change that, nor a restart.
    lab.list("east", std::slice::from_ref(&broken), &slices);
    assert!(lab.settle().is_empty());
    let mut lab = lab.restarted();
    lab.list("east", std::slice::from_ref(&broken), &slices);
    assert!(lab.settle().is_empty());
    assert_eq!(lab.services(), ["mirrors/shop"]);
    assert_eq!(lab.slices().len(), 1);
    // Another Service does not get its name in the meantime.
    let other = with(service("demo/api"), ALIAS, json!("shop"));
    lab.apply_service("east", &other);
    let before = lab.service("mirrors/shop").clone();
    lab.settle();
    assert_eq!(*lab.service("mirrors/shop"), before);
    lab.delete_service("east", "demo/api");
    lab.apply_service("east", &shop);
    assert!(lab.settle().is_empty());
    assert_eq!(lab.reasons(), Vec::<String>::new());
}

fn nth(n: usize, form: u8) -> Value {
    let long = "x".repeat(50);
    let key = ["demo/a", "prod/a", "demo/b", &format!("prod/{long}")][n % 4].to_owned();
    let aliases = ["", "shop", "a", "gl-x"];
    match form % 5 {
        0 => service(&key),
        form => with(service(&key), ALIAS, json!(aliases[usize::from(form) - 1])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    /// Any naming, any aliases: `settle` fails where plans are not reached or not enough
    /// was touched, and what is here does not depend on what happened before.
    #[test]
    fn names_follow_from_what_is_so(
        policy in namings(),
        deeds in prop::collection::vec((0..4usize, 0..6u8), 0..12),
        last in prop::collection::btree_map(0..4usize, 0..5u8, 0..5),
    ) {
        let last: Vec<_> = last.into_iter().map(|(n, form)| nth(n, form)).collect();
        let mut eventful = Lab::new(vec![policy.clone()]);
        eventful.list("east", &[], &[]);
        for (n, form) in deeds {
            let object = nth(n, form);
            if form == 5 {
                let metadata = &object["metadata"];
                let key = format!("{}/{}", metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap());
                eventful.delete_service("east", &key);
            } else {
                eventful.apply_service("east", &object);
            }
            eventful.settle();
        }
        eventful.list_twice("east", &last, &[]);
        eventful.settle();
        let mut fresh = Lab::new(vec![policy]);
        fresh.list("east", &last, &[]);
        fresh.settle();
        prop_assert_eq!(eventful.services(), fresh.services());
        prop_assert_eq!(eventful.problems(), fresh.problems());
        prop_assert!(fresh.restarted().settle().is_empty());
        for service in eventful.services() {
            prop_assert!(service.split_once('/').unwrap().1.len() <= 63);
        }
    }
}
