//! The writer against a server that answers as the test says.

use std::time::Duration;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes as RequestBody;
use axum::extract::State;
use parking_lot::Mutex;
use proto_types::Status;
use reflector_planner::{
    Change, Exported, Index, LocalChange, LocalList, LocalObject, MissingNamespaces, Placement,
    Policy, SourcePolicy,
};
use reflector_planner::{plan, steps};
use runtime::Access;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

mod rejections;

/// A request as `METHOD path`, and its answer.
type Answer = (&'static str, u16, Value);

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    bodies: Arc<Mutex<Vec<Value>>>,
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: http::Uri,
    body: RequestBody,
) -> (StatusCode, String) {
    let (expected, code, answer) = script.answers.lock().pop_front().expect("no more requests");
    assert_eq!(format!("{method} {}", uri.path()), expected);
    let body = serde_json::from_slice(&body).unwrap_or_default();
    script.bodies.lock().push(body);
    (StatusCode::from_u16(code).unwrap(), answer.to_string())
}

/// What came of performing a plan against those answers.
struct Outcome {
    index: Index,
    written: WriteResult,
    bodies: Vec<Value>,
    script: Script,
}

fn service(extra: Value) -> Value {
    let mut service = json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"name": "web", "namespace": "demo", "uid": "u1", "resourceVersion": "7"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]},
    });
    if !extra.is_null() {
        service["metadata"]["labels"] = extra;
        service["metadata"]["annotations"] = json!({"heliograph.dev/source-service": "demo/web"});
    }
    service
}

/// The mirror of that Service as an API server shows it.
fn mirror() -> Value {
    service(json!({
        "heliograph.dev/source": "east", "app.kubernetes.io/managed-by": "heliograph",
    }))
}

fn raw(object: &Value) -> RawObject {
    RawObject::parse(Resource::Services, &Bytes::from(object.to_string())).unwrap()
}

/// East exports demo/web, and `local` is here.
fn index(exports: &[Value], local: &[Value]) -> Index {
    world_with(MissingNamespaces::Reported, exports, local)
}

fn world_with(missing: MissingNamespaces, exports: &[Value], local: &[Value]) -> Index {
    let mut east = SourcePolicy::new("east".parse().unwrap(), Placement::SameName);
    east.missing_namespaces = missing;
    let mut index = Index::new(Policy::new(vec![east]).unwrap());
    let seen = local
        .iter()
        .map(raw)
        .map(|it| (it.key.clone(), LocalObject::read(&it)));
    index.update(Update::LocalServices(LocalChange::Listed(list(
        seen.collect(),
    ))));
    index.update(Update::LocalSlices(LocalChange::Listed(list(Vec::new()))));
    let exports = exports.iter().map(raw);
    let listed = Change::Listed(exports.map(|it| Exported::service(&it)).collect());
    index.update(Update::Services("east".parse().unwrap(), listed));
    index
}

/// East exported demo/web, of which there is a mirror, and deleted it.
fn world_without() -> Index {
    let mut index = index(&[service(Value::Null)], &[mirror()]);
    let deleted = Change::Deleted(ObjectKey::new("demo", "web"));
    index.update(Update::Services("east".parse().unwrap(), deleted));
    index
}

fn list<T>(objects: Vec<(ObjectKey, LocalObject<T>)>) -> LocalList<T> {
    LocalList {
        revision: proto_types::ResourceVersion::new(1),
        rewound: false,
        objects,
    }
}

/// Performs the plan for demo/web against the answers, all of which must be asked for.
async fn perform(mut index: Index, answers: Vec<Answer>) -> Outcome {
    let script = Script::default();
    script.answers.lock().extend(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(script.clone());
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, router).await });

    let access = Access::Url {
        url: url.parse().unwrap(),
        authority: None,
        token: None,
        identity: None,
        proxy: None,
    };
    let writer = Writer {
        client: runtime::connect(&access, "test").await.unwrap(),
        metrics: Metrics::registered(false).0,
        leadership: crate::leader_election::Leadership::always(),
        reaps_namespaces: false,
    };
    let key = MirrorKey::new(ObjectKey::new("demo", "web"));
    let steps = steps(&plan(&index, &key), &key, index.local());
    let mut written = writer.perform(key, steps).await;
    for update in written.updates.drain(..) {
        index.update(update);
    }
    assert!(script.answers.lock().is_empty(), "not all was asked for");
    let bodies = script.bodies.lock().clone();
    Outcome {
        index,
        written,
        bodies,
        script,
    }
}

