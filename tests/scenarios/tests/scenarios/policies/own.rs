//! What an API server with the policy for the reflector's own objects allows.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Scene};
use http::Request;
use serde_json::{Value, json};

use crate::lab::{Cluster, eventually};
use crate::manifests::install;

const REFLECTOR: &str = "system:serviceaccount:heliograph:reflector";
const TENANT: &str = "system:serviceaccount:demo:tenant";
const SERVICES: &str = "/api/v1/namespaces/demo/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";

pub(crate) async fn the_reflector_writes_its_own_objects_and_others_cannot_claim_to(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let plane = scene.start(ControlPlane::builder("own-objects")).await?;
    let client = plane.client().await?;
    let cluster = Cluster { plane, client };
    for namespace in ["demo", "heliograph"] {
        cluster.create_namespace(namespace).await?;
    }
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let subject = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name});
    // Whatever RBAC allows, the policy binds.
    let binding = json!({
        "metadata": {"name": "both"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [subject("heliograph", "reflector"), subject("demo", "tenant")],
    });
    cluster.post(bindings, &binding.to_string()).await?;
    install(&cluster, "manifests/own-objects").await?;
    eventually("the policy is in force", async || {
        let refused = create(&cluster, TENANT, SERVICES, &service("probe", marks())).await?;
        refused.context("it is accepted")?;
        Ok(())
    })
    .await?;
    others_cannot_claim(&cluster).await?;
    the_reflector_is_bound(&cluster).await
}

async fn others_cannot_claim(cluster: &Cluster) -> anyhow::Result<()> {
    let one = |kind: &str, name: &str| json!({kind: {name: "east"}});
    for metadata in [
        marks(),
        one("labels", "heliograph.dev/source"),
        one("labels", "heliograph.dev/global"),
        one("annotations", "heliograph.dev/source-service"),
        one("annotations", "heliograph.dev/source-cluster"),
        one("annotations", "heliograph.dev/members"),
        one("labels", "heliograph.dev/clusterset"),
        one("annotations", "heliograph.dev/import"),
        json!({"labels": {"endpointslice.kubernetes.io/managed-by": "clusterset.heliograph.dev"}}),
    ] {
        for (collection, object) in [
            (SERVICES, service("forged", metadata.clone())),
            (SLICES, slice("forged", metadata.clone())),
        ] {
            let refused = create(cluster, TENANT, collection, &object).await?;
            let why = refused.with_context(|| format!("{metadata}: it is accepted"))?;
            ensure!(why.contains("only the reflector sets"), "{why}");
        }
    }
    let own = service("own", json!({"labels": {"heliograph.dev/export": "true"}}));
    allowed(create(cluster, TENANT, SERVICES, &own).await?.as_ref())?;
    let forged = service("own", marks());
    let refused = update(cluster, TENANT, "own", &forged).await?;
    refused.context("a Service becomes a mirror")?;
    let annotated = service(
        "own",
        json!({"annotations": {"heliograph.dev/failover": "here"}}),
    );
    allowed(update(cluster, TENANT, "own", &annotated).await?.as_ref())?;
    // What is the reflector's may be changed otherwise, and deleted.
    let mirror = service("mirror", marks());
    allowed(
        create(cluster, REFLECTOR, SERVICES, &mirror)
            .await?
            .as_ref(),
    )?;
    let mut moved = mirror.clone();
    moved["metadata"]["labels"]["heliograph.dev/source"] = json!("west");
    let refused = update(cluster, TENANT, "mirror", &moved).await?;
    refused.context("a mirror becomes another source's")?;
    let refused = update(cluster, TENANT, "mirror", &service("mirror", json!({}))).await?;
    refused.context("a mirror loses its marks")?;
    let mut released = mirror;
    released["metadata"]["annotations"]["heliograph.dev/allow-deletion"] = json!("true");
    allowed(update(cluster, TENANT, "mirror", &released).await?.as_ref())?;
    allowed(delete(cluster, TENANT, "mirror").await?.as_ref())
}

