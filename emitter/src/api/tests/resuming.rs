//! Watches that resume where the resource version alone does not show what is missing.

use std::sync::Arc;

use axum::body::Body;
use emitter_cache::ViewFilter;
use emitter_cache::view_filter::Rules;
use http::Request;
use jiff::Timestamp;
use proto_types::{RawObject, Resource, ResourceVersion};
use runtime::watcher::{Event, Listing};

use super::{Lab, Stream, service, text};
use crate::consumers::{Caller, Consumers};
use crate::limits::RequestLimits;
use crate::metrics::Metrics;

const GONE: &str = "ERROR @-";

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("s{i:02}")).collect()
}

/// Services of the first names, each at a resource version of its own from 1 on.
fn services(count: usize) -> Vec<RawObject> {
    let names = names(count);
    let objects = names.iter().zip(1..);
    objects
        .map(|(name, revision)| service(name, revision))
        .collect()
}

fn with(count: usize) -> Lab {
    let lab = Lab::unsynced();
    lab.list(100, services(count));
    lab
}

#[tokio::test]
async fn a_table_that_resumes_shows_ages_of_now() {
    let lab = Lab::with(&["a"]);
    let now = Timestamp::now();
    let created = now - jiff::SignedDuration::from_secs(7000);
    let json = format!(
        r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"b","namespace":"demo","uid":"b","resourceVersion":"101","creationTimestamp":"{created}"}},"spec":{{}}}}"#
    );
    let object = RawObject::parse(Resource::Services, &json.into()).unwrap();
    lab.services.ingest(Event::Applied(object), created);
    let request = Request::get("/api/v1/services?watch=1&resourceVersion=100")
        .header("accept", super::TABLE)
        .body(Body::empty())
        .unwrap();
    let (_, _, body) = lab.send(request).await;
    let line = Stream(body).line().await.unwrap();
    assert!(line.contains(r#""116m""#), "{line}");
}

#[tokio::test]
async fn a_watch_that_is_cut_within_missed_deletions_gets_all_of_them() {
    let lab = with(20);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.list(200, services(17));
    let cut = watch.events::<1>().await;
    // The upstream deleted it at some time after 100, so its receiver knows no more.
    assert_eq!(cut, ["DELETED s17@100"]);
    let mut resumed = lab.watch("resourceVersion=100").await;
    let all = resumed.events::<3>().await;
    assert_eq!(
        all,
        ["DELETED s17@100", "DELETED s18@100", "DELETED s19@200"]
    );
    let mut within = lab.watch("resourceVersion=150").await;
    assert_eq!(within.events().await, [GONE]);
    let mut after = lab.watch("resourceVersion=200").await;
    lab.tell(Event::Applied(service("new", 201)));
    assert_eq!(after.events().await, ["ADDED new@201"]);
}

#[tokio::test]
async fn missed_deletions_come_before_what_was_missed_with_a_revision() {
    let lab = with(20);
    let query = "resourceVersion=100&allowWatchBookmarks=1";
    let mut watch = lab.watch(query).await;
    let mut objects = services(18);
    objects.push(service("new", 150));
    lab.list(200, objects);
    let expected = [
        "BOOKMARK @100",
        "DELETED s18@100",
        "DELETED s19@100",
        "ADDED new@150",
        "BOOKMARK @200",
    ];
    assert_eq!(watch.events().await, expected);
}

#[tokio::test]
async fn a_reader_of_another_replica_is_not_told_too_little_after_a_relist() {
    let lab = with(20);
    // It was ahead of this one, so it may have seen what a relist jumps over.
    let mut ahead = lab.watch("resourceVersion=150").await;
    let mut far_ahead = lab.watch("resourceVersion=200").await;
    lab.list(200, services(20));
    assert_eq!(ahead.events().await, [GONE]);
    lab.tell(Event::Applied(service("new", 201)));
    assert_eq!(far_ahead.events().await, ["ADDED new@201"]);
}

#[tokio::test]
async fn a_relay_tells_deletions_that_its_upstream_missed() {
    let lab = with(20);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.tell(Event::Deleted(service("s18", 100)));
    lab.tell(Event::Deleted(service("s19", 100)));
    let deleted = ["DELETED s18@100", "DELETED s19@100"];
    assert_eq!(watch.events().await, deleted);
    assert_eq!(
        lab.watch("resourceVersion=100").await.events().await,
        deleted
    );
    assert_eq!(
        lab.watch("resourceVersion=110").await.events().await,
        [GONE]
    );
    lab.tell(Event::Progress(ResourceVersion::new(120)));
    assert_eq!(
        lab.watch("resourceVersion=110").await.events().await,
        [GONE]
    );
    let mut known = lab.watch("resourceVersion=120").await;
    lab.tell(Event::Applied(service("new", 121)));
    assert_eq!(known.events().await, ["ADDED new@121"]);
}

#[tokio::test]
async fn a_list_that_lacks_much_is_a_new_beginning() {
    for (n_left, is_new) in [(19, false), (16, false), (14, true), (0, true)] {
        let lab = with(20);
        let mut watch = lab.watch("resourceVersion=100").await;
        lab.list(200, services(n_left));
        let [first] = watch.events().await;
        assert_eq!(first == GONE, is_new, "{n_left} of 20: {first}");
        let mut resumed = lab.watch("resourceVersion=100").await;
        let [first] = resumed.events().await;
        assert_eq!(first == GONE, is_new, "{n_left} of 20: {first}");
    }
    let lab = with(1);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.list(200, Vec::new());
    assert_eq!(watch.events().await, [GONE], "the only one");
}

#[tokio::test]
async fn a_list_at_the_same_revision_swallows_nothing() {
    let lab = with(20);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.list(100, services(19));
    assert_eq!(watch.events().await, [GONE]);
    // At 100 there were two states. Only a client that listed since has the second one.
    assert_eq!(
        lab.watch("resourceVersion=100").await.events().await,
        [GONE]
    );
    lab.get("/api/v1/services").await;
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.tell(Event::Applied(service("new", 101)));
    assert_eq!(watch.events().await, ["ADDED new@101"]);
}

#[tokio::test]
async fn a_change_at_a_former_revision_is_a_new_beginning() {
    let lab = with(3);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.tell(Event::Applied(service("late", 90)));
    assert_eq!(watch.events().await, [GONE]);
    let (_, list) = lab.get("/api/v1/services").await;
    assert!(list.contains("late"), "{list}");
}

#[tokio::test]
async fn after_a_restored_backup_only_clients_of_the_new_history_go_on() {
    let lab = with(3);
    lab.list(50, services(3));
    lab.tell(Event::Applied(service("new", 60)));
    // It may have 55 and 60 of the former history.
    for revision in [55, 60, 100] {
        let query = format!("resourceVersion={revision}");
        assert_eq!(lab.watch(&query).await.events().await, [GONE], "{revision}");
    }
    lab.get("/api/v1/services").await;
    let mut watch = lab.watch("resourceVersion=60").await;
    lab.tell(Event::Applied(service("other", 61)));
    assert_eq!(watch.events().await, ["ADDED other@61"]);
}

fn labelled(team: &str, revision: u64) -> RawObject {
    super::labelled("web", revision, team)
}

fn slice(revision: u64) -> RawObject {
    let json = format!(
        r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"web-1","namespace":"demo","uid":"e","resourceVersion":"{revision}","labels":{{"kubernetes.io/service-name":"web"}}}},"addressType":"IPv4","endpoints":[],"ports":[]}}"#
    );
    RawObject::parse(Resource::EndpointSlices, &json.into()).unwrap()
}

