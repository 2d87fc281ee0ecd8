//! Global Services: what holds in particular, as sentences.

// What holds in all worlds.
mod laws;
// Where the local cluster has a Service of the same name.
mod same_name;
// While a workload moves from one cluster to another.
mod modes;
// While sources cannot be asked.
mod silence;
// What semaphore-service-mirror left behind.
mod takeover;
// Which clusters serve, and which stand by.
mod tiers;
// Which endpoints are preferred.
mod topology;

use std::collections::BTreeMap;
use std::time::Duration;

use proto_types::Resource;
use reflector_planner::{
    CoreEndpoints, GlobalPlacement, GlobalPolicy, Import, MemberPolicy, MissingNamespaces, Policy,
    Role, Sharing, Staleness,
};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::lab::{Lab, name};
use crate::object::{service, slice, with};

const GLOBAL: &str = "mirrors/gl-demo-73736d-web";

pub(crate) fn global_policy(cluster: &str, placement: GlobalPlacement, members: &[&str]) -> Policy {
    let member = |it: &&str| MemberPolicy {
        name: name(it),
        staleness: Staleness::default(),
        staleness_of: Vec::new(),
        import: Import::default(),
        zones: BTreeMap::from([("theirs".into(), "ours".into())]),
        missing_namespaces: MissingNamespaces::default(),
        rights: Box::default(),
    };
    let global = GlobalPolicy {
        cluster: name(cluster),
        placement,
        zones: ["a".into(), "b".into()].into(),
        local_first: Some("local-first=yes".parse().unwrap()),
        failover: None,
        precedence: Box::default(),
        failback_after: Duration::from_secs(30),
        failback_over: Duration::from_secs(30),
        sharing: Sharing::All,
        endpoints: CoreEndpoints::default(),
        members: members.iter().map(member).collect(),
    };
    Policy::new(Vec::new())
        .unwrap()
        .with_global(global)
        .unwrap()
}

pub(crate) fn collected() -> GlobalPlacement {
    GlobalPlacement::Collected("mirrors".parse().unwrap())
}

impl Lab {
    /// A cluster with global Services of its own and these members'.
    pub(crate) fn global(cluster: &str, placement: GlobalPlacement, members: &[&str]) -> Self {
        let policy = global_policy(cluster, placement, members);
        let mut lab = Self::over(Cluster::default(), policy);
        lab.role = Role::Member;
        lab
    }

    /// The same with a policy that is changed.
    pub(crate) fn global_with(policy: &Policy, change: impl FnOnce(&mut GlobalPolicy)) -> Self {
        let mut global = policy.global().unwrap().clone();
        change(&mut global);
        let hold = policy.hold;
        let policy = Policy::new(Vec::new()).unwrap().with_global(global);
        let mut policy = policy.unwrap();
        policy.hold = hold;
        let mut lab = Self::over(Cluster::default(), policy);
        lab.role = Role::Member;
        lab
    }

    /// Home and two more.
    fn of_members() -> Self {
        Self::global("home", collected(), &["east", "west"])
    }

    pub(crate) fn reasons(&self) -> Vec<String> {
        let problems = self.problems();
        let reasons = problems
            .iter()
            .map(|it| format!("{} {}", it.source, it.cause.reason()));
        reasons.collect()
    }

    /// Whose slices are here.
    pub(crate) fn members_here(&self) -> Vec<String> {
        let objects = self.cluster.objects.iter();
        let slices = objects.filter(|((resource, _), _)| *resource == Resource::EndpointSlices);
        let sources =
            slices.map(|(_, it)| it["metadata"]["labels"]["heliograph.dev/source"].clone());
        let mut sources: Vec<_> = sources.map(|it| it.as_str().unwrap().to_owned()).collect();
        sources.sort();
        sources
    }

    pub(crate) fn slice_of(&self, source: &str) -> &Value {
        let mut objects = self.cluster.objects.iter();
        let is_its = |it: &Value| it["metadata"]["labels"]["heliograph.dev/source"] == source;
        let (_, slice) = objects
            .find(|((resource, _), it)| *resource == Resource::EndpointSlices && is_its(it))
            .unwrap();
        slice
    }
}

/// A Service of that year.
pub(crate) fn web(year: u16) -> Value {
    let created = json!(format!("{year}-01-01T00:00:00Z"));
    with(service("demo/web"), "/metadata/creationTimestamp", created)
}

