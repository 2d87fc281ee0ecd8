//! A workload moves from one cluster to another: what its Service is on the way.

// What the replaced program lost.
mod old_bugs;
// From the beginning to the end, whatever comes first.
mod walks;

use std::collections::{BTreeMap, HashSet};

use proto_types::{ObjectKey, Resource};
use reflector_planner::policy::MissingNamespaces;
use reflector_planner::{GlobalPlacement, MirrorKey, Policy, Role, Sharing, plan};
use serde_json::{Value, json};

use super::{global_policy, pods, web};
use crate::cluster::Cluster;
use crate::lab::Lab;
use crate::object::{service, slice, with};

const MODE: &str = "vmware.com/syndicate-mode";

/// Home is where members say which of them serve.
pub(crate) fn by_mode(members: &[&str]) -> Lab {
    let policy = global_policy("home", GlobalPlacement::SameName, members);
    let mut global = policy.global().unwrap().clone();
    global.sharing = Sharing::ByMode;
    for member in &mut global.members {
        member.import.carry.labels = vec!["*".parse().unwrap()];
    }
    let policy = Policy::new(Vec::new())
        .unwrap()
        .with_global(global)
        .unwrap();
    let mut lab = Lab::over(Cluster::default(), policy);
    lab.role = Role::Member;
    lab
}

pub(crate) fn in_mode(service: Value, mode: &str) -> Value {
    with(
        service,
        &format!("/metadata/annotations/{}", MODE.replace('/', "~1")),
        json!(mode),
    )
}

fn id() -> (Resource, ObjectKey) {
    (Resource::Services, ObjectKey::new("demo", "web"))
}

/// Home's own Service, with a pod.
fn own(lab: &mut Lab, service: &Value) {
    lab.cluster.objects.insert(id(), service.clone());
    lab.list("home", std::slice::from_ref(service), &[pods("10.3.0.1")]);
}

fn labels(lab: &Lab) -> BTreeMap<String, String> {
    serde_json::from_value(lab.service("demo/web")["metadata"]["labels"].clone()).unwrap()
}

#[test]
fn a_service_is_replicated_under_its_name_with_its_labels() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    let labels = labels(&lab);
    assert_eq!(labels["exported"], "yes");
    // By which the replaced program knows it in another cluster.
    assert_eq!(labels["replicated"], "true");
    assert!(lab.service("demo/web")["spec"].get("selector").is_none());
    // What it had stays while it cannot be asked, also after a restart.
    let mut lab = lab.restarted();
    lab.list("home", &[], &[]);
    assert_eq!(lab.settle(), Vec::<String>::new());
}

#[test]
fn of_two_that_say_nothing_the_older_one_serves_alone() {
    let mut lab = by_mode(&["east", "west"]);
    lab.list("home", &[], &[]);
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["west"]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    assert_eq!(lab.reasons(), ["west DuplicateService"]);
    // An update of the other one changes nothing.
    lab.apply_slice("west", &pods("10.2.0.2"));
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.delete_service("east", "demo/web");
    lab.settle();
    assert_eq!(lab.members_here(), ["west"]);
}

#[test]
fn ones_own_service_that_asks_for_nothing_is_left_alone() {
    for mode in ["", "union", "source", "receiver"] {
        let mut lab = by_mode(&["east"]);
        own(&mut lab, &web(2022));
        lab.list("east", &[in_mode(web(2020), mode)], &[pods("10.1.0.1")]);
        assert_eq!(lab.settle(), Vec::<String>::new(), "{mode}");
        assert_eq!(lab.reasons()[0], "east DuplicateService", "{mode}");
        assert_eq!(*lab.service("demo/web"), web(2022));
    }
}

#[test]
fn those_in_a_union_serve_together_told_apart_by_their_clusters() {
    let mut lab = by_mode(&["east", "west"]);
    own(&mut lab, &in_mode(web(2022), "union"));
    // The replaced program told them apart by the first six characters, and knew no IPv6.
    let six = with(pods("fd00::1"), "/addressType", json!("IPv6"));
    let east = [slice("demo/web-2", "web", &["10.3.0.2"]), six];
    lab.list("east", &[in_mode(web(2020), "union")], &east);
    lab.list("west", &[web(2019)], &[pods("10.3.0.9")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["east", "east"]);
    assert_eq!(lab.reasons(), ["west DuplicateService"]);
    // One that leaves takes its own endpoints along, and no others.
    lab.apply_service("east", &web(2020));
    lab.settle();
    assert_eq!(lab.members_here(), Vec::<String>::new());
}

#[test]
fn a_singular_service_stays_in_its_cluster() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list(
        "east",
        &[in_mode(web(2020), "singular")],
        &[pods("10.1.0.1")],
    );
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.reasons(), ["east ReplicationDisabled"]);
    lab.apply_service("east", &web(2020));
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    lab.apply_service("east", &in_mode(web(2020), "singular"));
    lab.settle();
    assert_eq!((lab.services().len(), lab.slices().len()), (0, 0));
}

