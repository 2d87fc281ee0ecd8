//! Every shape of Service, and of slice, has the mirror that its row says; the API server
//! takes it, and nothing is written twice.

pub(crate) mod extremes;
mod table;

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{AuditEvent, ControlPlane, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, meanwhile, mirror};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces";

/// A cluster with Services of both families.
async fn dual(scene: &Scene, name: &str, ranges: &str) -> anyhow::Result<Cluster> {
    let builder = ControlPlane::builder(name).controllers().audit();
    let plane = scene.start(builder.service_cidr(ranges)).await?;
    let client = plane.client().await?;
    let cluster = Cluster { plane, client };
    for namespace in ["demo", MIRRORS] {
        cluster.create_namespace(namespace).await?;
    }
    Ok(cluster)
}

async fn clusters(scene: &Scene) -> anyhow::Result<(Cluster, Cluster)> {
    tokio::try_join!(
        dual(scene, "east", "10.230.0.0/16,fd00:230::/112"),
        dual(scene, "local", "10.231.0.0/16,fd00:231::/112")
    )
}

async fn reflector(lab: &Lab, east: &Cluster, local: &Cluster) -> anyhow::Result<Program> {
    let emitter = lab.emitter(east, &[]).await?;
    let source = format!("name=east,url={},prefix=east", emitter.url);
    lab.reflector(local, &[&source]).await
}

/// Whether every field of the row is there as the row says; what is null is not there.
fn differs(expected: &Value, found: &Value, path: &str) -> Option<String> {
    match expected {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, it)| differs(it, &found[name], &format!("{path}.{name}"))),
        Value::Array(items) => {
            let n_found = found.as_array().map_or(0, Vec::len);
            if items.len() != n_found {
                return Some(format!("{path} is {found}, not {expected}"));
            }
            let mut items = items.iter().enumerate();
            items.find_map(|(i, it)| differs(it, &found[i], &format!("{path}[{i}]")))
        }
        _ => (expected != found).then(|| format!("{path} is {found}, not {expected}")),
    }
}

async fn is_mirrored(local: &Cluster, name: &str, expected: &Value) -> anyhow::Result<()> {
    let key = mirror("east", name);
    eventually(&format!("{name} is mirrored as its row says"), async || {
        let service = local.service(&key).await?.context("there is no mirror")?;
        match differs(expected, &service["spec"], "spec") {
            None => Ok(()),
            Some(why) => anyhow::bail!("{why} in {}", service["spec"]),
        }
    })
    .await
}

/// What was written of mirrors so far.
fn writes(local: &Cluster) -> anyhow::Result<Vec<String>> {
    let events = local.plane.audit_events()?;
    let its = ["services", "endpointslices"];
    let is_its = |it: &&AuditEvent| {
        it.is_write() && it.namespace == MIRRORS && its.contains(&it.resource.as_str())
    };
    let shown = |it: &AuditEvent| format!("{} {} {} {}", it.verb, it.resource, it.name, it.code);
    Ok(events.iter().filter(is_its).map(shown).collect())
}

/// Each mirror was written once, and is not written again by whoever starts again.
async fn nothing_is_written_twice(
    reflector: &Program,
    local: &Cluster,
    is_first: bool,
) -> anyhow::Result<()> {
    let before = writes(local)?;
    let others = before.iter().filter(|it| !it.starts_with("create"));
    let others: Vec<_> = others.collect();
    ensure!(
        !is_first || others.is_empty(),
        "not only created: {others:?}"
    );
    reflector.stop().await?;
    reflector.start().await?;
    meanwhile("nothing is written again", async || {
        let now = writes(local)?;
        ensure!(now.len() == before.len(), "{:?}", &now[before.len()..]);
        Ok(())
    })
    .await?;
    let status = reflector.status().await?;
    ensure!(status["problems"] == json!([]), "{status}");
    Ok(())
}

