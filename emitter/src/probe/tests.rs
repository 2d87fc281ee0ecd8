//! Comparisons while the watch is behind the list.

use emitter_cache::View;
use http::{Request, Response};
use kube::client::Body;
use proto_types::evidence::Expected;
use proto_types::{LabelSelector, RawObject, Resource, ResourceVersion};
use runtime::upstream;
use runtime::watcher::Listing;
use tokio::task::JoinSet;

use super::{Arc, Duration, Event, Prober, Timestamp, catch_up};
use crate::upstream::exported;
use crate::watch_cache::tests::cache_and_view;
use crate::watch_cache::{Start, WatchCache};

const LIST: &str = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"110"},"items":[
    {"metadata":{"name":"web","namespace":"demo","uid":"web","resourceVersion":"50"}}]}"#;

fn service(name: &str, revision: u64) -> RawObject {
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"demo","uid":"{name}","resourceVersion":"{revision}"}},"spec":{{}}}}"#
    );
    RawObject::parse(Resource::Services, &json.into()).unwrap()
}

fn prober() -> Prober {
    let answer = |request: Request<Body>| async move {
        let is_identity = request.uri().path().ends_with("/kube-system");
        let body = match is_identity {
            true => r#"{"metadata":{"uid":"u"}}"#,
            false => LIST,
        };
        let response = Response::builder().header(upstream::READ, "confirmed");
        Ok::<_, std::io::Error>(response.body(Body::from(body.as_bytes().to_vec())).unwrap())
    };
    let client = kube::Client::new(tower::service_fn(answer), "default");
    let scope = exported(Resource::Services, &LabelSelector::default(), None);
    Prober::new(client, scope, Arc::new(|_| Ok(Expected::Any)))
}

/// A cache whose watch is at 100, with the only object of the list.
fn behind() -> (Arc<WatchCache>, View) {
    let (cache, view) = cache_and_view();
    let listed = Listing::confirmed(ResourceVersion::new(100), vec![service("web", 50)]);
    ingest(&cache, Event::Listed(listed));
    (Arc::new(cache), view)
}

fn ingest(cache: &WatchCache, event: Event) {
    cache.ingest(event, Timestamp::UNIX_EPOCH);
}

#[tokio::test(start_paused = true)]
async fn events_of_what_came_and_went_before_the_list_have_a_place_in_history() {
    let (cache, view) = behind();
    let (epoch, _) = cache.position();
    let mut starting = JoinSet::new();
    starting.spawn(catch_up(Arc::clone(&cache), prober()));
    for (revision, event) in [(104, Event::Applied as fn(_) -> _), (107, Event::Deleted)] {
        tokio::time::sleep(Duration::from_millis(60)).await;
        ingest(&cache, event(service("brief", revision)));
        assert!(starting.try_join_next().is_none(), "at {revision}");
    }
    starting.join_next().await.unwrap().unwrap();
    let at_the_list = (epoch, ResourceVersion::new(110));
    assert_eq!(cache.position(), at_the_list, "the history goes on");
    let start = Start::After(ResourceVersion::new(105));
    let missed = cache.subscribe(&view, start).unwrap().backlog;
    assert_eq!(missed.len(), 1, "the deletion");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_as_new_as_a_list_that_it_equals() {
    let (cache, _) = behind();
    let began = tokio::time::Instant::now();
    catch_up(Arc::clone(&cache), prober()).await;
    assert!(began.elapsed() < Duration::from_millis(200));
    assert_eq!(cache.position().1, ResourceVersion::new(110));
}