#[test]
fn a_replica_that_is_made_singular_stays_as_it_is() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    lab.edit(Resource::Services, "demo/web", |it| {
        it["metadata"]["annotations"][MODE] = json!("singular");
    });
    lab.apply_slice("east", &pods("10.1.0.2"));
    lab.delete_service("east", "demo/web");
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.apply_service("east", &web(2020));
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.reasons(), ["east ReplicationDisabled"]);
}

#[test]
fn a_word_that_means_nothing_is_told_and_not_heeded() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list("east", &[in_mode(web(2020), "Union")], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    assert_eq!(lab.reasons(), ["east InvalidSyndicateMode"]);
}

#[test]
fn a_replica_of_one_in_a_union_becomes_the_clusters_own_with_its_selector() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    let address = lab.service("demo/web")["spec"]["clusterIP"].clone();
    lab.apply_service("east", &in_mode(web(2020), "union"));
    lab.work();
    let service = lab.service("demo/web").clone();
    assert_eq!(service["spec"]["selector"], json!({"app": "web"}));
    assert_eq!(service["spec"]["clusterIP"], address);
    assert_eq!(service["metadata"]["annotations"], json!({MODE: "union"}));
    assert_eq!(service["metadata"]["labels"], json!({"exported": "yes"}));
    // Before it is heard as home's own, what is there stays.
    lab.work();
    assert_eq!(lab.members_here(), ["east"]);
    lab.apply_service("home", &service);
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.reasons(), Vec::<String>::new());
}

#[test]
fn a_replica_of_a_receiver_becomes_the_source_and_waits_for_a_selector() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list(
        "east",
        &[in_mode(web(2020), "receiver")],
        &[pods("10.1.0.1")],
    );
    lab.work();
    lab.work();
    let service = lab.service("demo/web").clone();
    assert_eq!(service["metadata"]["annotations"], json!({MODE: "source"}));
    assert_eq!(service["spec"]["selector"], json!({}));
    lab.apply_service("home", &service);
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    // As soon as it has a pod that is ready, it serves alone.
    lab.apply_slice("home", &pods("10.3.0.1"));
    lab.settle();
    assert_eq!(lab.members_here(), Vec::<String>::new());
    lab.apply_slice("home", &slice("demo/web-1", "web", &[]));
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
}

#[test]
fn a_receiver_gives_itself_up_when_the_source_serves_and_not_before() {
    let mut lab = by_mode(&["east"]);
    own(&mut lab, &in_mode(web(2020), "receiver"));
    lab.list("east", &[in_mode(web(2022), "source")], &[]);
    assert_eq!(lab.settle(), Vec::<String>::new());
    lab.apply_slice("east", &pods("10.1.0.1"));
    lab.lose("east");
    lab.settle();
    assert_eq!(
        lab.service("demo/web")["spec"]["selector"],
        json!({"app": "web"})
    );
    lab.reconnect("east");
    lab.settle();
    let service = lab.service("demo/web");
    // Kubernetes takes its endpoints away while there is a selector.
    let parked = json!({"heliograph.dev/no-endpoints": "true"});
    assert_eq!(service["spec"]["selector"], parked);
    assert_eq!(service["spec"]["clusterIP"], "10.1.1.1");
    assert_eq!(
        service["metadata"]["labels"]["heliograph.dev/source"],
        "global"
    );
    assert_eq!(lab.members_here(), ["east"]);
    // The other's endpoints were there before.
    let at = |it: &str| lab.cluster.log.iter().position(|line| line.contains(it));
    assert!(at("create EndpointSlice") < at("update Service"));
    lab.delete_service("home", "demo/web");
    assert_eq!(lab.settle(), Vec::<String>::new());
}