pub(crate) async fn every_shape_of_service_has_its_mirror(scene: Arc<Scene>) -> anyhow::Result<()> {
    let (east, local) = clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    for (name, spec, _) in table::services() {
        let made = east.create_service_with(name, &spec.to_string()).await;
        made.with_context(|| name.to_owned())?;
    }
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    let path = "/api/v1/namespaces/demo/services/balanced/status";
    east.patch(path, &status.to_string()).await?;
    let reflector = reflector(&lab, &east, &local).await?;
    for (name, _, expected) in table::services() {
        is_mirrored(&local, name, &expected).await?;
    }
    let balanced = local.service(&mirror("east", "balanced")).await?;
    let status = balanced.context("it is there")?["status"].clone();
    ensure!(status["loadBalancer"] == json!({}), "{status}");
    nothing_is_written_twice(&reflector, &local, true).await
}

pub(crate) async fn every_shape_of_slice_has_its_mirror(scene: Arc<Scene>) -> anyhow::Result<()> {
    let (east, local) = clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    let spec = r#"{"ports":[{"name":"http","port":80}]}"#;
    for (name, slice, _) in table::slices() {
        east.create_service_with(name, spec).await?;
        post_slice(&east, name, name, slice).await?;
    }
    // More than one slice holds, and more than core/v1 Endpoints do.
    east.create_service_with("many", spec).await?;
    for i in 0..12 {
        let endpoints: Vec<_> = (0..100)
            .map(|j| json!({"addresses": [format!("10.1.{i}.{j}")]}))
            .collect();
        let slice = json!({"addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]});
        post_slice(&east, "many", &format!("many-{i}"), slice).await?;
    }
    let reflector = reflector(&lab, &east, &local).await?;
    for (name, _, expected) in table::slices() {
        eventually(&format!("{name} is mirrored as its row says"), async || {
            let found = slices_of(&local, name).await?;
            ensure!(found.len() == 1, "there are {}", found.len());
            match differs(&expected, &found[0], name) {
                None => Ok(()),
                Some(why) => anyhow::bail!("{why}"),
            }
        })
        .await?;
    }
    eventually("all of many are mirrored", async || {
        let found = slices_of(&local, "many").await?;
        let lengths = found
            .iter()
            .map(|it| it["endpoints"].as_array().map_or(0, Vec::len));
        let n_endpoints: usize = lengths.sum();
        ensure!(found.len() == 12 && n_endpoints == 1200, "{n_endpoints}");
        Ok(())
    })
    .await?;
    nothing_is_written_twice(&reflector, &local, true).await
}

async fn post_slice(
    east: &Cluster,
    service: &str,
    name: &str,
    mut slice: Value,
) -> anyhow::Result<()> {
    let labels = json!({EXPORT: "true", "kubernetes.io/service-name": service});
    let annotations = json!({"endpoints.kubernetes.io/last-change-trigger-time": table::CHANGED});
    slice["metadata"] = json!({"name": name, "labels": labels, "annotations": annotations});
    let path = format!("{SLICES}/demo/endpointslices");
    let made = east.post(&path, &slice.to_string()).await;
    made.with_context(|| name.to_owned())
}

async fn slices_of(local: &Cluster, name: &str) -> anyhow::Result<Vec<Value>> {
    let (_, service) = mirror("east", name).split_once('/').map_or_else(
        || (String::new(), String::new()),
        |(namespace, name)| (namespace.to_owned(), name.to_owned()),
    );
    let path = format!(
        "{SLICES}/{MIRRORS}/endpointslices?labelSelector=kubernetes.io/service-name%3D{service}"
    );
    let list = local.read(&path).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

pub(crate) async fn a_service_may_become_another_kind_and_back(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let (east, local) = clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    let reflector = reflector(&lab, &east, &local).await?;
    let virtually = (r#"{"ports":[{"port":80}]}"#, json!({"type": "ClusterIP"}));
    let headless = (
        r#"{"clusterIP":"None","ports":[{"port":80}]}"#,
        json!({"type": "ClusterIP", "clusterIP": "None"}),
    );
    let external = (
        r#"{"type":"ExternalName","externalName":"example.org"}"#,
        json!({"type": "ExternalName", "externalName": "example.org", "clusterIP": null}),
    );
    let steps = [
        &virtually, &headless, &external, &headless, &virtually, &external, &virtually,
    ];
    for (i, (spec, expected)) in steps.into_iter().enumerate() {
        if 0 < i {
            east.delete_service("demo/flip").await?;
        }
        east.create_service_with("flip", spec).await?;
        is_mirrored(&local, "flip", expected).await?;
        eventually("it has an address, or none", async || {
            let service = local.service(&mirror("east", "flip")).await?;
            let service = service.context("it is there")?;
            let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
            let is_virtual = address.starts_with("10.231.");
            ensure!(is_virtual == (*spec == virtually.0), "{address}");
            Ok(())
        })
        .await?;
    }
    // In place, as far as an API server lets one.
    let name = r#"{"spec":{"type":"ExternalName","externalName":"example.com","clusterIP":null,"clusterIPs":null}}"#;
    east.patch_service("demo/flip", name).await?;
    is_mirrored(&local, "flip", &json!({"externalName": "example.com"})).await?;
    let back = r#"{"spec":{"type":"ClusterIP","externalName":null}}"#;
    east.patch_service("demo/flip", back).await?;
    let expected = json!({"type": "ClusterIP", "externalName": null});
    is_mirrored(&local, "flip", &expected).await?;
    nothing_is_written_twice(&reflector, &local, false).await
}

/// A cluster with Services of one family, and a source with the other.
pub(crate) async fn a_family_that_this_cluster_lacks_is_told(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let (east, local) = tokio::try_join!(
        dual(&scene, "east", "10.232.0.0/16,fd00:232::/112"),
        dual(&scene, "local", "10.233.0.0/16")
    )?;
    let lab = Lab::new(scene)?;
    for (name, spec) in [
        ("six", r#"{"ipFamilies":["IPv6"],"ports":[{"port":80}]}"#),
        (
            "both",
            r#"{"ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6","IPv4"],"ports":[{"port":80}]}"#,
        ),
        (
            "none",
            r#"{"clusterIP":"None","ipFamilyPolicy":"SingleStack","ipFamilies":["IPv6"],"ports":[{"port":80}]}"#,
        ),
    ] {
        east.create_service_with(name, spec).await?;
    }
    let reflector = reflector(&lab, &east, &local).await?;
    is_mirrored(&local, "both", &json!({"ipFamilies": ["IPv4"]})).await?;
    let headless = json!({"clusterIP": "None", "ipFamilies": ["IPv6"]});
    is_mirrored(&local, "none", &headless).await?;
    eventually("the other is told", async || {
        let status = reflector.status().await?;
        let problems = status["problems"].as_array().context("it has problems")?;
        ensure!(problems.len() == 1, "{status}");
        let told = problems[0].to_string();
        ensure!(
            told.contains("IPFamilyNotSupported") && told.contains("demo/six"),
            "{told}"
        );
        ensure!(told.contains("it has IPv6 addresses alone"), "{told}");
        ensure!(local.service(&mirror("east", "six")).await?.is_none());
        Ok(())
    })
    .await?;
    // What helps, as the message says.
    let patch = r#"{"spec":{"ipFamilyPolicy":"PreferDualStack"}}"#;
    east.patch_service("demo/six", patch).await?;
    is_mirrored(&local, "six", &json!({"ipFamilies": ["IPv4"]})).await?;
    eventually("nothing is wrong any more", async || {
        let status = reflector.status().await?;
        ensure!(status["problems"] == json!([]), "{status}");
        Ok(())
    })
    .await
}