impl Lab {
    fn tell_slices(&self, event: Event) {
        self.slices.ingest(event, Timestamp::now());
    }

    /// Both resources are known up to that resource version.
    fn progress(&self, revision: u64) {
        self.tell(Event::Progress(ResourceVersion::new(revision)));
        self.tell_slices(Event::Progress(ResourceVersion::new(revision)));
    }

    fn joined(team: &str) -> Self {
        let lab = Self::unsynced();
        lab.list(100, vec![labelled(team, 10)]);
        let slices = Listing::confirmed(ResourceVersion::new(100), vec![slice(20)]);
        lab.tell_slices(Event::Listed(slices));
        lab
    }

    fn restricted(&self, query: &str) -> Request<Body> {
        let rules = Rules {
            labels: "tier=a".parse().unwrap(),
            ..Rules::default()
        };
        let caller = Caller {
            name: "restricted".into(),
            grant: ViewFilter::new(rules, Arc::clone(&self.owners)),
            right: None,
            connection: None,
            consumers: Consumers::new(RequestLimits::standard(), Arc::new(Metrics::default())),
            place: None,
        };
        let path = format!("/apis/discovery.k8s.io/v1/endpointslices?{query}");
        let request = Request::get(path).extension(caller);
        request.body(Body::empty()).unwrap()
    }