#[test]
fn a_service_that_would_lose_something_is_not_handed_over() {
    let exposed = with(web(2020), "/spec/type", json!("LoadBalancer"));
    let headless = with(web(2020), "/spec/clusterIP", json!("None"));
    for service in [exposed, headless] {
        let mut lab = by_mode(&["east"]);
        own(&mut lab, &in_mode(service.clone(), "union"));
        lab.list("east", &[in_mode(web(2022), "source")], &[pods("10.1.0.1")]);
        lab.settle();
        assert_eq!(
            lab.service("demo/web")["spec"]["selector"],
            json!({"app": "web"})
        );
        assert_eq!(lab.members_here(), ["east"]);
        assert!(lab.reasons().contains(&"home HandoverBlocked".to_owned()));
    }
}

#[test]
fn a_replica_of_the_replaced_program_is_taken_over_and_no_other_service() {
    let replica = |labels: Value, selector: Value| {
        let replica = with(web(2021), "/metadata/labels", labels);
        with(replica, "/spec/selector", selector)
    };
    let taken = |service: &Value| {
        let mut lab = by_mode(&["east"]);
        lab.cluster.objects.insert(id(), service.clone());
        let key = (Resource::Endpoints, ObjectKey::new("demo", "web"));
        let endpoints = with(service.clone(), "/kind", json!("Endpoints"));
        lab.cluster.objects.insert(key.clone(), endpoints);
        lab.list("home", &[], &[]);
        lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
        lab.settle();
        let is_left = lab.cluster.objects.contains_key(&key);
        (lab.reasons(), lab.members_here(), is_left)
    };
    let theirs = json!({"replicated": "true"});
    let (reasons, members, is_left) = taken(&replica(theirs.clone(), json!({})));
    assert_eq!(
        (reasons.len(), members, is_left),
        (0, vec!["east".to_owned()], false)
    );
    for other in [
        replica(theirs, json!({"app": "web"})),
        replica(json!({"replicated": "false"}), json!({})),
    ] {
        let (reasons, members, is_left) = taken(&other);
        assert_eq!(
            (reasons, members.len(), is_left),
            (vec!["east AlreadyExists".to_owned()], 0, true)
        );
    }
}

#[test]
fn the_reported_identity_of_a_source_counts_while_it_is_disconnected() {
    let mut lab = by_mode(&["east", "west"]);
    lab.list("home", &[], &[]);
    lab.list(
        "east",
        &[in_mode(web(2020), "receiver")],
        &[pods("10.1.0.1")],
    );
    lab.list("west", &[in_mode(web(2021), "source")], &[pods("10.2.0.1")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["west"]);
    let mut lab = lab.restarted();
    lab.list("home", &[], &[]);
    lab.list(
        "east",
        &[in_mode(web(2020), "receiver")],
        &[pods("10.1.0.1")],
    );
    lab.settle();
    // It would be home's own else, as the receiver's source.
    let labels = labels(&lab);
    assert_eq!(labels["heliograph.dev/source"], "global");
}

#[test]
fn a_source_mode_before_the_union_exists_takes_effect() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    lab.edit(Resource::Services, "demo/web", |it| {
        it["metadata"]["annotations"][MODE] = json!("source");
    });
    lab.apply_service("east", &in_mode(web(2020), "union"));
    lab.work();
    let service = lab.service("demo/web");
    assert_eq!(service["metadata"]["annotations"], json!({MODE: "source"}));
    assert_eq!(service["spec"]["selector"], json!({"app": "web"}));
}

#[test]
fn temporary_services_of_the_predecessor_are_no_members() {
    let mut lab = by_mode(&["east"]);
    lab.list("home", &[service("demo/web-syndicate")], &[]);
    lab.list("east", &[service("demo/web-syndicate")], &[]);
    assert_eq!(lab.settle(), Vec::<String>::new());
    assert_eq!(lab.reasons(), ["east TemporaryService"]);
}

#[test]
fn a_namespace_is_created_for_a_member_that_may_have_it() {
    let mut lab = by_mode(&["east", "west"]);
    let mut global = lab.index.policy().global().unwrap().clone();
    global.members[1].missing_namespaces = MissingNamespaces::Created;
    let policy = Policy::new(Vec::new()).unwrap();
    lab.reconfigure(policy.with_global(global).unwrap(), &HashSet::new());
    let namespace_for = |lab: &Lab| {
        let key = MirrorKey::new(ObjectKey::new("demo", "web"));
        plan(&lab.index, &key)
            .namespace_for
            .map(|it| it.to_string())
    };
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[]);
    assert_eq!(namespace_for(&lab), None);
    lab.list("east", &[], &[]);
    lab.list("west", &[web(2020)], &[]);
    assert_eq!(namespace_for(&lab).as_deref(), Some("west"));
}
