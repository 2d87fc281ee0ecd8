//! A mirror is reached by a name, with the recipes of docs/dns.md.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::json;

use crate::cluster::{Cluster, Pod};
use crate::dns::{Dns, Srv, recipe};
use crate::lab::{Lab, eventually};
use crate::traffic::{POD_PORT, Tally};

/// The headings of docs/dns.md with a recipe each.
const NAMESPACE_FIRST: &str = "Mirrors of Heliograph";
const NAME_FIRST: &str = "Mirrors of kube-service-mirror";

const N_REQUESTS: usize = 200;

/// Waits until a name leads to a Service's address and that address to these pods.
async fn check(
    cluster: &Cluster,
    (dns, client): (&Dns, &Pod),
    (name, service): (&str, &str),
    pods: &[&str],
) -> anyhow::Result<()> {
    let server = eventually(&format!("there is {service}"), async || {
        cluster.service_address(service).await
    })
    .await?;
    let IpAddr::V4(address) = server.ip() else {
        anyhow::bail!("{service} has the address {server}");
    };
    dns.eventually_has(client, name, &[address]).await?;
    eventually(&format!("{name} answers"), async || {
        let tally = Tally::of(&client.namespace, server, 20)?;
        ensure!(tally.answers.len() == pods.len(), "{tally}");
        Ok(())
    })
    .await?;
    let resolved = dns.resolve(client, name)?;
    let server = SocketAddr::new(IpAddr::V4(*resolved.first().context("it has one")?), 80);
    Tally::of(&client.namespace, server, N_REQUESTS)?.check(name, pods)
}

pub(crate) async fn a_mirror_has_the_name_that_the_recipe_gives_it(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let dns = Dns::start(&lab, &local, &recipe(NAMESPACE_FIRST)?).await?;
    let (_emitter, url) = lab.emitter(&east).await?;
    let source = format!("name=east,url={url},prefix=east");
    lab.reflector(&local, &source).await?;
    east.create_service("web", &json!({})).await?;
    east.run_pod("web", "web-0").await?;
    let client = local.attach("client")?;
    let (name, mirror) = ("web.demo.svc.cluster.east", "mirrors/east-demo-73736d-web");
    check(&local, (&dns, &client), (name, mirror), &["web-0"]).await?;
    let asked = format!("_http._tcp.{name}");
    let found = dns.services(&client, &asked)?;
    let expected = Srv {
        owner: asked,
        target: name.to_owned(),
        port: 80,
    };
    ensure!(found == [expected], "{found:?}");
    let absent = dns.resolve(&client, "other.demo.svc.cluster.east");
    ensure!(absent.is_err(), "what is not there has {absent:?}");
    Ok(())
}

pub(crate) async fn pods_of_a_headless_service_have_names_of_their_own(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let dns = Dns::start(&lab, &local, &recipe(NAMESPACE_FIRST)?).await?;
    let (_emitter, url) = lab.emitter(&east).await?;
    let source = format!("name=east,url={url},prefix=east");
    lab.reflector(&local, &source).await?;
    east.create_service("db", &json!({ "clusterIP": "None" }))
        .await?;
    let db_0 = east.run_pod("db", "db-0").await?.address;
    let db_1 = east.run_pod("db", "db-1").await?.address;
    let client = local.attach("client")?;
    let zone = "db.demo.svc.cluster.east";
    dns.eventually_has(&client, zone, &[db_0, db_1]).await?;
    for (pod, address) in [("db-0", db_0), ("db-1", db_1)] {
        let name = format!("{pod}.{zone}");
        dns.eventually_has(&client, &name, &[address]).await?;
        let server = SocketAddr::new(IpAddr::V4(address), POD_PORT);
        Tally::of(&client.namespace, server, N_REQUESTS)?.check(&name, &[pod])?;
    }
    let asked = format!("_http._tcp.{zone}");
    let found = dns.services(&client, &asked)?;
    let targets: Vec<_> = found.iter().map(|it| it.target.as_str()).collect();
    let pods = [format!("db-0.{zone}"), format!("db-1.{zone}")];
    ensure!(targets == pods, "{found:?}");
    let is_asked = |it: &Srv| it.owner == asked && it.port == POD_PORT;
    ensure!(found.iter().all(is_asked), "{found:?}");
    Ok(())
}

/// With a mirror by hand, since only a replaced program makes such names.
pub(crate) async fn a_mirror_of_the_older_name_order_has_its_name_too(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let local = lab.cluster("local").await?;
    let dns = Dns::start(&lab, &local, &recipe(NAME_FIRST)?).await?;
    let mirror = "east-web-6d6972726f720a-demo";
    let service = json!({
        "metadata": { "name": mirror },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": POD_PORT }] },
    });
    local
        .post("/api/v1/namespaces/mirrors/services", &service)
        .await?;
    let pod = local.run_pod("web", "web-0").await?;
    let slice = json!({
        "metadata": { "name": mirror, "labels": { "kubernetes.io/service-name": mirror } },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": POD_PORT }],
        "endpoints": [{ "addresses": [pod.address] }],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/mirrors/endpointslices";
    local.post(slices, &slice).await?;
    let client = local.attach("client")?;
    let mirror = format!("mirrors/{mirror}");
    let name = "web.demo.svc.cluster.east";
    check(&local, (&dns, &client), (name, &mirror), &["web-0"]).await
}

pub(crate) async fn a_service_that_keeps_its_name_needs_no_recipe(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let dns = Dns::start(&lab, &local, "").await?;
    let (_emitter, url) = lab.emitter(&east).await?;
    let source = format!("name=east,url={url},sameName=true,namespaces=*");
    lab.reflector(&local, &source).await?;
    east.create_service("web", &json!({})).await?;
    east.run_pod("web", "web-0").await?;
    let client = local.attach("client")?;
    let name = "web.demo.svc.cluster.local";
    check(&local, (&dns, &client), (name, "demo/web"), &["web-0"]).await
}
