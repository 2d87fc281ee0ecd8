//! ServiceExports, and Services that they show and hide.

use std::sync::Arc;

use axum::body::Body;
use emitter_cache::descriptor::SERVICE_EXPORTS;
use emitter_cache::view_filter::Rules;
use emitter_cache::{Fields, Limits, ViewFilter};
use http::Request;
use jiff::Timestamp;
use proto_types::multicluster::Version;
use proto_types::{ObjectKey, RawObject, ResourceVersion};
use runtime::watcher::{Event, Listing};
use serde_json::Value;

use super::{Lab, TABLE, WatchCache, labelled, service, text};
use crate::consumers::{Caller, Consumers};
use crate::exposure::Turned;
use crate::limits::RequestLimits;
use crate::metrics::Metrics;

const EXPORTS: &str = "/apis/multicluster.x-k8s.io/v1beta1/serviceexports";

fn export(name: &str, revision: u64) -> RawObject {
    let json = format!(
        r#"{{"kind":"ServiceExport","apiVersion":"multicluster.x-k8s.io/v1beta1","metadata":{{"name":"{name}","namespace":"demo","uid":"{name}","resourceVersion":"{revision}","creationTimestamp":"2026-01-01T00:00:00Z"}},"spec":{{}}}}"#
    );
    RawObject::parse(Version::V1Beta1.exports(), &json.into()).unwrap()
}

fn turn(lab: &Lab, turned: Turned) {
    lab.services.turn(turned, Timestamp::now());
}

#[tokio::test]
async fn watches_go_on_while_exports_show_and_hide_services() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=100").await;
    turn(&lab, Turned::Shown(service("old", 7)));
    assert_eq!(watch.events().await, ["ADDED old@7"]);
    lab.tell(Event::Applied(service("b", 105)));
    assert_eq!(watch.events().await, ["ADDED b@105"]);
    turn(&lab, Turned::Hidden(ObjectKey::new("demo", "old")));
    assert_eq!(watch.events().await, ["DELETED old@105"]);
    // A list shows what is exported, at the progress of the store.
    turn(&lab, Turned::Shown(service("old", 7)));
    let (_, list) = lab.get("/api/v1/services").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["metadata"]["resourceVersion"], "105");
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert_eq!(list["items"][2]["metadata"]["resourceVersion"], "7");
    // Who listed that goes on; who was away may lack what was shown in the meantime.
    let mut listed = lab.watch("resourceVersion=105").await;
    lab.tell(Event::Applied(service("c", 106)));
    let line = listed.line().await.unwrap();
    assert!(!line.contains("410"), "{line}");
    let mut away = lab.watch("resourceVersion=104").await;
    let line = away.line().await.unwrap();
    assert!(line.contains("410"), "{line}");
}

#[tokio::test]
async fn exports_are_discovered_and_read() {
    let cache = Arc::new(WatchCache::new(
        &SERVICE_EXPORTS,
        Fields::All,
        Limits::default(),
    ));
    let lab = Lab::serving(&[Arc::clone(&cache)]);
    let (code, _) = lab.get(EXPORTS).await;
    assert_eq!(code, 429, "before they were listed");
    let listing = Listing::confirmed(ResourceVersion::new(100), vec![export("web", 9)]);
    cache.ingest(Event::Listed(listing), Timestamp::now());
    let (_, groups) = lab.get("/apis").await;
    assert!(
        groups.contains(r#""name":"multicluster.x-k8s.io""#),
        "{groups}"
    );
    let (_, group) = lab.get("/apis/multicluster.x-k8s.io").await;
    assert!(group.contains(r#""version":"v1beta1""#), "{group}");
    let (_, resources) = lab.get("/apis/multicluster.x-k8s.io/v1beta1").await;
    assert!(
        resources.contains(r#""kind":"ServiceExport""#),
        "{resources}"
    );
    let (code, list) = lab.get(EXPORTS).await;
    assert_eq!(code, 200);
    let start = r#"{"kind":"ServiceExportList","apiVersion":"multicluster.x-k8s.io/v1beta1""#;
    assert!(list.starts_with(start), "{list}");
    let one = EXPORTS.replace("serviceexports", "namespaces/demo/serviceexports/web");
    let (code, one) = lab.get(&one).await;
    assert_eq!(
        (code, one.contains(r#""name":"web""#)),
        (200, true),
        "{one}"
    );
    let request = Request::get(EXPORTS).header("accept", TABLE);
    let (_, _, body) = lab.send(request.body(Body::empty()).unwrap()).await;
    let table: Value = serde_json::from_str(&text(body).await).unwrap();
    assert_eq!(table["rows"][0]["cells"][0], "web", "{table}");
    let request = Request::get(format!("{EXPORTS}?watch=1&resourceVersion=100"));
    let (_, _, body) = lab.send(request.body(Body::empty()).unwrap()).await;
    let mut watch = super::Stream(body);
    cache.ingest(Event::Applied(export("db", 101)), Timestamp::now());
    assert_eq!(watch.events().await, ["ADDED db@101"]);
}

#[tokio::test]
async fn exports_are_not_served_unless_they_are_followed() {
    let lab = Lab::with(&["web"]);
    for path in [
        EXPORTS,
        "/apis/multicluster.x-k8s.io",
        "/apis/multicluster.x-k8s.io/v1beta1",
    ] {
        assert_eq!(lab.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn an_export_is_seen_by_who_sees_its_service() {
    let cache = Arc::new(WatchCache::new(
        &SERVICE_EXPORTS,
        Fields::All,
        Limits::default(),
    ));
    let lab = Lab::serving(&[Arc::clone(&cache)]);
    lab.list(100, vec![labelled("web", 1, "x"), labelled("db", 2, "y")]);
    let exports = vec![export("web", 3), export("db", 4), export("unborn", 5)];
    let listing = Listing::confirmed(ResourceVersion::new(100), exports);
    cache.ingest(Event::Listed(listing), Timestamp::now());
    let seen = async |rules: Rules| {
        let caller = Caller {
            name: "somebody".into(),
            grant: ViewFilter::new(rules, Arc::clone(&lab.owners)),
            right: None,
            connection: None,
            consumers: Consumers::new(RequestLimits::standard(), Arc::new(Metrics::default())),
            place: None,
        };
        let request = Request::get(EXPORTS).extension(caller);
        let (_, _, body) = lab.send(request.body(Body::empty()).unwrap()).await;
        let list: Value = serde_json::from_str(&text(body).await).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        let names = items.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let labels = Rules {
        labels: "tier=x".parse().unwrap(),
        ..Rules::default()
    };
    assert_eq!(seen(labels).await, ["web"]);
    assert_eq!(seen(Rules::default()).await, ["db", "unborn", "web"]);
    let elsewhere = Rules {
        namespaces: Some(["other".to_owned()].into()),
        ..Rules::default()
    };
    assert_eq!(seen(elsewhere).await, [""; 0]);
}