impl Outcome {
    fn left(&self) -> Vec<&'static str> {
        let key = MirrorKey::new(ObjectKey::new("demo", "web"));
        let steps = steps(&plan(&self.index, &key), &key, self.index.local());
        steps.iter().map(|step| step.write.verb()).collect()
    }

    fn problems(&self) -> Vec<&'static str> {
        let key = MirrorKey::new(ObjectKey::new("demo", "web"));
        let problems = plan(&self.index, &key).problems;
        problems.iter().map(|it| it.cause.reason()).collect()
    }
}

impl Outcome {
    fn messages(&self) -> Vec<String> {
        let key = MirrorKey::new(ObjectKey::new("demo", "web"));
        let problems = plan(&self.index, &key).problems;
        problems.iter().map(ToString::to_string).collect()
    }
}

const POST: &str = "POST /api/v1/namespaces/demo/services";
const GET: &str = "GET /api/v1/namespaces/demo/services/web";
const PUT: &str = "PUT /api/v1/namespaces/demo/services/web";
const DELETE: &str = "DELETE /api/v1/namespaces/demo/services/web";

fn status(code: u16, message: &str) -> Value {
    serde_json::from_str(&Status::failure(code, "", message).to_json()).unwrap()
}

#[tokio::test]
async fn the_stored_object_is_known_at_once() {
    let index = index(&[service(Value::Null)], &[]);
    let outcome = perform(index, vec![(POST, 201, mirror())]).await;
    assert_eq!(outcome.written.again, None);
    assert!(outcome.left().is_empty());
    assert!(outcome.problems().is_empty());
    assert!(outcome.script.answers.lock().is_empty());
    assert_eq!(outcome.bodies[0]["metadata"]["name"], "web");
}

#[tokio::test]
async fn an_unmanaged_object_is_a_problem_and_left_alone() {
    let index = index(&[service(Value::Null)], &[]);
    let answers = vec![
        (POST, 409, status(409, "exists")),
        (GET, 200, service(Value::Null)),
        (
            "GET /api/v1/namespaces/demo/endpoints/web",
            404,
            status(404, "none"),
        ),
    ];
    let outcome = perform(index, answers).await;
    assert_eq!(outcome.written.again, Some(Requeue::WithBackoff));
    assert_eq!(outcome.problems(), ["AlreadyExists"]);
}

#[tokio::test]
async fn a_mirror_that_the_watch_has_not_shown_yet_is_taken_as_ours() {
    let index = index(&[service(Value::Null)], &[]);
    let answers = vec![(POST, 409, status(409, "exists")), (GET, 200, mirror())];
    let outcome = perform(index, answers).await;
    assert_eq!(outcome.written.again, Some(Requeue::Now));
    assert!(outcome.left().is_empty());
}

#[tokio::test]
async fn a_lost_race_is_looked_into_and_planned_anew() {
    let mut stale = mirror();
    stale["spec"]["ports"][0]["port"] = json!(81);
    let mut newer = stale.clone();
    newer["metadata"]["resourceVersion"] = json!("9");
    let index = index(&[service(Value::Null)], &[stale]);
    let answers = vec![(PUT, 409, status(409, "conflict")), (GET, 200, newer)];
    let outcome = perform(index, answers).await;
    assert_eq!(outcome.bodies[0]["metadata"]["resourceVersion"], "7");
    assert_eq!(outcome.bodies[0]["metadata"]["uid"], "u1");
    assert_eq!(outcome.written.again, Some(Requeue::Now));
    assert_eq!(outcome.left(), ["update"]);
}

#[tokio::test]
async fn only_an_api_server_can_say_that_something_is_gone() {
    for code in [200, 404] {
        let index = world_without();
        let outcome = perform(index, vec![(DELETE, code, json!("It works!"))]).await;
        assert!(outcome.written.unavailable.is_some(), "{code}");
        assert!(!outcome.left().is_empty(), "{code}");
    }
}

#[tokio::test]
async fn an_unreadable_object_is_not_overwritten() {
    let index = index(&[service(Value::Null)], &[]);
    let answers = vec![
        (POST, 409, status(409, "already exists")),
        (GET, 500, status(500, "etcd is away")),
    ];
    let outcome = perform(index, answers).await;
    assert!(outcome.written.again.is_some());
    // Which is refused where there is one.
    assert_eq!(outcome.left(), ["create"]);
}

#[tokio::test]
async fn a_delete_names_the_version_it_is_about() {
    let index = world_without();
    let outcome = perform(index, vec![(DELETE, 200, json!({"kind": "Status"}))]).await;
    assert_eq!(
        outcome.bodies[0]["preconditions"],
        json!({"uid": "u1", "resourceVersion": "7"})
    );
    assert!(outcome.left().is_empty());
}

