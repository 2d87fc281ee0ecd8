//! What is not known is never taken for absent.

use reflector_clusterset::{Change, ClusterSettings, Settings, Update};
use reflector_planner::{RemovedSources, Staleness};
use std::time::Duration;

use serde_json::json;

use crate::lab::{Lab, id, web};

const OLD: &str = "2025-01-01T00:00:00Z";

/// The same API server with a reflector that was just started.
fn restarted(lab: Lab, removed: RemovedSources) -> Lab {
    let mut fresh = Lab::unlisted(removed);
    fresh.objects = lab.objects;
    fresh.list_local();
    fresh
}

#[test]
fn a_restart_deletes_nothing_before_clusters_were_listed() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.exports("north", OLD, "10.3.0.1");
    lab.settle();
    let mut lab = restarted(lab, RemovedSources::Keep);
    assert_eq!(
        lab.settle(),
        ["update status serviceimport"],
        "both are silent"
    );
    lab.list("east");
    lab.settle();
    assert!(lab.import().is_some());
    assert_eq!(lab.copies().len(), 2);
    // One is heard and exports; the other's endpoints, ports and address stay.
    lab.list("west");
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    assert_eq!(lab.copies().len(), 2);
    lab.list("north");
    lab.exports("north", OLD, "10.3.0.1");
    lab.settle();
    assert_eq!(lab.copies().len(), 2);
    lab.unexport("north");
    lab.settle();
    assert_eq!(lab.copies().len(), 1);
}

#[test]
fn an_api_that_is_not_served_is_no_empty_list() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    lab.set
        .update(Update::Exports(id("west"), Change::Disconnected));
    lab.settle();
    assert_eq!(lab.copies().len(), 1);
    let mut lab = restarted(lab, RemovedSources::Keep);
    lab.list("east");
    lab.list("north");
    lab.set
        .update(Update::Services(id("west"), Change::Listed(Vec::new())));
    lab.set
        .update(Update::Slices(id("west"), Change::Listed(Vec::new())));
    lab.settle();
    assert!(lab.import().is_some(), "its exports were never listed");
    assert_eq!(lab.copies().len(), 1);
}

#[test]
fn an_unconfirmed_list_deletes_nothing() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    let nothing = || Change::ListedUnconfirmed(Vec::new());
    lab.set.update(Update::Exports(id("west"), nothing()));
    lab.set.update(Update::Slices(
        id("west"),
        Change::ListedUnconfirmed(Vec::new()),
    ));
    assert_eq!(lab.settle(), [""; 0]);
}

#[test]
fn a_cluster_that_never_contributed_holds_nothing() {
    let mut lab = Lab::unlisted(RemovedSources::Keep);
    lab.list_local();
    lab.list("east");
    lab.list("west");
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    assert!(lab.import().is_some());
    lab.unexport("west");
    lab.settle();
    assert!(
        lab.import().is_none(),
        "north was never read, and never named"
    );
}

#[test]
fn slices_that_were_not_listed_stay() {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    let mut lab = restarted(lab, RemovedSources::Keep);
    lab.list("east");
    lab.list("north");
    lab.set
        .update(Update::Exports(id("west"), Change::Listed(Vec::new())));
    lab.set
        .update(Update::Services(id("west"), Change::Listed(Vec::new())));
    lab.service("west", &crate::lab::http());
    lab.export("west", &crate::lab::exported(OLD));
    lab.settle();
    assert_eq!(lab.copies().len(), 1);
}

#[test]
fn a_cluster_that_is_not_configured_any_more_follows_removed_sources() {
    for (removed, n_copies) in [(RemovedSources::Keep, 1), (RemovedSources::Delete, 0)] {
        let mut lab = Lab::new();
        lab.exports("west", OLD, "10.2.0.1");
        lab.settle();
        let settings = Settings {
            clusters: [(id("east"), ClusterSettings::default())].into(),
            removed,
            ..lab.set.settings().clone()
        };
        lab.set.reconfigure(settings, &[].into());
        lab.settle();
        assert_eq!(lab.copies().len(), n_copies, "{removed:?}");
        assert_eq!(lab.import().is_some(), n_copies == 1);
    }
}

#[test]
fn endpoints_of_a_silent_cluster_follow_the_rules_for_staleness() {
    let mut lab = Lab::new();
    let rule = Staleness {
        not_ready_after: Some(Duration::from_secs(10)),
        drop_after: Some(Duration::from_secs(20)),
    };
    let rule = ClusterSettings {
        staleness: rule,
        ..ClusterSettings::default()
    };
    let mut settings = lab.set.settings().clone();
    settings.clusters.insert(id("west"), rule);
    lab.set.reconfigure(settings, &[].into());
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    lab.disconnect("west");
    lab.settle();
    let ready = |lab: &Lab| {
        let slice = lab
            .objects
            .iter()
            .find(|((plural, _), _)| *plural == "endpointslices");
        slice.unwrap().1["endpoints"][0]["conditions"]["ready"].as_bool()
    };
    assert_eq!(ready(&lab), Some(true));
    lab.tick(10);
    lab.settle();
    assert_eq!(ready(&lab), Some(false));
    lab.tick(20);
    lab.settle();
    assert_eq!(ready(&lab), None);
    assert!(lab.import().is_some());
}

/// The API server after a reflector that ended between the creation of the import and its status.
fn without_status() -> Lab {
    let mut lab = Lab::new();
    lab.exports("west", OLD, "10.2.0.1");
    lab.settle();
    lab.objects.retain(|(it, _), _| *it != "endpointslices");
    let import = lab.objects.get_mut(&("serviceimports", web())).unwrap();
    import.as_object_mut().unwrap().remove("status");
    restarted(lab, RemovedSources::Keep)
}

#[test]
fn an_import_without_a_status_stays_while_its_cluster_is_unknown() {
    let mut lab = without_status();
    for cluster in ["east", "north"] {
        lab.list(cluster);
    }
    lab.settle();
    assert!(lab.import().is_some());
}

#[test]
fn an_import_without_a_status_is_held_as_others_are() {
    let mut lab = without_status();
    for cluster in ["east", "north", "west"] {
        lab.list(cluster);
    }
    lab.settle();
    let import = lab.import().unwrap();
    assert_eq!(import["status"]["clusters"], json!([{"cluster": "west"}]));
    lab.tick(61);
    lab.list("west");
    lab.settle();
    assert!(lab.import().is_none());
}