async fn the_reflector_is_bound(cluster: &Cluster) -> anyhow::Result<()> {
    let bare = service("bare", json!({}));
    let refused = create(cluster, REFLECTOR, SERVICES, &bare).await?;
    refused.context("the reflector creates an object without marks")?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}});
    let refused = create(cluster, REFLECTOR, "/api/v1/namespaces", &namespace).await?;
    refused.context("the reflector creates a namespace without marks")?;
    // Another's Service: neither changed, nor taken, nor deleted.
    let refused = update(cluster, REFLECTOR, "own", &bare).await?;
    refused.context("the reflector changes another's Service")?;
    let refused = update(cluster, REFLECTOR, "own", &service("own", marks())).await?;
    refused.context("the reflector takes another's Service")?;
    let refused = delete(cluster, REFLECTOR, "own").await?;
    refused.context("the reflector deletes another's Service")?;
    let mirror = service("mirror", marks());
    allowed(
        create(cluster, REFLECTOR, SERVICES, &mirror)
            .await?
            .as_ref(),
    )?;
    allowed(
        update(cluster, REFLECTOR, "mirror", &mirror)
            .await?
            .as_ref(),
    )?;
    allowed(delete(cluster, REFLECTOR, "mirror").await?.as_ref())?;
    // Objects of imports.
    let of_import = json!({
        "labels": {"endpointslice.kubernetes.io/managed-by": "clusterset.heliograph.dev"},
    });
    let copy = slice("copy", of_import);
    allowed(create(cluster, REFLECTOR, SLICES, &copy).await?.as_ref())?;
    let of_set = json!({"labels": {"heliograph.dev/clusterset": "set"}});
    let derived = service("derived-a", of_set);
    allowed(
        create(cluster, REFLECTOR, SERVICES, &derived)
            .await?
            .as_ref(),
    )?;
    allowed(delete(cluster, REFLECTOR, "derived-a").await?.as_ref())?;
    // A predecessor's mirror is adopted.
    let old = service("old", json!({"labels": {"mirrored-svc": "true"}}));
    allowed(create(cluster, TENANT, SERVICES, &old).await?.as_ref())?;
    allowed(
        update(cluster, REFLECTOR, "old", &service("old", marks()))
            .await?
            .as_ref(),
    )
}

fn marks() -> Value {
    json!({
        "labels": {"heliograph.dev/source": "east"},
        "annotations": {"heliograph.dev/source-service": "demo/web"},
    })
}

fn service(name: &str, mut metadata: Value) -> Value {
    metadata["name"] = json!(name);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"port": 80}]},
    })
}

fn slice(name: &str, mut metadata: Value) -> Value {
    metadata["name"] = json!(name);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4", "endpoints": [],
    })
}

fn allowed(refused: Option<&String>) -> anyhow::Result<()> {
    ensure!(refused.is_none(), "{refused:?}");
    Ok(())
}

async fn create(
    cluster: &Cluster,
    user: &str,
    collection: &str,
    object: &Value,
) -> anyhow::Result<Option<String>> {
    send(cluster, user, Request::post(collection), Some(object)).await
}

async fn update(
    cluster: &Cluster,
    user: &str,
    name: &str,
    object: &Value,
) -> anyhow::Result<Option<String>> {
    let path = format!("{SERVICES}/{name}");
    let mut object = object.clone();
    object["metadata"]["name"] = json!(name);
    object["spec"] = cluster.read(&path).await?["spec"].take();
    send(cluster, user, Request::put(path), Some(&object)).await
}

async fn delete(cluster: &Cluster, user: &str, name: &str) -> anyhow::Result<Option<String>> {
    let path = format!("{SERVICES}/{name}");
    send(cluster, user, Request::delete(path), None).await
}

/// Why the policy refuses it; what anything else refuses is an error.
async fn send(
    cluster: &Cluster,
    user: &str,
    request: http::request::Builder,
    body: Option<&Value>,
) -> anyhow::Result<Option<String>> {
    let body = body.map(|it| it.to_string().into_bytes());
    let request = request
        .header("content-type", "application/json")
        .header("impersonate-user", user)
        .body(body.unwrap_or_default())?;
    match cluster.client.request_text(request).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy") => {
            Ok(Some(status.message.clone()))
        }
        Err(error) => Err(error.into()),
    }
}
