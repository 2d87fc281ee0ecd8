//! A cluster over a socket, by the client that our programs use.

use std::time::Duration;

use embedded_cluster::{EmbeddedCluster, Fault, Kind, Options, Verb};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::WatchEvent;
use kube::{Api, Client};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start(tls: bool) -> (EmbeddedCluster, Client) {
    let mut options = Options::named("east");
    options.tls = tls;
    options.token = tls.then(|| "secret".to_owned());
    options.namespaces = vec!["demo".to_owned()];
    let cluster = EmbeddedCluster::start(options).await.expect("it starts");
    let client = client(&cluster).await;
    (cluster, client)
}

async fn client(cluster: &EmbeddedCluster) -> Client {
    runtime::client::install_crypto();
    let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig()).expect("it is YAML");
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("it is a kubeconfig");
    config.proxy_url = None;
    Client::try_from(config).expect("it makes a client")
}

fn service(name: &str) -> Service {
    let service = json!({
        "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]},
    });
    serde_json::from_value(service).expect("it is a Service")
}

#[tokio::test]
async fn written_objects_are_read_over_tls_with_the_token() {
    let (cluster, client) = start(true).await;
    let services: Api<Service> = Api::namespaced(client.clone(), "demo");
    let post = PostParams::default();
    let created = services.create(&post, &service("web")).await.unwrap();
    let address = created.spec.unwrap().cluster_ip.unwrap();
    assert!(address.starts_with("10.96."), "{address}");
    let again = services.create(&post, &service("web")).await.unwrap_err();
    assert!(again.to_string().contains("already exists"), "{again}");

    let patch = Patch::Merge(json!({"spec": {"selector": {"app": "web"}}}));
    let params = PatchParams::default();
    let patched = services.patch("web", &params, &patch).await.unwrap();
    let mut stale = created.metadata.clone();
    assert_ne!(stale.resource_version, patched.metadata.resource_version);
    let mut late = service("web");
    std::mem::swap(&mut late.metadata, &mut stale);
    let late = services.replace("web", &post, &late).await.unwrap_err();
    assert!(late.to_string().contains("has been modified"), "{late}");

    let listed = services.list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    services
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    assert!(services.get_opt("web").await.unwrap().is_none());
    let audit = cluster.audit();
    assert_eq!(audit.done(Verb::Create, Kind::Services).count(), 1);
    assert_eq!(audit.done(Verb::Delete, Kind::Services).count(), 1);
    assert_eq!(audit.n_writes, 5, "{:?}", audit.writes);

    let mut stranger = Kubeconfig::from_yaml(&cluster.kubeconfig()).unwrap();
    stranger.auth_infos.clear();
    let options = KubeConfigOptions::default();
    stranger.contexts[0].context.as_mut().unwrap().user = None;
    let config = kube::Config::from_custom_kubeconfig(stranger, &options).await;
    let stranger: Api<Service> = Api::all(Client::try_from(config.unwrap()).unwrap());
    let refused = stranger.list(&ListParams::default()).await.unwrap_err();
    assert!(refused.to_string().contains("Unauthorized"), "{refused}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_watch_tells_what_happens_and_goes_silent_on_a_dead_line() {
    let (cluster, client) = start(false).await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "demo");
    let version = maps.list(&ListParams::default()).await.unwrap();
    let version = version.metadata.resource_version.unwrap();
    let events = maps.watch(&WatchParams::default(), &version).await.unwrap();
    let mut events = events.boxed();
    let map = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "demo"}, "data": {"a": value},
        })
    };
    cluster.put(map("1")).unwrap();
    cluster.put(map("2")).unwrap();
    // The same again is no change.
    cluster.put(map("2")).unwrap();
    assert!(cluster.delete(Kind::ConfigMaps, "demo", "c"));
    assert!(matches!(next(&mut events).await, WatchEvent::Added(_)));
    assert!(matches!(next(&mut events).await, WatchEvent::Modified(_)));
    assert!(matches!(next(&mut events).await, WatchEvent::Deleted(_)));

    cluster.fail(Fault::HalfOpen);
    cluster.put(map("3")).unwrap();
    let silence = Duration::from_millis(300);
    let nothing = tokio::time::timeout(silence, events.try_next()).await;
    assert!(nothing.is_err(), "a frozen line says nothing");
    let hanging = tokio::time::timeout(silence, maps.get("c")).await;
    assert!(hanging.is_err(), "and new ones are not answered");
    cluster.heal();
    let nothing = tokio::time::timeout(silence, events.try_next()).await;
    assert!(nothing.is_err(), "what is frozen stays frozen");
    let new: Api<ConfigMap> = Api::namespaced(self::client(&cluster).await, "demo");
    assert!(new.get("c").await.is_ok());
}

