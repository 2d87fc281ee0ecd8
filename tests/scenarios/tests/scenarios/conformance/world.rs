//! What both servers are asked about: Services of every type, with endpoints that
//! controllers and people made, and a history of changes.

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use proto_types::{Resource, ResourceVersion};

use crate::continuity::relay;
use crate::lab::{Cluster, EXPORT, Lab, Program, eventually};

/// A cluster and an emitter that exports all of the namespace `demo`.
pub(super) struct World {
    pub(super) upstream: kube::Client,
    pub(super) emitter: kube::Client,
    /// What the emitter had seen before the changes, of each resource.
    pub(super) before: Vec<ResourceVersion>,
    /// What it has seen after them.
    pub(super) last: Vec<ResourceVersion>,
    _cluster: Cluster,
    _programs: Vec<Program>,
}

impl World {
    /// With so many relays in front of the emitter, the last of which is asked.
    pub(super) async fn new(lab: &Lab, n_relays: usize) -> anyhow::Result<Self> {
        let cluster = lab.cluster("east").await?;
        populate(&cluster).await?;
        let mut program = lab.emitter(&cluster, &["--fields=all"]).await?;
        let mut programs = Vec::new();
        for _ in 0..n_relays {
            let next = relay(lab, &program.url).await?;
            programs.push(std::mem::replace(&mut program, next));
        }
        let emitter = client(kube::Config::new(program.url.parse()?))?;
        programs.push(program);
        let kubeconfig = Kubeconfig::read_from(cluster.plane.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let upstream = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let before = revisions(&emitter).await?;
        change(&cluster).await?;
        settle(&cluster, &emitter).await?;
        Ok(Self {
            upstream: client(upstream)?,
            last: revisions(&emitter).await?,
            emitter,
            before,
            _cluster: cluster,
            _programs: programs,
        })
    }
}

/// A client that shows every answer, also those that ask to be asked again.
fn client(mut config: kube::Config) -> anyhow::Result<kube::Client> {
    config.default_retry = false;
    // It would be the environment's, which is not meant for loopback.
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

async fn populate(cluster: &Cluster) -> anyhow::Result<()> {
    cluster
        .post("/api/v1/nodes", r#"{"metadata":{"name":"n1"}}"#)
        .await?;
    for (name, spec) in [
        (
            "web",
            r#"{"selector":{"app":"web"},"ports":[{"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"}]}"#,
        ),
        (
            "headless",
            r#"{"clusterIP":"None","selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}"#,
        ),
        (
            "external",
            r#"{"type":"ExternalName","externalName":"example.org"}"#,
        ),
        (
            "balanced",
            r#"{"type":"LoadBalancer","externalIPs":["192.0.2.1"],"ports":[{"port":443}]}"#,
        ),
        ("manual", r#"{"ports":[{"name":"http","port":80}]}"#),
        (
            "brief",
            r#"{"selector":{"app":"none"},"ports":[{"port":81}]}"#,
        ),
    ] {
        cluster.create_service_with(name, spec).await?;
    }
    cluster
        .set_endpoints("manual", &["10.1.0.1", "10.1.0.2"])
        .await?;
    let endpoints = format!(
        r#"{{"metadata":{{"name":"manual","labels":{{"{EXPORT}":"true"}}}},"subsets":[{{"addresses":[{{"ip":"10.1.0.1"}}],"ports":[{{"name":"http","port":8080}}]}}]}}"#
    );
    cluster
        .post("/api/v1/namespaces/demo/endpoints", &endpoints)
        .await?;
    super::shapes::create(cluster).await?;
    for i in 1..=4 {
        create_pod(cluster, i).await?;
    }
    for i in 0..70 {
        let big = format!(
            r#"{{"metadata":{{"name":"big-{i}","labels":{{"{EXPORT}":"true","size":"big"}},"annotations":{{"text":"{}"}}}},"spec":{{"ports":[{{"port":80}}]}}}}"#,
            "<&>é 0123456789".repeat(120)
        );
        cluster
            .post("/api/v1/namespaces/demo/services", &big)
            .await?;
    }
    Ok(())
}

/// A Pod that is ready, as far as controllers can see.
async fn create_pod(cluster: &Cluster, i: usize) -> anyhow::Result<()> {
    let pod = format!(
        r#"{{"metadata":{{"name":"web-{i}","labels":{{"app":"web"}}}},"spec":{{"nodeName":"n1","automountServiceAccountToken":false,"containers":[{{"name":"c","image":"c"}}]}}}}"#
    );
    eventually("a Pod can be made", async || {
        cluster.post("/api/v1/namespaces/demo/pods", &pod).await
    })
    .await?;
    let status = format!(
        r#"{{"status":{{"phase":"Running","podIP":"10.2.0.{i}","podIPs":[{{"ip":"10.2.0.{i}"}}],"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
    );
    cluster
        .patch(
            &format!("/api/v1/namespaces/demo/pods/web-{i}/status"),
            &status,
        )
        .await
}

/// Objects come, change, leave the export and return, and go.
async fn change(cluster: &Cluster) -> anyhow::Result<()> {
    for round in 0..4 {
        let annotated = format!(r#"{{"metadata":{{"annotations":{{"round":"<{round}>"}}}}}}"#);
        cluster.patch_service("demo/web", &annotated).await?;
        cluster
            .set_endpoints("manual", &["10.1.0.1", &format!("10.1.0.{}", 3 + round)])
            .await?;
        let labelled = format!(
            r#"{{"metadata":{{"labels":{{"round":"r{}"}}}},"spec":{{"type":"{}"}}}}"#,
            round % 2,
            ["NodePort", "ClusterIP"][round % 2],
        );
        cluster.patch_service("demo/web", &labelled).await?;
    }
    for label in ["null", "\"true\""] {
        let exported = format!(r#"{{"metadata":{{"labels":{{"{EXPORT}":{label}}}}}}}"#);
        cluster.patch_service("demo/balanced", &exported).await?;
    }
    cluster
        .delete("/api/v1/namespaces/demo/pods/web-4?gracePeriodSeconds=0")
        .await?;
    cluster.delete_service("demo/brief").await
}

/// What the emitter has seen, and therefore its upstream too.
async fn revisions(emitter: &kube::Client) -> anyhow::Result<Vec<ResourceVersion>> {
    let mut revisions = Vec::new();
    for resource in Resource::ALL {
        let path = format!("{}?resourceVersion=0", resource.collection(None));
        let request = http::Request::get(path).body(Vec::new())?;
        let list: serde_json::Value = emitter.request(request).await?;
        let revision = list["metadata"]["resourceVersion"].as_str();
        revisions.push(revision.context("a list has a revision")?.parse()?);
    }
    Ok(revisions)
}

/// Controllers take a moment, and so does the emitter.
async fn settle(cluster: &Cluster, emitter: &kube::Client) -> anyhow::Result<()> {
    let items = async |client: &kube::Client, path: &str| -> anyhow::Result<String> {
        let request = http::Request::get(path).body(Vec::new())?;
        let text = client.request_text(request).await?;
        let (_, items) = text.split_once("\"items\":").context(text.clone())?;
        Ok(items.to_owned())
    };
    let mut quiet = 0;
    while quiet < 4 {
        let before = last_items(cluster, &items).await?;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let is_quiet = before == last_items(cluster, &items).await?;
        quiet = if is_quiet { quiet + 1 } else { 0 };
    }
    for resource in Resource::ALL {
        let path = resource.collection(Some("demo"));
        eventually("the emitter has all", async || {
            let (theirs, ours) =
                tokio::try_join!(items(&cluster.client, &path), items(emitter, &path))?;
            anyhow::ensure!(theirs == ours, "{resource} differ:\n{theirs}\n{ours}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn last_items(
    cluster: &Cluster,
    items: &impl AsyncFn(&kube::Client, &str) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for resource in Resource::ALL {
        all.push(items(&cluster.client, &resource.collection(Some("demo"))).await?);
    }
    Ok(all)
}
