//! Why things are as they are, in the planner's own words.

use proto_types::ObjectKey;
use reflector_planner::explain;

use crate::lab::{Lab, prefixed, same_name};
use crate::object::{service, slice};

#[track_caller]
fn check(lab: &Lab, key: &str, rules: &[&str], to_do: &[&str]) -> String {
    let explained = explain(&lab.index, &ObjectKey::parse(key).unwrap());
    let reasons = explained.iter().flat_map(|it| &it.reasons);
    let found: Vec<_> = reasons.map(|it| it.rule.as_str()).collect();
    assert_eq!(found, rules, "{explained:?}");
    let objects = explained.iter().flat_map(|it| &it.objects);
    let found: Vec<_> = objects.map(|it| it.action.as_str()).collect();
    assert_eq!(found, to_do, "{explained:?}");
    explained.iter().map(ToString::to_string).collect()
}

#[test]
fn a_mirror_is_explained_by_its_name_here_and_by_its_name_there() {
    let mut lab = Lab::new(vec![prefixed("east")]);
    let slices = [slice("demo/web-1", "web", &["10.0.0.1"])];
    lab.list("east", &[service("demo/web")], &slices);
    let rules = ["Selected", "Mirrored", "SliceMirrored"];
    let there = check(&lab, "demo/web", &rules, &["create", "create"]);
    lab.settle();
    let here = "mirrors/east-demo-73736d-web";
    let here = check(&lab, here, &rules, &["nothing", "nothing"]);
    let head = "Service mirrors/east-demo-73736d-web\n  source east (services synced, endpointslices \
                synced) exports demo/web\n  1. demo/web of source east belongs here; no earlier \
                source has one that does [Selected]\n";
    assert!(there.starts_with(head) && here.starts_with(head), "{here}");
}

#[test]
fn every_kept_or_deleted_object_has_a_reason() {
    let mut lab = Lab::new(vec![same_name("east")]);
    lab.list("east", &[service("demo/web")], &[]);
    lab.settle();
    lab.lose("east");
    let mut lab = lab.restarted();
    check(
        &lab,
        "demo/web",
        &["NotExported", "SourceDisconnected"],
        &["nothing"],
    );
    lab.list("east", &[], &[]);
    let held = check(
        &lab,
        "demo/web",
        &["NotExported", "DeletionHeld"],
        &["nothing"],
    );
    assert!(
        held.contains("the last list of the source lacks everything that is mirrored"),
        "{held}"
    );
    lab.list_twice("east", &[], &[]);
    check(
        &lab,
        "demo/web",
        &["NotExported", "ExportEnded"],
        &["delete"],
    );
    check(&lab, "demo/other", &["NotExported"], &["nothing"]);
}

#[test]
fn a_name_conflict_names_both_sources() {
    let mut lab = Lab::new(vec![same_name("east"), same_name("west")]);
    for source in ["east", "west"] {
        lab.list(source, &[service("demo/web")], &[]);
    }
    let text = check(
        &lab,
        "demo/web",
        &["Selected", "Mirrored", "NameConflict"],
        &["create"],
    );
    assert!(
        text.contains("problem: Service demo/web of source west: not mirrored"),
        "{text}"
    );
}