fn with_port(service: Value, name: &str, port: u16) -> Value {
    let ports = json!([{"name": name, "protocol": "TCP", "port": port, "targetPort": 8080}]);
    with(service, "/spec/ports", ports)
}

pub(crate) fn pods(address: &str) -> Value {
    slice("demo/web-1", "web", &[address])
}

#[test]
fn services_of_one_name_become_one_with_the_endpoints_of_all() {
    let mut lab = Lab::of_members();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
    lab.settle();
    assert_eq!(lab.services(), [GLOBAL]);
    assert_eq!(lab.members_here(), ["east", "home", "west"]);
    let global = lab.service(GLOBAL);
    assert_eq!(global["metadata"]["labels"]["global-svc"], "true");
    let clusters = &global["metadata"]["annotations"]["global-svc-clusters"];
    assert_eq!(clusters, "east,home,west");
    for source in ["east", "home", "west"] {
        let labels = &lab.slice_of(source)["metadata"]["labels"];
        assert_eq!(labels["kubernetes.io/service-name"], "gl-demo-73736d-web");
    }
    assert_eq!(lab.reasons(), Vec::<String>::new());
}

#[test]
fn a_member_that_goes_takes_its_slices_along_and_the_last_one_the_service() {
    let mut lab = Lab::of_members();
    lab.list("home", &[], &[]);
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.list("west", &[web(2021)], &[pods("10.2.0.1")]);
    lab.settle();
    let address = lab.service(GLOBAL)["metadata"]["uid"].clone();
    lab.list_twice("east", &[], &[]);
    lab.settle();
    assert_eq!(lab.members_here(), ["west"]);
    assert_eq!(lab.service(GLOBAL)["metadata"]["uid"], address);
    lab.delete_service("west", "demo/web");
    lab.settle();
    assert_eq!(lab.services(), Vec::<String>::new());
    assert_eq!(lab.slices(), Vec::<String>::new());
}

#[test]
fn the_oldest_decides_and_who_means_another_port_gets_no_traffic_for_it() {
    let mut lab = Lab::of_members();
    lab.list("home", &[], &[]);
    lab.list(
        "west",
        &[with_port(web(2021), "http", 81)],
        &[pods("10.2.0.1")],
    );
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.service(GLOBAL)["spec"]["ports"][0]["port"], 80);
    assert_eq!(lab.slice_of("east")["ports"].as_array().unwrap().len(), 1);
    assert_eq!(lab.slice_of("west")["ports"], json!([]));
    assert_eq!(lab.reasons(), ["west PortConflict"]);
    let problem = lab.problems()[0].to_string();
    assert!(
        problem.contains("source east, which comes first"),
        "{problem}"
    );
    assert!(
        problem.contains("\"http\" is TCP 81 and not TCP 80"),
        "{problem}"
    );
    // It is resolved.
    lab.apply_service("west", &web(2021));
    lab.settle();
    assert_eq!(lab.slice_of("west")["ports"].as_array().unwrap().len(), 1);
    assert_eq!(lab.reasons(), Vec::<String>::new());
}

/// A source writes creation timestamps as it likes.
#[test]
fn a_member_that_joins_later_cannot_outrank_the_others_by_its_age() {
    for forged in ["1970-01-01T00:00:00Z", "0", "", "!", "2020"] {
        let mut lab = Lab::of_members();
        lab.list("west", &[], &[]);
        lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
        lab.settle();
        let address = lab.service(GLOBAL)["metadata"]["uid"].clone();
        let evil = with(web(1970), "/metadata/creationTimestamp", json!(forged));
        let evil = with(evil, "/spec/clusterIP", json!("None"));
        for _ in 0..2 {
            let evil = with_port(evil.clone(), "http", 6666);
            lab.list("east", &[evil], &[pods("10.1.0.1")]);
            lab.settle();
            let global = lab.service(GLOBAL);
            assert_eq!(global["metadata"]["uid"], address, "it is not replaced");
            assert_eq!(global["spec"]["ports"][0]["port"], 80);
            assert_eq!(lab.slice_of("home")["ports"].as_array().unwrap().len(), 1);
            // The order is written down, and holds after a restart.
            lab = lab.restarted();
            lab.list("home", &[web(2022)], &[pods("10.3.0.1")]);
            lab.list("west", &[], &[]);
        }
    }
}

