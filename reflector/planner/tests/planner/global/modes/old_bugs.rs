//! What k8s-endpoints-sync-controller lost, and is not lost here.

use std::collections::BTreeSet;

use proto_types::{ObjectKey, Resource};
use reflector_planner::{Index, MirrorKey, Plan, Update, WriteFailure, plan};
use serde_json::json;

use super::{by_mode, id, in_mode, pods, web};
use crate::lab::{Lab, name};
use crate::object::{service, slice, with};

const NOTHING: [&str; 0] = [];

/// East has a Service, and home nothing.
fn replicating() -> Lab {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab
}

// It had no queue: what failed waited for a resync, five minutes later.
#[test]
fn a_rejected_object_stays_desired_until_it_exists() {
    for write_failure in [
        WriteFailure::Refused("no".into()),
        WriteFailure::NamespaceMissing,
        WriteFailure::NamespaceRefused("no".into()),
    ] {
        let mut lab = replicating();
        let (resource, key) = id();
        lab.update(Update::Blocked(resource, key, write_failure.clone()));
        assert_eq!(lab.reasons().len(), 1, "{write_failure:?}");
        lab.settle();
        assert_eq!(lab.members_here(), ["east"], "{write_failure:?}");
        assert_eq!(lab.reasons(), NOTHING, "{write_failure:?}");
    }
}

// It wrote its label into what it had heard, which it then took for a replica's, and so
// heard no resync.
#[test]
fn a_repeated_list_is_read_like_the_first() {
    let mut lab = replicating();
    lab.settle();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    assert_eq!(lab.settle(), NOTHING);
    lab.remove(Resource::Services, "demo/web");
    lab.settle();
    assert_eq!(lab.service("demo/web")["spec"]["ports"][0]["port"], 80);
    let ports = json!([{"name": "http", "protocol": "TCP", "port": 81}]);
    let changed = with(web(2020), "/spec/ports", ports);
    lab.list("east", &[changed], &[pods("10.1.0.2")]);
    lab.settle();
    assert_eq!(lab.service("demo/web")["spec"]["ports"][0]["port"], 81);
    let endpoints = &lab.slice()["endpoints"];
    assert_eq!(endpoints[0]["addresses"], json!(["10.1.0.2"]));
}

// It dropped Services that came before their namespace.
#[test]
fn a_service_is_kept_in_mind_whatever_its_namespace_says_later() {
    let mut lab = replicating();
    let opted_out = |namespaces: &[&str]| {
        let namespaces = namespaces.iter().map(|it| Box::from(*it));
        Update::OptedOut(name("east"), namespaces.collect())
    };
    lab.update(opted_out(&["demo", "other"]));
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(lab.reasons(), ["east NamespaceOptedOut"]);
    lab.update(opted_out(&["other"]));
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    assert_eq!(lab.reasons(), NOTHING);

    // The label holds for what is there too, and for its source alone.
    lab.update(opted_out(&["demo"]));
    lab.settle();
    assert_eq!((lab.services().len(), lab.slices().len()), (0, 0));
    assert_eq!(lab.reasons(), ["east NamespaceOptedOut"]);
    // What comes in the meantime comes in when the label goes.
    lab.apply_service("east", &service("demo/db"));
    assert_eq!(lab.settle(), NOTHING);
    lab.update(opted_out(&[]));
    lab.settle();
    assert_eq!(lab.services(), ["demo/db", "demo/web"]);
}

#[test]
fn a_namespace_that_opts_out_costs_nothing_while_its_source_cannot_be_asked() {
    let mut lab = replicating();
    lab.settle();
    lab.lose("east");
    let namespaces = BTreeSet::from(["demo".into()]);
    lab.update(Update::OptedOut(name("east"), namespaces));
    assert_eq!(lab.settle(), NOTHING);
    assert_eq!(lab.members_here(), ["east"]);
}

// It had no eyes for what went while it did not look.
#[test]
fn a_missed_deletion_is_made_up_for_when_it_is_seen() {
    let mut lab = replicating();
    let (db, slice) = (service("demo/db"), slice("demo/db-1", "db", &["10.1.0.3"]));
    lab.list(
        "east",
        &[web(2020), db.clone()],
        &[pods("10.1.0.1"), slice.clone()],
    );
    lab.settle();
    lab.lose("east");
    assert_eq!(lab.settle(), NOTHING);
    lab.list("east", &[db], &[slice]);
    lab.settle();
    assert_eq!((lab.services().len(), lab.slices().len()), (1, 1));
    assert_eq!(lab.services(), ["demo/db"]);
}

// It took what it could not read for what was not there, and wrote over it.
#[test]
fn nothing_is_taken_for_absent_that_could_not_be_read() {
    let key = MirrorKey::new(ObjectKey::new("demo", "web"));
    // The local cluster's own is listed, and what is ours is not.
    let mut unread = by_mode(&["east"]);
    unread.index = Index::new(unread.index.policy().clone());
    unread.list("home", &[], &[]);
    unread.list("east", &[in_mode(web(2020), "union")], &[pods("10.1.0.1")]);
    assert_eq!(plan(&unread.index, &key), Plan::default());
    // What is ours is listed, and the local cluster's own is not.
    let mut lab = by_mode(&["east"]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    assert_eq!(lab.settle(), NOTHING);
    lab.list("home", &[], &[]);
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
}
