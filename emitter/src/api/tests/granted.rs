//! What a consumer sees that may not see everything.

use std::sync::Arc;

use axum::body::Body;
use emitter_cache::ViewFilter;
use emitter_cache::view_filter::{Port, Rules};
use http::Request;
use runtime::watcher::Event;

use super::{Lab, Stream, labelled, service, text};
use crate::consumers::{Caller, Consumers};
use crate::limits::RequestLimits;
use crate::metrics::Metrics;

fn caller(rules: Rules) -> Caller {
    let metrics = Arc::new(Metrics::default());
    Caller {
        name: "somebody".into(),
        grant: ViewFilter::new(rules, Arc::default()),
        right: None,
        connection: None,
        consumers: Consumers::new(RequestLimits::standard(), metrics),
        place: None,
    }
}

fn labels(selector: &str) -> Rules {
    Rules {
        labels: selector.parse().unwrap(),
        ..Rules::default()
    }
}

async fn get(lab: &Lab, path: &str, rules: Rules) -> (u16, String) {
    let request = Request::get(path).extension(caller(rules));
    let (status, _, body) = lab.send(request.body(Body::empty()).unwrap()).await;
    (status.as_u16(), text(body).await)
}

#[tokio::test]
async fn hidden_objects_look_like_absent_ones() {
    let lab = Lab::with(&["a", "b", "c"]);
    lab.tell(Event::Applied(labelled("d", 101, "y")));
    let (_, list) = get(&lab, "/api/v1/services?limit=2", labels("tier=x")).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["metadata"]["remainingItemCount"], 1, "{list}");
    let (_, all) = get(&lab, "/api/v1/services", labels("tier=y")).await;
    assert!(all.contains("\"d\"") && !all.contains("\"a\""), "{all}");
    let path = |name: &str| format!("/api/v1/namespaces/demo/services/{name}");
    let hidden = get(&lab, &path("d"), labels("tier=x")).await;
    let missing = get(&lab, &path("e"), labels("tier=x")).await;
    assert_eq!(hidden.0, 404);
    assert_eq!(
        hidden.1.replace("\\\"d", "\\\"e").replace("\"d\"", "\"e\""),
        missing.1
    );
    let elsewhere = Rules {
        namespaces: Some(["other".to_owned()].into()),
        ..Rules::default()
    };
    let (status, empty) = get(&lab, "/api/v1/namespaces/demo/services", elsewhere).await;
    assert_eq!(
        (status, empty.contains(r#""items":[]"#)),
        (200, true),
        "{empty}"
    );
}

#[tokio::test]
async fn a_watch_tells_of_what_comes_into_sight_and_goes_out_of_it() {
    let lab = Lab::with(&[]);
    let path = "/api/v1/services?watch=1&resourceVersion=100";
    let request = Request::get(path).extension(caller(labels("tier=a")));
    let (_, _, body) = lab.send(request.body(Body::empty()).unwrap()).await;
    let mut watch = Stream(body);
    lab.tell(Event::Applied(service("hidden", 101)));
    lab.tell(Event::Applied(labelled("web", 102, "a")));
    lab.tell(Event::Applied(labelled("web", 103, "b")));
    assert_eq!(watch.events().await, ["ADDED web@102", "DELETED web@103"]);
}

#[tokio::test]
async fn a_service_of_whose_ports_none_may_be_seen_is_not_there() {
    let lab = Lab::with(&["a"]);
    let rules = Rules {
        ports: Some([Port::Name("http".to_owned())].into()),
        ..Rules::default()
    };
    let (_, list) = get(&lab, "/api/v1/services", rules).await;
    assert!(list.contains(r#""items":[]"#), "{list}");
}
