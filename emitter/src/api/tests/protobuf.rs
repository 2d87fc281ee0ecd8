//! Protobuf, and what it cannot say.

use super::{Body, BodyExt, Event, Lab, RawObject, Request, Resource, service};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const OR_JSON: &str = "application/vnd.kubernetes.protobuf,application/json";

async fn list(lab: &Lab, accept: &str) -> (u16, String) {
    let request = Request::get("/api/v1/services").header("accept", accept);
    let (status, headers, _) = lab.send(request.body(Body::empty()).unwrap()).await;
    let media_type = headers["content-type"].to_str().unwrap();
    (status.as_u16(), media_type.to_owned())
}

/// As a newer API server would send it.
fn newer() -> RawObject {
    let json = r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"new","namespace":"a","uid":"u","resourceVersion":"101"},"spec":{"tomorrow":true}}"#;
    RawObject::parse(Resource::Services, &json.into()).unwrap()
}

#[tokio::test]
async fn a_field_that_protobuf_cannot_say_ends_protobuf() {
    let lab = Lab::with(&["web"]);
    assert_eq!(list(&lab, PROTOBUF).await, (200, PROTOBUF.to_owned()));
    assert_eq!(list(&lab, OR_JSON).await, (200, PROTOBUF.to_owned()));
    let path = "/api/v1/services?watch=1&resourceVersion=100";
    let request = Request::get(path).header("accept", PROTOBUF);
    let (status, headers, mut watch) = lab.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    let media_type = headers["content-type"].to_str().unwrap();
    assert_eq!(
        media_type,
        "application/vnd.kubernetes.protobuf;stream=watch"
    );

    lab.tell(Event::Applied(newer()));
    assert!(watch.frame().await.is_none(), "it ends in order");
    let json = (200, "application/json".to_owned());
    assert_eq!(list(&lab, OR_JSON).await, json);
    assert_eq!(list(&lab, PROTOBUF).await.0, 406);
    let mut resumed = lab.watch("resourceVersion=100").await;
    assert_eq!(resumed.events().await, ["ADDED new@101"]);
}

#[tokio::test]
async fn a_deletion_in_protobuf_has_its_own_revision() {
    let lab = Lab::with(&["web"]);
    let path = "/api/v1/services?watch=1&resourceVersion=100";
    let request = Request::get(path).header("accept", PROTOBUF);
    let (_, _, mut watch) = lab.send(request.body(Body::empty()).unwrap()).await;
    lab.tell(Event::Deleted(service("web", 105)));
    let frame = watch.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = frame.escape_ascii().to_string();
    assert!(
        text.contains("DELETED") && text.contains("2\\x03105"),
        "{text}"
    );
}