#[tokio::test]
async fn a_delete_of_what_became_somebody_elses_is_forgotten() {
    let mut theirs = service(Value::Null);
    theirs["metadata"]["uid"] = json!("u2");
    let index = world_without();
    let answers = vec![
        (DELETE, 409, status(409, "precondition")),
        (GET, 200, theirs),
    ];
    let outcome = perform(index, answers).await;
    assert!(outcome.left().is_empty());
}

#[tokio::test]
async fn refusals_are_problems_in_the_servers_words() {
    let exported = || index(&[service(Value::Null)], &[]);
    let missing = vec![(POST, 404, status(404, "namespaces \"demo\" not found"))];
    assert_eq!(
        perform(exported(), missing).await.problems(),
        ["NamespaceNotFound"]
    );
    let invalid = vec![(POST, 422, status(422, "spec.ports: Invalid value"))];
    assert_eq!(
        perform(exported(), invalid).await.problems(),
        ["WriteRejected"]
    );
    let forbidden = vec![(POST, 403, status(403, "may not"))];
    assert_eq!(
        perform(exported(), forbidden).await.problems(),
        ["WriteRejected"]
    );
}

#[tokio::test]
async fn a_server_in_trouble_is_no_problem_of_the_object() {
    let mut throttled = status(429, "later");
    throttled["details"] = json!({"retryAfterSeconds": 3});
    let index = index(&[service(Value::Null)], &[]);
    let outcome = perform(index, vec![(POST, 429, throttled)]).await;
    let after = Requeue::After(Duration::from_secs(3));
    assert_eq!(outcome.written.again, Some(after));
    assert_eq!(outcome.written.unavailable.as_deref(), Some("later"));
    assert!(outcome.problems().is_empty());
}

#[tokio::test]
async fn a_webhook_that_changes_our_writes_is_named_and_not_fought() {
    let mut changed = mirror();
    changed["spec"]["publishNotReadyAddresses"] = json!(true);
    let index = index(&[service(Value::Null)], &[]);
    let outcome = perform(index, vec![(POST, 201, changed)]).await;
    assert_eq!(outcome.written.again, Some(Requeue::WithBackoff));
    assert_eq!(outcome.problems(), ["MutatedOnWrite"]);
}

#[tokio::test]
async fn a_flip_deletes_and_creates() {
    let mut headless = service(Value::Null);
    headless["spec"]["clusterIP"] = json!("None");
    let mut stored = mirror();
    stored["spec"]["clusterIP"] = json!("None");
    stored["metadata"]["uid"] = json!("u2");
    stored["metadata"]["resourceVersion"] = json!("9");
    let index = index(&[headless], &[mirror()]);
    let answers = vec![(DELETE, 200, json!({})), (POST, 201, stored)];
    let outcome = perform(index, answers).await;
    assert_eq!(outcome.written.again, None);
    assert!(outcome.left().is_empty());
}

const POST_NAMESPACE: &str = "POST /api/v1/namespaces";

#[tokio::test]
async fn a_missing_namespace_is_created_where_that_is_wanted() {
    let exported = || world_with(MissingNamespaces::Created, &[service(Value::Null)], &[]);
    let missing = || (POST, 404, status(404, "namespaces \"demo\" not found"));
    let namespace = json!({"metadata": {"name": "demo", "resourceVersion": "8"}});

    let answers = vec![
        missing(),
        (POST_NAMESPACE, 201, namespace),
        (POST, 201, mirror()),
    ];
    let outcome = perform(exported(), answers).await;
    assert!(outcome.left().is_empty());
    assert!(outcome.problems().is_empty());
    let metadata = &outcome.bodies[1]["metadata"];
    assert_eq!(metadata["name"], "demo");
    assert_eq!(metadata["labels"]["heliograph.dev/source"], "east");

    let faster = (POST_NAMESPACE, 409, status(409, "exists"));
    let outcome = perform(exported(), vec![missing(), faster, (POST, 201, mirror())]).await;
    assert!(outcome.left().is_empty());

    let forbidden = (POST_NAMESPACE, 403, status(403, "may not"));
    let outcome = perform(exported(), vec![missing(), forbidden]).await;
    assert_eq!(outcome.problems(), ["NamespaceCreationFailed"]);
    assert_eq!(outcome.written.again, Some(Requeue::WithBackoff));

    let down = (POST_NAMESPACE, 503, status(503, "etcd is away"));
    let outcome = perform(exported(), vec![missing(), down]).await;
    assert!(outcome.problems().is_empty());
    assert!(outcome.written.unavailable.is_some());
}