async fn next<T>(
    events: &mut (impl futures::Stream<Item = kube::Result<WatchEvent<T>>> + Unpin),
) -> WatchEvent<T> {
    let event = tokio::time::timeout(Duration::from_secs(10), events.try_next());
    let event = event.await.expect("an event comes in time");
    let event = event.expect("it is an event");
    event.expect("the watch goes on")
}

/// What is answered to one request; the real client would ask again after some refusals.
async fn ask(cluster: &EmbeddedCluster, path: &str) -> String {
    let address = cluster.url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let written = stream.write_all(request.as_bytes()).await;
    written.expect("it reads");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer).await;
    read.expect("it answers");
    answer
}

#[tokio::test]
async fn every_fault_is_seen_and_heals() {
    let (cluster, client) = start(false).await;
    let services: Api<Service> = Api::namespaced(client, "demo");
    let all = ListParams::default();
    let list = async || services.list(&all).await;
    cluster.fail(Fault::Refuse);
    // Who comes while the door closes is cut off, all others are refused.
    while !format!("{:?}", list().await.unwrap_err()).contains("ConnectionRefused") {}
    cluster.heal();
    // The door opens in a moment.
    while list().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    for code in [401, 403, 409, 410, 429, 500, 504] {
        let retry_after = (code == 429).then_some(7);
        cluster.fail(Fault::Answer { code, retry_after });
        let answer = ask(&cluster, "/api/v1/services").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
        assert_eq!(answer.contains("retry-after: 7"), code == 429, "{answer}");
        cluster.heal();
    }
    cluster.fail(Fault::Garbage);
    assert!(list().await.is_err());
    cluster.heal();
    cluster.fail(Fault::Cut);
    assert!(list().await.is_err());
    cluster.heal();

    let post = PostParams::default();
    services.create(&post, &service("web")).await.unwrap();
    cluster.fail(Fault::EmptyLists);
    assert!(list().await.unwrap().items.is_empty());
    cluster.heal();
    assert_eq!(list().await.unwrap().items.len(), 1);

    cluster.fail(Fault::status(500).for_verbs(&[Verb::Delete]));
    assert!(list().await.is_ok());
    let delete = services.delete("web", &DeleteParams::default()).await;
    assert!(delete.is_err());
}

#[tokio::test]
async fn a_cluster_goes_back_in_time_forgets_and_becomes_another() {
    let (cluster, client) = start(false).await;
    let services: Api<Service> = Api::namespaced(client, "demo");
    let post = PostParams::default();
    let before = services.create(&post, &service("web")).await.unwrap();
    let backup = cluster.backup();
    services.create(&post, &service("new")).await.unwrap();
    let version = before.resource_version();
    let all = WatchParams::default();
    cluster.compact();
    let events = services.watch(&all, &version).await.unwrap();
    let expired = next(&mut events.boxed()).await;
    let WatchEvent::Error(status) = expired else {
        panic!("{expired:?}");
    };
    assert_eq!(status.code, 410);

    cluster.restore(&backup);
    let after = loop {
        // The first request may meet a connection that has just ended.
        if let Ok(listed) = services.list(&ListParams::default()).await {
            break listed;
        }
    };
    assert_eq!(after.items, std::slice::from_ref(&before));
    cluster.become_another();
    let uid = cluster.get(Kind::Namespaces, "", "kube-system").unwrap()["metadata"]["uid"].clone();
    cluster.become_another();
    let other =
        cluster.get(Kind::Namespaces, "", "kube-system").unwrap()["metadata"]["uid"].clone();
    assert_ne!(uid, other);
    assert!(cluster.get(Kind::Services, "demo", "web").is_none());
}

trait Versioned {
    fn resource_version(&self) -> String;
}

impl Versioned for Service {
    fn resource_version(&self) -> String {
        self.metadata
            .resource_version
            .clone()
            .expect("it was stored")
    }
}
