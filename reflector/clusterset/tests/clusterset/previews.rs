//! Writes that are told in advance.

use reflector_clusterset::{ClusterSet, ImportPreview, previews};
use serde_json::json;

use crate::lab::{Lab, NOW, VERSION, exported, service};

const OLD: &str = "2025-01-01T00:00:00Z";
const YOUNG: &str = "2025-06-01T00:00:00Z";

/// The previews of a lab, whose state stays as it is.
fn told(lab: &mut Lab) -> Vec<ImportPreview> {
    let settings = lab.set.settings().clone();
    let empty = ClusterSet::new(settings);
    let set = std::mem::replace(&mut lab.set, empty);
    previews(set, VERSION, NOW)
}

fn writes(previews: &[ImportPreview]) -> Vec<String> {
    let actions = previews.iter().flat_map(|it| &it.actions);
    actions
        .map(|it| format!("{} {}", it.action, it.kind))
        .collect()
}

#[test]
fn a_preview_names_the_writes_that_follow() {
    let filled = || {
        let mut lab = Lab::new();
        lab.exports("east", YOUNG, "10.1.0.1");
        lab.exports("west", OLD, "10.2.0.1");
        lab
    };
    let done = filled().settle();
    let told = writes(&told(&mut filled()));
    let done: Vec<_> = done
        .iter()
        .map(|it| it.replace("update status", "update"))
        .collect();
    let told_lower: Vec<_> = told
        .iter()
        .map(|it| it.replace("/status", "").to_lowercase())
        .collect();
    assert_eq!(told_lower, done, "{told:?}");
    assert!(
        told.contains(&"update ServiceImport/status".to_owned()),
        "{told:?}"
    );
}

#[test]
fn nothing_is_told_of_what_is_as_it_should_be() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    assert_eq!(told(&mut lab), []);
}

#[test]
fn an_import_that_goes_is_told() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    lab.unexport("west");
    assert_eq!(
        writes(&told(&mut lab)),
        [
            "delete ServiceImport",
            "delete EndpointSlice",
            "delete Service"
        ]
    );
}

#[test]
fn conflicts_of_others_are_told_with_both_values_the_winner_and_the_remedy() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.service("north", &service(&json!([{"name": "http", "port": 81}])));
    lab.export("north", &exported(YOUNG));
    let told = told(&mut lab);
    let text = told[0].explanation.to_string();
    assert!(told[0].explanation.problems.is_empty(), "{text}");
    for part in [
        "PortConflict: ports of cluster north (http 81/TCP)",
        "differ from those of cluster west (http 80/TCP), whose export is older",
        "give both exports the same ports",
        "takes precedence",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