#[test]
fn a_text_that_is_no_time_of_an_api_server_is_no_age() {
    for forged in ["0", "", "!", "1", "-0001-01-01T00:00:00Z"] {
        let mut lab = Lab::of_members();
        let evil = with(web(1970), "/metadata/creationTimestamp", json!(forged));
        lab.list("east", &[with_port(evil, "http", 6666)], &[]);
        lab.list("home", &[web(2022)], &[]);
        lab.settle();
        assert_eq!(lab.service(GLOBAL)["spec"]["ports"][0]["port"], 80);
    }
}

#[test]
fn configured_precedence_goes_before_any_age() {
    let policy = global_policy("home", collected(), &["east", "west"]);
    let mut lab = Lab::global_with(&policy, |it| {
        it.precedence = [name("home"), name("west")].into();
    });
    lab.list("east", &[with_port(web(1970), "http", 81)], &[]);
    lab.settle();
    lab.list("west", &[with_port(web(2021), "http", 82)], &[]);
    lab.settle();
    assert_eq!(lab.service(GLOBAL)["spec"]["ports"][0]["port"], 82);
    lab.list("home", &[with_port(web(2022), "http", 83)], &[]);
    lab.settle();
    assert_eq!(lab.service(GLOBAL)["spec"]["ports"][0]["port"], 83);
}

#[test]
fn a_port_of_another_name_gets_traffic_under_the_global_one() {
    let mut lab = Lab::of_members();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    let pods = with(pods("10.2.0.1"), "/ports/0/name", json!("web"));
    lab.list("west", &[with_port(web(2021), "web", 80)], &[pods]);
    lab.settle();
    assert_eq!(lab.slice_of("west")["ports"][0]["name"], "http");
    assert_eq!(lab.reasons(), ["west PortConflict"]);
}

#[test]
fn another_name_is_no_member() {
    let mut lab = Lab::of_members();
    let external = json!({"type": "ExternalName", "externalName": "x.example"});
    lab.list("west", &[with(web(2019), "/spec", external)], &[]);
    lab.settle();
    assert_eq!(lab.services(), Vec::<String>::new());
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.service(GLOBAL)["spec"]["type"], "ClusterIP");
    assert_eq!(lab.reasons(), ["west InvalidServiceType"]);
}

#[test]
fn a_member_without_ports_joins_and_gets_no_traffic() {
    let mut lab = Lab::of_members();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    let headless = with(web(2021), "/spec/clusterIP", json!("None"));
    let bare = with(headless, "/spec/ports", json!([]));
    lab.list("west", &[bare], &[pods("10.2.0.1")]);
    lab.settle();
    assert_eq!(lab.slice_of("west")["ports"], json!([]));
    assert_eq!(lab.reasons(), ["west TypeConflict"]);
}

#[test]
fn a_headless_member_alone_makes_a_headless_service_and_back() {
    let mut lab = Lab::of_members();
    let headless = with(web(2021), "/spec/clusterIP", json!("None"));
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    lab.list("east", &[headless], &[pods("10.1.0.1")]);
    let writes = lab.settle();
    assert!(writes[0].starts_with("replace Service"), "{writes:?}");
    assert_eq!(lab.service(GLOBAL)["spec"]["clusterIP"], "None");
    assert_eq!(lab.slices().len(), 1);
    let headless = "service.kubernetes.io/headless";
    assert!(
        lab.slice_of("east")["metadata"]["labels"]
            .get(headless)
            .is_some()
    );
}

#[test]
fn slices_of_equal_names_in_two_sources_do_not_meet() {
    let mut lab = Lab::of_members();
    for source in ["east", "west", "home"] {
        lab.list(source, &[web(2020)], &[pods("10.1.0.1")]);
    }
    lab.settle();
    assert_eq!(lab.slices().len(), 3);
}