    async fn list_slices(&self) -> (String, bool) {
        let (_, _, body) = self.send(self.restricted("resourceVersion=0")).await;
        let list: serde_json::Value = serde_json::from_str(&text(body).await).unwrap();
        let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
        let has_one = !list["items"].as_array().unwrap().is_empty();
        (revision.to_owned(), has_one)
    }

    async fn watch_slices(&self, revision: &str) -> Stream {
        let query = format!("watch=1&resourceVersion={revision}");
        Stream(self.send(self.restricted(&query)).await.2)
    }
}

#[tokio::test]
async fn a_change_of_visibility_is_noticed_at_another_replica() {
    let (first, second) = (Lab::joined("a"), Lab::joined("a"));
    first.progress(130);
    assert_eq!(first.list_slices().await, ("130".to_owned(), true));
    // The second has read further. The client knows nothing of it.
    second.tell(Event::Applied(labelled("b", 140)));
    second.progress(150);
    assert_eq!(second.watch_slices("130").await.events().await, [GONE]);
    assert_eq!(second.list_slices().await, ("150".to_owned(), false));
    // What was listed after the change goes on, at the first as well.
    first.tell(Event::Applied(labelled("b", 140)));
    first.progress(160);
    let mut watch = first.watch_slices("150").await;
    first.tell(Event::Applied(labelled("a", 161)));
    first.progress(170);
    assert_eq!(watch.events().await, [GONE]);
}

#[tokio::test]
async fn a_list_is_of_one_revision_of_both_resources() {
    let lab = Lab::joined("a");
    // The slices are ahead: whether the Service allows that is not known yet.
    lab.tell_slices(Event::Deleted(slice(110)));
    assert_eq!(lab.list_slices().await, ("100".to_owned(), true));
    let mut watch = lab.watch_slices("100").await;
    lab.tell(Event::Applied(labelled("b", 105)));
    assert_eq!(watch.events().await, [GONE]);
    assert_eq!(lab.list_slices().await, ("105".to_owned(), false));
    // No bookmark has to come before a client can go on.
    let mut watch = lab.watch_slices("105").await;
    lab.tell(Event::Applied(labelled("a", 111)));
    lab.tell_slices(Event::Applied(slice(112)));
    lab.progress(113);
    assert_eq!(watch.events().await, ["ADDED web-1@112"]);
}

#[tokio::test]
async fn restricted_clients_go_on_after_a_restored_backup() {
    let lab = Lab::joined("a");
    lab.tell(Event::Applied(labelled("b", 140)));
    lab.progress(150);
    let services = Listing::confirmed(ResourceVersion::new(50), vec![labelled("a", 10)]);
    lab.tell(Event::Listed(services));
    let slices = Listing::confirmed(ResourceVersion::new(50), vec![slice(20)]);
    lab.tell_slices(Event::Listed(slices));
    assert_eq!(lab.list_slices().await, ("50".to_owned(), true));
    let mut watch = lab.watch_slices("50").await;
    lab.tell_slices(Event::Applied(slice(51)));
    lab.progress(52);
    assert_eq!(watch.events().await, ["MODIFIED web-1@51"]);
}

#[tokio::test]
async fn a_live_service_is_never_forgotten() {
    let lab = Lab::joined("a");
    lab.tell(Event::Deleted(labelled("a", 101)));
    lab.tell(Event::Applied(labelled("a", 102)));
    for revision in (200..20_400).step_by(2) {
        lab.tell(Event::Applied(service("other", revision)));
        lab.tell(Event::Deleted(service("other", revision + 1)));
    }
    lab.progress(30_000);
    assert_eq!(lab.list_slices().await, ("30000".to_owned(), true));
}
