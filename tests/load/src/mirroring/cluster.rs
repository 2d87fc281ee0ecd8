//! A source with its emitter, and local clusters to mirror into.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Keeper};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::Request;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::WatchEvent;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::programs::{beside, client, free_address};

/// The namespace of mirrors.
pub(crate) const MIRRORS: &str = "mirrors";

/// The namespace of what is exported.
pub(crate) const EXPORTS: &str = "demo";

/// As many as the reflector has on their way.
pub(crate) const MAX_WRITES: usize = 16;

const LABEL: &str = "heliograph.dev/export";

const PATIENCE: Duration = Duration::from_secs(600);

/// A cluster that exports, and its emitter.
pub(crate) struct Source {
    pub(crate) client: kube::Client,
    pub(crate) emitter: SocketAddr,
    pub(crate) n_services: usize,
    _keeper: Keeper,
    _plane: ControlPlane,
}

/// A cluster to mirror into.
pub(crate) struct Local {
    pub(crate) client: kube::Client,
    pub(crate) plane: ControlPlane,
}

impl Source {
    pub(crate) async fn start(services: usize, endpoints: usize) -> anyhow::Result<Self> {
        let plane = ControlPlane::builder("source").start().await?;
        let client = plane.client().await?;
        create_namespace(&client, EXPORTS).await?;
        let objects = (0..services).flat_map(|i| [service(i), slice(i, endpoints)]);
        create_all(&client, objects.collect()).await?;

        let keeper = Keeper::new("load-programs")?;
        let emitter = free_address()?;
        let admin = free_address()?;
        let mut command = Command::new(beside("emitter")?);
        command
            .args([
                &format!("--selector={LABEL}=true"),
                "--secure-port=0",
                "--insecure-bind-address=127.0.0.1",
                &format!("--insecure-port={}", emitter.port()),
                &format!("--admin-bind-address={admin}"),
            ])
            .arg("--kubeconfig")
            .arg(plane.kubeconfig());
        keeper.spawn("emitter", &command)?;
        ready(admin).await?;
        Ok(Self {
            client,
            emitter,
            n_services: services,
            _keeper: keeper,
            _plane: plane,
        })
    }
}

impl Local {
    pub(crate) async fn start(name: &str) -> anyhow::Result<Self> {
        let plane = ControlPlane::builder(name).start().await?;
        let client = plane.client().await?;
        create_namespace(&client, MIRRORS).await?;
        Ok(Self { client, plane })
    }

    /// All mirrors, as they would have to be created.
    pub(crate) async fn mirrors(&self) -> anyhow::Result<Vec<(String, Value)>> {
        let mut mirrors = Vec::new();
        for collection in [services_path(MIRRORS), slices_path(MIRRORS)] {
            let mut list = read(&self.client, &collection).await?;
            let items = list["items"].as_array_mut().context("a list has items")?;
            for item in items {
                let mut object = item.take();
                let metadata = &mut object["metadata"];
                *metadata = json!({
                    "name": metadata["name"],
                    "labels": metadata["labels"],
                    "annotations": metadata["annotations"],
                });
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.retain(|key, _| !key.starts_with("clusterIP"));
                }
                mirrors.push((collection.clone(), object));
            }
        }
        Ok(mirrors)
    }

    /// Looks for mirrors from now on. What this returns ends when there are so many
    /// new Services, and so many new slices.
    pub(crate) async fn fill(
        &self,
        n_services: usize,
        n_slices: usize,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
        let services = watch::<Service>(&self.client, &services_path(MIRRORS)).await?;
        let slices = watch::<EndpointSlice>(&self.client, &slices_path(MIRRORS)).await?;
        Ok(async move {
            tokio::try_join!(
                distinct(n_services, services.map_ok(|it| it.metadata.name)),
                distinct(n_slices, slices.map_ok(|it| it.metadata.name)),
            )?;
            Ok(())
        })
    }
}

/// Waits for so many different names.
async fn distinct(
    n: usize,
    names: impl Stream<Item = anyhow::Result<Option<String>>>,
) -> anyhow::Result<()> {
    let mut names = std::pin::pin!(names);
    let mut seen = HashSet::new();
    while seen.len() < n {
        let next = tokio::time::timeout(PATIENCE, names.try_next());
        let next = next.await.context("mirrors are missing")??;
        seen.extend(next.context("a watch of the local cluster ended")?);
    }
    Ok(())
}

/// The objects of a collection that are new or changed from now on.
pub(crate) async fn watch<K>(
    client: &kube::Client,
    collection: &str,
) -> anyhow::Result<impl Stream<Item = anyhow::Result<K>> + use<K>>
where
    K: Clone + DeserializeOwned,
{
    let list = read(client, &format!("{collection}?limit=1")).await?;
    let revision = list["metadata"]["resourceVersion"].as_str();
    let revision = revision.context("a list has a version")?;
    let path = format!("{collection}?watch=1&resourceVersion={revision}&timeoutSeconds=3000");
    let request = Request::get(path).body(Vec::new())?;
    let events = client.request_events::<K>(request).await?;
    Ok(events.filter_map(async |event| match event {
        Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Some(Ok(object)),
        Ok(WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_)) => None,
        Err(error) => Some(Err(error.into())),
    }))
}

pub(crate) fn services_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services")
}

pub(crate) fn slices_path(namespace: &str) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
}

/// Creates objects, some at once, Services before their slices.
pub(crate) async fn create_all(
    client: &kube::Client,
    objects: Vec<(String, Value)>,
) -> anyhow::Result<()> {
    let created = objects.into_iter().map(|(collection, object)| async move {
        let request = Request::post(collection)
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())?;
        client.request_text(request).await?;
        anyhow::Ok(())
    });
    stream::iter(created)
        .buffer_unordered(MAX_WRITES)
        .try_collect()
        .await
}

pub(crate) async fn create_namespace(client: &kube::Client, name: &str) -> anyhow::Result<()> {
    let namespace = json!({"metadata": {"name": name}});
    create_all(client, vec![("/api/v1/namespaces".to_owned(), namespace)]).await
}

pub(crate) async fn read(client: &kube::Client, path: &str) -> anyhow::Result<Value> {
    Ok(client.request(Request::get(path).body(Vec::new())?).await?)
}

/// Waits until a program says that it is ready.
pub(crate) async fn ready(admin: SocketAddr) -> anyhow::Result<()> {
    let client = client(admin)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = Request::get("/readyz").body(Vec::new())?;
        if client.request_text(request).await.is_ok() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "a program never became ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn service(i: usize) -> (String, Value) {
    let object = json!({
        "metadata": {"name": format!("s{i}"), "labels": {LABEL: "true", "app": format!("s{i}")}},
        "spec": {
            "selector": {"app": format!("s{i}")},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    });
    (services_path(EXPORTS), object)
}

fn slice(i: usize, n_endpoints: usize) -> (String, Value) {
    let endpoints: Vec<Value> = (0..n_endpoints)
        .map(|n| endpoint(&address(i * n_endpoints + n)))
        .collect();
    let object = json!({
        "metadata": {
            "name": format!("s{i}-slice"),
            "labels": {LABEL: "true", "kubernetes.io/service-name": format!("s{i}")},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    });
    (slices_path(EXPORTS), object)
}

/// An endpoint as Kubernetes' own controller writes it.
pub(crate) fn endpoint(address: &str) -> Value {
    json!({
        "addresses": [address],
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "nodeName": "node-1",
        "zone": "zone-1",
    })
}

fn address(n: usize) -> String {
    let n = n + 1;
    format!("10.{}.{}.{}", 1 + n / 62_500, n / 250 % 250, 1 + n % 250)
}