#[test]
fn names_that_lead_to_one_global_name_are_not_mixed() {
    let mut lab = Lab::of_members();
    let service = |key, year: u16| {
        let created = json!(format!("{year}-01-01T00:00:00Z"));
        with(service(key), "/metadata/creationTimestamp", created)
    };
    lab.list("east", &[service("a/b-73736d-c", 2021)], &[]);
    lab.list("west", &[service("a-73736d-b/c", 2020)], &[]);
    lab.settle();
    let global = "mirrors/gl-a-73736d-b-73736d-c";
    let annotations = &lab.service(global)["metadata"]["annotations"];
    assert_eq!(annotations["heliograph.dev/source-service"], "a-73736d-b/c");
    assert_eq!(annotations["global-svc-clusters"], "west");
    assert_eq!(lab.reasons(), ["east NameConflict"]);
}

#[test]
fn a_name_that_is_too_long_is_told() {
    let mut lab = Lab::of_members();
    let long = format!("demo/{}", "a".repeat(60));
    lab.list("east", &[service(&long)], &[]);
    lab.settle();
    assert_eq!(lab.services(), Vec::<String>::new());
    assert_eq!(lab.reasons(), ["east NameTooLong"]);
}

#[test]
fn edits_of_a_global_service_and_its_slices_are_repaired() {
    let mut lab = Lab::of_members();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    lab.edit(Resource::Services, GLOBAL, |it| {
        it["spec"]["ports"] = json!([{"protocol": "TCP", "port": 1, "targetPort": 1}]);
        it["metadata"]["labels"]["global-svc"] = json!("no");
        it["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("heliograph.dev/global");
    });
    lab.settle();
    assert_eq!(lab.service(GLOBAL)["spec"]["ports"][0]["port"], 80);
    let slice = lab.slices()[0].clone();
    lab.remove(Resource::EndpointSlices, &slice);
    lab.settle();
    assert_eq!(lab.slices(), [slice]);
}

#[test]
fn one_endpoint_of_a_hundred_members_is_one_write() {
    let members: Vec<_> = (0..100).map(|i| format!("c{i}")).collect();
    let names: Vec<_> = members.iter().map(String::as_str).collect();
    let mut lab = Lab::global("home", collected(), &names);
    lab.list("home", &[], &[]);
    for member in &names {
        lab.list(member, &[web(2020)], &[pods("10.1.0.1")]);
    }
    lab.settle();
    assert_eq!(lab.slices().len(), 100);
    lab.apply_slice("c42", &pods("10.1.0.2"));
    let writes = lab.settle();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(writes[0].starts_with("update EndpointSlice"), "{writes:?}");
}

#[test]
fn one_cluster_under_two_names_is_published_once_and_told() {
    let mut lab = Lab::of_members();
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.list("west", &[web(2020)], &[pods("10.1.0.1")]);
    lab.settle();
    assert_eq!(lab.members_here(), ["east", "west"], "nothing is known yet");
    lab.identify("east", "uid-1");
    lab.identify("west", "uid-1");
    lab.settle();
    assert_eq!(lab.members_here(), ["east"]);
    assert_eq!(lab.reasons(), ["west DuplicateCluster"]);
    // The local cluster is published as itself.
    lab.list("home", &[web(2021)], &[pods("10.1.0.1")]);
    lab.identify("home", "uid-1");
    lab.settle();
    assert_eq!(lab.members_here(), ["home"]);
    assert_eq!(
        lab.reasons(),
        ["east DuplicateCluster", "west DuplicateCluster"]
    );
    lab.identify("west", "uid-2");
    lab.settle();
    assert_eq!(lab.members_here(), ["home", "west"]);
}

#[test]
fn local_first_is_asked_of_kube_proxies_of_all_ages() {
    let mut lab = Lab::of_members();
    // A member of the local cluster needs no right to ask for it.
    let first = with(web(2021), "/metadata/labels/local-first", json!("yes"));
    lab.list("east", &[web(2020)], &[pods("10.1.0.1")]);
    lab.list("west", &[], &[]);
    lab.list("home", &[first], &[pods("10.3.0.1")]);
    lab.settle();
    let annotations = |lab: &Lab, name: &str| {
        let all = &lab.service(GLOBAL)["metadata"]["annotations"];
        all[format!("service.kubernetes.io/{name}")].clone()
    };
    assert_eq!(annotations(&lab, "topology-aware-hints"), "Auto");
    assert_eq!(annotations(&lab, "topology-mode"), "Auto");
    lab.apply_service("home", &web(2021));
    lab.settle();
    assert!(annotations(&lab, "topology-aware-hints").is_null());
    assert!(annotations(&lab, "topology-mode").is_null());
}
