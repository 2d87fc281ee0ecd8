//! Global Services under their members' own names.

use proto_types::{ObjectKey, Resource};
use reflector_planner::GlobalPlacement;
use serde_json::json;

use super::{pods, web, with_port};
use crate::lab::Lab;

fn lab() -> Lab {
    Lab::global("home", GlobalPlacement::SameName, &["east", "west"])
}

/// Somebody's own Service here.
fn own(lab: &mut Lab) {
    let id = (Resource::Services, ObjectKey::new("demo", "web"));
    lab.cluster.objects.insert(id, web(2022));
}

#[test]
fn it_is_made_where_the_local_cluster_has_none() {
    let mut lab = lab();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    assert_eq!(lab.settle(), Vec::<String>::new(), "home was not asked");
    lab.list("home", &[], &[]);
    lab.settle();
    assert_eq!(lab.services(), ["demo/web"]);
    assert_eq!(lab.members_here(), ["east"]);
}

#[test]
fn the_local_clusters_own_service_gets_the_others_slices_and_stays_as_it_is() {
    let mut lab = lab();
    own(&mut lab);
    lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.list(
        "west",
        &[with_port(web(2021), "http", 81)],
        &[pods("10.2.0.1")],
    );
    let writes = lab.settle();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(lab.members_here(), ["east", "west"]);
    assert_eq!(*lab.service("demo/web"), web(2022));
    // What its own ports mean counts here.
    assert_eq!(lab.slice_of("west")["ports"], json!([]));
    assert_eq!(lab.reasons(), ["west PortConflict"]);
    // It goes, and ours takes its place; the slices were there all the time.
    let id = (Resource::Services, ObjectKey::new("demo", "web"));
    lab.cluster.objects.remove(&id);
    lab.delete_service("home", "demo/web");
    let writes = lab.settle();
    assert_eq!(writes, ["create Service demo/web"]);
}

#[test]
fn a_service_here_that_is_no_member_is_left_alone() {
    let mut lab = lab();
    own(&mut lab);
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.slices(), Vec::<String>::new());
    assert_eq!(*lab.service("demo/web"), web(2022));
    assert_eq!(lab.reasons(), ["east AlreadyExists"]);
}
